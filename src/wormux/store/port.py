"""The port to what outlives the server."""

from __future__ import annotations

from abc import ABC, abstractmethod

from wormux.ids import UserId
from wormux.records import Change, Snapshot


class Store(ABC):
    """Blocking; the driver calls it from one thread of its own, one call after the other."""

    @abstractmethod
    def load(self, user_id: UserId) -> Snapshot:
        """All that is kept of this user; empty for a new one. Raises `StoreError`."""

    @abstractmethod
    def apply(self, user_id: UserId, change: Change) -> None:
        """All of `change` in one transaction, or nothing of it. Raises `StoreError`."""

    @abstractmethod
    def get_secret(self, name: str) -> bytes | None:
        """A small value of the server itself (login sessions and the like). Raises `StoreError`."""

    @abstractmethod
    def put_secret(self, name: str, value: bytes | None) -> None:
        """Keep `value` under `name`; None removes it. Raises `StoreError`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file. Never raises."""
