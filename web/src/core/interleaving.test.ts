/**
 * Hundreds of random histories: typing, output, cuts, restarts, sleeping panes, closed panes, slow terminals. In
 * every one the terminals get what was typed, in order and once, less what was named as discarded, and the sinks see
 * the output as it was, from their last redraw on.
 */

import { expect, test } from "vitest";
import type { Core, Discarded, PaneId } from "./api";
import { createCore } from "./core";
import { SimEnvironment } from "./testing/environment";
import { Random } from "./testing/random";
import { SCREEN_CHARS, type SimPane, SimServer } from "./testing/server";
import { RecordingSink } from "./testing/sink";

const STEPS = 400;
/** One value each, so that a byte can be told from every other of its pane. */
const TYPED_PER_PANE = 256;

interface Watched {
  readonly pane: SimPane;
  typed: number;
  /** By identity of the entries in the view, which is kept until dismissed. */
  readonly discarded: Set<Discarded>;
  sink: RecordingSink | null;
  detach: () => void;
}

class History {
  readonly random: Random;
  readonly environment: SimEnvironment;
  readonly server: SimServer;
  readonly core: Core;
  readonly watched: Watched[] = [];
  #words = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.environment = new SimEnvironment(seed + 1);
    this.server = new SimServer(this.environment, this.random);
    this.core = createCore(this.environment);
    this.create();
    this.create();
    this.core.start({ width: 1000, height: 700 }, null);
  }

  get alive(): Watched[] {
    return this.watched.filter((watched) => this.server.panes.has(watched.pane.id));
  }

  create(): void {
    const pane = this.server.createPane();
    const watched: Watched = { pane, typed: 0, discarded: new Set(), sink: null, detach: () => {} };
    this.watched.push(watched);
    this.core.subscribePane(pane.id, () => {
      for (const entry of this.core.pane(pane.id).discarded) watched.discarded.add(entry);
      // The list is bounded; the person reads it in time.
      if (this.core.pane(pane.id).discarded.length > 8) this.core.dismissDiscarded(pane.id);
    });
  }

  type(watched: Watched): void {
    const visible = this.core.pane(watched.pane.id).info !== null;
    const count = Math.min(1 + this.random.below(5), TYPED_PER_PANE - watched.typed);
    if (!visible || count === 0) return;
    const data = Uint8Array.from({ length: count }, (_, index) => watched.typed + index);
    watched.typed += count;
    this.core.type(watched.pane.id, data);
  }

  put(pane: SimPane): void {
    let text = "";
    for (let count = 1 + this.random.below(3); count > 0; count--) {
      this.#words += 1;
      text += `${this.#words.toString(36)} `;
    }
    this.server.put(pane, text);
  }

  attach(watched: Watched): void {
    watched.detach();
    if (this.random.chance(0.3) || watched.sink === null) watched.sink = new RecordingSink();
    watched.detach = this.core.attach(watched.pane.id, watched.sink);
  }

  detach(watched: Watched): void {
    watched.detach();
    watched.detach = () => {};
  }

  step(): void {
    const kind = this.random.below(100);
    const watched = this.alive[0] === undefined ? null : this.random.pick(this.alive);
    if (kind < 30) this.server.stepToServer();
    else if (kind < 60) this.server.stepToClient();
    else if (kind < 70) this.type(this.random.pick(this.watched));
    else if (kind < 72) this.environment.advance(this.random.below(1000));
    else if (kind < 73) this.environment.advance(this.random.below(60_000));
    else if (kind < 76) this.#disturb();
    else if (kind < 77) this.#grow();
    else if (kind < 78) this.core.tryNow();
    else if (watched !== null) this.#paneStep(kind, watched);
  }

  #grow(): void {
    if (this.watched.length < 8) this.create();
  }

  #disturb(): void {
    const kind = this.random.below(20);
    if (kind < 12) this.server.cut(this.random.pick([1006, 1001, 1012, 4408]));
    else if (kind < 16) this.server.restart();
    else if (kind < 17) this.server.forgetClients();
    else if (kind < 19) this.server.cut(4409);
    else this.environment.sleep(40_000, this.random.chance(0.5));
  }

  #paneStep(kind: number, watched: Watched): void {
    const { random, server } = this;
    const { pane } = watched;
    if (kind < 84) this.put(pane);
    else if (kind < 88) server.settle(pane);
    else if (kind < 90) server.setConnected(pane, !pane.connected);
    else if (kind < 91) server.expire(pane, random.pick(["expired", "program_gone"]));
    else if (kind < 92) server.redraw(pane);
    else if (kind < 93) pane.held = random.below(pane.output.length + 1);
    else if (kind < 95) watched.sink?.draw(random.below(5));
    else if (kind < 97) this.attach(watched);
    else if (kind < 98) this.detach(watched);
    else if (kind < 99) this.core.discard(pane.id);
    else if (random.chance(0.3)) server.closePane(pane);
  }

  /** Everything that is under way arrives, and everything that sleeps wakes. */
  settle(): void {
    for (const watched of this.alive) this.attach(watched);
    for (let round = 0; round < 60; round++) {
      while (this.server.stepToServer() || this.server.stepToClient()) {
        // One frame each.
      }
      for (const { pane, sink } of this.alive) {
        this.server.setConnected(pane, true);
        this.server.settle(pane);
        sink?.draw();
      }
      this.environment.advance(1000);
    }
  }
}

function checkInput({ pane, typed, discarded }: Watched): void {
  const got = [...pane.terminal].map((character) => character.charCodeAt(0));
  // In order and once.
  expect(got).toEqual([...new Set(got)].sort((a, b) => a - b));
  const certain = new Set<number>();
  const uncertain = new Set<number>();
  for (const { data, bytes, reason } of discarded) {
    expect(data, `${bytes} bytes ${reason}`).not.toBeNull();
    for (const byte of data ?? []) (reason === "uncertain" ? uncertain : certain).add(byte);
  }
  expect(got.filter((byte) => certain.has(byte))).toEqual([]);
  const accounted = new Set([...got, ...certain, ...uncertain]);
  const missing = Array.from({ length: typed }, (_, index) => index).filter((byte) => !accounted.has(byte));
  expect(missing).toEqual([]);
}

function checkOutput(history: History, { pane, sink }: Watched): void {
  const text = sink?.text ?? "";
  expect(pane.output.endsWith(text)).toBe(true);
  expect(text.length).toBeGreaterThanOrEqual(Math.min(SCREEN_CHARS, pane.output.length));
  expect(history.server.line?.acked.get(pane.id)).toBe(pane.output.length);
}

function run(seed: number): History {
  const history = new History(seed);
  for (let count = 0; count < STEPS; count++) history.step();
  history.settle();
  return history;
}

function check(history: History): void {
  expect(history.core.model().connection.status).toBe("connected");
  const ids = (panes: Iterable<PaneId>) => [...panes].sort();
  expect(ids(history.core.model().tabs.map((tab) => tab.focus))).toEqual(ids(history.server.panes.keys()));
  for (const watched of history.watched) checkInput(watched);
  for (const watched of history.alive) {
    checkOutput(history, watched);
    expect(history.core.pane(watched.pane.id)).toMatchObject({ connected: true, unacked: 0, unackedKeys: 0 });
  }
}

const GROUP = 30;
/** A seed outside of them that finds an error is added here, in a group of its own. */
const FIRST_SEEDS = Array.from({ length: 10 }, (_, index) => index * GROUP);

/** Most take a tenth of a second; a machine that is busy with other things takes its time. */
const TIMEOUT_MS = 60_000;

test.each(FIRST_SEEDS)(
  "nothing is lost, nothing comes twice: random histories from seed %i on",
  { timeout: TIMEOUT_MS },
  (first) => {
    for (let seed = first; seed < first + GROUP; seed++) {
      try {
        check(run(seed));
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
  },
);
