"""How much load: the numbers of one run, and what the protocol's bounds make of them."""

from __future__ import annotations

from dataclasses import dataclass

from wormux.errors import SetupError
from wormux.limits import AGENT_LOG_BYTES, CONNECTIONS, KIB, MIB, PANES, SESSIONS

PANES_A_SESSION = 10
"""Of a person who works on one project: five in each of two tabs."""
PANES_A_TAB = 5
SPARE_PANES = 15
"""Of the 255 that a user may have: made and closed within a round."""
SPARE_CONNECTIONS = 1
"""Of the 32 that a user may have: a client that comes back may be there before the server has missed it."""
FILL_BYTES = AGENT_LOG_BYTES + 512 * KIB
"""Written by a pane until all that is kept of it is as large as it gets, so that nothing grows by being used first.
Some 30,000 lines: more than an emulator keeps as well."""
FLOOD_BYTES = 4 * MIB
WARM_UP_ROUNDS = 3
"""By then the heaps have been as large as the load makes them (measured: a server's rises by 2 % in each of the first
three rounds and stays), so that what grows later is kept by somebody."""
LEAST_ROUNDS = 3
"""Beside the warm-up, however little time there is."""
IDLE_SHARE, IDLE_MOST_S = 0.06, 15.0
"""Of the run's time: how long everything is watched doing nothing, and typing."""
SHORT_S = 20.0
"""Shorter runs only show that all of this works, and hurry."""
KEYS_A_SECOND = 5.0
"""Of each client that types: a quick typist."""


@dataclass(frozen=True)
class Plan:
    """One run. Raises `SetupError` for what the protocol's bounds do not allow."""

    panes: int = 200
    clients: int = 50
    servers: int = 0
    """0: as few as carry the clients and panes."""
    seconds: float = 180.0
    """Of rounds, the warm-up included; the one that runs then is ended properly."""
    seed: int = 1
    sleep_mode: str = "stop"
    settles_within_s: float = 30.0
    """After a round, once everything is quiet: a spare agent is loaded, descriptors of what ended are closed. What is
    not as before then has grown."""

    def __post_init__(self) -> None:
        if self.panes < 4 or self.clients < 2:
            raise SetupError("A load is 4 panes and 2 clients at least.")
        if self.servers == 0:
            fewest = max(-(-self.clients // _CLIENTS_MOST), -(-self.panes // _PANES_MOST))
            object.__setattr__(self, "servers", fewest)
        if max(self.clients_of) > _CLIENTS_MOST or max(self.panes_of) > _PANES_MOST:
            raise SetupError(
                f"A server carries at most {_CLIENTS_MOST} clients and {_PANES_MOST} panes of one user, some being"
                f" kept for those that come and go: {self.panes} panes and {self.clients} clients need more servers."
            )
        if min(self.clients_of) < 2 or min(self.panes_of) < 4:
            raise SetupError("Each server needs 4 panes and 2 clients at least: take fewer servers.")

    @property
    def clients_of(self) -> list[int]:
        """How many each server has."""
        return _spread(self.clients, self.servers)

    @property
    def panes_of(self) -> list[int]:
        """How many each server has."""
        return _spread(self.panes, self.servers)

    @property
    def warm_up_rounds(self) -> int:
        return WARM_UP_ROUNDS if self.seconds >= SHORT_S else 1

    @property
    def least_rounds(self) -> int:
        """The warm-up included."""
        return WARM_UP_ROUNDS + LEAST_ROUNDS if self.seconds >= SHORT_S else 2

    @property
    def lines(self) -> int:
        """Typed by each typist in a round: fewer in a short run."""
        return max(2, min(20, int(self.seconds / 5)))

    @property
    def pause_s(self) -> float:
        """Between lines, and between resizes, of one client."""
        return 0.2 if self.seconds >= SHORT_S else 0.05

    @property
    def quiet_s(self) -> float:
        """For so long nothing happens before figures are taken."""
        return 1.0 if self.seconds >= SHORT_S else 0.2

    @property
    def idle_s(self) -> float:
        return min(IDLE_MOST_S, max(0.3, self.seconds * IDLE_SHARE))


_CLIENTS_MOST = CONNECTIONS - SPARE_CONNECTIONS
_PANES_MOST = PANES - SPARE_PANES
assert _PANES_MOST / PANES_A_SESSION < SESSIONS


def _spread(count: int, over: int) -> list[int]:
    return [count // over + (number < count % over) for number in range(over)]
