"""From a key in a sleeping pane to its first echo, in a container, against doing that by hand with the daemon's API.

By hand means: start the container and run the same shell in it on a terminal, or let it go on, and wait for the echo.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiodocker

from bench.report import Figure, median
from bench.servers import start
from bench.ws_client import WormuxClient
from tests.podman import IMAGE, Podman, own_podman

SHELL = "bash --norc --noprofile"
PROMPT = re.compile(rb"[$#] \Z")
ANY_PROMPT = re.compile(rb"[$#] ")
WAKES = 5
PAUSE_S = 0.5
"""Asleep for so long before the key: nobody types in the instant of falling asleep."""


def measure(rounds: int) -> list[Figure]:
    """Milliseconds, medians."""
    with own_podman(IMAGE) as podman:
        floor_start, floor_unpause, stopped, paused = [], [], [], []
        for _ in range(rounds):
            by_hand = asyncio.run(_by_hand(podman))
            floor_start += by_hand[0]
            floor_unpause += by_hand[1]
            stopped += _wormux(podman, "stop")
            paused += _wormux(podman, "freeze")
    return [
        Figure("container by hand: start, run a shell, first prompt", 1e3 * median(floor_start), "ms"),
        Figure("stopped container: key to prompt", 1e3 * median(stopped), "ms"),
        Figure("stopped container: key to prompt / by hand", median(stopped) / median(floor_start), "×"),
        Figure("container by hand: unpause, first echo", 1e3 * median(floor_unpause), "ms"),
        Figure("paused container: key to first echo", 1e3 * median(paused), "ms"),
        Figure("paused container: key to first echo / by hand", median(paused) / median(floor_unpause), "×"),
    ]


async def _by_hand(podman: Podman) -> tuple[list[float], list[float]]:
    """Times from stopped and from paused."""
    starts, unpauses = [], []
    config: dict[str, Any] = {
        "Image": IMAGE,
        "Cmd": ["sleep", "1000"],
        "HostConfig": {"NetworkMode": "none", "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"]},
    }
    async with aiodocker.Docker(url=f"unix://{podman.socket}", api_version="v1.41") as docker:
        container = await docker.containers.create(config)
        for _ in range(WAKES):
            began = time.perf_counter()
            await container.start()
            shell = await container.exec(SHELL.split(), stdin=True, tty=True, environment={"TERM": "xterm"})
            async with shell.start() as stream:
                seen = b""
                while not PROMPT.search(seen):
                    seen += await _read(stream)
                starts.append(time.perf_counter() - began)
                await container.pause()
                await asyncio.sleep(PAUSE_S)
                began = time.perf_counter()
                await container.unpause()
                await stream.write_in(b"x")
                await _read(stream)
                unpauses.append(time.perf_counter() - began)
            await container.kill()
            await container.wait()
        await container.delete(force=True)
    return starts, unpauses


async def _read(stream: aiodocker.stream.Stream) -> bytes:
    message = await stream.read_out()
    assert message is not None
    return message.data


def _wormux(podman: Podman, sleep_mode: str) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="wormux-bench-") as folder:
        file = Path(folder, "wormux.toml")
        file.write_text(
            'provider = "container"\n'
            f'sleep_mode = "{sleep_mode}"\n'
            "[provider_options.container]\n"
            f'image = "{IMAGE}"\nsocket = "{podman.socket}"\nnetwork = "none"\n'
        )
        data_dir = str(Path(folder, "data"))
        process, server = start(data_dir, SHELL, "--config", str(file))
        try:
            client = server.client()
            client.wait_status("connected")
            output = client.output()
            client.type(b"\r")  # the first prompt may have come before the state
            _until(output.__next__, ANY_PROMPT)
            is_frozen = sleep_mode == "freeze"
            times = [_wake(client, output.__next__, is_frozen=is_frozen) for _ in range(WAKES)]
            client.close()
        finally:
            process.terminate()
            process.communicate()
            podman.clear()
    return times


def _wake(client: WormuxClient, read: Callable[[], memoryview], *, is_frozen: bool) -> float:
    session = client.state["sessions"][0]["id"]
    client.request({"type": "session_sleep", "sessionId": session, "force": True})
    client.wait_status("asleep")
    time.sleep(PAUSE_S)
    began = time.perf_counter()
    if is_frozen:
        client.type(b"x")
        _until(read, re.compile(rb"x"))
        took = time.perf_counter() - began
    else:
        client.type(b"\r")
        seen = _until(read, PROMPT)
        took = time.perf_counter() - began
        while len(ANY_PROMPT.findall(seen)) < 2:  # the key itself: else it would wake the pane again
            seen += bytes(read())
    client.wait_status("connected")
    return took


def _until(read: Callable[[], memoryview], what: re.Pattern[bytes]) -> bytes:
    seen = b""
    while not what.search(seen):
        seen += bytes(read())
    return seen
