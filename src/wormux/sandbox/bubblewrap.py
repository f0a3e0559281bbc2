"""Runs bubblewrap and tells how what it runs ends. Which files and namespaces there are is decided in `isolation`."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wormux.errors import SandboxError
from wormux.limits import WAKE_WITHIN_S
from wormux.sandbox.isolation import Descriptors, Isolation
from wormux.sandbox.life import Life, is_alive
from wormux.sandbox.seccomp import refusals
from wormux.sandbox.spare import inheritable_descriptors

_FIRST_FD = 10
"""Descriptors that a sandbox is started with come after those that a shell's redirections use."""
_INFO_BYTES = 4096
_BY_SIGNAL = 128
"""Added to a signal's number where a status tells of one."""


class KeptLife(Life):
    """Of a process whose parent is our child, waits for it and ends with its status, as shells tell it."""

    def __init__(self, pid: int, keeper: int) -> None:
        self._keeper = keeper
        self._keeper_fd: int | None = os.pidfd_open(keeper)
        self._is_over = False
        super().__init__(pid)
        self._loop.add_reader(self._keeper_fd, self._keeper_exited)

    def unwatch(self) -> None:
        super().unwatch()
        self._unwatch_keeper()

    def _exited(self) -> None:
        super().unwatch()
        self._is_over = True
        if self._keeper_fd is None:  # somebody killed the keeper before: nobody knows how this one ended
            self._end(None)

    def _keeper_exited(self) -> None:
        self._unwatch_keeper()
        _, status = os.waitpid(self._keeper, os.WNOHANG)
        if self._is_over or not is_alive(self.pid):
            super().unwatch()
            code = os.waitstatus_to_exitcode(status)
            self._end(code - _BY_SIGNAL if code > _BY_SIGNAL else status)

    def _unwatch_keeper(self) -> None:
        if self._keeper_fd is not None:
            self._loop.remove_reader(self._keeper_fd)
            os.close(self._keeper_fd)
            self._keeper_fd = None


@dataclass
class Start:
    """Bubblewrap, which was started; what it runs waits for an order."""

    pid: int
    _info: int
    _orders: int

    async def life(self) -> Life:
        """Of the first process inside, once there is one. Raises `SandboxError`; then nothing is left of it."""
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()
        loop.add_reader(self._info, arrived.set)
        text = b""
        try:
            async with asyncio.timeout(WAKE_WITHIN_S):
                while not text.rstrip().endswith(b"}"):
                    await arrived.wait()
                    arrived.clear()
                    read = os.read(self._info, _INFO_BYTES)
                    if not read:
                        return Life(self.pid)  # it ends: why stands in the notes
                    text += read
        except BaseException as error:
            life = Life(self.pid)
            os.close(
                self._orders
            )  # without an order, what runs inside ends by itself, and so does bubblewrap
            if isinstance(error, TimeoutError):
                life.send(signal.SIGKILL)
                raise SandboxError(f"The sandbox did not start within {WAKE_WITHIN_S:g} seconds.") from None
            raise
        finally:
            loop.remove_reader(self._info)
            os.close(self._info)
        return KeptLife(int(json.loads(text)["child-pid"]), self.pid)

    def go(self, order: bytes) -> None:
        """Give the order. One that is dead already is found out by its silence."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._orders, order)
        os.close(self._orders)

    def wait(self, timeout_s: float) -> int:
        """After an order to end at once. Blocks until it has, and gives its status; kills it if that takes longer."""
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, self._info)
            ended = os.pidfd_open(self.pid)
            stack.callback(os.close, ended)
            if not select.select([ended], [], [], timeout_s)[0]:
                os.kill(self.pid, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def start(
    isolation: Isolation,
    passwd: bytes,
    env: Mapping[str, str],
    home: Path,
    state: Path,
    notes: int,
    kept: Sequence[int],
    entering: Callable[[Sequence[str]], list[str]] = list,
) -> Start:
    """Run bubblewrap with these descriptors, `kept` under their own numbers. `entering` puts something before its
    command. Raises `SandboxError`."""
    seccomp = refusals(os.uname().machine)
    assert seccomp is not None, "this was found out when isolation was prepared"
    info, info_of_child = os.pipe()
    orders_of_child, orders = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, info_of_child)
        stack.callback(os.close, orders_of_child)
        descriptors = Descriptors(
            seccomp=_data(seccomp, stack),
            passwd=_data(passwd, stack),
            group=_data(isolation.group(), stack),
            info=high(info_of_child, stack),
        )
        # With the other end in its own hands, it does not die of writing to a server that is gone: what it has forked
        # by then would wait for it for ever.
        held = high(info, stack)
        kept = [*kept, held, descriptors.seccomp, descriptors.passwd, descriptors.group, descriptors.info]
        command = entering(isolation.command(home, state, descriptors))
        try:
            pid = os.posix_spawn(
                command[0],
                command,
                env,
                file_actions=[
                    *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in inheritable_descriptors(2)),
                    (os.POSIX_SPAWN_DUP2, orders_of_child, 0),
                    (os.POSIX_SPAWN_DUP2, notes, 1),
                    (os.POSIX_SPAWN_DUP2, notes, 2),
                    *((os.POSIX_SPAWN_DUP2, descriptor, descriptor) for descriptor in kept),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
            )
        except OSError as error:
            os.close(info)
            os.close(orders)
            raise SandboxError(f"Bubblewrap cannot be run: {error.strerror}.") from error
    return Start(pid, info, orders)


def high(descriptor: int, stack: contextlib.ExitStack) -> int:
    """The same file under a number that is out of everybody's way."""
    number = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_FD)
    stack.callback(os.close, number)
    return number


def _data(content: bytes, stack: contextlib.ExitStack) -> int:
    """A file of this content that is nowhere."""
    descriptor = os.memfd_create("wormux")
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return high(descriptor, stack)
    finally:
        os.close(descriptor)
