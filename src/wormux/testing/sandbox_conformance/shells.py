"""Where and with what a shell starts, what it runs, and how it ends."""

from __future__ import annotations

from wormux.protocol.agent_link import Ended, Foreground

from .kind import SandboxKind, needs
from .kit import CLIENT


class ShellChecks(SandboxKind):
    @needs("chooses_directory")
    async def test_a_shell_starts_in_the_directory_or_in_the_nearest_that_is_there(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            for number, cwd in enumerate(["/usr", "/usr/not-there/deeper"]):
                pane = self.pane(sandbox, self.open_request(f"pane-{number}", cwd=cwd))
                pane.type(b"echo [$(pwd)]\n")
                await pane.shows(b"[/usr]")

    @needs("chooses_directory")
    async def test_a_shell_starts_where_the_one_beside_it_is(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = self.pane(sandbox)
            pane.type(b"cd /usr; echo th''ere\n")
            await pane.shows(b"there")
            beside = self.pane(sandbox, self.open_request("pane-2", cwd="/", beside="pane-1"))
            beside.type(b"echo [$(pwd)]\n")
            await beside.shows(b"[/usr]")

    @needs("sets_environment")
    async def test_a_shell_has_the_variables_that_it_is_given(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = self.pane(sandbox, self.open_request(env={"COLOUR": "blue"}))
            pane.type(b"echo [$COLOUR]\n")
            await pane.shows(b"[blue]")

    @needs("knows_foreground")
    async def test_what_runs_is_told_and_where(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = self.pane(sandbox)
            pane.type(b"cd /usr; sleep 1000\n")
            told = await pane.events.next(Foreground, lambda event: event.command == "sleep")
            assert (told.is_shell, told.cwd) == (False, "/usr")

    @needs("knows_exits")
    async def test_a_shell_that_exits_says_how(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = self.pane(sandbox)
            pane.type(b"exit 7\n")
            ended = await pane.events.next(Ended)
            assert ended.exit.code == 7
            assert ended.position == await pane.position()
            assert ended.inputs == {CLIENT: pane.typed}
            assert pane.events.all[-1] is ended

    @needs("knows_exits")
    async def test_a_shell_that_is_killed_says_by_which_signal(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = self.pane(sandbox)
            pane.type(b"kill -KILL $$\n")
            exit = (await pane.events.next(Ended)).exit
            assert (exit.code, exit.signal, exit.asleep) == (None, "SIGKILL", False)
