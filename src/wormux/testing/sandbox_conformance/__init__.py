"""What every provider of sandboxes must do, as checks that pytest collects from a subclass.

    class TestMyProvider(SandboxConformance):
        def make_provider(self) -> Provider:
            return MyProvider(self.directory)

`kind.py` says what such a subclass writes, `kit.py` what checks are written with; docs/providers.md tells the rest.
"""

from __future__ import annotations

from .dying import DyingChecks
from .freezing import FreezingChecks
from .holding import HoldingChecks
from .inputs import InputChecks
from .kind import SandboxKind, needs
from .kit import BOX, CLIENT, WITHIN_S, Events, Pane, ignore, open_request
from .living import LivingChecks
from .shells import ShellChecks
from .sleeping import SleepingChecks
from .terminals import TerminalChecks

__all__ = [
    "BOX",
    "CLIENT",
    "WITHIN_S",
    "Events",
    "Pane",
    "SandboxConformance",
    "SandboxKind",
    "ignore",
    "needs",
    "open_request",
]


class SandboxConformance(
    LivingChecks,
    TerminalChecks,
    ShellChecks,
    InputChecks,
    HoldingChecks,
    SleepingChecks,
    FreezingChecks,
    DyingChecks,
):
    """All checks. Needs pytest-asyncio, with `asyncio_mode = "auto"`."""
