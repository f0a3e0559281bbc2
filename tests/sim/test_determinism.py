"""The same seed gives the same trace, byte for byte, in any process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from wormux.testing.simulate.story import draw_story, read_story, write_story


def traced(seed: int, hash_seed: str) -> bytes:
    """All that the simulator prints, in a process whose sets and dictionaries are salted so."""
    command = [
        sys.executable,
        "-m",
        "wormux.testing.simulate",
        "--seed",
        str(seed),
        "--steps",
        "150",
        "--trace",
    ]
    done = subprocess.run(
        command, capture_output=True, check=False, env=os.environ | {"PYTHONHASHSEED": hash_seed}
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return done.stdout


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_seed_has_one_trace(seed: int) -> None:
    trace = traced(seed, "1")
    assert trace == traced(seed, "2")
    lines = trace.decode().splitlines()
    assert sum(line.startswith("#") for line in lines) == 151
    assert any(line.startswith("  hub hears ") for line in lines)
    assert any(line.startswith("    wants ") for line in lines)
    assert "Every rule holds." in lines


def test_seeds_have_different_stories() -> None:
    assert len({write_story(draw_story(seed, 20)) for seed in range(50)}) == 50


def test_a_story_can_be_written_and_read() -> None:
    story = draw_story(7, 300)
    assert read_story(write_story(story)) == story
