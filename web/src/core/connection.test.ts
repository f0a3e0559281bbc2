import { describe, expect, test } from "vitest";
import { CONTROL_CHANNEL } from "../protocol/wire";
import { retryDelayMs } from "./backoff";
import { CONNECT_WITHIN_MS, HURRY_EVERY_MS, STALE_ATTEMPT_MS } from "./connection";
import { BEAT_MS, SILENCE_IN_DOUBT_MS, SILENCE_MS, TICK_MS } from "./heartbeat";
import { SimEnvironment, type SimSocket } from "./testing/environment";
import { bytes, control, readControl, replayOf, Script, stateOf, string, updateOf } from "./testing/script";

function greeted(): Script {
  const script = new Script();
  script.start();
  script.greet(stateOf(["a"]));
  return script;
}

function status(script: Script): string {
  return script.core.model().connection.status;
}

/** Answers the last ping. */
function pong(script: Script): void {
  const { environment } = script;
  script.say({ type: "pong", time: environment.now(), now: environment.wallNow() });
}

describe("trying again", () => {
  test("delays double from the floor to the cap and are never the same twice", () => {
    expect([1, 2, 3, 6, 7, 1000].map((attempt) => retryDelayMs(attempt, 0))).toEqual([
      500, 1000, 2000, 15_000, 15_000, 15_000,
    ]);
    expect([1, 2, 3, 6, 7, 1000].map((attempt) => retryDelayMs(attempt, 0.999_999))).toEqual([
      1000, 2000, 4000, 30_000, 30_000, 30_000,
    ]);
  });

  test("a cut is followed by an attempt within a second, and the page can show when", () => {
    const script = greeted();
    script.environment.socket.end(1006);
    const { connection } = script.core.model();
    if (connection.status !== "waiting") throw new Error(connection.status);
    const waitMs = connection.retryAt - script.environment.now();
    expect(waitMs).toBeGreaterThanOrEqual(500);
    expect(waitMs).toBeLessThanOrEqual(1000);
    script.environment.advance(waitMs - 1);
    expect(script.environment.sockets.length).toBe(1);
    script.environment.advance(1);
    expect(script.environment.sockets.length).toBe(2);
    expect(script.core.model().connection).toEqual({ status: "connecting", attempt: 1 });
    script.greet(stateOf(["a"]));
    expect(status(script)).toBe("connected");
  });

  test("attempts that fail come ever more slowly, one that succeeds starts anew", () => {
    const script = greeted();
    const waits: number[] = [];
    for (let count = 0; count < 8; count++) {
      script.environment.socket.end(1006);
      const { connection } = script.core.model();
      if (connection.status !== "waiting") throw new Error(connection.status);
      expect(connection.attempt).toBe(count + 1);
      waits.push(connection.retryAt - script.environment.now());
      script.environment.advance(connection.retryAt - script.environment.now());
    }
    for (const [count, wait] of waits.entries()) {
      const nominal = Math.min(30_000, 1000 * 2 ** count);
      expect(wait).toBeGreaterThanOrEqual(nominal / 2);
      expect(wait).toBeLessThanOrEqual(nominal);
    }
    script.greet(stateOf(["a"]));
    script.environment.socket.end(1006);
    expect(script.core.model().connection).toMatchObject({ status: "waiting", attempt: 1 });
  });

  test.each([1001, 1012])("close code %i is followed soon", (code) => {
    const script = greeted();
    script.cut(code);
    expect(script.core.model().connection).toEqual({ status: "connecting", attempt: 1 });
  });

  test.each([4429, 4400, 4408, 1009, 1003])("close code %i is tried again, more slowly each time", (code) => {
    const script = greeted();
    const attempts: number[] = [];
    for (let count = 0; count < 4; count++) {
      script.environment.socket.end(code);
      const { connection } = script.core.model();
      if (connection.status !== "waiting") throw new Error(connection.status);
      attempts.push(connection.attempt);
      script.environment.advance(connection.retryAt - script.environment.now());
      script.greet(stateOf(["a"]));
    }
    expect(attempts).toEqual([2, 3, 4, 5]);
  });

  test("an attempt that is never answered is given up", () => {
    const script = new Script();
    script.start();
    script.environment.advance(CONNECT_WITHIN_MS);
    expect(status(script)).toBe("waiting");
    expect(script.environment.socket.closed).toBe(true);
  });

  test("an attempt that opens and never says state is given up", () => {
    const script = new Script();
    script.start();
    script.environment.socket.open();
    script.environment.advance(CONNECT_WITHIN_MS);
    expect(status(script)).toBe("waiting");
  });

  test("tryNow does not wait, and does nothing to an attempt under way", () => {
    const script = greeted();
    script.environment.socket.end(1006);
    script.core.tryNow();
    expect(script.environment.sockets.length).toBe(2);
    script.core.tryNow();
    expect(script.environment.sockets.length).toBe(2);
  });

  test("a socket that fails while it is made is tried again", () => {
    const environment = new SimEnvironment();
    environment.onConnect = (socket) => socket.end(1006);
    const script = new Script(environment);
    script.start();
    expect(status(script)).toBe("waiting");
    environment.advance(2000);
    expect(environment.sockets.length).toBe(2);
  });
});

describe("who the page is", () => {
  test("4401 stops everything", () => {
    const script = greeted();
    script.environment.socket.end(4401);
    expect(script.core.model().connection).toEqual({ status: "unauthorized" });
    expect(script.environment.timers).toBe(0);
    script.core.tryNow();
    expect(script.environment.sockets.length).toBe(1);
  });

  test("a reload is the same client", () => {
    const environment = new SimEnvironment();
    environment.storedId = "mine";
    const script = new Script(environment);
    script.start();
    environment.socket.open();
    expect(script.message("connect")?.clientId).toBe("mine");
  });

  test("each connection says that it is newer than the one before, also within a millisecond", () => {
    const script = greeted();
    const first = script.messages().find((message) => message.type === "connect")?.attempt ?? 0;
    script.environment.socket.end(1006);
    script.core.tryNow();
    script.environment.socket.open();
    const second = script.message("connect")?.attempt ?? 0;
    expect(second).toBeGreaterThan(first);
    expect(second).toBeGreaterThanOrEqual(script.environment.wallNow());
  });

  test("4409 makes a new id, which is kept, and connects again at once", () => {
    const script = greeted();
    const before = script.environment.storedId;
    script.environment.socket.end(4409);
    expect(script.environment.sockets.length).toBe(2);
    script.environment.socket.open();
    const id = script.message("connect")?.clientId;
    expect(id).not.toBe(before);
    expect(script.environment.storedId).toBe(id);
  });

  test("4409 before state is no reason to hurry", () => {
    const script = greeted();
    script.environment.socket.end(4409);
    script.environment.socket.end(4409);
    expect(status(script)).toBe("waiting");
  });
});

describe("a dead connection", () => {
  test("is found by silence after a ping, and replaced at once", () => {
    const script = greeted();
    pong(script);
    script.environment.advance(BEAT_MS + SILENCE_MS - 1);
    expect(status(script)).toBe("connected");
    script.environment.advance(1);
    expect(script.core.model().connection).toEqual({ status: "connecting", attempt: 1 });
    expect(script.environment.sockets[0]?.closed).toBe(true);
    expect(script.environment.sockets.length).toBe(2);
  });

  test("is not one on which anything comes", () => {
    const script = greeted();
    const state = stateOf(["a"]);
    for (let count = 0; count < 20; count++) {
      script.environment.advance(5000);
      script.say(updateOf(state, { rev: 2 + count }));
    }
    expect(status(script)).toBe("connected");
    expect(script.environment.sockets.length).toBe(1);
  });

  test.each([true, false])(
    "is looked for at once after the machine slept (its clock went on: %s)",
    (wentOn) => {
      const script = greeted();
      pong(script);
      script.frames();
      script.environment.sleep(3_600_000, wentOn);
      script.environment.advance(wentOn ? 0 : TICK_MS);
      expect(script.frames().length).toBeGreaterThan(0);
      expect(status(script)).toBe("connected");
      script.environment.advance(SILENCE_IN_DOUBT_MS);
      expect(status(script)).toBe("connecting");
    },
  );

  test("is not one whose answer was only held up by a sleeping page", () => {
    const script = greeted();
    pong(script);
    script.environment.advance(BEAT_MS);
    script.environment.sleep(3_600_000, true);
    // The timer fires late, before the answer that waits behind it is read.
    script.environment.advance(0);
    expect(status(script)).toBe("connected");
    pong(script);
    script.environment.advance(SILENCE_IN_DOUBT_MS);
    expect(status(script)).toBe("connected");
  });

  test("is looked for when a person comes back", () => {
    const script = greeted();
    pong(script);
    script.frames();
    script.core.tryNow();
    expect(script.frames().length).toBe(1);
    script.environment.advance(SILENCE_IN_DOUBT_MS);
    expect(status(script)).toBe("connecting");
  });

  test("says nothing any more after it was given up", () => {
    const script = greeted();
    const [dead] = script.environment.sockets;
    pong(script);
    script.environment.advance(BEAT_MS + SILENCE_MS);
    dead?.receive(control(stateOf(["b"])));
    dead?.open();
    dead?.end(4401);
    expect(status(script)).toBe("connecting");
    expect(script.core.model().tabs.map((tab) => tab.focus)).toEqual(["a"]);
  });
});

/** A line that carries frames both ways while it is whole, and says nothing at all when it is not. */
class Line {
  whole = true;
  readonly script: Script;
  pings = 0;
  connects = 0;
  /** What the server took, over all connections. */
  input = "";

  constructor(environment = new SimEnvironment()) {
    this.script = new Script(environment);
    environment.onConnect = (socket) => {
      this.connects += 1;
      if (!this.whole) return;
      environment.setTimer(() => socket.open(), 20);
      socket.onFrame = (frame) => {
        if (this.whole) environment.setTimer(() => this.#heard(socket, frame), 20);
      };
    };
    this.script.start();
    environment.advance(1000);
  }

  #heard(socket: SimSocket, frame: Uint8Array): void {
    const say = (message: Parameters<typeof control>[0]) => {
      if (this.whole && !socket.closed) socket.receive(control(message));
    };
    if (frame[0] !== CONTROL_CHANNEL) {
      this.input += string(frame.subarray(1));
      say({ type: "input_ack", paneId: "a", position: this.input.length });
      return;
    }
    const message = readControl(frame);
    if (message.type === "ping") {
      this.pings += 1;
      say({ type: "pong", time: message.time, now: this.script.environment.wallNow() });
    }
    if (message.type === "connect") {
      say(stateOf(["a"], { rev: this.connects, input: { a: this.input.length } }));
      say(replayOf("a", 0));
    }
  }
}

describe("a line that breaks without a word", () => {
  const NOTICED_WITHIN_MS = BEAT_MS + SILENCE_MS;

  test.each([0, 1, 4999, 9999, 10_001, 12_345])("is noticed within 20 s, broken at %i ms", (ms) => {
    const line = new Line();
    const { environment } = line.script;
    environment.advance(ms);
    line.whole = false;
    environment.advance(NOTICED_WITHIN_MS + TICK_MS);
    expect(status(line.script)).toBe("connecting");
    expect(environment.sockets[0]?.closed).toBe(true);
    line.whole = true;
    environment.advance(CONNECT_WITHIN_MS + 3000);
    expect(status(line.script)).toBe("connected");
  });

  test.each(["online", "visible"])("is noticed within 6 s when the page hears that it is %s", () => {
    const line = new Line();
    const { environment } = line.script;
    environment.advance(3210);
    line.whole = false;
    line.script.core.tryNow();
    environment.advance(SILENCE_IN_DOUBT_MS + TICK_MS);
    expect(status(line.script)).toBe("connecting");
    line.whole = true;
    environment.advance(STALE_ATTEMPT_MS + 1);
    line.script.core.tryNow();
    environment.advance(100);
    expect(status(line.script)).toBe("connected");
  });

  test.each([true, false])("is noticed within 7 s of waking (the clock went on: %s)", (wentOn) => {
    const line = new Line();
    const { environment } = line.script;
    line.whole = false;
    environment.sleep(8 * 3_600_000, wentOn);
    environment.advance(TICK_MS + SILENCE_IN_DOUBT_MS + TICK_MS);
    expect(status(line.script)).toBe("connecting");
  });

  test("loses nothing that was typed meanwhile, and types nothing twice", () => {
    const line = new Line();
    const { environment, core } = line.script;
    core.type("a", bytes("one "));
    environment.advance(100);
    line.whole = false;
    core.type("a", bytes("two "));
    environment.advance(9000);
    core.type("a", bytes("three "));
    environment.advance(NOTICED_WITHIN_MS - 9000);
    core.type("a", bytes("four"));
    line.whole = true;
    core.tryNow();
    environment.advance(STALE_ATTEMPT_MS);
    core.tryNow();
    environment.advance(100);
    expect(status(line.script)).toBe("connected");
    expect(line.input).toBe("one two three four");
    expect(core.pane("a")).toMatchObject({ unacked: 0, discarded: [] });
  });

  test("is replaced seldom while nothing comes of it", () => {
    const line = new Line();
    const { environment } = line.script;
    line.whole = false;
    environment.advance(600_000);
    // Each attempt is given up after 15 s, and waited behind for up to 30 s.
    expect(line.connects).toBeLessThan(30);
  });
});

describe("a line that is whole", () => {
  test("is never replaced, and asked every ten seconds", () => {
    const line = new Line();
    line.script.environment.advance(3_600_000);
    expect(line.connects).toBe(1);
    expect(line.pings).toBeLessThan(365);
  });

  test("is not replaced while bytes flow, though no answer to a ping gets through", () => {
    const script = greeted();
    script.say(replayOf("a", 0));
    for (let count = 0; count < 60; count++) {
      script.environment.advance(4000);
      script.core.tryNow();
      script.output(0, "x");
    }
    expect(script.environment.sockets.length).toBe(1);
  });

  test("is not replaced because the page is throttled to a timer a minute", () => {
    const line = new Line();
    line.script.environment.timerGrainMs = 60_000;
    line.script.environment.advance(10_000);
    // The line is the network, which nobody throttles.
    const { script } = line;
    for (let minute = 0; minute < 120; minute++) {
      const before = script.environment.sockets.length;
      script.environment.advance(60_000);
      pong(script);
      expect(script.environment.sockets.length).toBe(before);
    }
    expect(line.connects).toBe(1);
  });

  test.each([5500, 20_000, 120_000])("is not replaced because the page stalled for %i ms", (ms) => {
    const script = greeted();
    pong(script);
    for (let count = 0; count < 20; count++) {
      script.environment.advance(BEAT_MS - 1);
      // What was due fires first, then comes what arrived meanwhile.
      script.environment.sleep(ms, true);
      script.environment.advance(0);
      expect(status(script)).toBe("connected");
      pong(script);
    }
    expect(script.environment.sockets.length).toBe(1);
  });

  test("is not replaced because the page stalls again and again while an answer is on its way", () => {
    const script = greeted();
    pong(script);
    script.environment.advance(BEAT_MS + SILENCE_MS - TICK_MS);
    for (let count = 0; count < 2; count++) {
      script.environment.sleep(6000, true);
      script.environment.advance(0);
    }
    expect(status(script)).toBe("connected");
    pong(script);
    script.environment.advance(SILENCE_IN_DOUBT_MS);
    expect(status(script)).toBe("connected");
  });

  test("is asked no more than once a second, however often the page comes and goes", () => {
    const script = greeted();
    script.frames();
    for (let count = 0; count < 1000; count++) script.core.tryNow();
    expect(script.frames().length).toBe(0);
    pong(script);
    for (let count = 0; count < 1000; count++) script.core.tryNow();
    expect(script.frames().length).toBe(1);
  });
});

test("a page that is throttled for good finds a dead line as well", () => {
  const line = new Line();
  line.script.environment.timerGrainMs = 60_000;
  line.whole = false;
  line.script.environment.advance(5 * 60_000);
  expect(line.connects).toBeGreaterThan(1);
});

describe("coming back", () => {
  function waitingLong(): Script {
    const script = greeted();
    for (let count = 0; count < 8; count++) {
      script.environment.socket.end(1006);
      const { connection } = script.core.model();
      if (connection.status !== "waiting") throw new Error(connection.status);
      if (count < 7) script.environment.advance(connection.retryAt - script.environment.now());
    }
    return script;
  }

  test.each([true, false])(
    "happens on waking, not at the end of the wait (the clock went on: %s)",
    (wentOn) => {
      const script = waitingLong();
      const before = script.environment.sockets.length;
      script.environment.sleep(6000, wentOn);
      script.environment.advance(TICK_MS);
      expect(script.environment.sockets.length).toBe(before + 1);
      expect(script.core.model().connection).toEqual({ status: "connecting", attempt: 1 });
    },
  );

  test("does not wait for an attempt that began on the network of before", () => {
    const script = waitingLong();
    script.core.tryNow();
    const before = script.environment.sockets.length;
    script.environment.advance(STALE_ATTEMPT_MS);
    script.core.tryNow();
    expect(script.environment.sockets.length).toBe(before);
    script.environment.advance(1);
    script.core.tryNow();
    expect(script.environment.sockets.length).toBe(before + 1);
    expect(script.environment.sockets.at(-2)?.closed).toBe(true);
    expect(status(script)).toBe("connecting");
  });

  test("is no storm when the network comes and goes", () => {
    const environment = new SimEnvironment();
    const script = new Script(environment);
    script.start();
    script.greet(stateOf(["a"]));
    environment.onConnect = (socket) => environment.setTimer(() => socket.end(1006), 1);
    environment.socket.end(1006);
    for (let count = 0; count < 10_000; count++) {
      environment.advance(1);
      script.core.tryNow();
    }
    expect(environment.sockets.length).toBeLessThan(10_000 / HURRY_EVERY_MS + 3);
    expect(environment.sockets.length).toBeGreaterThan(10);
  });
});

test("the round trip and the server's clock are measured", () => {
  const script = new Script();
  const { environment } = script;
  script.start();
  script.greet(stateOf(["a"], { now: environment.wallNow() + 90_000 }));
  expect(script.core.model().connection).toEqual({ status: "connected", roundTripMs: null });
  expect(script.core.model().clockOffset).toBe(90_000);
  const time = environment.now();
  environment.advance(42);
  script.say({ type: "pong", time, now: environment.wallNow() - 21 + 90_010 });
  expect(script.core.model().connection).toEqual({ status: "connected", roundTripMs: 42 });
  // A few milliseconds are the network's, not the clock's.
  expect(script.core.model().clockOffset).toBe(90_000);
});

describe("nonsense from the server", () => {
  const nonsense: [string, Uint8Array][] = [
    ["an empty message", new Uint8Array(0)],
    ["no JSON", Uint8Array.from([255, 123])],
    ["no UTF-8", Uint8Array.from([255, 34, 255, 34])],
    ["no type", control({})],
    ["a wrong field", control({ type: "input_ack", paneId: "a", position: -1 })],
    ["a second state", control(stateOf(["a"]))],
    ["an acknowledgement of what was never sent", control({ type: "input_ack", paneId: "a", position: 1 })],
  ];

  test.each(nonsense)("%s ends the connection and nothing else", (_, frame) => {
    const script = greeted();
    script.environment.socket.receive(frame);
    expect(status(script)).toBe("waiting");
    expect(script.environment.socket.closed).toBe(true);
    script.environment.advance(2000);
    script.greet(stateOf(["a"]));
    expect(status(script)).toBe("connected");
  });

  test("anything before state ends the connection", () => {
    const script = new Script();
    script.start();
    script.environment.socket.open();
    script.say({ type: "pong", time: 1, now: 1 });
    expect(status(script)).toBe("waiting");
  });

  test("a connect that is refused is tried again slowly", () => {
    const script = new Script();
    script.start();
    script.environment.socket.open();
    script.say({ type: "error", code: "invalid", message: "No.", request: "connect" });
    expect(script.core.model().connection).toMatchObject({ status: "waiting", attempt: 2 });
  });

  test("a type or a field that is not known yet is passed over", () => {
    const script = greeted();
    script.say({ type: "sandbox_weather", sun: true });
    script.say({ type: "pong", time: script.environment.now(), now: 1, mood: "good" });
    script.say({ type: "constructor" });
    expect(status(script)).toBe("connected");
  });
});

describe("stop", () => {
  test("closes the socket and leaves no timer", () => {
    const script = greeted();
    script.core.stop();
    expect(script.environment.socket.closed).toBe(true);
    expect(script.environment.timers).toBe(0);
    script.core.type("a", bytes("x"));
    script.core.tryNow();
    expect(script.environment.sockets.length).toBe(1);
  });

  test("can be followed by another start", () => {
    const script = greeted();
    script.core.stop();
    script.start();
    script.greet(stateOf(["a"]));
    expect(status(script)).toBe("connected");
    expect(script.core.pane("a").connected).toBe(true);
  });
});
