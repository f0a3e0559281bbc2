/** Which session, tab and pane this page looks at, worked out from what the server said and what the page added. */

import type { Model, PaneId } from "../core/api";
import type { SessionInfo, TabInfo } from "../protocol/wire";
import { panesOf } from "../terminal/registry";
import type { View } from "./view";

export function tabsOf(model: Model, sessionId: string): readonly TabInfo[] {
  return model.tabs.filter((tab) => tab.sessionId === sessionId);
}

export function shownSession(model: Model, view: View): SessionInfo | null {
  const byId = (id: string | undefined | null) => model.sessions.find((session) => session.id === id) ?? null;
  const chosen = byId(view.sessionId);
  if (chosen !== null && tabsOf(model, chosen.id).length === 0) return chosen;
  const active = model.tabs.find((tab) => tab.id === model.activeTab);
  return byId(active?.sessionId) ?? model.sessions[0] ?? null;
}

export function shownTab(model: Model, view: View): TabInfo | null {
  const session = shownSession(model, view);
  const active = model.tabs.find((tab) => tab.id === model.activeTab);
  return active !== undefined && active.sessionId === session?.id ? active : null;
}

/** The pane that fills the tab, if one does and is still there. */
export function zoomedPane(tab: TabInfo, view: View): PaneId | null {
  const zoomed = view.zoomed.get(tab.id);
  if (zoomed === undefined) return null;
  const panes = panesOf(tab.layout);
  return panes.length > 1 && panes.includes(zoomed) ? zoomed : null;
}

/** The pane that has, or is about to have, the keyboard. */
export function focusedPane(tab: TabInfo, view: View): PaneId {
  const zoomed = zoomedPane(tab, view);
  if (zoomed !== null) return zoomed;
  const wanted = view.wantedFocus;
  if (wanted?.tabId === tab.id && panesOf(tab.layout).includes(wanted.paneId)) return wanted.paneId;
  return tab.focus;
}

export function visiblePanes(tab: TabInfo | null, view: View): readonly PaneId[] {
  if (tab === null) return [];
  const zoomed = zoomedPane(tab, view);
  return zoomed === null ? panesOf(tab.layout) : [zoomed];
}
