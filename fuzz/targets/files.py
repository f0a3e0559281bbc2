"""Small files that are read at a start, and what shells write into the agent's pipe.

The lock file, tokens, logins, what is kept of environments, a container's order to its agent: each may be cut off by a
full disk, or written by somebody else.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from fuzz.kit import SECRET, Target, joined, need, pieces, scratch
from wormux.agent.integration import restoring
from wormux.agent.keepsake import ENV_EXCLUDE, Blocks, Keepsake, Kept
from wormux.agent.loop import Loop
from wormux.agent.prompt import PROMPT_END, PromptMark
from wormux.errors import SetupError
from wormux.limits import ENVIRONMENT_BYTES, ENVIRONMENT_VARIABLES, LOGINS
from wormux.server.auth import Logins
from wormux.server.tokens import kept_token, make_control_token, read_control_token
from wormux.store.lock import DataDirLock, running_server

_PLAIN_WORDS = frozenset(
    b"__wormux_drop __wormux_put ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./:,+-_@\\$'\n"
)


def _lock(content: bytes, place: Path) -> None:
    path = place / "wormux.lock"
    path.write_bytes(content)
    with path.open("rb") as file:
        need(running_server(place) is None, "A file that nobody holds is no running server.")
        fcntl.flock(file, fcntl.LOCK_EX)
        str(running_server(place))
    lock = DataDirLock(place)
    lock.acquire()
    lock.set_address("http://127.0.0.1:1")
    lock.release()


def _token(content: bytes, place: Path) -> None:
    (place / "token").write_bytes(content)
    (place / "control-token").write_bytes(content)
    for read in (kept_token, read_control_token):
        with contextlib.suppress(SetupError):
            token = read(place)
            need(token and token.isprintable() and " " not in token, "A damaged token was taken.")
    make_control_token(place)


def _logins(content: bytes, _place: Path) -> None:
    logins = Logins("token", content, now_s=lambda: 1000.0)
    value = logins.new()
    need(logins.knows(value), "A login was forgotten at once.")
    need(not logins.knows(content.decode("latin-1")), "What was kept is no cookie.")
    again = Logins("token", logins.to_keep(), now_s=lambda: 1000.0)
    need(again.knows(value), "A login was lost over a restart.")
    need(len(json.loads(logins.to_keep())) <= LOGINS, "There are more logins than may be.")


def _kept(content: bytes, place: Path) -> None:
    directory = place / "panes" / "p"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "kept").write_bytes(content)
    loop = Loop()
    complaints: list[str] = []
    keepsake = Keepsake(loop, directory, 1, ENV_EXCLUDE, complaints.append)
    keepsake.end()
    _closed(loop)
    _restorable(keepsake.kept)


def _pipe(content: bytes, place: Path) -> None:
    """What shells, and any other program of theirs, write."""
    directory = place / "panes" / "q"
    directory.mkdir(parents=True, exist_ok=True)
    loop = Loop()
    keepsake = Keepsake(loop, directory, 2, ENV_EXCLUDE, lambda _sentence: None)
    writer = os.open(keepsake.pipe, os.O_WRONLY | os.O_NONBLOCK)
    cut = len(content) // 2
    for part in (content[:cut], content[cut:]):
        with contextlib.suppress(BlockingIOError):
            os.write(writer, part)
        keepsake.read()
    os.close(writer)
    keepsake.end()
    _closed(loop)
    _restorable(keepsake.kept)


def _blocks(content: bytes, _place: Path) -> None:
    """Nothing of a block that is too large is kept, however it arrives."""
    repeated = content * (1 + 3 * ENVIRONMENT_BYTES // (len(content) + 1) if content[:1] == b"*" else 1)
    blocks = Blocks(lambda: None)
    for at in range(0, len(repeated), 4096 if len(repeated) > 4096 else 7):
        for _kind, variables in blocks.feed(repeated[at : at + (4096 if len(repeated) > 4096 else 7)]):
            need(len(variables) <= ENVIRONMENT_VARIABLES, "More variables than are kept.")
            need(
                sum(map(len, variables.values())) <= ENVIRONMENT_BYTES, "More of an environment than is kept."
            )
        need(len(blocks._pending) <= ENVIRONMENT_BYTES + 4096, "What was begun has no bound.")


def _marks(content: bytes, _place: Path) -> None:
    """The mark of a prompt's end is found in pieces exactly where it is found in one."""
    whole = PromptMark().found(content)
    mark = PromptMark()
    found = [mark.found(content[at : at + 3]) for at in range(0, len(content), 3)]
    need(any(found) == whole == (PROMPT_END in content), "A mark was missed, or made up.")
    need(len(mark._tail) < len(PROMPT_END), "A mark's beginning has no bound.")


def _restorable(kept: Kept) -> None:
    """Whatever was kept, the script that sets it again holds nothing that a shell would expand or run."""
    for shell in ("bash", "fish"):
        script = restoring(kept, shell)
        need(set(script) <= _PLAIN_WORDS, "A script has bytes that mean something to a shell.")
        need(
            script.count(b"\n") == len(kept.removed) + len(kept.changed), "A value became a line of its own."
        )


def _closed(loop: Loop) -> None:
    loop._selector.close()
    os.close(loop._signal_reader)
    os.close(loop._signal_writer)


_READERS: tuple[Callable[[bytes, Path], None], ...] = (_lock, _token, _logins, _kept, _pipe, _blocks, _marks)


def run(data: bytes) -> None:
    """The first byte of a piece says which file its rest is."""
    with scratch() as place:
        for piece in pieces(data)[:4]:
            _READERS[piece[0] % len(_READERS)](piece[1:], place)


def seeds() -> Iterable[bytes]:
    yield b"\0" + json.dumps({"pid": 7, "address": "http://127.0.0.1:8022"}).encode()
    yield b"\1" + SECRET + b"\n"
    yield b"\2" + Logins("token", now_s=lambda: 0.0).to_keep()
    yield b"\2" + json.dumps({"0" * 64: 1e12, "1" * 64: 5}).encode()
    kept = Kept({b"A": b"b'\n$(x)\xff", b"EDITOR": b"vi"}, frozenset({b"GONE"}))
    yield b"\3" + kept.to_json()
    block = b"\0".join((b"wormux baseline", b"A=1", b"", b"wormux prompt", b"A=2", b"B=" + SECRET, b"", b""))
    yield b"\4" + block
    yield b"\5" + block
    yield b"\5*=x\0"
    yield b"\5wormux prompt\0*=" + bytes(40)
    yield from (bytes((reader,)) + b"[" * 3000 for reader in range(4))
    yield joined(b"\6a\x1b]133;A\x07$ \x1b]133;B\x07", b"\6\x1b]133;B")


TARGET = Target(
    "files",
    "lock, tokens, logins, kept environments, the agent's pipe, prompt marks",
    run,
    seeds,
    words=(
        b"wormux prompt\0",
        b"wormux baseline\0",
        b"\0\0",
        b'"changed": {',
        b"\x1b]133;B",
        b"1e999",
        b"NaN",
    ),
    examples=50,
)
