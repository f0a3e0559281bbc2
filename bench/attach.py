"""Attaching: to a pane with a long past, and to many panes at once."""

from __future__ import annotations

import concurrent.futures
import subprocess
import time
from pathlib import Path

from bench.report import Figure, median
from bench.servers import Server, wormux
from bench.ws_client import WormuxClient

LINES = 10_000
PANES = 200
CLIENTS = 20
END = b"that-was-all"
LINE = r"\033[32m%6d\033[m the quick brown fox jumps over the lazy dog\n"
FLOOD = (
    f"stty -echo; read go; i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); printf '{LINE}' $i; done; "
    "printf %s that-was-'all'; read end"
)


def measure(rounds: int) -> list[Figure]:
    """Milliseconds, kilobytes, and what a redraw saves."""
    return _one_pane(rounds) + _many_panes()


def _one_pane(rounds: int) -> list[Figure]:
    screen, deep, raw = [], [], []
    drawn = drawn_deep = replayed = b""
    with wormux(f'sh -c "{FLOOD}"') as server:
        client = server.client()
        client.wait_status("connected")
        client.type(b"\n")
        _until_end(client)
        for number in range(max(5, rounds)):
            started = time.perf_counter()
            late = server.client(f"late-{number}")
            drawn = late.redraws(1)
            screen.append(time.perf_counter() - started)
            started = time.perf_counter()
            late.ask({"type": "pane_redraw", "paneId": late.pane_id, "lines": LINES})
            drawn_deep = late.redraws(1)
            deep.append(time.perf_counter() - started)
            late.close()
            started = time.perf_counter()
            behind = server.client(f"behind-{number}", resume={client.pane_id: 0})
            replayed = _until_end(behind)
            raw.append(time.perf_counter() - started)
            behind.close()
        client.close()
    first_ms = 1000 * median(screen) + _parsed_ms(drawn)
    raw_ms = 1000 * median(raw) + _parsed_ms(replayed)
    return [
        Figure(f"attach to {LINES} lines, until the page's terminal has the screen", first_ms, "ms"),
        Figure("attach, until the bytes are here", 1000 * median(screen), "ms"),
        Figure("attach, bytes of that", len(drawn) / 1000, "kB"),
        Figure("attach, until all lines that fit are here too", 1000 * median(deep), "ms"),
        Figure("attach, bytes of that", len(drawn_deep) / 1000, "kB"),
        Figure("attach, by all raw bytes instead", raw_ms, "ms"),
        Figure("attach, until the bytes are here", 1000 * median(raw), "ms"),
        Figure("attach, bytes of that", len(replayed) / 1000, "kB"),
        Figure("attach, screen / raw bytes", first_ms / raw_ms, "×", aim="< 1"),
    ]


def _parsed_ms(data: bytes) -> float:
    """What the page's terminal takes to read that, without drawing it."""
    command = ["node", str(Path(__file__).with_name("parse.mjs"))]
    return float(subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout)


def _until_end(client: WormuxClient) -> bytes:
    """Read until the end mark; what came."""
    data = bytearray()
    for piece in client.output():
        data += piece
        if END in data[-len(piece) - len(END) :]:
            client.acknowledge()
            break
    return bytes(data)


def _many_panes() -> list[Figure]:
    with wormux("sh -c \"stty -echo; seq 300; printf 'ready'; read end\"") as server:
        client = server.client()
        session = client.state["sessions"][0]["id"]
        for _ in range(PANES - 1):
            client.request({"type": "tab_create", "sessionId": session, "cols": 80, "rows": 24})
        while not all(client.state["connected"].values()) or len(client.state["connected"]) < PANES:
            client.request({"type": "pane_focus", "paneId": client.pane_id})
        client.close()
        one_s = _attach(server, "one")
        started = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as threads:
            each_s = list(threads.map(lambda number: _attach(server, f"many-{number}"), range(CLIENTS)))
        all_s = time.perf_counter() - started
    return [
        Figure(f"{PANES} panes attached by one client", 1000 * one_s, "ms"),
        Figure(f"{PANES} panes attached by {CLIENTS} clients at once, until the last", 1000 * all_s, "ms"),
        Figure("the same, the median client", 1000 * median(each_s), "ms"),
    ]


def _attach(server: Server, client_id: str) -> float:
    started = time.perf_counter()
    client = server.client(client_id)
    client.redraws(PANES)
    client.close()
    return time.perf_counter() - started
