import { expect, test } from "vitest";
import { bytes, paneInfo, replayOf, Script, stateOf, updateOf } from "./testing/script";
import { RecordingSink } from "./testing/sink";

test("a page connects, shows a pane, types and reads", () => {
  const script = new Script();
  const { core } = script;
  expect(core.model().known).toBe(false);
  script.start();
  expect(core.model().connection).toEqual({ status: "connecting", attempt: 1 });
  script.environment.socket.open();
  expect(script.messages()).toEqual([
    {
      type: "connect",
      width: 1000,
      height: 700,
      clientId: script.environment.storedId,
      resume: {},
      input: {},
      flow: true,
      colors: null,
    },
  ]);

  const state = stateOf(["a"], { rev: 7 });
  script.say(state, replayOf("a", 0, { bytes: 4, reset: true, position: 100 }));
  script.output(0, "$ vi");
  expect(script.messages()).toEqual([{ type: "layout_ack", rev: 7 }]);
  expect(core.model()).toMatchObject({ known: true, activeTab: "tab-a", tabs: state.tabs });
  expect(core.pane("a")).toEqual({
    id: "a",
    connected: true,
    info: paneInfo(),
    channel: 0,
    unacked: 0,
    unackedKeys: 0,
    discarded: [],
  });

  const sink = new RecordingSink();
  core.attach("a", sink);
  expect(sink.drawings).toEqual([
    { type: "reset" },
    { type: "resize", size: "80x24" },
    { type: "write", text: "$ vi" },
  ]);
  sink.draw();
  expect(script.messages()).toEqual([{ type: "output_ack", paneId: "a", position: 100 }]);

  core.type("a", bytes("ls\r"));
  expect(script.typed()).toEqual(["0:ls\r"]);
  expect(core.pane("a")).toMatchObject({ unacked: 3, unackedKeys: 1 });
  script.say({ type: "input_ack", paneId: "a", position: 3 });
  expect(core.pane("a")).toMatchObject({ unacked: 0, unackedKeys: 0 });

  script.say(
    updateOf(state, { rev: 8, connected: { a: false }, panes: { a: paneInfo({ status: "asleep" }) } }),
  );
  expect(script.messages()).toEqual([{ type: "layout_ack", rev: 8 }]);
  expect(core.pane("a")).toMatchObject({ connected: false, info: { status: "asleep" } });
});
