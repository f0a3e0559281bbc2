"""How long a key takes to be seen, measured by a client that does nothing else, in a process of its own.

`EchoProbe` is the handle; `python -m wormux.testing.load.echo` is the process: it takes an order and then words, one a
line, on its input, and answers with what it measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time

import uvloop

from wormux.errors import InternalError
from wormux.testing.errors import TooLate
from wormux.testing.load.client import WITHIN_S, LoadClient

PAUSE_S = 0.05
"""Between two keys: a fast typist, and 20 samples a second."""
_KEYS = (b"x", b"\x7f")
"""The second takes the first back, so that the shell's line stays as it is."""
_ANSWER_WITHIN_S = 2 * WITHIN_S
_LINE_BYTES = 16 * 1024 * 1024


class EchoProbe:
    """A client of its own process that types into one pane between `begin` and `end`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, url: str, token: str, pane: str) -> EchoProbe:
        """Attached; it types nothing yet."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "wormux.testing.load.echo",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
        )
        probe = cls(process)
        await probe._say(json.dumps([url, token, pane]))
        await probe._answer()
        return probe

    async def begin(self) -> None:
        await self._say("begin")
        await self._answer()

    async def end(self) -> list[float]:
        """Seconds from each key since `begin` to its echo."""
        await self._say("end")
        return [float(sample) for sample in await self._answer()]

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        with contextlib.suppress(ConnectionError):  # The answer tells.
            await self._process.stdin.drain()

    async def _answer(self) -> list[float]:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise TooLate(f"No echo was measured within {_ANSWER_WITHIN_S:g} s.") from None
        if not line:
            raise InternalError("The process that measures echo has ended; what it wrote to stderr says why.")
        answer: list[float] = json.loads(line)
        return answer


async def main() -> None:
    """The process: until its input ends."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    url, token, pane = json.loads(await lines.readline())
    client = LoadClient(url, token, flow=True)
    await client.connect()
    await client.wait_for(lambda: client.position(pane) > 0, "the pane that is typed into")
    samples: list[float] = []
    typing: asyncio.Task[None] | None = None
    _print([])
    while word := await lines.readline():
        if word == b"begin\n":
            samples.clear()
            typing = asyncio.create_task(_type(client, pane, samples))
            _print([])
        elif typing is not None:
            if typing.done():
                typing.result()
            typing.cancel()
            await asyncio.wait([typing])
            await client.wait_acked()
            _print(samples)
    client.close()


async def _type(client: LoadClient, pane: str, samples: list[float]) -> None:
    keys = 0
    while True:
        before = client.position(pane)
        started = time.perf_counter()
        client.type(pane, _KEYS[keys % 2])
        keys += 1
        await client.wait_for(lambda before=before: client.position(pane) > before, "the echo of a key")  # type: ignore[misc]
        samples.append(time.perf_counter() - started)
        await asyncio.sleep(PAUSE_S)


def _print(samples: list[float]) -> None:
    print(json.dumps(samples), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
