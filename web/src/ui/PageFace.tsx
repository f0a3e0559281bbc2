/** The page as others see it: the browser tab's title and icon say which session it is and whether something waits. */

import { useEffect } from "react";
import { useModel, usePage, usePane, useView } from "./page";
import { focusedPane, shownSession, shownTab } from "./selection";

export function PageFace() {
  const model = useModel();
  const view = useView();
  const session = shownSession(model, view);
  const tab = shownTab(model, view);
  const cutOff = model.known && model.connection.status !== "connected";
  const waits = cutOff ? "lost" : model.noticed.size > 0 ? "news" : null;
  useIcon(waits);
  return (
    <Title
      key={tab?.id ?? ""}
      paneId={tab === null ? "" : focusedPane(tab, view)}
      names={[tab?.name, session?.name, "Wormux"]}
      waits={waits !== null}
    />
  );
}

function Title({ paneId, names, waits }: { paneId: string; names: (string | undefined)[]; waits: boolean }) {
  const title = usePane(paneId).info?.title ?? "";
  const parts = [title, ...names].filter((part) => part !== undefined && part !== "");
  const text = (waits ? "• " : "") + [...new Set(parts)].join(" — ");
  useEffect(() => {
    document.title = text;
  }, [text]);
  return null;
}

function useIcon(waits: "lost" | "news" | null): void {
  const { icon } = usePage();
  useEffect(() => {
    const link = document.querySelector<HTMLLinkElement>("link[rel=icon]");
    if (link !== null) link.href = icon(waits);
  }, [icon, waits]);
}
