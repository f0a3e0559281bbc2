/** The table of traces finds a core that breaks a rule: each mutation here fails the trace that is about it. */

import { describe, expect, test, vi } from "vitest";
import type { SocketEvents, TerminalSink } from "./api";
import { Connection } from "./connection";
import { Input } from "./input";
import { InputStream } from "./input-stream";
import { ModelStore } from "./model";
import { Outbox } from "./outbox";
import { Output } from "./output";
import { OutputStream } from "./output-stream";
import { SimEnvironment } from "./testing/environment";
import { play, TraceFailed } from "./testing/trace";
import type { Trace } from "./testing/trace-format";

const TABLE = Object.values(
  import.meta.glob<Trace[]>("../../../tests/traces/*.json", { eager: true, import: "default" }),
).flat();

/** Puts `change(original)` in place of a method. */
function mutate<T extends object, K extends keyof T>(
  prototype: T,
  name: K,
  change: (original: T[K]) => (this: T, ...values: never[]) => unknown,
): void {
  const original = prototype[name];
  vi.spyOn(prototype, name as never).mockImplementation(change(original) as never);
}

/** Lets each terminal be drawn on through what `wrap` makes of it. */
function drawOn(wrap: (sink: TerminalSink) => Partial<TerminalSink>): void {
  mutate(OutputStream.prototype, "attach", (attach) => {
    return function (sink: TerminalSink) {
      const plain: TerminalSink = {
        write: (data, drawn) => sink.write(data, drawn),
        reset: () => sink.reset(),
        resize: (cols, rows) => sink.resize(cols, rows),
        redrawn: (above) => sink.redrawn(above),
      };
      attach.call(this, { ...plain, ...wrap(sink) });
    };
  });
}

function hearCloseCodes(change: (code: number) => number): void {
  mutate(SimEnvironment.prototype, "connect", (connect) => {
    return function (events: SocketEvents) {
      return connect.call(this, { ...events, closed: (code) => events.closed(change(code)) });
    };
  });
}

function keepBack(name: "send" | "sendNow", type: string): void {
  mutate(Outbox.prototype, name, (send) => {
    return function (message: Parameters<Outbox["send"]>[0]) {
      if (message.type !== type) send.call(this, message);
    };
  });
}

const MUTATIONS: readonly [name: string, found: string, apply: () => void][] = [
  [
    "sends again what the server took",
    "what the server took before the cut is not sent again",
    () =>
      mutate(InputStream.prototype, "resume", (resume) => {
        return function (position: number) {
          resume.call(this, Math.min(position, this.proven));
        };
      }),
  ],
  [
    "sends nothing again",
    "what the server did not take is sent again, once",
    () =>
      mutate(InputStream.prototype, "resume", (resume) => {
        return function (position: number) {
          this.dropSent();
          resume.call(this, position);
        };
      }),
  ],
  [
    "sends input however old it is",
    "after 30 seconds it is not sent again",
    () => mutate(InputStream.prototype, "dropOld", () => () => null),
  ],
  [
    "sends to a server that forgot it what that may have had",
    "a server that does not know the client is not told anything twice",
    () =>
      mutate(InputStream.prototype, "restart", () => {
        return function () {
          this.resume(0);
          return null;
        };
      }),
  ],
  [
    "does not wait for the server's position",
    "while the server asks how far it is, nothing is sent",
    () =>
      mutate(Input.prototype, "opened", (opened) => {
        return function (ids: readonly string[], positions: Readonly<Record<string, number | null>> | null) {
          const known = Object.entries(positions ?? {}).map(([id, position]) => [id, position ?? 0]);
          opened.call(this, ids, positions === null ? null : Object.fromEntries(known));
        };
      }),
  ],
  [
    "types on as if nothing had been cut",
    "what is typed before state waits for it",
    () => mutate(Input.prototype, "cut", () => () => {}),
  ],
  [
    "knows no window",
    "a large paste waits for the window of its pane",
    () => {
      vi.spyOn(InputStream.prototype, "windowBytes", "get").mockReturnValue(0);
    },
  ],
  [
    "forgets what was discarded",
    "what is named as discarded is shown with its reason",
    () => mutate(Input.prototype, "named", () => () => {}),
  ],
  [
    "sends what the person has dropped",
    "what was dropped during a cut is never sent",
    () => mutate(InputStream.prototype, "dropUnwanted", () => () => null),
  ],
  [
    "does not name what a closed pane never got",
    "a pane that was closed during a cut takes its unsent input with it",
    () => mutate(InputStream.prototype, "dropWaiting", () => () => null),
  ],
  [
    "does not clear for a redraw",
    "what was missed is replaced by a redraw",
    () => drawOn(() => ({ reset: () => {} })),
  ],
  ["ignores sizes", "sizes have their place among the bytes", () => drawOn(() => ({ resize: () => {} }))],
  [
    "acknowledges before it draws",
    "what is not drawn is not acknowledged",
    () =>
      drawOn((sink) => ({
        write: (data, drawn) => {
          sink.write(data, () => {});
          drawn();
        },
      })),
  ],
  [
    "counts a redraw as output",
    "what was missed is replaced by a redraw",
    () =>
      mutate(OutputStream.prototype, "replay", (replay) => {
        return function (message: Parameters<OutputStream["replay"]>[0]) {
          replay.call(this, { ...message, position: message.position + message.bytes });
        };
      }),
  ],
  [
    "goes on in the middle of a redraw",
    "half a redraw is none",
    () =>
      mutate(OutputStream.prototype, "replay", (replay) => {
        return function (message: Parameters<OutputStream["replay"]>[0]) {
          replay.call(this, { ...message, position: message.position - message.bytes, bytes: 0 });
        };
      }),
  ],
  [
    "reads bytes as text",
    "characters may be cut anywhere",
    () =>
      mutate(OutputStream.prototype, "bytes", (bytes) => {
        return function (data: Uint8Array) {
          return bytes.call(this, new TextEncoder().encode(new TextDecoder().decode(data)));
        };
      }),
  ],
  [
    "keeps the stream of a closed pane",
    "a channel that is given out anew belongs to the new pane",
    () => mutate(Output.prototype, "updated", () => () => {}),
  ],
  [
    "resumes nothing",
    "a stream goes on at the byte after a cut",
    () => mutate(Output.prototype, "positions", () => () => ({})),
  ],
  [
    "takes an old revision",
    "an old revision",
    () => mutate(ModelStore.prototype, "isOutdated", () => () => false),
  ],
  [
    "goes on after nonsense",
    "a control message that is none",
    () => mutate(Connection.prototype, "distrust", () => () => {}),
  ],
  [
    "acknowledges no layout",
    "panes come, change and go by updates that name only what changed",
    () => keepBack("sendNow", "layout_ack"),
  ],
  ["acknowledges no output", "a flood is acknowledged to its end", () => keepBack("send", "output_ack")],
  ["asks nothing back", "what is queued can be had back", () => keepBack("sendNow", "input_discard")],
  [
    "tries again with a token that was refused",
    "a refused token ends all attempts",
    () => hearCloseCodes((code) => (code === 4401 ? 1006 : code)),
  ],
  [
    "keeps an id that somebody else has",
    "a client that was taken over becomes another one",
    () => hearCloseCodes((code) => (code === 4409 ? 1006 : code)),
  ],
];

function traceOf(name: string): Trace {
  const found = TABLE.find((trace) => trace.name === name);
  if (found === undefined) throw new Error(`There is no trace "${name}".`);
  return found;
}

describe("a core that", () => {
  test.each(MUTATIONS)("%s is found", (_, name, apply) => {
    const trace = traceOf(name);
    expect(() => play(trace)).not.toThrow();
    apply();
    expect(() => play(trace)).toThrow(TraceFailed);
  });
});
