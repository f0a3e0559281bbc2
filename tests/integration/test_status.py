"""`wormux doctor` and `wormux status`, on real data directories and servers."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from wormux.cli import main
from wormux.testing.client import ScriptedClient

from .kit import MakeServer

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _any_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORMUX_PORT", "0")


def doctor(
    capsys: pytest.CaptureFixture[str], *options: str | Path
) -> tuple[int, dict[str, dict[str, object]]]:
    """The exit status, and what was found by its name."""
    status = main(["doctor", "--json", *map(str, options)])
    told = json.loads(capsys.readouterr().out)
    assert told["serves"] == (status == 0)
    return status, {finding["name"]: finding for finding in told["findings"]}


class TestDoctor:
    def test_a_healthy_machine(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = set(Path("/tmp").iterdir())
        status, found = doctor(capsys, "--data-dir", tmp_path / "data")
        assert status == 0
        assert [
            name for name, finding in found.items() if finding["needed"] and finding["state"] != "ok"
        ] == []
        for name in ("isolation (bubblewrap)", "freezer", "emulator (pyghostty)", "uvloop", "shells"):
            assert found[name]["state"] == "ok", found[name]
        assert not (tmp_path / "data").exists()
        assert [path for path in set(Path("/tmp").iterdir()) - before if "doctor" in path.name] == []

    def test_what_keeps_a_server_from_starting_is_exit_status_1(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "wormux.db").write_bytes(b"not a database")
        monkeypatch.setenv("PATH", "/no/such")
        monkeypatch.setenv("WORMUX_ISOLATION", "bubblewrap")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            monkeypatch.setenv("WORMUX_PORT", port)
            status, found = doctor(capsys, "--data-dir", tmp_path)
        assert status == 1
        failing = {
            name: str(it["about"]) for name, it in found.items() if it["needed"] and it["state"] != "ok"
        }
        assert "is damaged" in failing.pop("store")
        assert f"Cannot listen on 127.0.0.1 port {port}" in failing.pop("address")
        assert "install the package bubblewrap" in failing.pop("isolation (bubblewrap)")
        assert "install the package bubblewrap" in failing.pop("sandboxes as configured")
        assert failing == {}
        assert found["isolation (bubblewrap)"]["state"] == "missing"

    def test_the_text_has_a_line_for_each(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "file").touch()
        assert main(["doctor", "--data-dir", str(tmp_path / "file" / "data")]) == 1
        *lines, last = capsys.readouterr().out.splitlines()
        assert all(line.startswith(("ok ", "missing ", "cannot ")) for line in lines)
        assert f"cannot   data directory: {tmp_path}/file is a file. Choose another --data-dir." in lines
        assert last == "`wormux serve` would not start like this."


class TestStatus:
    async def test_of_a_server_and_of_what_is_left_of_it(self, make_server: MakeServer) -> None:
        server = make_server()
        async with ScriptedClient(server.url, server.token) as client:
            await client.wait_status(client.pane(), "connected")
            told = json.loads(server.run("status", "--json").stdout)
            about = told["server"]
            assert (about["address"], about["pid"], about["ready"]) == (server.url, server.pid, True)
            assert about["connections"] == 1
            assert 0 < about["uptime_s"] < 3600
            assert (told["sessions"], told["panes"]) == ({"awake": 1}, {"connected": 1})
            assert told["store_bytes"] > 0
            assert told["warnings"] == []
            shown = server.run("status")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert shown.stdout.startswith(f"Server: {server.url} (Wormux ")
        assert "Panes: 1 connected\n" in shown.stdout
        assert server.terminate() == 0
        told = json.loads(server.run("status", "--json").stdout)
        assert (told["server"], told["panes"]) == (None, {"live": 1})
