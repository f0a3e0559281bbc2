import { describe, expect, test } from "vitest";
import { FLOW_ACK_BYTES, OUTPUT_FRAME_BYTES } from "../protocol/wire";
import { REDRAW_AGAIN_MS } from "./core";
import { BACKLOG_BYTES, REDRAW_LINES } from "./output-stream";
import { paneInfo, replayOf, Script, stateOf, updateOf } from "./testing/script";
import { RecordingSink } from "./testing/sink";

const RESET = { type: "reset" } as const;
const SIZE = { type: "resize", size: "80x24" } as const;

function write(text: string) {
  return { type: "write", text } as const;
}

interface Watched {
  readonly script: Script;
  readonly sink: RecordingSink;
  readonly detach: () => void;
}

/** Pane a from position 0, drawn by a sink. */
function watched(eager = false): Watched {
  const script = new Script();
  const sink = new RecordingSink(eager);
  script.start();
  const detach = script.core.attach("a", sink);
  script.greet(stateOf(["a"]));
  script.say(replayOf("a", 0));
  sink.draw();
  script.frames();
  return { script, sink, detach };
}

/** What the next `connect` asks to resume. */
function resume(script: Script): Readonly<Record<string, number>> | undefined {
  script.cut();
  script.environment.socket.open();
  return script.message("connect")?.resume;
}

function again(script: Script): void {
  script.say(stateOf(["a"], { rev: 2, input: { a: 0 } }));
}

function acks(script: Script): number[] {
  return script.messages().flatMap((message) => (message.type === "output_ack" ? [message.position] : []));
}

describe("what is drawn", () => {
  test("is the redraw, then the stream, each size in its place", () => {
    const { script, sink } = watched();
    script.say(replayOf("a", 0, { position: 50, bytes: 6, reset: true }));
    script.output(0, "$ ls");
    script.output(0, "\r\n");
    script.output(0, "bin");
    script.say({ type: "resized", paneId: "a", channel: 0, position: 53, cols: 100, rows: 30 });
    script.output(0, " lib");
    expect(sink.drawings).toEqual([
      SIZE,
      RESET,
      SIZE,
      write("$ ls\r\nbin"),
      { type: "resize", size: "100x30" },
      write(" lib"),
    ]);
    expect(resume(script)).toEqual({ a: 57 });
  });

  test("is cleared when a redraw comes, also one that does not say so", () => {
    const { script, sink } = watched();
    script.output(0, "old");
    script.say(replayOf("a", 0, { position: 9, bytes: 3 }));
    script.output(0, "new");
    expect(sink.text).toBe("new");
  });

  test("goes on over a hole that was named", () => {
    const { script, sink } = watched();
    script.output(0, "abc");
    script.say(replayOf("a", 0, { position: 100, skipped: 97 }));
    script.output(0, "def");
    expect(sink.text).toBe("abcdef");
    expect(resume(script)).toEqual({ a: 103 });
  });

  test("of a channel without a replay is dropped", () => {
    const { script, sink } = watched();
    script.output(7, "x");
    script.say({ type: "resized", paneId: "a", channel: 7, position: 0, cols: 9, rows: 9 });
    script.cut();
    script.environment.socket.open();
    again(script);
    script.output(0, "y");
    expect(sink.drawings).toEqual([SIZE]);
  });

  test("of a channel that was given out anew belongs to the new pane", () => {
    const { script, sink } = watched();
    const other = new RecordingSink();
    script.core.attach("b", other);
    script.output(0, "one");
    const state = stateOf(["b"]);
    script.say(updateOf(state, { panes: { b: paneInfo() } }));
    script.output(0, "nobody's");
    script.say(replayOf("b", 0));
    script.output(0, "two");
    expect([sink.text, other.text]).toEqual(["one", "two"]);
    expect(resume(script)).toEqual({ a: 3, b: 3 });
  });
});

describe("a cut", () => {
  test("is resumed at the byte, whether or not it was drawn", () => {
    const { script, sink } = watched();
    script.output(0, "abc");
    sink.draw();
    script.output(0, "def");
    expect(resume(script)).toEqual({ a: 6 });
    again(script);
    script.say(replayOf("a", 0, { position: 6 }));
    script.output(0, "ghi");
    expect(sink.drawings).toEqual([SIZE, write("abcdef"), SIZE, write("ghi")]);
  });

  test("within a redraw leaves the pane out, and the next redraw starts anew", () => {
    const { script, sink } = watched();
    script.say(replayOf("a", 0, { position: 50, bytes: 6, reset: true }));
    script.output(0, "$ l");
    expect(resume(script)).toEqual({});
    again(script);
    script.say(replayOf("a", 0, { position: 60, bytes: 4, reset: true }));
    script.output(0, "$ ls");
    expect(sink.text).toBe("$ ls");
    expect(resume(script)).toEqual({ a: 60 });
  });

  test("between a replay and its redraw leaves the pane out too", () => {
    const { script } = watched();
    script.say(replayOf("a", 0, { position: 50, bytes: 6, reset: true }));
    expect(resume(script)).toEqual({});
  });

  test("before anything came asks for no position", () => {
    const script = new Script();
    script.start();
    script.greet(stateOf(["a"]));
    expect(resume(script)).toEqual({});
  });
});

describe("acknowledgements", () => {
  test("follow what is drawn, not what is received", () => {
    const { script, sink } = watched();
    script.output(0, "abc");
    expect(acks(script)).toEqual([]);
    sink.draw();
    expect(acks(script)).toEqual([3]);
  });

  test("are said every 128 KiB, and when all is drawn", () => {
    const { script, sink } = watched();
    const frame = "x".repeat(OUTPUT_FRAME_BYTES);
    for (let count = 0; count < 5; count++) script.output(0, frame);
    const positions: number[][] = [];
    for (let count = 0; count < 5; count++) {
      sink.draw(1);
      positions.push(acks(script));
    }
    const full = FLOW_ACK_BYTES;
    expect(positions).toEqual([[], [full], [], [2 * full], [5 * OUTPUT_FRAME_BYTES]]);
  });

  test.each([1, 999, 60_000, OUTPUT_FRAME_BYTES - 1])(
    "are 128 KiB apart at most, in frames of %i",
    (bytes) => {
      const { script, sink } = watched();
      const frame = "x".repeat(bytes);
      const frames = Math.min(500, Math.ceil((400 * 1024) / bytes));
      for (let count = 0; count < frames; count++) script.output(0, frame);
      let last = 0;
      for (let count = 0; count < frames; count++) {
        sink.draw(1);
        for (const position of acks(script)) {
          expect(position - last).toBeLessThanOrEqual(FLOW_ACK_BYTES);
          last = position;
        }
      }
      expect(last).toBe(frames * bytes);
    },
  );

  test("say of a redraw only that it is drawn", () => {
    const { script, sink } = watched();
    script.say(replayOf("a", 0, { position: 50, bytes: 6, reset: true }));
    script.output(0, "$ l");
    sink.draw();
    expect(acks(script)).toEqual([]);
    script.output(0, "s\r\n");
    sink.draw();
    expect(acks(script)).toEqual([50]);
  });

  test("are said anew on a new connection, even if nothing more comes", () => {
    const { script, sink } = watched(true);
    script.output(0, "abc");
    expect(acks(script)).toEqual([3]);
    script.cut();
    script.environment.socket.open();
    again(script);
    script.say(replayOf("a", 0, { position: 3 }));
    expect(acks(script)).toEqual([3]);
    expect(sink.text).toBe("abc");
  });

  test("never speak of what was drawn before a redraw", () => {
    const { script, sink } = watched();
    script.output(0, "abc");
    script.say(replayOf("a", 0, { position: 50, bytes: 2, reset: true }));
    script.output(0, "$ ");
    sink.draw(1);
    expect(acks(script)).toEqual([]);
    sink.draw();
    expect(acks(script)).toEqual([50]);
  });

  test("stay within the server's limit of messages", () => {
    const { script } = watched(true);
    let sent = 0;
    for (let count = 0; count < 3000; count++) {
      script.output(0, "x");
      if (count % 3 === 0) script.environment.advance(10);
      sent += acks(script).length;
    }
    expect(sent).toBeLessThan(1000);
    script.environment.advance(1000);
    expect(acks(script).at(-1)).toBe(3000);
  });
});

describe("a redraw", () => {
  test("says when it is whole, and what is above it", () => {
    const { script, sink } = watched();
    script.say(replayOf("a", 0, { position: 50, bytes: 4, reset: true, above: 800 }));
    script.output(0, "$ l");
    expect(sink.above).toEqual([]);
    script.output(0, "s and more");
    expect(sink.above).toEqual([800]);
    script.say(replayOf("a", 0, { position: 70, reset: true }));
    expect(sink.above).toEqual([800, 0]);
  });

  test("is not what a resumed stream is", () => {
    const { script, sink } = watched();
    script.cut();
    script.environment.socket.open();
    again(script);
    script.say(replayOf("a", 0));
    script.output(0, "x");
    expect(sink.above).toEqual([]);
  });

  test("may end within a sequence: nothing comes between it and the stream, whatever the frames", () => {
    const { script, sink } = watched();
    script.say(replayOf("a", 0, { position: 50, bytes: 6, reset: true }));
    script.output(0, "$ \x1b]0;tit");
    script.output(0, "le\x07ls");
    expect(sink.text).toBe("$ \x1b]0;title\x07ls");
    expect(sink.drawings.slice(-3)).toEqual([RESET, SIZE, write("$ \x1b]0;title\x07ls")]);
  });

  test("that is wanted is asked for once, and the stream goes on until it comes", () => {
    const { script, sink } = watched();
    script.core.redraw("a", 1000);
    script.core.redraw("a", 1000);
    expect(script.messages()).toMatchObject([{ type: "pane_redraw", paneId: "a", lines: 1000 }]);
    script.output(0, "abc");
    sink.draw();
    expect(acks(script)).toEqual([3]);
    script.say(replayOf("a", 0, { position: 3, bytes: 3, reset: true }));
    script.output(0, "ABC");
    expect(sink.text).toBe("ABC");
    expect(resume(script)).toEqual({ a: 3 });
  });

  test("that is wanted comes behind a cut as well", () => {
    const { script } = watched();
    script.output(0, "abc");
    script.core.redraw("a", 1000);
    expect(resume(script)).toEqual({});
    again(script);
    script.say(replayOf("a", 0, { position: 3, bytes: 3, reset: true }));
    script.output(0, "ABC");
    expect(script.message("pane_redraw")).toBeUndefined();
    expect(resume(script)).toEqual({ a: 3 });
  });

  test("that is wanted while cut off is no request, but left out of what is resumed", () => {
    const { script } = watched();
    script.output(0, "abc");
    script.environment.socket.end(1006);
    script.core.redraw("a", 1000);
    script.environment.advance(2000);
    script.environment.socket.open();
    expect(script.message("connect")?.resume).toEqual({});
  });
});

describe("a terminal that comes later", () => {
  test("gets everything since the replay", () => {
    const script = new Script();
    script.start();
    script.greet(stateOf(["a"]));
    script.say(replayOf("a", 0, { position: 5, bytes: 2, reset: true }));
    script.output(0, "$ ");
    script.output(0, "ls");
    const sink = new RecordingSink();
    script.core.attach("a", sink);
    expect(sink.drawings).toEqual([RESET, SIZE, write("$ ls")]);
    expect(script.message("pane_redraw")).toBeUndefined();
    sink.draw();
    expect(acks(script)).toEqual([7]);
  });

  test("and goes again, goes on where it was", () => {
    const { script, sink, detach } = watched();
    script.output(0, "abc");
    detach();
    script.output(0, "def");
    expect(sink.text).toBe("abc");
    expect(resume(script)).toEqual({ a: 6 });
    script.core.attach("a", sink);
    expect(sink.text).toBe("abcdef");
    expect(script.message("pane_redraw")).toBeUndefined();
  });

  test("and draws while it is away, is acknowledged all the same", () => {
    const { script, sink, detach } = watched();
    script.output(0, "abc");
    detach();
    sink.draw();
    expect(acks(script)).toEqual([3]);
  });

  test("than nobody, before its pane is announced, is kept for it", () => {
    const { script } = watched();
    const early = new RecordingSink();
    script.core.attach("b", early);
    script.say(updateOf(stateOf(["a"])));
    const both = stateOf(["a", "b"]);
    script.say(updateOf(both, { rev: 3, panes: both.panes }), replayOf("b", 1));
    script.output(1, "x");
    expect(early.text).toBe("x");
  });

  test("as another one asks for a redraw, and draws nothing before it", () => {
    const { script, sink, detach } = watched();
    script.output(0, "abc");
    detach();
    const other = new RecordingSink();
    script.core.attach("a", other);
    expect(script.message("pane_redraw")).toMatchObject({ paneId: "a", lines: REDRAW_LINES });
    script.output(0, "def");
    script.say(replayOf("a", 0, { position: 6, bytes: 6, reset: true }));
    script.output(0, "abcdef");
    script.output(0, "ghi");
    expect(other.drawings).toEqual([RESET, SIZE, write("abcdefghi")]);
    expect(sink.text).toBe("abc");
  });

  test("as another one while cut off leaves the pane out, and asks for nothing twice", () => {
    const { script, detach } = watched();
    script.output(0, "abc");
    detach();
    script.cut();
    const other = new RecordingSink();
    script.core.attach("a", other);
    script.environment.socket.open();
    expect(script.message("connect")?.resume).toEqual({});
    again(script);
    script.say(replayOf("a", 0, { position: 3, bytes: 3, reset: true }));
    script.output(0, "abc");
    expect(other.text).toBe("abc");
    expect(script.message("pane_redraw")).toBeUndefined();
  });

  test("as another one between connect and its answer asks when the answer is no redraw", () => {
    const { script, detach } = watched();
    script.output(0, "abc");
    expect(resume(script)).toEqual({ a: 3 });
    detach();
    const other = new RecordingSink();
    script.core.attach("a", other);
    again(script);
    script.say(replayOf("a", 0, { position: 3 }));
    expect(script.message("pane_redraw")).toMatchObject({ paneId: "a" });
    expect(other.drawings).toEqual([]);
  });

  test("than much output asks for a redraw", () => {
    const script = new Script();
    script.start();
    script.greet(stateOf(["a"]));
    script.say(replayOf("a", 0));
    for (let count = 0; count <= BACKLOG_BYTES / OUTPUT_FRAME_BYTES; count++) {
      script.output(0, "x".repeat(OUTPUT_FRAME_BYTES));
    }
    const sink = new RecordingSink();
    script.core.attach("a", sink);
    expect(sink.drawings).toEqual([]);
    expect(script.message("pane_redraw")).toMatchObject({ paneId: "a" });
    expect(resume(script)).toEqual({});
  });

  test("asks again after a while if the redraw was refused", async () => {
    const { script, detach } = watched();
    script.output(0, "abc");
    detach();
    script.core.attach("a", new RecordingSink());
    const ref = script.message("pane_redraw")?.ref;
    script.say({ type: "error", code: "internal", message: "No.", request: "pane_redraw", ref });
    await Promise.resolve();
    await Promise.resolve();
    expect(script.message("pane_redraw")).toBeUndefined();
    script.environment.advance(REDRAW_AGAIN_MS);
    expect(script.message("pane_redraw")).toMatchObject({ paneId: "a" });
  });
});
