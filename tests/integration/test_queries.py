"""What programs ask of their terminal is answered once: whoever looks on, and by a server that was killed as well."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from wormux import __version__
from wormux.sandbox.processes import descendants
from wormux.screen.opening import has_emulator
from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import ServerProcess

from .kit import PROMPT, MakeServer, at_prompt, eventually, run

_ASKER = """
import os, select, sys, tty

folder = sys.argv[1]
tty.setraw(0)
heard = open(f"{folder}/heard", "ab", buffering=0)
os.write(1, b"\\x1b]133;B\\x07asking\\r\\n")
number = 0
while True:
    if os.path.exists(f"{folder}/ask-{number}"):
        os.write(1, open(f"{folder}/ask-{number}", "rb").read())
        number += 1
    if select.select([0], [], [], 0.005)[0]:
        heard.write(os.read(0, 65536))
"""

NAME = f"\x1bP>|Wormux {__version__}\x1b\\".encode()
BACKGROUND = b"\x1b]11;rgb:0a0a/0e0e/1212"

FISH = b"\x1b[?u\x1b[>0q\x1bP+q696e646e\x1b\\\x1bP+q71756572792d6f732d6e616d65\x1b\\\x1b]11;?\x1b\\\x1b[0c"
"""As fish 4 begins: keyboard, name, two capabilities, background, device attributes."""
FISH_HEARS = NAME + BACKGROUND + b"\x1b\\\x1b[?1;2c"

ALL = b"\x1b[H\x1b]11;?\x07\x1b[c\x1b[>c\x1b[6n\x1b[?2026$p\x1b[?2048$p\x1bP$qm\x1b\\\x1b]52;c;?\x07\x1b[21t\x1b[5n"
ALL_HEARS = (
    BACKGROUND + b"\x07\x1b[?1;2c\x1b[>0;276;0c\x1b[1;1R\x1b[?2026;2$y\x1b[?2048;0$y\x1bP1$r0m\x1b\\\x1b[0n"
)

pytestmark = pytest.mark.skipif(not has_emulator(), reason="the emulator has no build for this machine")

VIM = shutil.which("vim")
FISH_SHELL = shutil.which("fish")
CI = bool(os.environ.get("CI"))
"""There, what is missing is a failure."""


@dataclass
class Asker:
    """A program to be a pane's shell: it writes what the test wants asked, and keeps every byte that it reads."""

    folder: Path
    asked: int = 0

    @property
    def shell(self) -> str:
        self.folder.mkdir()
        script = self.folder / "asker.py"
        script.write_text(_ASKER)
        return shlex.join([sys.executable, "-I", str(script), str(self.folder)])

    def ask(self, questions: bytes) -> None:
        """Soon, whether anybody is there or not."""
        whole = self.folder / "next"
        whole.write_bytes(questions)
        whole.rename(self.folder / f"ask-{self.asked}")
        self.asked += 1

    @property
    def heard(self) -> bytes:
        path = self.folder / "heard"
        return path.read_bytes() if path.exists() else b""

    async def hears(self, expected: bytes) -> None:
        """That, and nothing else, since it began."""
        await eventually(lambda: len(self.heard) >= len(expected), f"{len(expected)} bytes of answers")
        assert self.heard == expected


async def asking(client: ScriptedClient) -> None:
    await client.wait_status(client.pane(), "connected")
    await client.wait_output(client.pane(), rb"asking\r\n")


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_an_answer_is_one_however_many_look(
    make_server: MakeServer, tmp_path: Path, count: int
) -> None:
    asker = Asker(tmp_path / "asker")
    server = make_server("--idle-timeout", "never", shell=asker.shell)
    async with ScriptedClient(server.url, server.token) as first:
        await asking(first)
    async with AsyncExitStack() as stack:
        for _ in range(count):
            client = await stack.enter_async_context(ScriptedClient(server.url, server.token))
            await client.wait_status(client.pane(), "connected")
        asker.ask(FISH)
        await asker.hears(FISH_HEARS)
        for times in range(1, 4):
            asker.ask(ALL)
            await asker.hears(FISH_HEARS + ALL_HEARS * times)


async def test_nothing_is_answered_again(make_server: MakeServer, tmp_path: Path) -> None:
    """Not by redraws, resumes, new pages, resizes, nor by a server that reads the log of the one before it."""
    asker = Asker(tmp_path / "asker")
    server = make_server("--idle-timeout", "never", shell=asker.shell)
    expected = b""

    async def ask() -> None:
        # Answers come in order: one that was given twice would stand before these.
        nonlocal expected
        expected += ALL_HEARS
        asker.ask(ALL)
        await asker.hears(expected)

    async with ScriptedClient(server.url, server.token) as client:
        await asking(client)
        pane = client.pane()
        asker.ask(b"\x1b[?2048h\x1b[?1004h\x1b[?2031h")
        await ask()
        await client.request("pane_redraw", pane_id=pane, lines=1000)
        await ask()
        for resume in (True, False):
            await client.cut()
            await client.reconnect(resume=resume)
            await client.wait_status(pane, "connected")
            await ask()
        async with ScriptedClient(server.url, server.token) as second:
            await second.wait_status(pane, "connected")
            await ask()
        await client.request("pane_resize", pane_id=pane, cols=100, rows=30)
        await ask()
        for _ in range(2):
            server.kill()
            await client.wait_closed()
            server.start()
            await client.reconnect(server.url)
            await client.wait_status(pane, "connected")
            await ask()


async def test_a_killed_server_owes_and_repeats_no_answer(make_server: MakeServer, tmp_path: Path) -> None:
    asker = Asker(tmp_path / "asker")
    server = make_server("--idle-timeout", "never", shell=asker.shell)
    expected = bytearray()
    index = 16

    async def ask(count: int) -> None:
        nonlocal index
        for _ in range(count):
            color = b"\x1b]4;%d;#0000%02x\x07" % (index, index)
            asker.ask(color + b"\x1b]4;%d;?\x07" % index)
            expected.extend(b"\x1b]4;%d;rgb:0000/0000/%02x%02x\x07" % (index, index, index))
            index += 1
            await asyncio.sleep(0)

    async with ScriptedClient(server.url, server.token) as client:
        await asking(client)
        for _ in range(5):
            await ask(20)
            server.kill()
            await client.wait_closed()
            await ask(10)
            server.start()
            await client.reconnect(server.url)
            await client.wait_status(client.pane(), "connected")
            await ask(10)
    await asker.hears(bytes(expected))


async def test_a_crashed_emulator_owes_and_repeats_no_answer(make_server: MakeServer, tmp_path: Path) -> None:
    asker = Asker(tmp_path / "asker")
    server = make_server("--idle-timeout", "never", shell=asker.shell)
    expected = b""
    async with ScriptedClient(server.url, server.token) as client:
        await asking(client)
        for _ in range(3):
            for _ in range(20):
                asker.ask(ALL)
                expected += ALL_HEARS
            assert _crash_emulators(server) > 0
            for _ in range(5):
                asker.ask(ALL)
                expected += ALL_HEARS
            await asker.hears(expected)


def _crash_emulators(server: ServerProcess) -> int:
    count = 0
    for pid in descendants(server.pid):
        with contextlib.suppress(OSError):
            if b"wormux.screen.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
                count += 1
    return count


async def test_colours_are_those_of_who_typed_last(make_server: MakeServer, tmp_path: Path) -> None:
    asker = Asker(tmp_path / "asker")
    server = make_server("--idle-timeout", "never", shell=asker.shell)
    light = {"foreground": "#101010", "background": "#ffffff", "cursor": "#203040"}
    dark = {"foreground": "#eeeeee", "background": "#000000", "cursor": "#a0b0c0"}
    async with (
        ScriptedClient(server.url, server.token) as by_day,
        ScriptedClient(server.url, server.token) as by_night,
    ):
        await asking(by_day)
        pane = by_day.pane()
        expected = b""
        await by_day.request("client_update", colors=light)
        await by_night.request("client_update", colors=dark)
        for client, answer in (
            (by_day, b"ffff/ffff/ffff"),
            (by_night, b"0000/0000/0000"),
            (by_day, b"ffff/ffff/ffff"),
        ):
            await client.type(pane, b"k")
            expected += b"k"
            await asker.hears(expected)
            asker.ask(b"\x1b]11;?\x07")
            expected += b"\x1b]11;rgb:%s\x07" % answer
            await asker.hears(expected)
        # The program's own colour is nobody's theme.
        asker.ask(b"\x1b]11;#123456\x07\x1b]11;?\x07")
        await asker.hears(expected + b"\x1b]11;rgb:1212/3434/5656\x07")


async def test_what_a_file_says_types_nothing(server: ServerProcess, tmp_path: Path) -> None:
    """Shown with `cat`, to a shell that would take an answer for something typed."""
    witness = tmp_path / "witness"
    command = f"touch {witness}".encode()
    hostile = tmp_path / "hostile"
    hostile.write_bytes(
        b"\x1b]2;\r" + command + b"\r\x07\x1b[21t\x1b[20t\x05"
        b"\x1bP$q\r" + command + b"\r\x1b\\\x1bP+q" + command.hex().encode() + b"\x1b\\"
        b"\x1b]52;c;dG91Y2g=\x07\x1b]52;c;?\x07\x1b_Gi=1,a=q;\r" + command + b"\r\x1b\\"
        b"\x1b[18t\x1b[?u\x1b]4;1;?\x07\x1b[=c\n"
    )
    async with ScriptedClient(server.url, server.token) as client:
        made = await client.request("session_create", name="hostile", cols=80, rows=24)
        assert made.pane_id is not None
        await at_prompt(client, made.pane_id)
        shown = await run(client, made.pane_id, f"cat {hostile}")
        assert shown.endswith(b"\n")
        # Had anything been typed, it would stand in this line.
        assert await run(client, made.pane_id, "echo $((40 + 2))") == b"42\r\n"
    assert not witness.exists()


@pytest.mark.skipif(VIM is None and not CI, reason="vim is not installed")
async def test_vim_learns_its_terminal_and_types_none_of_it(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server("--idle-timeout", "never")
    knows, text = tmp_path / "knows", tmp_path / "text"
    answers = "[v:termresponse, v:termrbgresp, v:termrfgresp]"
    tell = f"call timer_start(50, {{-> writefile({answers}, '{knows}')}}, {{'repeat': -1}})"
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await at_prompt(client, pane)
        await client.type(pane, f'vim -Nu NONE -i NONE -n -c "{tell}" {text}\n'.encode())
        expected = [b"\x1b[>0;276;0c", BACKGROUND + b"\x07", b"\x1b]10;rgb:dada/dede/e3e3\x07", b""]
        await eventually(
            lambda: knows.exists() and knows.read_bytes().split(b"\n") == expected, "vim's knowledge"
        )

        async def write(word: str) -> None:
            await client.wait_status(pane, "connected")
            await client.type(pane, f"o{word}\x1b:w\r".encode())
            await eventually(lambda: text.exists() and text.read_text().endswith(f"\n{word}\n"), word)

        await write("first")
        await client.request("pane_redraw", pane_id=pane, lines=10)
        await write("redrawn")
        await client.cut()
        await client.reconnect()
        await write("cut")
        server.kill()
        await client.wait_closed()
        server.start()
        await client.reconnect(server.url)
        await write("killed")
        assert text.read_text() == "\nfirst\nredrawn\ncut\nkilled\n"
        await client.type(pane, b":q\r")
        await client.wait_output(pane, PROMPT.encode())


@pytest.mark.skipif(FISH_SHELL is None and not CI, reason="fish is not installed")
async def test_fish_starts_without_waiting_for_answers(make_server: MakeServer) -> None:
    server = make_server("--idle-timeout", "never", shell="fish --no-config")
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await client.wait_status(pane, "connected")
        await client.type(pane, b"echo (math 40 + 2)\r")
        await client.wait_output(pane, rb"[\r\n]42\r\n")
        shown = bytes(client.outputs[pane].drawn)
        assert b"could not" not in shown
        assert b"1;2c" not in shown
