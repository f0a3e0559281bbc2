"""The watch over targets finds what it is there to find."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from fuzz import loop
from fuzz.corpus import write
from fuzz.kit import SECRET, Finding, joined, limited_computing, need, pieces, watched
from fuzz.targets import TARGETS

logger = logging.getLogger("wormux.fuzz")


def print_a_trace() -> None:
    try:
        need(False, "x")
    except Finding:
        traceback.print_exc()


WRONG: dict[str, Callable[[], object]] = {
    "a secret in a log": lambda: logger.debug("typed %s", SECRET.decode()),
    "a secret on stderr": lambda: print(SECRET.decode(), file=sys.stderr),
    "a bug that was logged": lambda: logger.error("A bug: KeyError while working."),
    "a traceback on stderr": print_a_trace,
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_said_is_found(wrong: Callable[[], object]) -> None:
    with pytest.raises(Finding), watched():
        wrong()


def test_a_target_that_does_right_is_left_alone() -> None:
    with watched():
        logger.warning("A screen failed.")


def test_computing_without_end_is_found() -> None:
    with pytest.raises(Finding, match="Still computing"), limited_computing(0.05):
        sum(iter(lambda: 1, 0))


async def wait_for_nothing() -> None:
    await asyncio.get_running_loop().create_future()


async def fail_in_a_callback() -> None:
    asyncio.get_running_loop().call_soon(lambda: need(False, "It failed."))
    await asyncio.sleep(1)


async def wait_for_ever() -> None:
    for hours in itertools.count(1):
        await asyncio.sleep(hours * 3600)


@pytest.mark.parametrize("wrong", [wait_for_nothing, fail_in_a_callback, wait_for_ever])
def test_what_hangs_or_fails_behind_the_back_is_found(
    wrong: Callable[[], Coroutine[None, None, None]],
) -> None:
    with pytest.raises(Finding):
        loop.run(wrong())


def test_deadlines_pass_at_once() -> None:
    async def sleep() -> float:
        before_s = asyncio.get_running_loop().time()
        await asyncio.sleep(5000)
        return asyncio.get_running_loop().time() - before_s

    assert loop.run(sleep()) >= 5000


def test_pieces_are_cut_as_they_were_joined() -> None:
    assert pieces(joined(b"one", b"", b"two")) == [b"one", b"two"]


def test_seeds_are_the_same_each_time_and_can_be_written(tmp_path: Path) -> None:
    for target in TARGETS.values():
        assert write(target, tmp_path / target.name) == len(list((tmp_path / target.name).iterdir())) > 0
        if target.name not in UNSTEADY:
            assert list(target.seeds()) == list(target.seeds())


UNSTEADY = ("files",)
"""Has a fresh login among its seeds."""
