"""What programs do in a story. See `kinds`."""

from __future__ import annotations

from wormux.protocol.agent_link import Exit
from wormux.testing.sim.screens import QUERY
from wormux.testing.simulate.kinds import chance, index, kind, one_of
from wormux.testing.simulate.stage import Stage

_ENDS = {"done": Exit(0, ran_s=5.0), "failed": Exit(1, ran_s=0.1), "killed": Exit(signal="SIGKILL")}


@kind(6, index=index, size=one_of(1, 10, 100, 100, 5_000))
def prints(stage: Stage, index: int, size: int) -> None:
    pty = stage.pty(index)
    if pty is not None:
        count = stage.next_count()
        pty.print((b"out %d \x1b[3%dm\r\n" % (count, count % 8) * (size // 8 + 1))[:size])


@kind(0.7, index=index, size=one_of(100_000, 700_000, 1_300_000))
def floods(stage: Stage, index: int, size: int) -> None:
    """More than a window, or than a checkpoint waits for."""
    prints(stage, index, size)


@kind(2, index=index)
def queries(stage: Stage, index: int) -> None:
    """A program asks its terminal something."""
    pty = stage.pty(index)
    if pty is not None:
        pty.print(b"?" + QUERY + b"?")


@kind(2, index=index, end=one_of(*_ENDS))
def exits(stage: Stage, index: int, end: str) -> None:
    pty = stage.pty(index)
    if pty is not None:
        pty.end_with(_ENDS[end])


@kind(2, index=index, program=one_of(None, "vim"))
def runs(stage: Stage, index: int, program: str | None) -> None:
    """A program comes to the foreground; null: the shell is back."""
    pty = stage.pty(index)
    if pty is not None:
        pty.run(program)
    for agent in stage.world.machine.agents.values():
        agent.busy = next((pty.running for pty in agent.terminals.values() if pty.running), None)


@kind(2, index=index, takes=chance(0.5))
def reads(stage: Stage, index: int, takes: bool) -> None:
    """A program reads its input, or does not any more."""
    pty = stage.pty(index)
    if pty is not None:
        pty.takes = takes
        pty.read()


@kind(1, index=index, capacity=one_of(50, 2**21))
def remembers(stage: Stage, index: int, capacity: int) -> None:
    """How much of a terminal's output its agent keeps."""
    pty = stage.pty(index)
    if pty is not None:
        pty.capacity = capacity
