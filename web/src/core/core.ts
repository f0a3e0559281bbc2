/**
 * The core as a whole: one connection, and what the server's messages and the page's wishes mean for the parts. It
 * decides nothing that a part can decide alone.
 */

import { decodeFrame, encodeBytes, encodeMessage } from "../protocol/codec";
import type {
  ClientMessage,
  Colors,
  ErrorMessage,
  LayoutUpdate,
  Made,
  Pong,
  ServerMessage,
  State,
} from "../protocol/wire";
import {
  type Core,
  type Environment,
  type Model,
  type PaneId,
  type PaneView,
  type Request,
  RequestError,
  type TerminalSink,
} from "./api";
import { instantOf } from "./clock";
import { Connection } from "./connection";
import { Input } from "./input";
import { ModelStore } from "./model";
import { Notices } from "./notices";
import { Outbox } from "./outbox";
import { Output } from "./output";
import { Requests } from "./requests";
import { Wishes } from "./wishes";

/** Before a redraw that was refused is asked for again. */
export const REDRAW_AGAIN_MS = 1_000;

export function createCore(environment: Environment): Core {
  return new PageCore(environment);
}

class PageCore implements Core {
  readonly #environment: Environment;
  readonly #connection: Connection;
  readonly #outbox: Outbox;
  readonly #requests: Requests;
  readonly #input: Input;
  readonly #output: Output;
  readonly #wishes: Wishes;
  readonly #notices = new Notices();
  readonly #store: ModelStore;
  #clientId: string | null = null;
  #attempt = 0;
  #size = { width: 0, height: 0 };
  #colors: Colors | null = null;

  constructor(environment: Environment) {
    this.#environment = environment;
    this.#connection = new Connection(environment, {
      opened: () => this.#opened(),
      frame: (frame) => this.#store.change(() => this.#frame(frame)),
      ping: (time) => this.#outbox.sendNow({ type: "ping", time }),
      cut: () => this.#store.change(() => this.#cut()),
      takenOver: () => this.#store.change(() => this.#takenOver()),
      changed: () => this.#store.change(() => this.#connectionChanged()),
    });
    this.#outbox = new Outbox(environment, (message) => this.#connection.send(encodeMessage(message)));
    this.#requests = new Requests((message) => this.#outbox.send(message));
    this.#input = this.#createInput();
    this.#output = new Output({
      acknowledge: (paneId, position) => this.#outbox.send({ type: "output_ack", paneId, position }),
      askRedraw: (id, lines) => this.#askRedraw(id, lines),
      arrived: (id) => this.#note(id),
    });
    this.#wishes = new Wishes((paneId, cols, rows) =>
      this.#outbox.send({ type: "pane_resize", paneId, cols, rows }),
    );
    this.#store = new ModelStore({
      connection: () => this.#connection.view(),
      unsentKeys: () => (this.#connected() ? 0 : this.#input.waitingKeys()),
      noticed: () => this.#notices.noticed,
      inputOf: (id) => this.#input.viewOf(id),
    });
  }

  subscribe(listener: () => void): () => void {
    return this.#store.subscribe(listener);
  }

  model(): Model {
    return this.#store.model;
  }

  subscribePane(id: PaneId, listener: () => void): () => void {
    return this.#store.subscribePane(id, listener);
  }

  pane(id: PaneId): PaneView {
    return this.#store.pane(id);
  }

  start(size: { width: number; height: number }, colors: Colors | null): void {
    this.#size = { width: Math.round(size.width), height: Math.round(size.height) };
    this.#colors = colors;
    this.#store.change(() => this.#connection.start());
  }

  stop(): void {
    this.#store.change(() => this.#connection.stop());
  }

  tryNow(): void {
    this.#store.change(() => this.#connection.hurry());
  }

  attach(id: PaneId, sink: TerminalSink): () => void {
    return this.#output.attach(id, sink);
  }

  redraw(id: PaneId, lines: number): void {
    this.#output.redraw(id, lines);
  }

  type(id: PaneId, data: Uint8Array): void {
    this.#store.change(() => this.#input.type(id, data));
  }

  discard(id: PaneId): void {
    this.#store.change(() => this.#input.discard(id));
  }

  dismissDiscarded(id: PaneId): void {
    this.#store.change(() => this.#input.dismiss(id));
  }

  wishSize(id: PaneId, cols: number, rows: number): void {
    this.#wishes.wish(id, cols, rows, this.#connected() && this.#store.channels[id] !== undefined);
  }

  request(request: Request): Promise<Made> {
    if (request.type === "client_update") this.#remember(request);
    if (this.#connected()) return this.#requests.ask(request);
    const sentence = "There is no connection to the server. Try again when it is back.";
    return Promise.reject(new RequestError("offline", sentence));
  }

  setVisiblePanes(ids: ReadonlySet<PaneId>): void {
    this.#store.change(() => {
      this.#notices.show(ids);
      this.#store.staleModel();
    });
  }

  noteBell(id: PaneId): void {
    this.#store.change(() => this.#note(id));
  }

  #createInput(): Input {
    return new Input({
      now: () => instantOf(this.#environment),
      channelOf: (id) => this.#store.channels[id] ?? null,
      queuedOf: (id) => this.#store.infoOf(id)?.queued ?? 0,
      sendBytes: (channel, data) => this.#connection.send(encodeBytes(channel, data)),
      askDiscard: (paneId) => this.#outbox.sendNow({ type: "input_discard", paneId }),
      changed: (id) => {
        this.#store.stalePane(id);
        this.#store.staleModel();
      },
    });
  }

  #connected(): boolean {
    return this.#connection.view().status === "connected";
  }

  #connectionChanged(): void {
    this.#store.staleEverything();
  }

  #opened(): void {
    const message: ClientMessage = {
      type: "connect",
      ...this.#size,
      clientId: this.#ownId(),
      resume: this.#output.positions(),
      input: this.#input.positions(),
      flow: true,
      colors: this.#colors,
      attempt: this.#nextAttempt(),
    };
    this.#outbox.sendNow(message);
  }

  /** Rises, also past the connections of this client before the page was loaded anew. */
  #nextAttempt(): number {
    this.#attempt = Math.max(this.#attempt + 1, Math.floor(this.#environment.wallNow()));
    return this.#attempt;
  }

  #ownId(): string {
    this.#clientId ??= this.#environment.loadClientId();
    return this.#clientId ?? this.#renewId();
  }

  #renewId(): string {
    const id = this.#environment.newClientId();
    this.#clientId = id;
    this.#environment.storeClientId(id);
    return id;
  }

  #cut(): void {
    this.#outbox.clear();
    this.#input.cut();
    this.#output.cut();
    this.#wishes.cut();
    this.#requests.lost();
  }

  #takenOver(): void {
    this.#renewId();
    this.#input.forget();
  }

  #frame(data: Uint8Array): void {
    const frame = decodeFrame(data);
    if (frame.kind === "bytes") this.#output.bytes(frame.channel, frame.data);
    else if (frame.kind === "unreadable") this.#connection.distrust();
    else if (frame.kind === "message") this.#message(frame.message);
  }

  #message(message: ServerMessage): void {
    // Nothing may come before `state`, and it comes once.
    if (message.type === "state" ? this.#connected() : !this.#connected() && message.type !== "error") {
      this.#connection.distrust();
      return;
    }
    switch (message.type) {
      case "state":
        this.#greeted(message);
        break;
      case "layout_update":
        this.#updated(message);
        break;
      case "replay":
        this.#output.replay(message);
        break;
      case "resized":
        this.#output.resized(message);
        break;
      case "input_ack":
        if (!this.#input.acked(message.paneId, message.position)) this.#connection.distrust();
        break;
      case "input_discarded":
        this.#input.named(message.paneId, message.from, message.to, message.reason);
        break;
      case "ok":
        this.#requests.ok(message.ref, message.result ?? {});
        break;
      case "error":
        this.#refused(message);
        break;
      case "pong":
        this.#pong(message);
        break;
    }
  }

  /** Refusals without a `ref` are of acknowledgements and wishes for panes that have just closed. */
  #refused(message: ErrorMessage): void {
    if (message.request === "connect") this.#connection.distrust();
    else if (message.ref !== undefined) this.#requests.refused(message.ref, message.code, message.message);
  }

  #greeted(message: State): void {
    this.#store.setClockOffset(message.now - this.#environment.wallNow());
    this.#connection.greeted();
    this.#apply(message);
    this.#input.opened(Object.keys(message.channels), message.input);
  }

  #updated(message: LayoutUpdate): void {
    if (this.#store.isOutdated(message)) {
      this.#connection.distrust();
      return;
    }
    this.#apply(message);
    this.#input.updated(Object.keys(message.channels));
  }

  /** The acknowledgement goes out before any input, which a channel that was given out anew depends on. */
  #apply(message: State | LayoutUpdate): void {
    this.#store.apply(message);
    this.#outbox.sendNow({ type: "layout_ack", rev: message.rev });
    this.#output.updated(message.channels);
    this.#notices.keepOnly(message.channels);
    for (const [id, pane] of Object.entries(message.panes)) {
      if (pane.status === "asleep") this.#notices.fellAsleep(id, this.#environment.now());
    }
    this.#wishes.updated(message.channels);
  }

  #pong(message: Pong): void {
    const roundTripMs = this.#environment.now() - message.time;
    this.#connection.measured(roundTripMs);
    this.#store.setClockOffset(message.now + roundTripMs / 2 - this.#environment.wallNow());
    this.#input.caughtUp(message.time);
  }

  #askRedraw(paneId: PaneId, lines: number): void {
    this.#requests.ask({ type: "pane_redraw", paneId, lines }).catch((error: RequestError) => {
      if (error.code === "lost" || error.code === "not_found") return;
      this.#environment.setTimer(() => this.#output.redrawRefused(paneId), REDRAW_AGAIN_MS);
    });
  }

  /** Only what a live terminal does is news: the last words of another one may come behind its end. */
  #note(id: PaneId): void {
    if (this.#store.pane(id).connected !== true) return;
    const before = this.#notices.noticed;
    this.#notices.note(id, this.#environment.now());
    if (this.#notices.noticed !== before) this.#store.staleModel();
  }

  #remember(update: Extract<Request, { type: "client_update" }>): void {
    this.#size = { width: update.width ?? this.#size.width, height: update.height ?? this.#size.height };
    this.#colors = update.colors ?? this.#colors;
  }
}
