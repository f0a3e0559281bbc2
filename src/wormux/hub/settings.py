"""What the operator decides about a hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ExitBehavior = Literal["close", "hold"]
SleepMode = Literal["stop", "freeze", "freeze-then-stop"]


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
    sleep_mode: SleepMode = "stop"
    stop_after_s: float | None = None
    """With "freeze-then-stop": how long after it froze."""
    exit_behavior: ExitBehavior = "close"
    """Whether a pane goes when its shell ended by itself, or stays as `exited`."""
