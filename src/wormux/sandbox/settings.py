"""What the operator decides about sandboxes: the same for every provider, and for each what is its own alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Isolation = Literal["none", "bubblewrap"]
FreezeWith = Literal["cgroup", "sigstop"]

ENV_EXCLUDE = (
    "*TOKEN*", "*_KEY", "*SECRET*", "*PASSW*", "*CREDENTIAL*", "*_PAT", "*_URL", "SSH_AUTH_SOCK",
)  # fmt: skip
"""Variables that are never kept over sleep, since what is kept lies on disk: patterns of names."""


@dataclass(frozen=True)
class Limits:
    """Of one sandbox, all its processes together; None: none but the machine's."""

    memory_bytes: int | None = None
    processes: int | None = None
    open_files: int | None = None
    """Of each process."""


@dataclass(frozen=True)
class ProviderSettings:
    """What a provider is made with."""

    data_dir: Path
    """The server's: a provider keeps what it has below `data_dir / "sandboxes"` or a directory of its own name."""
    shell_integration: bool = True
    env_exclude: tuple[str, ...] = ENV_EXCLUDE
    busy_ignore: tuple[str, ...] = ()
    """Patterns of programs' names that sleep may end, beyond the usual."""
    freeze_with: FreezeWith = "cgroup"
    isolation: Isolation = "none"
    network: bool = True
    """Isolated sandboxes reach the network."""
    limits: Limits = Limits()
    user: str | None = None
    """Whom the shells of isolated sandboxes run as, if the server is root's."""
    options: Mapping[str, object] = field(default_factory=dict)
    """The provider's own: the table of its name in the configuration file."""

    @property
    def agent_options(self) -> tuple[str, ...]:
        """What every agent is told of them."""
        return (
            *(f"--busy-ignore={name}" for name in self.busy_ignore),
            f"--shell-integration={'on' if self.shell_integration else 'off'}",
            # An empty pattern says that there are none, in place of the agent's own.
            *(f"--env-exclude={pattern}" for pattern in self.env_exclude or ("",)),
        )
