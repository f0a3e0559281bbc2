"""What the operator decides about a hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ExitBehavior = Literal["close", "hold"]


@dataclass(frozen=True, slots=True)
class HubSettings:
    """Fixed for the life of a hub."""

    idle_timeout_s: float | None
    """A sandbox sleeps after this long without input, output and anything busy; None: never by itself."""
    shell: tuple[str, ...]
    """The program of a new terminal; empty for the login shell of whoever the sandbox runs as."""
    default_provider: str
    providers: frozenset[str]
    """Names that `session_create` may ask for."""
    exit_behavior: ExitBehavior = "close"
    """Whether a pane goes when its shell ended by itself, or stays as `exited`."""
