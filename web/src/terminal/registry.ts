/**
 * Owns every living terminal by its pane's id, outside of React. A pane's slot only shows the terminal's element: moved
 * to another slot it stays the same terminal, and it ends when its pane closes. The registry reports this page's space
 * for a pane; the terminal's size itself comes from the server with the bytes that were written for it.
 */

import type { Core, Model, PaneId } from "../core/api";
import type { Layout, Orientation } from "../protocol/wire";
import { type Cell, type Grid, gridFor, Pace } from "./fit";
import { Renderers } from "./renderer";
import { PaneTerminal } from "./terminal";
import type { TerminalTheme } from "./theme";

/** Living terminals; past it the longest hidden one is let go and drawn anew when it is shown again. */
const TERMINALS = 64;

/** Set on the element with `data-pane-id`, for tests and for looking into a page: the pane's whole text. */
interface PaneElement extends HTMLElement {
  terminalText?: () => string;
}

interface Shown {
  readonly slot: HTMLElement;
  readonly pace: Pace;
  readonly observer: ResizeObserver;
}

export function panesOf(layout: Layout): PaneId[] {
  return layout.type === "pane" ? [layout.paneId] : layout.children.flatMap(panesOf);
}

export class Registry {
  readonly #core: Core;
  /** In the order in which they were last shown. */
  readonly #terminals = new Map<PaneId, PaneTerminal>();
  readonly #shown = new Map<PaneId, Shown>();
  readonly #renderers = new Renderers((xterm) => {
    for (const [id, { pace }] of this.#shown) if (this.#terminals.get(id)?.xterm === xterm) pace.call();
  });
  readonly #unsubscribe: () => void;
  /** True while the registry itself moves the keyboard, which is then nobody's wish. */
  focusing = false;
  #theme: TerminalTheme;
  #cell: Cell | null = null;
  #tabs: Model["tabs"] | null = null;

  constructor(core: Core, theme: TerminalTheme) {
    this.#core = core;
    this.#theme = theme;
    this.#unsubscribe = core.subscribe(() => this.#forgetClosed());
  }

  /** Shows the pane's terminal in `slot`, which is in the document, until the returned function is called. */
  mount(id: PaneId, slot: HTMLElement): () => void {
    this.#shown.get(id)?.observer.disconnect();
    const terminal = this.#terminals.get(id) ?? new PaneTerminal(id, this.#core, this.#theme);
    this.#terminals.delete(id);
    this.#terminals.set(id, terminal);
    slot.append(terminal.element);
    terminal.show();
    this.#renderers.show(terminal.xterm);
    // A canvas that was out of the document may have lost its picture.
    terminal.xterm.refresh(0, terminal.xterm.rows - 1);
    const pace = new Pace(() => this.#wish(id));
    const observer = new ResizeObserver(() => pace.call());
    observer.observe(slot);
    this.#shown.set(id, { slot, pace, observer });
    pace.call();
    const pane = slot.closest<PaneElement>("[data-pane-id]");
    if (pane !== null) pane.terminalText = () => terminal.text();
    this.#letGo();
    return () => {
      observer.disconnect();
      pace.stop();
      // A newer slot may show it already.
      if (this.#shown.get(id)?.slot !== slot) return;
      this.#shown.delete(id);
      terminal.hide();
      this.#renderers.hide(terminal.xterm);
      terminal.element.remove();
    };
  }

  terminal(id: PaneId): PaneTerminal | null {
    return this.#terminals.get(id) ?? null;
  }

  focus(id: PaneId): void {
    this.focusing = true;
    try {
      this.#terminals.get(id)?.xterm.focus();
    } finally {
      this.focusing = false;
    }
  }

  /** Whether the keyboard is in this pane's terminal. */
  hasFocus(id: PaneId): boolean {
    return this.#terminals.get(id)?.element.contains(document.activeElement) ?? false;
  }

  selection(id: PaneId): string {
    return this.#terminals.get(id)?.xterm.getSelection() ?? "";
  }

  /** Gets the pane's whole scrollback, to look for something in it. */
  async whole(id: PaneId): Promise<void> {
    await this.#terminals.get(id)?.whole();
  }

  /** False where the text is not in the pane. `incremental` stays at the present match while it still matches. */
  find(id: PaneId, text: string, direction: "next" | "previous", incremental = false): boolean {
    return this.#terminals.get(id)?.find(text, direction, incremental) ?? false;
  }

  endFind(id: PaneId): void {
    this.#terminals.get(id)?.endFind();
  }

  setTheme(theme: TerminalTheme): void {
    this.#theme = theme;
    for (const terminal of this.#terminals.values()) terminal.setTheme(theme);
  }

  /** The cells of a space of the page, with the font that is in use; null before the first terminal was shown. */
  gridFor(widthPx: number, heightPx: number): Grid | null {
    return this.#cell === null ? null : gridFor(widthPx, heightPx, this.#cell);
  }

  /** The cells that the pane's slot holds now. */
  spaceOf(id: PaneId): Grid | null {
    const slot = this.#shown.get(id)?.slot;
    return slot === undefined ? null : this.gridFor(slot.clientWidth, slot.clientHeight);
  }

  /** What a new pane will hold that takes half of this one. */
  halfOf(id: PaneId, orientation: Orientation): Grid | null {
    const slot = this.#shown.get(id)?.slot;
    if (slot === undefined) return null;
    return orientation === "horizontal"
      ? this.gridFor(slot.clientWidth / 2, slot.clientHeight)
      : this.gridFor(slot.clientWidth, slot.clientHeight / 2);
  }

  dispose(): void {
    this.#unsubscribe();
    for (const id of [...this.#terminals.keys()]) this.#end(id);
  }

  #wish(id: PaneId): void {
    const terminal = this.#terminals.get(id);
    if (terminal === undefined) return;
    const screen = terminal.element.querySelector<HTMLElement>(".xterm-screen");
    if (screen !== null && screen.clientWidth > 0 && screen.clientHeight > 0) {
      const box = screen.getBoundingClientRect();
      this.#cell = { width: box.width / terminal.xterm.cols, height: box.height / terminal.xterm.rows };
    }
    const grid = this.spaceOf(id);
    if (grid === null) return;
    terminal.setSpace(grid);
    this.#core.wishSize(id, grid.cols, grid.rows);
  }

  #forgetClosed(): void {
    const { known, tabs } = this.#core.model();
    if (!known || tabs === this.#tabs) return;
    this.#tabs = tabs;
    const living = new Set(tabs.flatMap((tab) => panesOf(tab.layout)));
    for (const id of [...this.#terminals.keys()]) if (!living.has(id)) this.#end(id);
  }

  #letGo(): void {
    for (const id of [...this.#terminals.keys()]) {
      if (this.#terminals.size <= TERMINALS) return;
      if (!this.#shown.has(id)) this.#end(id);
    }
  }

  #end(id: PaneId): void {
    const shown = this.#shown.get(id);
    shown?.observer.disconnect();
    shown?.pace.stop();
    this.#shown.delete(id);
    const terminal = this.#terminals.get(id);
    if (terminal === undefined) return;
    this.#renderers.end(terminal.xterm);
    terminal.dispose();
    this.#terminals.delete(id);
  }
}
