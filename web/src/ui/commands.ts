/**
 * Everything that can be done from the page, however it was asked for: by a shortcut, a button or a menu. Each asks the
 * server; what follows comes back as a new layout. A request that fails leaves one sentence in the notices.
 */

import type { Core, PaneId, Request, RequestError } from "../core/api";
import type { Action } from "../core/keymap";
import type { Orientation, TabInfo } from "../protocol/wire";
import { panesOf, type Registry } from "../terminal/registry";
import { copyText } from "./clipboard";
import { focusedPane, shownSession, shownTab, tabsOf, zoomedPane } from "./selection";
import type { ViewStore } from "./view";

type Answer = Awaited<ReturnType<Core["request"]>>;

/** The space that all panes share, in CSS pixels; measured by whoever lays them out. */
export interface Area {
  readonly width: number;
  readonly height: number;
}

const SHELLS = new Set("ash bash dash elvish fish ksh mksh nu pwsh sh tcsh xonsh zsh".split(" "));

export class Commands {
  readonly #core: Core;
  readonly #registry: Registry;
  readonly #view: ViewStore;
  /** Where each session was last looked at. */
  readonly #lastTab = new Map<string, string>();
  area: Area = { width: 0, height: 0 };

  constructor(core: Core, registry: Registry, view: ViewStore) {
    this.#core = core;
    this.#registry = registry;
    this.#view = view;
  }

  /** False for what cannot be done now, so that the keys go where they would go without a shortcut. */
  run(action: Action): boolean {
    const view = this.#view.get();
    const model = this.#core.model();
    if (view.dialog !== null && !["help", "session_menu", "new_session"].includes(action.type)) return false;
    const session = shownSession(model, view);
    const tab = shownTab(model, view);
    const pane = tab === null ? null : focusedPane(tab, view);
    switch (action.type) {
      case "help":
        this.#view.open(view.dialog?.type === "help" ? null : { type: "help" });
        return true;
      case "session_menu":
        this.#view.open(view.dialog?.type === "sessions" ? null : { type: "sessions", naming: false });
        return true;
      case "new_session":
        this.#view.open({ type: "sessions", naming: true });
        return true;
      case "new_tab":
        if (session === null) return false;
        this.newTab(session.id);
        return true;
      case "next_tab":
      case "previous_tab":
        this.#stepTab(tab, action.type === "next_tab" ? 1 : -1);
        return true;
      case "select_tab": {
        const wanted = session === null ? undefined : tabsOf(model, session.id)[action.index];
        if (wanted !== undefined) this.switchTab(wanted.id);
        return true;
      }
      default:
        if (tab === null || pane === null) return false;
        return this.#runInPane(action, tab, pane);
    }
  }

  #runInPane(action: Action, tab: TabInfo, pane: PaneId): boolean {
    switch (action.type) {
      case "split_right":
        this.split(pane, "horizontal");
        return true;
      case "split_down":
        this.split(pane, "vertical");
        return true;
      case "close_pane":
        this.closePane(pane);
        return true;
      case "close_tab":
        this.closeTab(tab.id);
        return true;
      case "rename_tab":
        this.#view.change({ renamingTab: tab.id });
        return true;
      case "zoom":
        this.zoom(pane);
        return true;
      case "focus":
        this.#view.zoom(tab.id, null);
        this.#ask({ type: "pane_focus", direction: action.direction });
        return true;
      case "find":
        this.#view.change({ finding: pane });
        return true;
      case "copy": {
        const text = this.#registry.selection(pane);
        if (text === "") return true;
        void copyText(text);
        return true;
      }
      default:
        return false;
    }
  }

  newTab(sessionId: string): void {
    const asked = this.#ask({ type: "tab_create", sessionId, ...this.#space() });
    void asked.then((made) => this.#show(made));
  }

  switchTab(tabId: string): void {
    const tab = this.#core.model().tabs.find((other) => other.id === tabId);
    if (tab !== undefined) this.#lastTab.set(tab.sessionId, tabId);
    this.#view.change({ sessionId: null });
    if (this.#core.model().activeTab !== tabId) this.#ask({ type: "tab_switch", tabId });
  }

  #stepTab(tab: TabInfo | null, step: number): void {
    if (tab === null) return;
    const tabs = tabsOf(this.#core.model(), tab.sessionId);
    const at = tabs.findIndex((other) => other.id === tab.id);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (next !== undefined && next.id !== tab.id) this.switchTab(next.id);
  }

  closeTab(tabId: string): void {
    const tab = this.#core.model().tabs.find((other) => other.id === tabId);
    if (tab === undefined) return;
    this.#unlessRunning(`tab “${tab.name}”`, panesOf(tab.layout), () => {
      this.#stayWith(tab);
      this.#ask({ type: "tab_close", tabId });
    });
  }

  renameTab(tabId: string, name: string): void {
    this.#view.change({ renamingTab: null });
    const known = this.#core.model().tabs.find((tab) => tab.id === tabId);
    const trimmed = name.trim();
    if (trimmed === "" || trimmed === known?.name) return;
    this.#ask({ type: "tab_rename", tabId, name: trimmed });
  }

  split(paneId: PaneId, orientation: Orientation): void {
    const tab = this.#tabOf(paneId);
    if (tab !== undefined) this.#view.zoom(tab.id, null);
    const grid = this.#registry.halfOf(paneId, orientation) ?? this.#core.pane(paneId).info;
    this.#ask({ type: "pane_split", paneId, orientation, cols: grid?.cols ?? 80, rows: grid?.rows ?? 24 });
  }

  closePane(paneId: PaneId): void {
    const tab = this.#tabOf(paneId);
    this.#unlessRunning("pane", [paneId], () => {
      if (tab?.layout.type === "pane") this.#stayWith(tab);
      this.#ask({ type: "pane_close", paneId });
    });
  }

  /** Closing a shell at its prompt loses nothing that cannot be had again; a program that runs there is asked about. */
  #unlessRunning(what: string, panes: readonly PaneId[], act: () => void): void {
    const commands = panes.map((id) => this.#core.pane(id).info?.command);
    const running = commands.filter((command) => command !== undefined && !SHELLS.has(command));
    if (running.length === 0) act();
    else this.#view.open({ type: "close", what, running: [...new Set(running)].join(", "), act });
  }

  /** Shows this pane alone, or all of its tab again. */
  zoom(paneId: PaneId): void {
    const tab = this.#tabOf(paneId);
    if (tab === undefined || tab.layout.type === "pane") return;
    const zoomed = zoomedPane(tab, this.#view.get());
    this.#view.zoom(tab.id, zoomed === null ? paneId : null);
    if (zoomed === null) this.focusPane(paneId);
  }

  focusPane(paneId: PaneId): void {
    const tab = this.#tabOf(paneId);
    if (tab === undefined || focusedPane(tab, this.#view.get()) === paneId) return;
    const wantedFocus = { tabId: tab.id, paneId };
    this.#view.change({ wantedFocus });
    void this.#ask({ type: "pane_focus", paneId }).finally(() => {
      if (this.#view.get().wantedFocus === wantedFocus) this.#view.change({ wantedFocus: null });
    });
  }

  resizeSplit(tabId: string, path: readonly number[], ratios: readonly number[]): Promise<unknown> {
    return this.#ask({ type: "layout_resize", tabId, path, ratios });
  }

  switchSession(sessionId: string): void {
    const tabs = tabsOf(this.#core.model(), sessionId);
    const last = tabs.find((tab) => tab.id === this.#lastTab.get(sessionId)) ?? tabs[0];
    if (last === undefined) this.#view.change({ sessionId });
    else this.switchTab(last.id);
  }

  newSession(name: string): void {
    const asked = this.#ask({ type: "session_create", name: name.trim(), ...this.#space() });
    void asked.then((made) => this.#show(made));
  }

  renameSession(sessionId: string, name: string): void {
    const known = this.#core.model().sessions.find((session) => session.id === sessionId);
    const trimmed = name.trim();
    if (trimmed === "" || trimmed === known?.name) return;
    this.#ask({ type: "session_rename", sessionId, name: trimmed });
  }

  sleepSession(sessionId: string, force = false): void {
    this.#core
      .request({ type: "session_sleep", sessionId, ...(force && { force }) })
      .catch((error: unknown) => {
        const offer = { label: "Sleep anyway", act: () => this.sleepSession(sessionId, true) };
        this.#complain(error, isRequestError(error) && error.code === "busy" ? offer : undefined);
      });
  }

  /** 0 seconds: no longer. */
  keepAwake(sessionId: string, seconds: number): void {
    this.#ask({ type: "session_lease", sessionId, seconds, reason: "kept awake" });
  }

  destroySession(sessionId: string): void {
    this.#ask({ type: "session_destroy", sessionId });
  }

  /** Gives the keyboard back to the pane that has it. */
  focusTerminal(): void {
    const view = this.#view.get();
    const tab = shownTab(this.#core.model(), view);
    if (tab !== null && view.dialog === null) this.#registry.focus(focusedPane(tab, view));
  }

  /** Looks at what was made, where the server did not turn to it by itself. */
  #show(made: Answer): void {
    const { tabs, activeTab } = this.#core.model();
    const tabId = made.tabId ?? tabs.find((tab) => tab.sessionId === made.sessionId)?.id;
    if (tabId !== undefined && tabId !== activeTab) this.switchTab(tabId);
    else if (tabId !== undefined) this.#view.change({ sessionId: null });
  }

  /** With its last tab closed, a session is still the one looked at. */
  #stayWith(tab: TabInfo): void {
    if (tabsOf(this.#core.model(), tab.sessionId).length === 1)
      this.#view.change({ sessionId: tab.sessionId });
  }

  #tabOf(paneId: PaneId): TabInfo | undefined {
    return this.#core.model().tabs.find((tab) => panesOf(tab.layout).includes(paneId));
  }

  #space(): { cols?: number; rows?: number } {
    return this.#registry.gridFor(this.area.width, this.area.height) ?? {};
  }

  #ask(request: Request): Promise<Answer> {
    return this.#core.request(request).catch((error: unknown) => {
      this.#complain(error);
      return {};
    });
  }

  #complain(error: unknown, offer?: { label: string; act: () => void }): void {
    // A lost answer is no news: the banner says that the page is cut off.
    if (isRequestError(error) && error.code === "lost") return;
    this.#view.notify(error instanceof Error ? error.message : "That did not work.", offer);
  }
}

function isRequestError(error: unknown): error is RequestError {
  return error instanceof Error && "code" in error;
}
