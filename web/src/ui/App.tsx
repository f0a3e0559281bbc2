/** The page: the bar, the banner when it is cut off, and the panes or what stands in their place. */

import { useEffect } from "react";
import { Bar } from "./Bar";
import { Confirm } from "./Confirm";
import { ConnectionBanner } from "./ConnectionBanner";
import type { Commands } from "./commands";
import { Connecting, NoSessions, NoTabs, Unauthorized } from "./Empty";
import { HelpDialog } from "./HelpDialog";
import { Notices } from "./Notices";
import { PageFace } from "./PageFace";
import { Panes } from "./Panes";
import { useModel, usePage, useView } from "./page";
import { shownSession, shownTab, visiblePanes } from "./selection";

export function App() {
  const { commands, shortcuts } = usePage();
  const { connection } = useModel();
  useEffect(() => shortcuts.listen(window, (action) => commands.run(action)), [shortcuts, commands]);
  useEffect(() => keepKeyboard(commands), [commands]);
  if (connection.status === "unauthorized") return <Unauthorized />;
  return (
    <div className="app">
      <Bar />
      <ConnectionBanner />
      <Content />
      <Notices />
      <HelpDialog />
      <Confirm />
      <PageFace />
    </div>
  );
}

/**
 * A key that goes nowhere is a lie of the page: when nothing has the keyboard any more, after a click beside everything
 * or with what had it gone, the terminal gets it back.
 */
function keepKeyboard(commands: Commands): () => void {
  const look = () =>
    requestAnimationFrame(() => {
      if (document.activeElement === document.body) commands.focusTerminal();
    });
  const events = ["focusout", "pointerup", "focus"] as const;
  for (const event of events) window.addEventListener(event, look);
  return () => {
    for (const event of events) window.removeEventListener(event, look);
  };
}

function Content() {
  const { core } = usePage();
  const model = useModel();
  const view = useView();
  const session = shownSession(model, view);
  const tab = shownTab(model, view);
  const visible = visiblePanes(tab, view).join("\n");
  useEffect(() => {
    core.setVisiblePanes(new Set(visible === "" ? [] : visible.split("\n")));
  }, [core, visible]);
  if (!model.known) return <Connecting />;
  if (session === null) return <NoSessions />;
  if (tab === null) return <NoTabs session={session} />;
  return <Panes tab={tab} />;
}
