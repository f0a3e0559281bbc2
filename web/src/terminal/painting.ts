/**
 * Decides when a terminal touches the page: not while nobody sees it, and not between the beginning of a redraw and its
 * end. Bytes are read all the same, so the terminal is right the moment it is painted again. xterm.js notices by itself
 * that it is hidden, but a frame too late, and its scroll bar and its text field follow the cursor even then.
 */

import type { Terminal } from "@xterm/xterm";

/** A redraw that takes longer is shown as it comes. */
const HOLD_MS = 1_000;

type Method = (...given: never[]) => unknown;

interface Sight {
  readonly isIntersecting: boolean;
  readonly intersectionRatio: number;
}

interface RenderService {
  _handleIntersectionChange(sight: Sight): void;
  _renderRows(start: number, end: number): void;
  addRefreshCallback(callback: FrameRequestCallback): number;
  readonly _renderer: { readonly value?: { clear(): void } };
}

/** xterm.js offers no place of its own for this; a test holds that these exist. */
interface Internals {
  readonly _bufferService?: { scrollLines(lines: number): void };
  readonly _renderService?: RenderService;
  readonly _viewport?: { _sync(): void };
  readonly _selectionService?: { refresh(): void };
  _syncTextArea?(): void;
}

export class Painting {
  #shown = false;
  #held = false;
  /** What xterm.js has found out itself. */
  #inSight = true;
  #paused = false;
  #holdTimer: number | undefined;
  #restore: (() => void)[] = [];
  #callbacks: FrameRequestCallback[] = [];

  constructor(private readonly xterm: Terminal) {}

  /** In the document from now on, and in its element. */
  show(): void {
    this.#follow();
    this.#shown = true;
    this.#inSight = true;
    this.#apply();
  }

  hide(): void {
    this.#shown = false;
    this.#apply();
  }

  /** A redraw begins: the old picture stands until `release`. */
  hold(): void {
    this.#held = true;
    window.clearTimeout(this.#holdTimer);
    this.#holdTimer = window.setTimeout(() => this.release(), HOLD_MS);
    this.#apply();
  }

  release(): void {
    window.clearTimeout(this.#holdTimer);
    this.#held = false;
    this.#apply();
  }

  /** Moves the view while nothing is painted; xterm.js's own way leads over the scroll bar, which is behind then. */
  scrollTo(line: number): void {
    this.#internals?._bufferService?.scrollLines(line - this.xterm.buffer.active.viewportY);
  }

  dispose(): void {
    window.clearTimeout(this.#holdTimer);
  }

  get #internals(): Internals | undefined {
    return (this.xterm as unknown as { _core?: Internals })._core;
  }

  /** What xterm.js sees for itself counts as well: nothing is painted out of sight. */
  #follow(): void {
    const service = this.#internals?._renderService;
    if (service === undefined || Object.hasOwn(service, "_handleIntersectionChange")) return;
    if (typeof service._handleIntersectionChange !== "function") return;
    const handle = service._handleIntersectionChange.bind(service);
    service._handleIntersectionChange = (sight) => {
      this.#inSight = sight.isIntersecting;
      this.#apply();
    };
    this.#pause = (paused) => handle({ isIntersecting: !paused, intersectionRatio: paused ? 0 : 1 });
    this.#paused = false;
  }

  #pause: (paused: boolean) => void = () => {};

  #apply(): void {
    const paused = !this.#shown || !this.#inSight || this.#held;
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) {
      this.#pause(true);
      this.#silence();
      return;
    }
    for (const restore of this.#restore) restore();
    this.#restore = [];
    this.#pause(false);
    const internals = this.#internals;
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    for (const callback of callbacks) internals?._renderService?.addRefreshCallback(callback);
    internals?._viewport?._sync();
    internals?._selectionService?.refresh();
    internals?._syncTextArea?.();
    this.xterm.refresh(0, this.xterm.rows - 1);
  }

  #silence(): void {
    const internals = this.#internals;
    if (internals?._renderService === undefined) return;
    const { _renderService: service, _viewport: viewport, _selectionService: selection } = internals;
    const renderer = service._renderer.value;
    // A frame may be due already.
    this.#replace(service, "_renderRows", () => {});
    // What is on the page stays there until the next picture is whole.
    if (renderer !== undefined) this.#replace(renderer, "clear", () => {});
    if (viewport !== undefined) this.#replace(viewport, "_sync", () => {});
    if (selection !== undefined) this.#replace(selection, "refresh", () => {});
    this.#replace(internals, "_syncTextArea", () => {});
    this.#replace(service, "addRefreshCallback", (callback: FrameRequestCallback) =>
      this.#callbacks.push(callback),
    );
  }

  /** Until the terminal is painted again. */
  #replace<K extends string>(object: Partial<Record<K, Method>>, name: K, method: Method): void {
    if (typeof object[name] !== "function") return;
    Object.defineProperty(object, name, { value: method, configurable: true, writable: true });
    this.#restore.push(() => Reflect.deleteProperty(object, name));
  }
}
