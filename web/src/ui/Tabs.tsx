/** The tabs of the session that is looked at. */

import { useEffect, useRef } from "react";
import type { TabInfo } from "../protocol/wire";
import { panesOf } from "../terminal/registry";
import { Button } from "./Button";
import { CloseIcon, PlusIcon, ZoomIcon } from "./icons";
import { NameField } from "./NameField";
import { useModel, usePage, useView } from "./page";
import { shownSession, shownTab, tabsOf, zoomedPane } from "./selection";

export function Tabs() {
  const { commands, shortcuts, view: store } = usePage();
  const model = useModel();
  const view = useView();
  const session = shownSession(model, view);
  if (session === null) return <div className="tabs" />;
  const shown = shownTab(model, view);
  return (
    <div className="tabs">
      <div className="tab-list" role="tablist" aria-label={`Tabs of ${session.name}`}>
        {tabsOf(model, session.id).map((tab, index) => (
          <Tab
            key={tab.id}
            tab={tab}
            place={index}
            active={tab.id === shown?.id}
            noticed={tab.id !== shown?.id && panesOf(tab.layout).some((id) => model.noticed.has(id))}
            zoomed={zoomedPane(tab, view) !== null}
            renaming={tab.id === view.renamingTab}
            onRename={() => store.change({ renamingTab: tab.id })}
          />
        ))}
      </div>
      <Button
        look="icon"
        aria-label="New tab"
        title={shortcuts.hint("New tab", "new_tab")}
        onClick={() => commands.newTab(session.id)}
      >
        <PlusIcon />
      </Button>
    </div>
  );
}

interface TabProps {
  tab: TabInfo;
  place: number;
  active: boolean;
  noticed: boolean;
  /** One of its panes hides the others. */
  zoomed: boolean;
  renaming: boolean;
  onRename: () => void;
}

function Tab({ tab, place, active, noticed, zoomed, renaming, onRename }: TabProps) {
  const { commands, shortcuts } = usePage();
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (active) element.current?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
  }, [active]);
  const keys = shortcuts.tabKeys(place);
  return (
    <div
      className="tab"
      role="presentation"
      ref={element}
      data-active={active}
      data-noticed={noticed}
      data-testid="tab"
    >
      {renaming ? (
        <NameField
          className="tab-field"
          label="Name of the tab"
          name={tab.name}
          onDone={(name) => commands.renameTab(tab.id, name)}
        />
      ) : (
        <button
          type="button"
          className="tab-button"
          role="tab"
          aria-selected={active}
          title={keys === "" ? tab.name : `${tab.name} (${keys})\nDouble-click to rename`}
          onMouseDown={(event) => event.preventDefault()}
          onAuxClick={(event) => event.button === 1 && commands.closeTab(tab.id)}
          onClick={() => commands.switchTab(tab.id)}
          onDoubleClick={onRename}
        >
          <span className="tab-name">{tab.name}</span>
          {zoomed && (
            <span className="tab-zoom" role="img" aria-label="one pane shown alone">
              <ZoomIcon />
            </span>
          )}
          {noticed && <span className="tab-dot" role="img" aria-label="has something new" />}
        </button>
      )}
      <Button
        look="icon"
        className="tab-close"
        aria-label={`Close ${tab.name}`}
        title={active ? shortcuts.hint("Close tab", "close_tab") : "Close tab"}
        tabIndex={-1}
        onClick={() => commands.closeTab(tab.id)}
      >
        <CloseIcon />
      </Button>
    </div>
  );
}
