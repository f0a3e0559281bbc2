"""The audit log: who came, who was turned away, and who made or ended what. One JSON object in each line.

It holds no terminal bytes, tokens or cookies. A thread of its own writes it, so that a slow disk costs nobody a key;
what cannot be written is counted, said once in the server's log, and never stops the server. Its size is bounded.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from wormux.hub.effects import Note
from wormux.limits import (
    AUDIT_FAILED_LOGINS,
    AUDIT_FAILED_LOGINS_WITHIN_S,
    AUDIT_FILE_BYTES,
    AUDIT_FILES,
    AUDIT_LINES_WAITING,
    AUDIT_WRITTEN_WITHIN_S,
)

logger = logging.getLogger(__name__)

AUDIT_FILE = "audit.log"
SERVER_START = "server_start"
SERVER_STOP = "server_stop"
LOGIN = "login"
LOGIN_FAILED = "login_failed"
LOGINS_FAILED_MORE = "logins_failed_more"
"""So many failed logins more than have lines of their own; `count` says how many."""
TOKEN_ROTATE = "token_rotate"
LINES_LOST = "lines_lost"
"""So many lines before this one could not be written; `count` says how many."""
SERVER_EVENTS = (
    SERVER_START,
    SERVER_STOP,
    LOGIN,
    LOGIN_FAILED,
    LOGINS_FAILED_MORE,
    TOKEN_ROTATE,
    LINES_LOST,
)
"""Those of the server itself; the others are `Deed`s."""


class AuditLog:
    """See the module. No method but `close` blocks, and none raises."""

    def __init__(
        self,
        path: Path,
        *,
        now_s: Callable[[], float] = time.time,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._now_s = now_s
        self._mono_s = mono_s
        self._waiting: deque[str] = deque()
        self._lost = 0
        """Lines that there was no room for, or that could not be written, and that nothing was said of."""
        self._failing = False
        self._closed = False
        self._idle = False
        """The thread has done all there was."""
        self._changed = threading.Condition()
        self._failed_since_s = float("-inf")
        self._failed = 0
        """Failed logins since then."""
        self._writer = threading.Thread(target=self._write_all, name="wormux-audit", daemon=True)
        self._writer.start()

    def note(self, event: str, peer: str | None = None, **about: object) -> None:
        """Something happened now. Of `about`, what is None is left out."""
        given = {"peer": peer, **about}
        found = {name: value for name, value in given.items() if value is not None}
        at = datetime.fromtimestamp(self._now_s(), UTC).isoformat(timespec="milliseconds")
        self._put(json.dumps({"time": at.replace("+00:00", "Z"), "event": event, **found}))

    def deed(self, note: Note, peer: str | None) -> None:
        """What the hub says of a client; `peer` is None where nobody did it, or where it was done in this process."""
        self.note(
            note.deed.value,
            peer,
            connection=note.connection_id,
            client=note.client_id,
            session=note.session_id,
            tab=note.tab_id,
            pane=note.pane_id,
            name=note.name,
        )

    def login_failed(self, peer: str, where: str) -> None:
        """A wrong token was shown. Who tries many must not fill the log: then they are counted."""
        if self._mono_s() - self._failed_since_s >= AUDIT_FAILED_LOGINS_WITHIN_S:
            self._say_failed_more()
            self._failed_since_s = self._mono_s()
        self._failed += 1
        if self._failed <= AUDIT_FAILED_LOGINS:
            self.note(LOGIN_FAILED, peer, at=where)

    def close(self) -> None:
        """Write what is left; gives up on a disk that does not take it. Blocks for that long."""
        self._say_failed_more()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._writer.join(AUDIT_WRITTEN_WITHIN_S)

    def _say_failed_more(self) -> None:
        more, self._failed = self._failed - AUDIT_FAILED_LOGINS, 0
        if more > 0:
            self.note(LOGINS_FAILED_MORE, count=more)

    def _put(self, line: str) -> None:
        with self._changed:
            if len(self._waiting) >= AUDIT_LINES_WAITING:
                self._lost += 1
                return
            self._waiting.append(f"{line}\n")
            self._changed.notify_all()

    # --- On its own thread ---------------------------------------------------------------------------------

    def _write_all(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._idle = True
                    self._changed.notify_all()
                    self._changed.wait()
                self._idle = False
                lines, lost = list(self._waiting), self._lost
                self._waiting.clear()
                self._lost = 0
                if not lines and not lost:
                    return
            if lost:
                lines.append(self._lost_line(lost))
            try:
                self._append(lines)
            except OSError as error:
                self._said(error)
                with self._changed:
                    self._lost += lost + len(lines) - bool(lost)
                    if self._closed:
                        return
            else:
                self._said(None)

    def _lost_line(self, count: int) -> str:
        at = datetime.fromtimestamp(self._now_s(), UTC).isoformat(timespec="milliseconds")
        return json.dumps({"time": at.replace("+00:00", "Z"), "event": LINES_LOST, "count": count}) + "\n"

    def _said(self, error: OSError | None) -> None:
        """Once for all lines in a row that fail."""
        if error is not None and not self._failing:
            logger.error("The audit log cannot be written: %s. The server goes on.", error.strerror)
        elif error is None and self._failing:
            logger.warning("The audit log is written again; it says how many lines are missing.")
        self._failing = error is not None

    def _append(self, lines: Iterable[str]) -> None:
        """Raises `OSError`."""
        text = "".join(lines).encode()
        fd = _open_for_owner(self._path)
        try:
            size = os.fstat(fd).st_size
            if size and size + len(text) > AUDIT_FILE_BYTES:
                os.close(fd)
                fd = -1
                _rotate(self._path)
                fd = _open_for_owner(self._path)
            self._write(fd, text)
        finally:
            if fd >= 0:
                os.close(fd)

    def _write(self, fd: int, text: bytes) -> None:
        """As a whole or not at all: a line that is cut would spoil the next one. Raises `OSError`."""
        begin = os.fstat(fd).st_size
        try:
            while text:
                text = text[os.write(fd, text) :]
        except OSError:
            os.ftruncate(fd, begin)
            raise


def audit_files(data_dir: Path) -> list[Path]:
    """Where its lines are, the oldest first."""
    older = [data_dir / f"{AUDIT_FILE}.{number}" for number in reversed(range(1, AUDIT_FILES))]
    return [path for path in (*older, data_dir / AUDIT_FILE) if path.is_file()]


def _open_for_owner(path: Path) -> int:
    """To append. Neither a link nor a pipe is opened: the one leads elsewhere, the other blocks."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == os.getuid():
        os.fchmod(fd, 0o600)
        return fd
    os.close(fd)
    raise OSError(0, "It is no file of our own")


def _rotate(path: Path) -> None:
    """The oldest file goes, and every other gets the next number. Raises `OSError`."""
    for number in reversed(range(AUDIT_FILES - 1)):
        older = path.with_name(f"{path.name}.{number + 1}")
        newer = path.with_name(f"{path.name}.{number}") if number else path
        with contextlib.suppress(FileNotFoundError):
            newer.replace(older)
