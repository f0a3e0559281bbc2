import { expect, test, vi } from "vitest";
import { socketAddress, watchReturn } from "./environment";

test("the socket lies beside the page, under any prefix", () => {
  expect(socketAddress("http://127.0.0.1:8022/")).toBe("ws://127.0.0.1:8022/ws");
  expect(socketAddress("https://example.org/tools/wormux/?token=x#y")).toBe(
    "wss://example.org/tools/wormux/ws",
  );
});

test("the page notices that the network or the person is back", () => {
  const back = vi.fn();
  watchReturn(back);
  const visibility = vi.spyOn(document, "visibilityState", "get");
  visibility.mockReturnValue("hidden");
  document.dispatchEvent(new Event("visibilitychange"));
  window.dispatchEvent(new Event("offline"));
  window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: false }));
  expect(back).toHaveBeenCalledTimes(0);
  visibility.mockReturnValue("visible");
  document.dispatchEvent(new Event("visibilitychange"));
  expect(back).toHaveBeenCalledTimes(1);
  window.dispatchEvent(new Event("online"));
  expect(back).toHaveBeenCalledTimes(2);
  window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  document.dispatchEvent(new Event("resume"));
  expect(back).toHaveBeenCalledTimes(4);
});
