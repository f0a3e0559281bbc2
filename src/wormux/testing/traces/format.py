"""The form of a trace, and the short words in it spelled out as messages of the protocol."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class TraceFailed(AssertionError):
    """A client does not do what the trace says, or nobody can play the trace."""


@dataclass(frozen=True)
class Trace:
    """One story, and the rule that it is about."""

    name: str
    rule: str
    """The rule as a sentence, with its section of the protocol."""
    steps: tuple[tuple[str, Any], ...]
    """Verb and value."""


def load(path: Path) -> list[Trace]:
    """All traces of one file. Raises `TraceFailed` for what is no trace."""
    return [read(raw) for raw in json.loads(path.read_text())]


def read(raw: dict[str, Any]) -> Trace:
    """One trace from its JSON. Raises `TraceFailed`."""
    if raw.keys() != {"name", "rule", "steps"} or not all(len(step) == 1 for step in raw["steps"]):
        raise TraceFailed(f"A trace has a name, a rule and steps of one verb each: {raw.get('name')}.")
    steps = tuple((verb, value) for step in raw["steps"] for verb, value in step.items())
    return Trace(raw["name"], raw["rule"], steps)


def dump(trace: Trace) -> dict[str, Any]:
    """As JSON has it."""
    return {"name": trace.name, "rule": trace.rule, "steps": [{verb: value} for verb, value in trace.steps]}


def data_of(value: Any) -> bytes:
    """Bytes as a trace names them: a text, or `{"text" | "hex", "times"?}`."""
    if isinstance(value, str):
        return value.encode()
    data = value["text"].encode() if "text" in value else bytes.fromhex(value["hex"])
    return data * int(value.get("times", 1))


def hexed(data: bytes) -> dict[str, str]:
    """The same the other way round."""
    return {"hex": data.hex()}


_INFO = {"status": "connected", "cols": 80, "rows": 24, "title": "", "queued": 0}
_SESSION = {
    "id": "s",
    "sandboxId": "x",
    "name": "main",
    "createdAt": 1,
    "provider": "local",
    "status": "awake",
}
_NOW_MS = 1_700_000_000_000


class Announcements:
    """Spells out `state` and `update`: one session, and one tab for each pane."""

    def __init__(self) -> None:
        self._panes: dict[str, dict[str, Any]] = {}
        """The record of each pane, as it was last announced."""

    def state(self, value: dict[str, Any]) -> dict[str, Any]:
        """`{rev, panes, input?}`; a pane is its channel, or its channel and what its record says."""
        self._panes = {}
        told = self._told(value["panes"])
        return told | {
            "type": "state",
            "rev": value["rev"],
            "now": _NOW_MS,
            "sessions": [_SESSION],
            "panes": self._panes,
            "input": value.get("input"),
        }

    def update(self, value: dict[str, Any]) -> dict[str, Any]:
        """`{rev, panes}`: all panes; those that are new or more than a channel are the changed ones."""
        before = self._panes
        told = self._told(value["panes"])
        changed = {
            pane_id: self._panes[pane_id]
            for pane_id, said in value["panes"].items()
            if isinstance(said, dict) or pane_id not in before
        }
        return told | {"type": "layout_update", "rev": value["rev"], "panes": changed}

    def _told(self, panes: dict[str, Any]) -> dict[str, Any]:
        records, channels = {}, {}
        for pane_id, said in panes.items():
            fields = dict(said) if isinstance(said, dict) else {"channel": said}
            channels[pane_id] = fields.pop("channel")
            records[pane_id] = self._panes.get(pane_id, _INFO) | fields
        self._panes = records
        tabs = [
            {
                "id": f"tab-{pane_id}",
                "sessionId": "s",
                "name": "tab",
                "layout": {"type": "pane", "paneId": pane_id},
                "focus": pane_id,
            }
            for pane_id in records
        ]
        connected = {pane_id: info["status"] == "connected" for pane_id, info in records.items()}
        active = tabs[0]["id"] if tabs else None
        return {"tabs": tabs, "activeTab": active, "channels": channels, "connected": connected}
