"""What simulated stories recorded at one client, played to the page's core: it sends and knows the same.

The stories are made anew each time, since the same seed gives the same story. More of them:
`WORMUX_STORIES=1000 pytest tests/traces/test_recorded.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from wormux.testing.traces.format import Trace, TraceFailed, dump, read
from wormux.testing.traces.player import Player
from wormux.testing.traces.stories import story

WEB = Path(__file__).parents[2] / "web"
VITEST = WEB / "node_modules" / ".bin" / "vitest"
STORIES = int(os.environ.get("WORMUX_STORIES", "100"))
WITHIN_S = max(100, STORIES)

pytestmark = pytest.mark.timeout(WITHIN_S + 20)


@pytest.fixture(scope="module")
def stories() -> list[Trace]:
    return [story(seed) for seed in range(STORIES)]


def test_the_same_seed_records_the_same(stories: list[Trace]) -> None:
    for seed in (0, 1, 2):
        assert json.dumps(dump(story(seed))) == json.dumps(dump(stories[seed]))


def test_the_stories_are_about_something(stories: list[Trace]) -> None:
    steps = [step for trace in stories for step in trace.steps]
    verbs = [verb for verb, _ in steps]
    for verb in ("open", "say", "bytes", "cut", "close", "pass", "type", "discard", "sent", "says", "shows"):
        assert verbs.count(verb) >= STORIES // 10, verb
    said = [value for verb, value in steps if verb == "say"]
    assert any(value["type"] == "replay" and value["skipped"] > 0 for value in said)
    assert any(value["type"] == "state" and None in (value["input"] or {}).values() for value in said)
    assert any(value["type"] == "replay" and not value["reset"] and value["position"] for value in said)
    reasons = {value["reason"] for value in said if value["type"] == "input_discarded"}
    assert len(reasons) >= 3, reasons


def test_the_client_that_was_recorded_does_it_again(stories: list[Trace]) -> None:
    for trace in stories:
        Player(read(json.loads(json.dumps(dump(trace))))).play()


def test_a_story_with_another_end_is_found(stories: list[Trace]) -> None:
    trace = stories[0]
    (last,) = [index for index, (verb, _) in enumerate(trace.steps) if verb == "input"][-1:]
    pane_id = next(iter(trace.steps[last][1]))
    wrong = ("input", {pane_id: {"unacked": 12345}})
    with pytest.raises(TraceFailed, match="12345"):
        Player(Trace(trace.name, trace.rule, (*trace.steps[:last], wrong))).play()


def test_the_core_sends_and_knows_the_same(stories: list[Trace], tmp_path: Path) -> None:
    assert VITEST.exists(), "The page's packages are not installed. Run `make setup`."
    path = tmp_path / "recorded.json"
    path.write_text(json.dumps([dump(trace) for trace in stories]))
    report = tmp_path / "report.json"
    command: list[str | Path] = [VITEST, "run", "--project", "core", "src/core/traces.test.ts"]
    command += ["-t", "recorded stories", "--reporter", "json", "--outputFile", report]
    ran = subprocess.run(
        command,
        cwd=WEB,
        env=os.environ | {"VITE_RECORDED_TRACES": str(path)},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert report.exists(), ran.stdout + ran.stderr
    found = json.loads(report.read_text())
    failures = [
        message
        for file in found["testResults"]
        for test in file["assertionResults"]
        for message in test["failureMessages"]
    ]
    assert not failures, "\n".join(failures)[:5000]
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert found["numPassedTests"] == STORIES
