"""A page of another server in a browser that is logged in here. On the same host, so that the browser sends the cookie:
what SameSite keeps back needs no defence of ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from wormux.testing.server_process import ServerProcess

from .kit import OpenPage

TRY = """
async (url) => {
  const socket = (address) => new Promise((resolve) => {
    const socket = new WebSocket(address);
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve("error");
  });
  const ask = (path, options) =>
    fetch(url + path, { credentials: "include", ...options }).then((answer) => answer.type, () => "refused");
  const frame = document.createElement("iframe");
  const framed = new Promise((resolve) => (frame.onload = resolve));
  frame.src = url;
  document.body.append(frame);
  await framed;
  const script = (path) => new Promise((resolve) => {
    const script = document.createElement("script");
    script.onload = () => resolve("loaded");
    script.onerror = () => resolve("refused");
    script.src = url + path;
    document.head.append(script);
  });
  let inside = "shut";
  try {
    inside = frame.contentWindow.document.title;
  } catch {}
  return {
    socket: await socket(url.replace("http", "ws") + "/ws"),
    page: await ask("/", {}),
    metrics: await ask("/metrics", {}),
    rotate: await ask("/control/rotate-token", { method: "POST", mode: "no-cors" }),
    script: await script("/metrics"),
    inside,
    frames: frame.contentWindow.length,
  };
}
"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>foreign</title>")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def foreign_url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Page) as site:
        serving = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield f"http://127.0.0.1:{site.server_port}/"
        site.shutdown()
        serving.join()


def test_it_gets_in_nowhere(server: ServerProcess, open_page: OpenPage, foreign_url: str) -> None:
    ui = open_page(server)
    ui.at_prompt()
    cookies = ui.page.context.cookies(server.url)
    assert [(cookie["httpOnly"], cookie["sameSite"]) for cookie in cookies] == [(True, "Strict")]
    for expected in (
        r"WebSocket connection to",
        r"CORS policy",
        r"Failed to load resource",
        r"[Ff]rame|frame-ancestors",
    ):
        ui.allow(expected)
    sent = []
    ui.page.on("request", lambda request: sent.append((request.url, request.all_headers())))
    ui.page.goto(foreign_url)
    got = ui.page.evaluate(TRY, server.url)
    assert got == {
        "socket": "error",
        "page": "refused",
        "metrics": "refused",
        "rotate": "refused",
        "script": "refused",
        "inside": "shut",
        "frames": 0,
    }
    # The cookie was there to be used: this browser is let in by our own page, without the token.
    assert any("cookie" in headers for url, headers in sent if url.startswith(server.url))
    ui.page.goto(server.url)
    ui.at_prompt()
