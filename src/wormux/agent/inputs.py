"""The input of one terminal: what each client's stream has come to, and what the terminal has not taken yet.

Makes input exactly-once: bytes that were taken before are left out, whoever sends them again. Does no I/O: `terminal`
writes what `head` gives and says with `wrote` how much of it went.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from wormux.limits import AGENT_CLIENTS_PER_PANE, AGENT_UNWRITTEN_BYTES
from wormux.protocol.agent_link import Input


class Inputs:
    """Positions per client, and one queue in the order of arrival."""

    def __init__(self) -> None:
        self._taken: OrderedDict[str, int] = OrderedDict()
        self._written: dict[str, int] = {}
        self._queue: deque[tuple[str, int, memoryview]] = deque()
        """Client, position of the first byte, bytes."""
        self._news: dict[str, int] = {}
        self.unwritten = 0
        """Bytes in the queue."""

    def take(self, message: Input) -> None:
        """Queue what of the message was not taken before.

        Raises `ValueError` if more would be waiting than a server may send.
        """
        client_id, position = message.client_id, message.position
        known = self._taken.get(client_id, 0)
        data = memoryview(message.data)[max(0, known - position) :]
        end = max(known, position + len(message.data))
        if self.unwritten + len(data) > AGENT_UNWRITTEN_BYTES:
            raise ValueError("More input is waiting for a terminal than a server may send.")
        self._taken[client_id] = end
        self._taken.move_to_end(client_id)
        if len(self._taken) > AGENT_CLIENTS_PER_PANE:
            forgotten, _ = self._taken.popitem(last=False)
            self._written.pop(forgotten, None)
        self._written.setdefault(client_id, end - len(data))
        if data:
            self._queue.append((client_id, end - len(data), data))
            self.unwritten += len(data)
        elif not any(waiting == client_id for waiting, _, _ in self._queue):
            self._note(client_id, end)  # Nothing new, or an answer that was lost: say it again.

    @property
    def head(self) -> memoryview | None:
        """The bytes that are to be written next; None if there are none."""
        return self._queue[0][2] if self._queue else None

    def wrote(self, count: int) -> None:
        """The terminal has taken so many bytes of `head`."""
        client_id, position, data = self._queue.popleft()
        self.unwritten -= count
        if count < len(data):
            self._queue.appendleft((client_id, position + count, data[count:]))
        self._note(client_id, position + count)

    def news(self) -> dict[str, int]:
        """Client id to the position up to which its input was written, for those that came further since."""
        news, self._news = self._news, {}
        return news

    @property
    def taken(self) -> dict[str, int]:
        """Client id to the position up to which its input was taken, written or not."""
        return dict(self._taken)

    @property
    def written(self) -> dict[str, int]:
        """Client id to the position up to which its input was written."""
        return dict(self._written)

    def drop(self) -> None:
        """The terminal takes no more: what was not written never will be."""
        self._queue.clear()
        self.unwritten = 0

    def _note(self, client_id: str, position: int) -> None:
        self._news[client_id] = position
        if client_id in self._taken:
            self._written[client_id] = position
