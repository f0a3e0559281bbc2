"""The input of one terminal: what each client's stream has come to, and what the terminal has not taken yet.

Makes input exactly-once: bytes that were taken before are left out, whoever sends them again. Answers to queries go
through the same queue, each position answered once. Does no I/O: `terminal` writes what `head` gives and says with
`wrote` how much of it went.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from wormux.limits import AGENT_CLIENTS_PER_PANE, AGENT_UNWRITTEN_BYTES, ANSWERS_UNWRITTEN_BYTES
from wormux.protocol.agent_link import Answer, Input


class Inputs:
    """Positions per client, and one queue in the order of arrival."""

    def __init__(self, answered: int) -> None:
        """Queries in the output before `answered` need no answer."""
        self.answered = answered
        """Queries in the output before this position were answered."""
        self._taken: OrderedDict[str, int] = OrderedDict()
        self._written: dict[str, int] = {}
        self._queue: deque[tuple[str | None, int, memoryview]] = deque()
        """Client, position of the first byte, bytes. No client: an answer, whose position nobody asks for."""
        self._news: dict[str, int] = {}
        self.unwritten = 0
        """Bytes of clients in the queue."""
        self._unwritten_answers = 0
        """Bytes of answers in the queue."""

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

    def answer(self, message: Answer) -> None:
        """Queue an answer, if it is none that was taken before."""
        if message.position <= self.answered:
            return  # an earlier server answered this
        self.answered = message.position
        if self._unwritten_answers + len(message.data) > ANSWERS_UNWRITTEN_BYTES:
            return  # a program that asks and asks and reads no answer does not miss this one either
        if message.data:
            self._queue.append((None, 0, memoryview(message.data)))
            self._unwritten_answers += len(message.data)

    @property
    def head(self) -> memoryview | None:
        """The bytes that are to be written next; None if there are none."""
        return self._queue[0][2] if self._queue else None

    def wrote(self, count: int) -> None:
        """The terminal has taken so many bytes of `head`."""
        client_id, position, data = self._queue.popleft()
        if count < len(data):
            self._queue.appendleft((client_id, position + count, data[count:]))
        if client_id is None:
            self._unwritten_answers -= count
        else:
            self.unwritten -= count
            self._note(client_id, position + count)

    @property
    def has_news(self) -> bool:
        """Something was written that `news` has not told."""
        return bool(self._news)

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
        self.unwritten = self._unwritten_answers = 0

    def _note(self, client_id: str, position: int) -> None:
        self._news[client_id] = position
        if client_id in self._taken:
            self._written[client_id] = position
