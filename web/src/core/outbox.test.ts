import { expect, test } from "vitest";
import { type ClientMessage, CONTROL_MESSAGES, CONTROL_MESSAGES_WITHIN_S } from "../protocol/wire";
import { BURST, Outbox, PER_SECOND } from "./outbox";
import { SimEnvironment } from "./testing/environment";

function outbox(): { environment: SimEnvironment; box: Outbox; sent: ClientMessage[] } {
  const environment = new SimEnvironment();
  const sent: ClientMessage[] = [];
  return { environment, box: new Outbox(environment, (message) => sent.push(message)), sent };
}

function request(ref: number): ClientMessage {
  return { type: "pane_wake", paneId: "a", ref: String(ref) };
}

test("whatever is asked, no ten seconds hold more than the server allows", () => {
  const { environment, box, sent } = outbox();
  const perStep: number[] = [];
  for (let step = 0; step < 300; step++) {
    const before = sent.length;
    for (let count = 0; count < 20; count++) box.send(request(step * 20 + count));
    environment.advance(100);
    perStep.push(sent.length - before);
  }
  const steps = CONTROL_MESSAGES_WITHIN_S * 10;
  for (let from = 0; from + steps <= perStep.length; from++) {
    const inWindow = perStep.slice(from, from + steps).reduce((sum, count) => sum + count, 0);
    expect(inWindow).toBeLessThanOrEqual(CONTROL_MESSAGES * 0.9 + 1);
  }
  expect(sent).toEqual(Array.from(sent, (_, index) => request(index)));
});

test("what waits goes out in order as soon as it may", () => {
  const { environment, box, sent } = outbox();
  for (let count = 0; count < BURST + PER_SECOND; count++) box.send(request(count));
  expect(sent.length).toBe(BURST);
  environment.advance(1000);
  expect(sent.length).toBe(BURST + PER_SECOND);
  expect(environment.timers).toBe(0);
});

test("a later acknowledgement takes the place of one that waits, pane by pane", () => {
  const { environment, box, sent } = outbox();
  for (let count = 0; count < BURST; count++) box.send(request(count));
  for (const position of [1, 2, 3]) {
    box.send({ type: "output_ack", paneId: "a", position });
    box.send({ type: "output_ack", paneId: "b", position });
  }
  environment.advance(1000);
  expect(sent.slice(BURST)).toEqual([
    { type: "output_ack", paneId: "a", position: 3 },
    { type: "output_ack", paneId: "b", position: 3 },
  ]);
});

test("what must not wait does not, and counts", () => {
  const { environment, box, sent } = outbox();
  for (let count = 0; count < BURST; count++) box.send(request(count));
  box.sendNow({ type: "layout_ack", rev: 1 });
  expect(sent.length).toBe(BURST + 1);
  box.send(request(BURST));
  environment.advance(1000 / PER_SECOND);
  expect(sent.length).toBe(BURST + 1);
  environment.advance(1000 / PER_SECOND);
  expect(sent.length).toBe(BURST + 2);
});

test("a new connection owes nothing", () => {
  const { environment, box, sent } = outbox();
  for (let count = 0; count < BURST + 5; count++) box.send(request(count));
  box.clear();
  expect(environment.timers).toBe(0);
  box.send(request(0));
  expect(sent.length).toBe(BURST + 1);
});
