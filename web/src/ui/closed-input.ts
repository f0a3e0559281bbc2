/** Names what was typed into a pane that closed before it arrived: the pane's own place to say so is gone. */

import type { Core, PaneId } from "../core/api";
import { panesOf } from "../terminal/registry";
import { copyText } from "./clipboard";
import { readable, wasTyped, whyDiscarded } from "./overlay-text";
import type { ViewStore } from "./view";

/** How many closed panes are listened to; what is named of a pane comes with its end or soon after. */
const CLOSED = 16;

export class ClosedInput {
  readonly #core: Core;
  readonly #view: ViewStore;
  #living: ReadonlySet<PaneId> = new Set();
  readonly #closed = new Map<PaneId, () => void>();
  readonly #unsubscribe: () => void;

  constructor(core: Core, view: ViewStore) {
    this.#core = core;
    this.#view = view;
    this.#unsubscribe = core.subscribe(() => this.#follow());
    this.#follow();
  }

  dispose(): void {
    this.#unsubscribe();
    for (const unsubscribe of this.#closed.values()) unsubscribe();
    this.#closed.clear();
  }

  #follow(): void {
    const model = this.#core.model();
    if (!model.known) return;
    const living = new Set(model.tabs.flatMap((tab) => panesOf(tab.layout)));
    const gone = [...this.#living].filter((id) => !living.has(id));
    this.#living = living;
    for (const id of gone) this.#listen(id);
  }

  #listen(id: PaneId): void {
    this.#closed.set(
      id,
      this.#core.subscribePane(id, () => this.#say(id)),
    );
    for (const [oldest, unsubscribe] of this.#closed) {
      if (this.#closed.size <= CLOSED) break;
      unsubscribe();
      this.#closed.delete(oldest);
    }
    this.#say(id);
  }

  #say(id: PaneId): void {
    const discarded = this.#core.pane(id).discarded.filter(wasTyped);
    if (discarded.length === 0) return;
    // Most recent first; to be read and copied in the order in which it was typed.
    const pieces = discarded.flatMap(({ data }) => (data === null ? [] : [data])).reverse();
    const text = pieces.map((data) => new TextDecoder().decode(data)).join("");
    const why = whyDiscarded(discarded[0]?.reason ?? "closed");
    if (text === "") this.#view.notify(why);
    else {
      const shown = readable(new TextEncoder().encode(text));
      this.#view.notify(`${why} ${shown}`, { label: "Copy", act: () => void copyText(text) });
    }
    this.#core.dismissDiscarded(id);
  }
}
