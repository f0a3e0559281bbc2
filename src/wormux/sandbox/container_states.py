"""What a daemon says of a container, and which sentences for people follow from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wormux.limits import MIB
from wormux.sandbox.container_daemon import DaemonRefused

_KILLED = 137
_TERMINATED = 143


@dataclass(frozen=True)
class Seen:
    """A container at one moment."""

    status: str
    """As the daemon calls it: created, running, paused, exited, ..."""
    pid: int
    """Its main process; 0 if none runs."""
    exit_code: int
    oom_killed: bool

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Seen:
        """From the `State` of its inspection."""
        return cls(
            status=str(state.get("Status") or ""),
            pid=int(state.get("Pid") or 0),
            exit_code=int(state.get("ExitCode") or 0),
            oom_killed=bool(state.get("OOMKilled")),
        )

    @property
    def is_paused(self) -> bool:
        return self.status == "paused"

    @property
    def runs(self) -> bool:
        """It has processes, or is just ending them."""
        return self.status in ("running", "paused", "restarting", "stopping")

    @property
    def may_be_going(self) -> bool:
        """It ended as containers do that are being removed."""
        return self.status == "removing" or (self.exit_code == _KILLED and not self.oom_killed)


def ended_sentence(seen: Seen, memory_bytes: int | None) -> str:
    """Why its main process ended."""
    if seen.oom_killed:
        limit = f", which is limited to {memory_bytes // MIB} MB" if memory_bytes else ""
        return f"The container was killed because its memory was used up{limit}."
    if seen.exit_code == _KILLED:
        return "The container was killed."
    if seen.exit_code in (0, _TERMINATED):
        return "The container was stopped by somebody else."
    return f"The container ended with status {seen.exit_code}."


def refused_sentence(error: DaemonRefused, image: str) -> str:
    """Why a container could not be made or started, and what can be done about it."""
    said = error.message.lower()
    if "image" in said and (error.status == 404 or "not known" in said or "no such image" in said):
        return f"The image {image} is not here. Build it, or pull it with the daemon that runs containers."
    if "python3" in said and ("not found" in said or "no such file" in said):
        return f"The image {image} has no python3, which the agent needs (3.9 or newer)."
    if "no space left" in said:
        return "There is no space left on the disk of the daemon that runs containers."
    if error.status == 409 or "already in use" in said:
        return (
            "The container's name is in use by another one, which is being removed or is not of this server."
        )
    return str(error)
