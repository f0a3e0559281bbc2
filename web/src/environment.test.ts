import { expect, test } from "vitest";
import { socketAddress } from "./environment";

test("the socket lies beside the page, under any prefix", () => {
  expect(socketAddress("http://127.0.0.1:8022/")).toBe("ws://127.0.0.1:8022/ws");
  expect(socketAddress("https://example.org/tools/wormux/?token=x#y")).toBe(
    "wss://example.org/tools/wormux/ws",
  );
});
