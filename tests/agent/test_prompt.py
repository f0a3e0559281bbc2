from __future__ import annotations

import pytest

from wormux.agent.prompt import PROMPT_END, Program, PromptMark


@pytest.mark.parametrize("cut", range(len(PROMPT_END) + 1))
def test_finds_the_mark_however_it_is_cut(cut: int) -> None:
    mark = PromptMark()
    first = mark.found(b"~ $ " + PROMPT_END[:cut])
    assert first == (cut == len(PROMPT_END))
    assert first or mark.found(memoryview(PROMPT_END[cut:] + b"\x07"))


def test_other_marks_are_not_it() -> None:
    mark = PromptMark()
    assert not any(mark.found(bytes([byte])) for byte in b"\x1b]133;A\x07\x1b]133;C\x07 133;B")


def test_finds_it_byte_by_byte() -> None:
    mark = PromptMark()
    found = [mark.found(bytes([byte])) for byte in b"x" + PROMPT_END]
    assert found == [False] * len(PROMPT_END) + [True]


def test_knows_shells_by_name() -> None:
    assert Program("/usr/bin/zsh", "zsh").is_a_shell
    assert not Program("/usr/bin/vim", "vim").is_a_shell
    assert not Program(None, None).is_a_shell
