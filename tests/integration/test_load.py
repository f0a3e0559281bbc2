"""The tool that puts servers under load, on a real server: it runs through, and finds what a leaking server leaks."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from wormux.testing.load import __main__ as tool
from wormux.testing.load.plan import Plan
from wormux.testing.load.report import report
from wormux.testing.load.run import run

SMALL = Plan(panes=4, clients=3, servers=1, seconds=1)
"""A warm-up and one round."""

_LEAKING = """
import os, sys
from wormux.cli import main
from wormux.server.driver import Driver

kept, connect = [], Driver.connect

def leaking_connect(self, *arguments, **more):
    kept.append((bytes(range(256)) * (1 << 17), os.open(os.devnull, os.O_RDONLY)))
    return connect(self, *arguments, **more)

Driver.connect = leaking_connect
sys.exit(main())
"""
"""32 MiB and a descriptor for each connection."""


@pytest.mark.integration
def test_a_small_load_leaves_nothing_behind(tmp_path: Path) -> None:
    said: list[str] = []
    results = run(SMALL, tmp_path, said.append)
    assert results.rounds == 2
    assert results.reconnects >= 2
    assert results.flooded_bytes > 10_000_000
    assert results.delivered_bytes > results.flooded_bytes
    assert results.echo_load_s
    assert sum(results.lags.values()) > 0
    counted = [judgement for judgement in results.judgements if judgement.unit in ("open", "running")]
    assert [str(judgement) for judgement in counted if not judgement.is_flat] == []
    text = "\n".join(report(results))
    for part in ("panes per GiB", "clients per core", "echo of a key", "server: memory"):
        assert part in text


@pytest.mark.integration
def test_a_server_that_leaks_is_found_out(tmp_path: Path) -> None:
    script = tmp_path / "leaking.py"
    script.write_text(_LEAKING)
    plan = replace(SMALL, settles_within_s=1)
    results = run(plan, tmp_path, lambda line: None, command=(sys.executable, str(script)))
    grown = {judgement.name for judgement in results.judgements if not judgement.is_flat}
    assert {"server: memory", "server: descriptors"} <= grown
    assert "GREW  server: descriptors grew" in "\n".join(report(results))


def test_what_cannot_be_is_said_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(["--panes", "1000", "--servers", "1"]) == 1
    assert "need more servers" in capsys.readouterr().err
