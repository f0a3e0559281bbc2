from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from wormux import __version__
from wormux.cli import main
from wormux.server.hosting import listen

WITHIN_S = 20.0
READY = re.compile(r"Wormux is ready: (http://127\.0\.0\.1:\d+/)(?:\?token=(\S+))?\n")


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("WORMUX_")]:
        monkeypatch.delenv(name)
    return tmp_path / "data"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "wormux", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)


@contextmanager
def serving(data_dir: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], re.Match[str]]]:
    """`wormux serve` on a free port, once it is ready."""
    command = [sys.executable, "-W", "error", "-m", "wormux", "serve", "--port", "0"]
    with subprocess.Popen(
        [*command, "--data-dir", str(data_dir), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            ready = READY.fullmatch(process.stdout.readline())
            assert ready is not None
            yield process, ready
        finally:
            process.kill()


def stop(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send a signal; returns what is printed until the end, which must be a good one."""
    process.send_signal(number)
    out, err = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 0
    assert [line for line in err.splitlines() if " INFO " not in line] == []
    return out


class TestSentences:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["serve", "--port", "x"], "--port must be a number from 0 to 65535."),
            (["serve", "--host", "0.0.0.0"], "Listening on 0.0.0.0 lets others read everything"),
            (["serve", "--config", "/no/such.toml"], "The configuration /no/such.toml cannot be read"),
            (["serve", "--provider", "moon"], "There is no provider moon"),
            (["ls"], "There is no Wormux data directory"),
            (["stop", "--all"], "There is no Wormux data directory"),
        ],
    )
    def test_faults_of_the_operator_are_one_sentence(
        self, arguments: list[str], sentence: str, data_dir: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([*arguments, "--data-dir", str(data_dir)]) == 1
        out, err = capsys.readouterr()
        assert err.startswith(f"wormux: {sentence}")
        assert (out, err.count("\n")) == ("", 1)

    def test_a_taken_port(self, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with listen("127.0.0.1", 0) as taken:
            port = taken.getsockname()[1]
            assert main(["serve", "--port", str(port), "--data-dir", str(data_dir)]) == 1
        out, err = capsys.readouterr()
        assert err.startswith(f"wormux: Cannot listen on 127.0.0.1 port {port}")
        assert (out, err.count("\n")) == ("", 1)

    @pytest.mark.parametrize("content", [b"not a database at all", b"SQLite format 3\0 but not really"])
    def test_a_damaged_store_is_refused_and_left_as_it_is(
        self, data_dir: Path, capsys: pytest.CaptureFixture[str], content: bytes
    ) -> None:
        data_dir.mkdir()
        (data_dir / "wormux.db").write_bytes(content)
        assert main(["serve", "--port", "0", "--data-dir", str(data_dir)]) == 1
        out, err = capsys.readouterr()
        assert err.startswith("wormux: The store ")
        assert (out, err.count("\n")) == ("", 1)
        assert (data_dir / "wormux.db").read_bytes() == content

    @pytest.mark.parametrize("arguments", [[], ["stop"], ["serve", "--prot", "1"], ["serve", "--por", "1"]])
    def test_a_wrong_command_line_says_how_it_goes(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "usage: wormux" in capsys.readouterr().err

    def test_the_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["--version"])
        assert ended.value.code == 0
        assert capsys.readouterr().out == f"wormux {__version__}\n"


def test_output_that_nobody_reads_is_no_fault(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o700)
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as out:  # noqa: PTH123 -- it has no path
        command = (sys.executable, "-m", "wormux", "ls", "--data-dir", str(data_dir))
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


class TestServe:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_says_when_it_is_ready_and_when_it_stopped(self, data_dir: Path, number: signal.Signals) -> None:
        with serving(data_dir) as (process, ready):
            assert ready[2] is None
            assert stop(process, number) == "Wormux stopped. No shell is running.\n"

    def test_prints_the_token_when_asked_and_keeps_it(self, data_dir: Path) -> None:
        tokens = []
        for _ in range(2):
            with serving(data_dir, "--print-token") as (process, ready):
                tokens.append(ready[2])
                stop(process, signal.SIGTERM)
        assert tokens[0] == tokens[1] == (data_dir / "token").read_text().strip()

    def test_writes_a_given_token_nowhere(self, data_dir: Path) -> None:
        with serving(data_dir, "--print-token", "--token", "se/cret") as (process, ready):
            assert ready[2] == "se%2Fcret"
            stop(process, signal.SIGTERM)
        assert not any(b"se/cret" in path.read_bytes() for path in data_dir.rglob("*") if path.is_file())

    def test_prints_the_token_on_a_terminal(self, data_dir: Path) -> None:
        master, slave = pty.openpty()
        command = [sys.executable, "-m", "wormux", "serve", "--port", "0", "--data-dir", str(data_dir)]
        with subprocess.Popen(command, stdout=slave) as process:
            try:
                os.close(slave)
                line = ""
                while not line.endswith("\n"):  # a terminal gives what is there, not lines
                    assert select.select([master], [], [], WITHIN_S)[0]
                    line += os.read(master, 1000).decode().replace("\r\n", "\n")
                ready = READY.fullmatch(line)
                assert ready is not None
                assert ready[2] == (data_dir / "token").read_text().strip()
            finally:
                process.terminate()
                process.wait(WITHIN_S)
                os.close(master)

    def test_a_second_server_is_sent_to_the_first(self, data_dir: Path) -> None:
        with serving(data_dir) as (_, ready):
            second = run("serve", "--port", "0", "--data-dir", data_dir)
        assert (second.returncode, second.stdout) == (1, "")
        assert f"Another Wormux server uses this data directory: {ready[1].rstrip('/')}" in second.stderr
        assert second.stderr.count("\n") == 1


@pytest.mark.integration
class TestShells:
    def test_outlive_the_server_until_they_are_stopped(self, data_dir: Path) -> None:
        with serving(data_dir, "--print-token", "--shell", "sh") as (process, ready):
            make_shell(ready[1], ready[2])
            assert shown(data_dir) == ("awake", "connected")
            assert stop(process, signal.SIGTERM) == (
                "Wormux stopped. 1 shell goes on running; the next `wormux serve` finds it, "
                "`wormux stop --all` ends it.\n"
            )
        assert shown(data_dir) == ("awake", "live")
        assert run("stop", "--all", "--data-dir", data_dir).stdout == "1 sandbox was put to sleep.\n"
        assert shown(data_dir) == ("asleep", "asleep")
        assert run("stop", "--all", "--data-dir", data_dir).stdout == "0 sandboxes were put to sleep.\n"

    def test_are_stopped_through_a_running_server(self, data_dir: Path) -> None:
        with serving(data_dir, "--print-token", "--shell", "sh") as (process, ready):
            make_shell(ready[1], ready[2])
            assert run("stop", "--all", "--data-dir", data_dir).stdout == "1 sandbox was put to sleep.\n"
            assert shown(data_dir) == ("asleep", "asleep")
            listing = run("ls", "--data-dir", data_dir).stdout.splitlines()
            assert listing[:2] == [f"Server: {ready[1].rstrip('/')}", "main  asleep (local)"]
            assert stop(process, signal.SIGTERM) == "Wormux stopped. No shell is running.\n"


def make_shell(address: str, token: str) -> None:
    """Attach as a new user, which makes the first session, and wait for its shell."""
    with connect(
        f"ws{address.removeprefix('http')}ws",
        additional_headers={"Authorization": f"Bearer {token}"},
        compression=None,
        proxy=None,
    ) as client:
        client.send(b'\xff{"type": "connect", "width": 800, "height": 600}')
        deadline_s = time.monotonic() + WITHIN_S
        while True:
            frame = client.recv(timeout=deadline_s - time.monotonic(), decode=False)
            message: dict[str, Any] = json.loads(frame[1:]) if frame[0] == 255 else {}
            if any(message.get("connected", {}).values()):
                return


def shown(data_dir: Path) -> tuple[str, str]:
    """The status of the one session and of its one pane, as `wormux ls --json` tells them."""
    (session,) = json.loads(run("ls", "--json", "--data-dir", data_dir).stdout)["sessions"]
    (tab,) = session["tabs"]
    (pane,) = tab["panes"]
    return session["status"], pane["status"]
