/**
 * One living terminal: an xterm.js instance in an element of its own, from the first time its pane is shown until the
 * pane closes. It draws what the core hands over and passes on what is typed; it never decides about sizes, focus or
 * what a pane's state means.
 */

import { SearchAddon } from "@xterm/addon-search";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { Terminal } from "@xterm/xterm";
import type { Core, PaneId, TerminalSink } from "../core/api";
import { Decoder } from "./decode";
import { eraseAtEdge } from "./edge";
import type { Grid } from "./fit";
import { guardReading, resetBytes } from "./guard";
import { muteAnswers } from "./mute";
import { Painting } from "./painting";
import { isReport } from "./reports";
import { DEEP_LINES, Scrollback } from "./scrollback";
import type { TerminalTheme } from "./theme";
import { useWidths } from "./widths";

/** Asked for when a terminal has to be drawn again. */
const REDRAW_LINES = 1_000;
const FIRST_REDRAW_MS = 0;
const REDRAW_CAP_MS = 30_000;
/** A terminal that held this long is taken to be well again. */
const WELL_AFTER_MS = 60_000;
const SCROLLBAR_PX = 10;
const FONT_PX = 14;
/** Of the font's own height, which is about 1.2 of its size. */
const LINE_HEIGHT = 1;

const utf8 = new TextEncoder();
const nothing = new Uint8Array(0);

function openLink(uri: string): void {
  if (!/^https?:\/\//i.test(uri)) return;
  window.open(uri, "_blank", "noopener,noreferrer");
}

export class PaneTerminal implements TerminalSink {
  readonly id: PaneId;
  /** Moved from slot to slot; padding and the terminal's background are its style's. */
  readonly element = document.createElement("div");
  readonly xterm: Terminal;
  readonly #core: Core;
  readonly #resets = new WeakSet<Uint8Array>();
  readonly #detach: () => void;
  readonly #unsubscribe: () => void;
  #search: SearchAddon | null = null;
  readonly #scrollback: Scrollback;
  readonly #painting: Painting;
  #decoder = new Decoder();
  #space: Grid | null = null;
  #opened = false;
  #connected: boolean;
  #redrawTimer: number | null = null;
  #redrawWaitMs = FIRST_REDRAW_MS;
  #redrawnAt = Number.NEGATIVE_INFINITY;

  constructor(id: PaneId, core: Core, theme: TerminalTheme) {
    this.id = id;
    this.#core = core;
    this.element.className = "terminal";
    const info = core.pane(id).info;
    this.xterm = new Terminal({
      allowProposedApi: true,
      cols: info?.cols ?? 80,
      rows: info?.rows ?? 24,
      cursorBlink: true,
      cursorInactiveStyle: "outline",
      fontFamily: theme.fontFamily,
      fontSize: FONT_PX,
      lineHeight: LINE_HEIGHT,
      linkHandler: { activate: (_event, uri) => openLink(uri) },
      macOptionIsMeta: true,
      overviewRuler: { width: SCROLLBAR_PX },
      scrollback: DEEP_LINES,
      theme: theme.palette,
    });
    useWidths(this.xterm);
    eraseAtEdge(this.xterm);
    this.xterm.loadAddon(new WebLinksAddon((_event, uri) => openLink(uri)));
    this.#painting = new Painting(this.xterm);
    this.#scrollback = new Scrollback(
      this.xterm,
      this.element,
      (lines) => core.request({ type: "pane_redraw", paneId: id, lines }),
      (line) => this.#painting.scrollTo(line),
    );
    guardReading(this.xterm, this.#resets, (error) => this.#failed(error));
    const mute = muteAnswers(this.xterm);
    this.xterm.onData((data) => {
      if (mute.active || (!this.#connected && isReport(data))) return;
      core.type(id, utf8.encode(data));
    });
    this.xterm.onBinary((data) => {
      // Only mouse reports in the oldest encoding are binary.
      if (this.#connected)
        core.type(
          id,
          Uint8Array.from(data, (character) => character.charCodeAt(0)),
        );
    });
    this.xterm.onResize(() => this.#showEdge());
    this.xterm.onBell(() => core.noteBell(id));
    // A wheel over a full-screen program's last picture would be turned into cursor keys, and looking never wakes.
    this.xterm.attachCustomWheelEventHandler(
      () => this.#connected || this.xterm.buffer.active.type === "normal",
    );
    this.#connected = core.pane(id).connected === true;
    this.#unsubscribe = core.subscribePane(id, () => this.#followConnection());
    this.#followConnection();
    this.#detach = core.attach(id, this);
  }

  /** Called with the element in a visible place: xterm.js measures its font there. */
  show(): void {
    if (!this.#opened) {
      this.#opened = true;
      this.xterm.open(this.element);
    }
    this.#painting.show();
  }

  /** Called before the element leaves the document. What is written is still read, and painted when it is shown. */
  hide(): void {
    this.xterm.blur();
    this.#painting.hide();
  }

  write(data: Uint8Array, drawn: () => void): void {
    this.xterm.write(this.#decoder.decode(data), drawn);
  }

  reset(): void {
    this.#decoder = new Decoder();
    this.xterm.write(nothing, () => {
      this.#painting.hold();
      this.#scrollback.begin();
    });
    // As bytes, so that it keeps its place behind what was written before.
    const bytes = resetBytes();
    this.#resets.add(bytes);
    this.xterm.write(bytes);
  }

  redrawn(above: number): void {
    // No byte comes in between: the redraw may end within a sequence that the stream goes on with.
    this.xterm.write(nothing, () => {
      this.#scrollback.redrawn(above);
      this.#painting.release();
    });
  }

  resize(cols: number, rows: number): void {
    this.xterm.write(nothing, () => {
      try {
        this.xterm.resize(cols, rows);
      } catch (error) {
        this.#failed(error);
      }
    });
  }

  /** The cells that the slot holds; the size in force may be another page's, and then its edge is drawn. */
  setSpace(space: Grid): void {
    this.#space = space;
    this.#showEdge();
  }

  setTheme(theme: TerminalTheme): void {
    this.xterm.options.theme = theme.palette;
    this.xterm.options.fontFamily = theme.fontFamily;
  }

  /** Gets all scrollback that there is, to look for something in it. */
  whole(): Promise<void> {
    return this.#scrollback.whole();
  }

  find(text: string, direction: "next" | "previous", incremental: boolean): boolean {
    if (this.#search === null) {
      this.#search = new SearchAddon();
      this.xterm.loadAddon(this.#search);
    }
    return direction === "next"
      ? this.#search.findNext(text, { incremental })
      : this.#search.findPrevious(text, { incremental });
  }

  endFind(): void {
    this.#search?.dispose();
    this.#search = null;
    this.xterm.clearSelection();
  }

  /** The whole buffer as text, scrollback included, wrapped lines joined. */
  text(): string {
    const buffer = this.xterm.buffer.active;
    const lines: string[] = [];
    for (let row = 0; row < buffer.length; row++) {
      const line = buffer.getLine(row);
      if (line === undefined) continue;
      const text = line.translateToString(!buffer.getLine(row + 1)?.isWrapped);
      if (line.isWrapped && lines.length > 0) lines[lines.length - 1] += text;
      else lines.push(text);
    }
    return lines.join("\n").trimEnd();
  }

  dispose(): void {
    this.#unsubscribe();
    this.#detach();
    this.#scrollback.dispose();
    this.#painting.dispose();
    if (this.#redrawTimer !== null) window.clearTimeout(this.#redrawTimer);
    this.xterm.dispose();
    this.element.remove();
  }

  #showEdge(): void {
    const { cols, rows } = this.#space ?? this.xterm;
    this.element.dataset.smaller = String(this.xterm.cols < cols || this.xterm.rows < rows);
  }

  #followConnection(): void {
    this.#connected = this.#core.pane(this.id).connected === true;
    this.xterm.options.cursorBlink = this.#connected;
    this.xterm.options.altClickMovesCursor = this.#connected;
  }

  /** What is drawn may be wrong from here on. A redraw that fails again is asked for ever more seldom. */
  #failed(error: unknown): void {
    if (this.#redrawTimer !== null) return;
    console.warn("The terminal could not show a sequence and is drawn again.", error);
    if (performance.now() - this.#redrawnAt > WELL_AFTER_MS) this.#redrawWaitMs = FIRST_REDRAW_MS;
    this.#redrawTimer = window.setTimeout(() => {
      this.#redrawTimer = null;
      this.#redrawnAt = performance.now();
      this.#redrawWaitMs = Math.min(REDRAW_CAP_MS, Math.max(500, this.#redrawWaitMs * 2));
      this.#core.redraw(this.id, REDRAW_LINES);
    }, this.#redrawWaitMs);
  }
}
