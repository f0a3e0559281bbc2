/**
 * Plays a trace to the core, and holds it to what the trace says. The simulator's client is played the same ones by
 * `wormux.testing.traces.player`: a verb that one of the two does not know is an error in both. The format stands in
 * `tests/traces/README.md`.
 */

import { encodeBytes } from "../../protocol/codec";
import { CONTROL_CHANNEL, type Layout } from "../../protocol/wire";
import type { Core, Discarded, PaneId } from "../api";
import { createCore } from "../core";
import { SimEnvironment, type SimSocket } from "./environment";
import { bytes, control, string } from "./script";
import { RecordingSink } from "./sink";
import {
  type Announced,
  Announcements,
  confession,
  type Data,
  dataOf,
  encode,
  type SentRun,
  type Trace,
  type WantedInput,
} from "./trace-format";
import { type Fields, Wire } from "./trace-wire";

export class TraceFailed extends Error {}

/** Anything it was sent is a sign that the line is alive; this one means nothing else. */
const SIGN_OF_LIFE = control({ type: "sign_of_life" });
/** A client that is to connect does so within it; the longest delay is 30 s. */
const CONNECTS_WITHIN_MS = 31_000;
/** Acknowledgements may wait for the budget of messages. */
const ACKNOWLEDGES_WITHIN_MS = 10_000;

/** Plays the whole trace. Throws `TraceFailed` with the step. */
export function play(trace: Trace): void {
  const player = new Player();
  let where = "";
  try {
    for (const [number, step] of trace.steps.entries()) {
      where = `step ${number}, ${JSON.stringify(step).slice(0, 200)}`;
      player.step(step);
    }
    where = "the end";
    player.finish();
  } catch (error) {
    if (!(error instanceof TraceFailed)) throw error;
    throw new TraceFailed(`${trace.name}: at ${where}: ${error.message} (${trace.rule})`);
  }
}

type Verbs = Readonly<Record<string, (value: unknown) => void>>;

class Player {
  readonly #environment = new SimEnvironment();
  #core: Core = createCore(this.#environment);
  readonly #wire = new Wire();
  readonly #announcements = new Announcements();
  readonly #sinks = new Map<PaneId, { sink: RecordingSink; detach: () => void }>();
  readonly #discarded = new Map<PaneId, Discarded[]>();
  readonly #everKnown = new Set<PaneId>();
  /** The one that is open, or was last. */
  #socket: SimSocket | null = null;
  #clientId: unknown = null;
  #started = false;
  #draws = true;

  readonly #verbs: Verbs = {
    open: (value) => this.#open(value as Fields),
    state: (value) => this.#say(this.#announcements.state(value as Announced)),
    update: (value) => this.#say(this.#announcements.update(value as Announced)),
    say: (value) => this.#say(value as Fields),
    bytes: (value) => this.#bytes(value as Data & { channel: number }),
    nonsense: (value) => this.#nonsense(value as Data & { update?: Announced; say?: Fields }),
    cut: () => this.#end(1006),
    reload: () => this.#reload(),
    close: (value) => this.#end(value as number),
    pass: (value) => this.#environment.advance(value as number),
    type: (value) => this.#type(value as Data & { pane: PaneId }),
    discard: (value) => this.#core.discard(value as PaneId),
    resize: (value) => this.#resize(value as { pane: PaneId; cols: number; rows: number }),
    draws: (value) => this.#setDraws(value as boolean),
    sent: (value) => this.#checkSent(value as Record<PaneId, SentRun | SentRun[]>),
    says: (value) => this.#checkSays(value as Fields[]),
    acked: (value) => this.#checkAcked(value as Record<PaneId, number | null>),
    shows: (value) => this.#checkShows(value as Record<PaneId, string | (Data & { size?: number[] })>),
    input: (value) => this.#checkInput(value as Record<PaneId, WantedInput>),
    panes: (value) => this.#checkPanes(value as Record<PaneId, string>),
    over: () => this.#checkOver(),
  };

  constructor() {
    this.#environment.onConnect = (socket) => {
      socket.onFrame = (frame) => this.#hear(socket, frame);
    };
  }

  step(step: Fields): void {
    const [[verb, value] = ["", null], ...others] = Object.entries(step);
    const play = Object.hasOwn(this.#verbs, verb) && others.length === 0 ? this.#verbs[verb] : undefined;
    if (play === undefined) throw new TraceFailed("nobody can play this verb");
    play(value);
    this.#confess();
    this.#wire.settled();
    this.#checkWrongs();
  }

  finish(): void {
    this.#checkSent({});
    this.#checkSays([]);
    if (this.#draws && this.#isOpen()) {
      for (let ms = 0; this.#wire.undrawn.length > 0 && ms < ACKNOWLEDGES_WITHIN_MS; ms += 100)
        this.#environment.advance(100);
      check(this.#wire.undrawn.length === 0, this.#wire.undrawn.join("; "));
    }
    this.#checkWrongs();
  }

  // --- What happens ---------------------------------------------------------------------------------------

  #open(wanted: Fields): void {
    const socket = this.#dialled();
    this.#socket = socket;
    this.#wire.opened();
    socket.open();
    const said = this.#wire.connect;
    if (said === null) throw new TraceFailed("the client did not say `connect`");
    if (wanted.clientId !== undefined) {
      const same = said.clientId === this.#clientId;
      check(same === (wanted.clientId === "same"), `the client's id is ${same ? "the same" : "new"}`);
    }
    this.#clientId = said.clientId;
    if (wanted.resume !== undefined) checkSame("resume", said.resume, wanted.resume);
    const reminded = Object.entries(said.input ?? {}).filter(([, position]) => position !== 0);
    if (wanted.input !== undefined) checkSame("input", Object.fromEntries(reminded), wanted.input);
  }

  /** The socket that the client has opened or opens as soon as a person is looking. */
  #dialled(): SimSocket {
    if (!this.#started) this.#core.start({ width: 1024, height: 768 }, null);
    this.#started = true;
    const fresh = () => {
      const socket = this.#environment.sockets.at(-1);
      return socket === undefined || socket === this.#socket || socket.closed || socket.ended ? null : socket;
    };
    this.#core.tryNow();
    for (let ms = 0; fresh() === null && ms < CONNECTS_WITHIN_MS; ms += 10) this.#environment.advance(10);
    const socket = fresh();
    if (socket === null) throw new TraceFailed("the client does not connect any more");
    return socket;
  }

  #hear(socket: SimSocket, frame: Uint8Array): void {
    if (socket !== this.#socket) return;
    this.#wire.clientSends(frame);
    const isPing = frame[0] === CONTROL_CHANNEL && string(frame).includes('"ping"');
    if (isPing) socket.receive(SIGN_OF_LIFE);
  }

  #say(message: Fields): void {
    this.#wire.serverSays(message);
    const isUpdate = message.type === "state" || message.type === "layout_update";
    // Terminals are there as soon as their panes are.
    if (isUpdate) this.#keepSinks(Object.keys(message.channels as Fields));
    this.#deliver(encode(message));
  }

  #bytes(value: Data & { channel: number }): void {
    const data = dataOf(value);
    this.#wire.serverSends(value.channel, data.length);
    this.#deliver(encodeBytes(value.channel, bytes(data)));
  }

  #nonsense(value: Data & { update?: Announced; say?: Fields }): void {
    const message = value.update === undefined ? value.say : this.#announcements.update(value.update);
    const socket = this.#line();
    socket.receive(message === undefined ? bytes(dataOf(value)) : encode(message));
    check(socket.closed, "the client goes on as if nothing was wrong");
    this.#wire.over();
  }

  #end(code: number): void {
    this.#wire.over();
    this.#socket?.end(code);
  }

  #reload(): void {
    this.#wire.over();
    this.#core.stop();
    this.#keepSinks([]);
    this.#discarded.clear();
    this.#core = createCore(this.#environment);
    this.#started = false;
  }

  #type(value: Data & { pane: PaneId }): void {
    this.#core.type(value.pane, bytes(dataOf(value)));
  }

  #resize({ pane, cols, rows }: { pane: PaneId; cols: number; rows: number }): void {
    this.#core.wishSize(pane, cols, rows);
  }

  #setDraws(draws: boolean): void {
    this.#draws = draws;
    for (const { sink } of this.#sinks.values()) sink.eager = draws;
    if (draws) for (const { sink } of this.#sinks.values()) sink.draw();
  }

  #keepSinks(ids: readonly PaneId[]): void {
    for (const [id, { detach }] of this.#sinks) {
      if (ids.includes(id)) continue;
      detach();
      this.#sinks.delete(id);
    }
    for (const id of ids) {
      this.#everKnown.add(id);
      if (this.#sinks.has(id)) continue;
      const sink = new RecordingSink(this.#draws);
      this.#sinks.set(id, { sink, detach: this.#core.attach(id, sink) });
    }
  }

  #deliver(frame: Uint8Array): void {
    const socket = this.#line();
    socket.receive(frame);
    check(!socket.closed, "the client gave the connection up");
  }

  #line(): SimSocket {
    if (!this.#isOpen() || this.#socket === null)
      throw new TraceFailed("there is no connection that the server could use");
    return this.#socket;
  }

  #isOpen(): boolean {
    return this.#socket !== null && !this.#socket.closed && !this.#socket.ended;
  }

  /** The page shows them until the person has seen them. */
  #confess(): void {
    for (const id of this.#everKnown) {
      const news = this.#core.pane(id).discarded;
      if (news.length === 0) continue;
      this.#discarded.set(id, [...(this.#discarded.get(id) ?? []), ...[...news].reverse()]);
      this.#core.dismissDiscarded(id);
    }
  }

  // --- What must hold -------------------------------------------------------------------------------------

  #checkWrongs(): void {
    check(this.#wire.wrongs.length === 0, this.#wire.wrongs.join("; "));
  }

  #checkSent(wanted: Record<PaneId, SentRun | SentRun[]>): void {
    const runs = (value: SentRun | SentRun[]) =>
      [value].flat().map((run) => ({ from: run.from, data: dataOf(run) }));
    const { typed } = this.#wire;
    this.#wire.typed = {};
    const expected = Object.entries(wanted).map(([id, value]) => [id, runs(value)] as const);
    checkSame("sent", typed, Object.fromEntries(expected));
  }

  #checkSays(wanted: readonly Fields[]): void {
    const { said } = this.#wire;
    this.#wire.said = [];
    const kept = said.map((message, index) => {
      const names = Object.keys(wanted[index] ?? message);
      return Object.fromEntries(names.filter((name) => name in message).map((name) => [name, message[name]]));
    });
    checkSame("says", kept, wanted);
  }

  #checkAcked(wanted: Record<PaneId, number | null>): void {
    const ids = Object.keys(wanted);
    const acked = Object.fromEntries(ids.map((id) => [id, this.#wire.outputs.get(id)?.acked ?? null]));
    checkSame("acked", acked, wanted);
  }

  #checkShows(wanted: Record<PaneId, string | (Data & { size?: number[] })>): void {
    for (const [id, value] of Object.entries(wanted)) {
      const sink = this.#sinks.get(id)?.sink;
      if (sink === undefined) throw new TraceFailed(`${id} has no terminal`);
      checkSame(`${id} shows`, sink.text, dataOf(value));
      if (typeof value !== "string" && value.size !== undefined)
        checkSame(`${id}'s size`, sink.size, value.size.join("x"));
    }
  }

  #checkInput(wanted: Record<PaneId, WantedInput>): void {
    for (const [id, { unacked, discarded }] of Object.entries(wanted)) {
      if (unacked !== undefined)
        checkSame(`${id}'s unacknowledged bytes`, this.#core.pane(id).unacked, unacked);
      if (discarded === undefined) continue;
      const found = (this.#discarded.get(id) ?? []).map((one) => [
        one.bytes,
        one.reason,
        one.data === null ? null : string(one.data),
      ]);
      checkSame(`${id}'s discards`, found, discarded.map(confession));
    }
  }

  #checkPanes(wanted: Record<PaneId, string>): void {
    const ids = this.#core.model().tabs.flatMap((tab) => leaves(tab.layout));
    const statuses = Object.fromEntries(ids.map((id) => [id, this.#core.pane(id).info?.status]));
    checkSame("panes", statuses, wanted);
    for (const id of this.#wire.greeted ? ids : [])
      check(this.#core.pane(id).connected === (statuses[id] === "connected"), `${id} is shown as connected`);
  }

  #checkOver(): void {
    const before = this.#environment.sockets.length;
    this.#core.tryNow();
    check(this.#environment.timers === 0, "the client waits for something");
    check(this.#environment.sockets.length === before, "the client connects again");
  }
}

function leaves(layout: Layout): PaneId[] {
  return layout.type === "pane" ? [layout.paneId] : layout.children.flatMap(leaves);
}

function check(holds: boolean, sentence: string): void {
  if (!holds) throw new TraceFailed(sentence);
}

function checkSame(what: string, found: unknown, wanted: unknown): void {
  const [one, other] = [canonical(found), canonical(wanted)];
  if (one !== other) throw new TraceFailed(`${what} is ${shorten(one)}, and should be ${shorten(other)}`);
}

/** Plain data as text, whatever the order of its fields. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part !== "object" || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function shorten(text: string): string {
  return text.length <= 600 ? text : `${text.slice(0, 300)}…${text.slice(-300)}`;
}
