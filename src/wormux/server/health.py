"""Whether a server can be relied on: what `/healthz` says, and why not.

Nothing secret is in it, for it is told to anybody who asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from wormux.limits import LOOP_LATE_S
from wormux.screen.pool import ScreenPool
from wormux.screen.port import Screens
from wormux.server.driver import Driver


@dataclass(frozen=True)
class Health:
    """`failures` say why the server is not to be sent anybody; `warnings` say what is worse than it should be."""

    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        return not self.failures

    def text(self) -> str:
        """As it is answered: `ok`, or a line for each failure; warnings come last."""
        lines = list(self.failures) or ["ok"]
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings), ""])


def judge_health(driver: Driver, lag_s: float) -> Health:
    """`lag_s` is how late the event loop was when it was last looked at."""
    failures = []
    if driver.stopping:
        failures.append("The server is stopping.")
    if not driver.storing:
        failures.append("The last change could not be stored.")
    if lag_s > LOOP_LATE_S:
        failures.append(f"The server is overloaded: it was {lag_s:.1f} s late.")
    return Health(tuple(failures), _screen_warnings(driver.screens))


def _screen_warnings(screens: Screens) -> tuple[str, ...]:
    """A terminal goes on without its emulator, so these are no failures."""
    if isinstance(screens, ScreenPool) and screens.without_workers:
        return ("No worker of screens comes up: redraws show the newest output alone.",)
    return ()
