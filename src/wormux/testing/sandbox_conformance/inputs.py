"""Input, and the answers that a terminal gives to its programs."""

from __future__ import annotations

from wormux.protocol.agent_link import Attach, Ended

from .kind import SandboxKind, needs


class InputChecks(SandboxKind):
    @needs("acknowledges", "keeps_terminals", "keeps_output")
    async def test_input_arrives_once_however_often_the_link_is_cut(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            stream = b"".join(b"echo nr''-%d-\n" % number for number in range(10))
            pane = self.pane(sandbox)
            pane.type(stream[: len(stream) // 2])
            await pane.opened()
            for _cut in range(5):
                pane.terminal.detach()
                pane = self.pane(sandbox, Attach("pane-1", 1, 0))
                pane.type(stream)
                await pane.opened()
            await pane.shows(b"nr-9-")
            for number in range(10):
                assert pane.output.count(b"nr-%d-" % number) == 1

    @needs("answers_queries")
    async def test_an_answer_is_typed_behind_the_input_before_it(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = self.pane(sandbox)
            await pane.shows(self.prompt)
            pane.type(b"echo fi''rst ")
            pane.terminal.answer(await pane.position(), b"an''swer ")
            pane.type(b"la''st\n")
            await pane.shows(b"first answer last")

    @needs("answers_queries", "keeps_terminals", "keeps_output")
    async def test_an_answer_is_given_once_whoever_gives_it(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = self.pane(sandbox, self.open_request(position=1000))
            await pane.shows(self.prompt)
            assert (await pane.opened()).answered == 1000
            position = await pane.position()
            pane.terminal.answer(position, b"echo nr''-1-\n")
            pane.terminal.answer(position, b"echo nr''-2-\n")
            await pane.shows(b"nr-1-")
            pane.terminal.detach()
            again = self.pane(sandbox, Attach("pane-1", 1, 0))
            assert (await again.opened()).answered == position
            await again.shows(b"nr-1-")
            later = await again.position()
            again.terminal.answer(position - 1, b"echo nr''-3-\n")
            again.terminal.answer(position, b"echo nr''-4-\n")
            again.terminal.answer(later, b"echo nr''-5-\n")
            again.terminal.answer(later, b"echo nr''-6-\n")
            again.type(b"echo la''st\n")
            await again.shows(b"last")
            for number, is_answered in enumerate([True, False, False, False, True, False], 1):
                assert (b"nr-%d-" % number in again.output) is is_answered

    @needs("answers_queries", "knows_exits", "keeps_terminals", "keeps_output")
    async def test_an_ended_terminal_is_not_answered(self) -> None:
        async with self.sandbox() as (_, sandbox, _):
            pane = self.pane(sandbox)
            await pane.shows(self.prompt)
            pane.type(b"exit 7\n")
            ended = await pane.events.next(Ended)
            pane.terminal.answer(ended.position, b"answer")
            pane.terminal.detach()
            again = self.pane(sandbox, Attach("pane-1", 1, 0))
            assert await again.events.next(Ended) == ended
            again.terminal.answer(ended.position, b"answer")
            assert again.output == pane.output
