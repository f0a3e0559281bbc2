import { describe, expect, test } from "vitest";
import { retryDelayMs } from "./backoff";
import { CONNECT_WITHIN_MS } from "./connection";
import { BEAT_MS, SILENCE_IN_DOUBT_MS, SILENCE_MS } from "./heartbeat";
import { SimEnvironment } from "./testing/environment";
import { bytes, control, Script, stateOf, updateOf } from "./testing/script";

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
      script.environment.advance(wentOn ? 0 : BEAT_MS);
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
