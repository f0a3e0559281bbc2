"""How each kind of fault is done to a machine, and undone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable, Sequence

from wormux.testing.errors import ConnectionOver
from wormux.testing.fault_link import Fault as LinkFault
from wormux.testing.fault_link import draw_fault
from wormux.testing.server_process import Process

from .machine import Machine
from .plan import JUMP_S, Fault, Kind
from .users import User

STRIKES_WITHIN_S = 10.0
"""A fault of a link that struck nothing by then never does: its client is not there."""
LINK_FAULT_BYTES = 20_000
"""Within so many: few and handshakes as often as many."""
_NEVER = LinkFault("slow", "up", after_bytes=2**62)


class Faults:
    """Carries faults out. Each returns when it is over; what it broke may still be coming back."""

    def __init__(self, machine: Machine, users: Sequence[User]) -> None:
        self._machine = machine
        self._users = users
        self.slept: set[str] = set()
        """Sandboxes that were put to sleep."""
        self._link_locks = [asyncio.Lock() for _ in machine.links]
        self._ways: dict[Kind, Callable[[Fault], Awaitable[None]]] = {
            "kill server": lambda fault: self._replace_server(fault, kill=True),
            "restart server": lambda fault: self._replace_server(fault, kill=False),
            "other clock": self._other_clock,
            "kill agent": lambda fault: self._kill(fault, self._machine.agents),
            "kill worker": lambda fault: self._kill(fault, self._machine.workers),
            "kill shell": lambda fault: self._kill(fault, self._machine.shells),
            "stop server": lambda fault: self._stop(fault, self._machine.servers),
            "stop agent": lambda fault: self._stop(fault, self._machine.agents),
            "stop worker": lambda fault: self._stop(fault, self._machine.workers),
            "stop shell": lambda fault: self._stop(fault, self._machine.shells),
            "suspend machine": self._suspend,
            "cut agent link": self._cut_agent_link,
            "disk full": lambda fault: self._machine.fill_disk(fault.lasts_s),
            "no descriptors": self._no_descriptors,
            "wall clock": self._wall_clock,
            "link down": lambda fault: self._machine.take_link_down(fault.lasts_s),
            "network": self._network,
            "sleep": self._sleep,
        }

    async def carry_out(self, fault: Fault) -> None:
        """Until it is over."""
        self._machine.look()
        await self._ways[fault.kind](fault)
        self._machine.look()

    # --- Processes -----------------------------------------------------------------------------------------------

    async def _replace_server(self, fault: Fault, *, kill: bool) -> None:
        await self._machine.replace_server(random.Random(fault.seed), kill=kill)

    async def _other_clock(self, fault: Fault) -> None:
        await self._machine.replace_server(
            random.Random(fault.seed), kill=fault.seed % 2 == 0, other_clock=True
        )

    async def _kill(self, fault: Fault, those: Callable[[], list[Process]]) -> None:
        struck = _one_of(those(), fault)
        if struck is not None:
            struck.kill()

    async def _stop(self, fault: Fault, those: Callable[[], list[Process]]) -> None:
        struck = _one_of(those(), fault)
        await _stand_still([struck] if struck is not None else [], fault.lasts_s)

    async def _suspend(self, fault: Fault) -> None:
        """All at once, as when a laptop's lid is closed, but for the clients."""
        await _stand_still(self._machine.everybody(), fault.lasts_s)

    async def _cut_agent_link(self, fault: Fault) -> None:
        """One with little on its way, as often as all with much: then agents are held up before."""
        held_up = self._machine.agents() if fault.seed % 2 else []
        _signal(held_up, signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.lasts_s if held_up else 0)
            self._machine.cut_agent_links(None if held_up else fault.target)
        finally:
            _signal(held_up, signal.SIGCONT)

    # --- What is short, and clocks -------------------------------------------------------------------------------

    async def _no_descriptors(self, fault: Fault) -> None:
        async with self._machine.without_descriptors():
            await asyncio.sleep(fault.lasts_s)

    async def _wall_clock(self, fault: Fault) -> None:
        """It stays wrong, or is set right again."""
        dice = random.Random(fault.seed)
        self._machine.set_wall_clock(dice.randint(-JUMP_S, JUMP_S))
        if dice.random() < 0.5:
            await asyncio.sleep(fault.lasts_s)
            self._machine.set_wall_clock(0)

    # --- Clients -------------------------------------------------------------------------------------------------

    async def _network(self, fault: Fault) -> None:
        """One client's link fails, at any byte, in any way."""
        number = fault.target % len(self._machine.links)
        link = self._machine.links[number]
        drawn = draw_fault(random.Random(fault.seed), LINK_FAULT_BYTES)
        async with self._link_locks[number]:
            link.arm(drawn)
            try:
                async with asyncio.timeout(STRIKES_WITHIN_S):
                    await link.wait_struck()
            except TimeoutError:
                link.arm(_NEVER)
                return
            if drawn.kind == "stall":
                await asyncio.sleep(fault.lasts_s)
                link.release()
            await link.wait_over()

    async def _sleep(self, fault: Fault) -> None:
        """Somebody puts a session to sleep; who types next wakes it."""
        for user in self._users:
            sessions = sorted(user.client.model.sessions)
            if user.client.is_open and sessions:
                session = sessions[fault.target % len(sessions)]
                self.slept.add(user.client.model.sessions[session].sandbox_id)
                with contextlib.suppress(ConnectionOver):
                    await user.client.send("session_sleep", session_id=session, force=True)
                return


def _one_of(processes: Sequence[Process], fault: Fault) -> Process | None:
    return processes[fault.target % len(processes)] if processes else None


async def _stand_still(processes: Sequence[Process], for_s: float) -> None:
    _signal(processes, signal.SIGSTOP)
    try:
        await asyncio.sleep(for_s)
    finally:
        _signal(processes, signal.SIGCONT)


def _signal(processes: Sequence[Process], number: signal.Signals) -> None:
    for one in processes:
        if one.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, number)
