"""A real agent, and a scripted server's end of its link: blocking sockets, every wait with a deadline."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from wormux.protocol.agent_link import (
    Attach,
    Busy,
    Ended,
    Foreground,
    FrameReader,
    Hello,
    Input,
    InputAck,
    Message,
    Open,
    Opened,
    Output,
    Ready,
    Refused,
    SizeMark,
    Sleep,
    Stopped,
    TerminalInfo,
    Welcome,
    encode,
)

SOURCES = Path(__file__).parents[2] / "src"
DEADLINE_S = 20.0
BASH = ("/bin/bash", "--norc", "--noprofile", "-i")
PLAIN = {"PS1": "$ ", "HISTFILE": "", "INPUTRC": str(Path(__file__).with_name("inputrc"))}
"""What makes a shell's output the same everywhere."""
_marks = itertools.count()

M = TypeVar("M", bound=Message)
L = TypeVar("L", bound="Link")


class Late(AssertionError):
    """What was waited for did not come in time."""


def until(holds: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait for something that no event tells, like a process's end."""
    deadline = time.monotonic() + deadline_s
    pause = select.poll()
    while not holds():
        if time.monotonic() > deadline:
            raise Late(what)
        pause.poll(2)


class Link:
    """One connection to an agent."""

    def __init__(self, path: Path, role: str | None) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(path))
        self.messages: list[Message] = []
        """Everything received, in order, but output."""
        self.is_closed = False
        self._frames = FrameReader()
        if role is not None:
            self.send(Hello(role))

    def send(self, *messages: Message) -> None:
        self.socket.settimeout(DEADLINE_S)
        self.socket.sendall(b"".join(encode(message) for message in messages))

    def receive(self, deadline: float) -> None:
        """Take what comes next; notices the end in `is_closed`."""
        self.socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            data = self.socket.recv(1 << 20)
        except TimeoutError:
            raise Late(f"nothing more after {self.messages[-5:]}") from None
        except ConnectionResetError:
            data = b""
        self.is_closed = not data
        for message in self._frames.feed(data):
            self.on_message(message)

    def on_message(self, message: Message) -> None:
        self.messages.append(message)

    def until(self, holds: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
        """Receive until it holds."""
        deadline = time.monotonic() + deadline_s
        while not holds():
            if self.is_closed:
                raise Late(f"closed after {self.messages[-5:]}")
            self.receive(deadline)

    def await_close(self, deadline_s: float = DEADLINE_S) -> None:
        """Receive until the agent closes."""
        deadline = time.monotonic() + deadline_s
        while not self.is_closed:
            self.receive(deadline)

    def all_of(self, message_type: type[M]) -> list[M]:
        return [message for message in self.messages if isinstance(message, message_type)]

    def next(self, message_type: type[M], deadline_s: float = DEADLINE_S) -> M:
        """The first of its kind that has not been asked for yet; it is taken out of `messages`."""
        self.until(lambda: bool(self.all_of(message_type)), deadline_s)
        message = self.all_of(message_type)[0]
        self.messages.remove(message)
        return message

    def close(self) -> None:
        self.socket.close()


class Pane(Link):
    """The connection of one pane, with its output put together."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "pane")
        self.opened: Opened | None = None
        self.output = bytearray()
        self.typed = 0
        self.largest_frame = 0

    @property
    def position(self) -> int:
        """Of the next output byte."""
        assert self.opened is not None
        return self.opened.position + len(self.output)

    def on_message(self, message: Message) -> None:
        if isinstance(message, Output):
            self.output += message.data
            self.largest_frame = max(self.largest_frame, len(message.data))
            return
        if isinstance(message, Opened):
            self.opened = message
        if isinstance(message, (SizeMark, Ended)):
            assert message.position == self.position, "a frame out of its place"
        super().on_message(message)

    def await_opened(self) -> Opened:
        self.until(lambda: self.opened is not None or bool(self.all_of(Refused)))
        assert self.opened is not None, self.messages
        return self.opened

    def await_ready(self) -> None:
        if not self.await_opened().ready:
            self.next(Ready)

    def await_output(self, text: bytes, deadline_s: float = DEADLINE_S) -> None:
        """Receive until `text` has been written; it and all before is left behind by the next call."""
        self._seen = self.find(text, deadline_s)

    _seen = 0

    def find(self, text: bytes, deadline_s: float = DEADLINE_S) -> int:
        try:
            self.until(lambda: self.output.find(text, self._seen) >= 0, deadline_s)
        except Late as error:
            raise Late(f"no {text!r} in {bytes(self.output[self._seen :])[-2000:]!r}, {error}") from None
        return self.output.find(text, self._seen) + len(text)

    def type(self, text: bytes, client_id: str = "client") -> None:
        """Send as the next input of this client."""
        self.send(Input(client_id, self.typed, text))
        self.typed += len(text)

    def await_acked(self, position: int, client_id: str = "client") -> None:
        self.until(
            lambda: any(m.client_id == client_id and m.position >= position for m in self.all_of(InputAck))
        )

    def await_foreground(self, command: str) -> Foreground:
        def found() -> bool:
            changes = self.all_of(Foreground)
            return bool(changes) and changes[-1].command == command

        self.until(found)
        return self.all_of(Foreground)[-1]


class Control(Link):
    """The control connection."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "control")
        self.welcome = self.next(Welcome)

    def await_busy(self, sentence: str | None) -> Busy:
        def found() -> bool:
            changes = self.all_of(Busy)
            return bool(changes) and changes[-1].sentence == sentence

        self.until(found)
        return self.all_of(Busy)[-1]

    def sleep(self, force: bool = False) -> Refused | Stopped:
        self.messages = [m for m in self.messages if not isinstance(m, Refused)]
        self.send(Sleep(force))
        self.until(lambda: bool(self.all_of(Refused) or self.all_of(Stopped)))
        return next(m for m in reversed(self.messages) if isinstance(m, (Refused, Stopped)))


class Agent:
    """An agent process with its own directories. Leaving the context ends it and what it started."""

    def __init__(
        self,
        *arguments: str,
        directory: Path | None = None,
        prefix: tuple[str, ...] = (),
        python: str = sys.executable,
        sources: Path = SOURCES,
        inherits: tuple[int, ...] = (),
    ) -> None:
        """`inherits`: descriptors, which `arguments` say the meaning of."""
        # Not pytest's directory: the path of a socket must be short.
        self.directory = directory or Path(tempfile.mkdtemp(prefix="wx-"))
        self.data_dir = self.directory / "data"
        self.data_dir.mkdir(exist_ok=True)
        self.socket = self.directory / "run" / "a.sock"
        self.mark = f"{os.getpid()}-{next(_marks)}"
        self._links: list[Link] = []
        reader, writer = os.pipe()
        environment = {
            **os.environ,
            "PYTHONPATH": str(sources),
            "AGENT_TEST": self.mark,
            "WORMUX_SECRET": "x",
        }
        command = [python, "-X", "dev", "-W", "error", "-m", "wormux.agent"]
        where = ["--data-dir", str(self.data_dir), "--ready-fd", str(writer)]
        if "--listen-fd" not in arguments:
            where += ["--socket", str(self.socket)]
        self.process = subprocess.Popen(
            [*prefix, *command, *where, *arguments],
            env=environment,
            pass_fds=[writer, *inherits],
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        os.close(writer)
        with os.fdopen(reader, "rb") as ready:
            self.said = ready.readline().decode().rstrip("\n")

    def control(self) -> Control:
        return self._keep(Control(self.socket))

    def pane(self) -> Pane:
        return self._keep(Pane(self.socket))

    def terminals(self) -> tuple[TerminalInfo, ...]:
        """What it has now, as a new control connection is told."""
        control = Control(self.socket)
        control.close()
        return control.welcome.terminals

    def stranger(self) -> Link:
        """A connection that has not said what it is."""
        return self._keep(Link(self.socket, None))

    def _keep(self, link: L) -> L:
        self._links.append(link)
        return link

    def open(self, pane_id: str = "p1", *, argv: tuple[str, ...] = BASH, **fields: object) -> Pane:
        """A pane with a shell that has started."""
        pane = self.pane()
        request: dict[str, object] = {
            "generation": 1, "cols": 80, "rows": 24, "position": 0, "preamble": b"", "env": PLAIN, **fields,
        }  # fmt: skip
        pane.send(Open(pane_id=pane_id, argv=argv, **request))  # type: ignore[arg-type]
        pane.await_opened()
        return pane

    def attach(self, pane_id: str = "p1", position: int = 0, generation: int = 1) -> Pane:
        pane = self.pane()
        pane.send(Attach(pane_id, generation, position))
        pane.await_opened()
        return pane

    def shell(self, pane_id: str = "p1", **fields: object) -> Pane:
        """A pane with bash at its prompt."""
        pane = self.open(pane_id, **fields)  # type: ignore[arg-type]
        pane.await_ready()
        pane.await_output(b"$ ")
        return pane

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        """Its exit status."""
        return self.process.wait(deadline_s)

    def descendants(self) -> dict[int, str]:
        """Pid and name of every process that inherited this agent's mark, the agent aside."""
        wanted = f"AGENT_TEST={self.mark}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.process.pid:
                with contextlib.suppress(OSError):
                    if wanted in (entry / "environ").read_bytes().split(b"\0"):
                        found[int(entry.name)] = (entry / "comm").read_text().strip()
        return found

    def end(self) -> str:
        """Kill what is left; what the agent wrote to stderr."""
        for link in self._links:
            link.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            _, errors = self.process.communicate(timeout=DEADLINE_S)
        finally:
            self.process.kill()
            for pid in self.descendants():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.directory, ignore_errors=True)
        return errors.decode()

    def __enter__(self) -> Self:
        assert self.said == "ready", self.said
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        left_before = self.descendants() if self.process.poll() is not None else {}
        errors = self.end()
        if failure is None:
            assert not left_before, f"the agent left {left_before}"
            assert self.process.returncode in (0, -signal.SIGKILL), errors
            assert "Traceback" not in errors, errors
