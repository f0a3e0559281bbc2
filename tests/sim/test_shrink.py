"""A story that fails is made shorter, and still fails, alike."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from wormux.testing.sim.truth import READY
from wormux.testing.simulate.__main__ import main
from wormux.testing.simulate.play import Failure
from wormux.testing.simulate.shrink import shrink
from wormux.testing.simulate.story import Event, Story, UnreadableStory, draw_story, read_story


def failing_with(needed: Iterable[Event]) -> Failure | None:
    """A failure of every story that has all these events."""

    def attempt(story: Story) -> Failure | None:
        if not all(event in story for event in wanted):
            return None
        return Failure(7, READY.name, READY.sentence, max(map(story.index, wanted)), story)

    wanted = list(needed)
    story = draw_story(7, 300)
    failure = attempt(story)
    assert failure is not None
    return shrink(failure, attempt)


def test_only_what_is_needed_is_left() -> None:
    story = draw_story(7, 300)
    needed = [event for event in (story[40], story[41], story[200]) if "picks" not in event.fields]
    shrunk = failing_with(needed)
    assert shrunk is not None
    assert shrunk.story[0].name == "begin"
    assert sorted(map(str, shrunk.story[1:])) == sorted(map(str, needed))


def test_deliveries_are_left_out_one_by_one() -> None:
    story = read_story('{"event": "begin", "seed": 1}\n{"event": "deliver", "picks": [5, 6, 7, 8, 9]}\n')

    def attempt(tried: Story) -> Failure | None:
        picks = tried[1].fields["picks"] if len(tried) > 1 else []
        return Failure(1, READY.name, "", 1, tried) if 7 in picks else None

    failure = attempt(story)
    assert failure is not None
    assert shrink(failure, attempt).story[1].fields == {"picks": [7]}


def test_another_failure_is_not_taken_for_the_same() -> None:
    story = draw_story(7, 30)

    def attempt(tried: Story) -> Failure | None:
        return Failure(7, READY.name if len(tried) > 10 else "other", "", len(tried) - 1, tried)

    failure = attempt(story)
    assert failure is not None
    shrunk = shrink(failure, attempt)
    assert shrunk.rule == READY.name
    assert len(shrunk.story) == 11


def simulate(*arguments: str) -> tuple[int, str]:
    """Exit code and output of the simulator in a process of its own."""
    command = [sys.executable, "-m", "wormux.testing.simulate", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def test_a_failure_is_printed_as_a_short_story_that_can_be_played(tmp_path: Path) -> None:
    broken = ("--mutation", "typed too early")
    code, told = simulate(*broken, "--seeds", "0..40")
    assert code == 1
    assert "[ready]" in told
    lines = [line for line in told.splitlines(keepends=True) if line.startswith("{")]
    assert 1 <= len(lines) <= 10
    file = tmp_path / "story"
    file.write_text("".join(lines))
    code, told = simulate(*broken, "--story", str(file))
    assert code == 1
    assert "[ready]" in told
    code, told = simulate("--story", str(file))
    assert code == 0, told
    assert "Every rule holds." in told


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", 'A story starts with "begin"'),
        ("{", "Line 1 is not a JSON object"),
        ('{"event": "begin"}\n[]', "Line 2 is not a JSON object"),
        ('{"event": "begin"}\n{"event": "dance"}', "Line 2: there is no event 'dance'"),
        (
            '{"event": "begin"}\n{"event": "wake", "number": 1}',
            "Line 2: there is no event 'wake' with such fields",
        ),
        ('{"event": "heal"}', 'A story starts with "begin"'),
    ],
)
def test_a_story_that_cannot_be_read_says_why(
    text: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UnreadableStory, match=sentence):
        read_story(text)
    file = tmp_path / "story"
    file.write_text(text)
    assert main(["--story", str(file)]) == 2
    assert sentence in capsys.readouterr().err


def test_it_ends_in_time() -> None:
    failure = Failure(1, READY.name, READY.sentence, 49, draw_story(1, 50))
    tries = 0

    def attempt(story: Story) -> Failure | None:
        nonlocal tries
        tries += 1
        return failure

    assert shrink(failure, attempt, within_s=0.0) is failure
    assert tries == 1
