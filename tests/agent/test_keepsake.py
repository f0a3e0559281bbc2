"""What of a shell's environment is kept, and how it is found in what the shell writes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from wormux.agent.integration import restoring
from wormux.agent.keepsake import ENV_EXCLUDE, Blocks, Keepsake, Kept
from wormux.agent.loop import Loop
from wormux.limits import ENVIRONMENT_BYTES, ENVIRONMENT_VARIABLES
from wormux.sandbox import settings

ODD = bytes(range(1, 256)) + b"$(touch owned)`touch owned`'\"\\!;&|\n"


class Said(list[str]):
    """Complaints."""

    def __call__(self, sentence: str = "too large") -> None:
        self.append(sentence)


def block(kind: str, variables: dict[bytes, bytes]) -> bytes:
    """As a shell writes it."""
    records = [b"", b"wormux " + kind.encode(), *(n + b"=" + v for n, v in variables.items()), b""]
    return b"".join(record + b"\0" for record in records)


@pytest.fixture
def said() -> Said:
    return Said()


def keepsake(directory: Path, said: Said, generation: int = 1) -> Keepsake:
    return Keepsake(Loop(), directory, generation, ENV_EXCLUDE, said)


def write(kept: Keepsake, data: bytes) -> None:
    descriptor = os.open(kept.pipe, os.O_WRONLY)
    os.write(descriptor, data)
    os.close(descriptor)
    kept.read()


def test_the_agent_and_the_server_exclude_the_same() -> None:
    assert ENV_EXCLUDE == settings.ENV_EXCLUDE


def test_what_differs() -> None:
    before = {b"SAME": b"1", b"CHANGED": b"1", b"REMOVED": b"1"}
    kept = Kept.between(before, {b"SAME": b"1", b"CHANGED": b"2", b"ADDED": b""})
    assert kept == Kept({b"CHANGED": b"2", b"ADDED": b""}, frozenset({b"REMOVED"}))
    assert Kept.from_json(kept.to_json()) == kept


@pytest.mark.parametrize(
    "name",
    ["GITHUB_TOKEN", "TOKENS", "API_KEY", "MY_SECRET_NAME", "PGPASSWORD", "AWS_CREDENTIALS", "GH_PAT", "DATABASE_URL",
     "SSH_AUTH_SOCK", "PWD", "SHLVL", "_", "WORMUX_X", "TERM", "COLUMNS", "no name", "a[$(id)]", ""],
)  # fmt: skip
def test_never_kept(name: str) -> None:
    both = Kept({name.encode(): b"x", b"STAYS": b"1"}, frozenset({name.encode(), b"GOES"}))
    assert both.sifted(ENV_EXCLUDE) == Kept({b"STAYS": b"1"}, frozenset({b"GOES"}))


def test_other_patterns_in_place_of_the_usual() -> None:
    assert Kept({b"A_KEY": b"1", b"OWN": b"2"}).sifted(("OWN",)) == Kept({b"A_KEY": b"1"})


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_blocks_in_pieces_between_garbage(said: Said, size: int) -> None:
    stream = b"garbage" + block("baseline", {b"A": b"1", b"B": ODD}) + b"A=2\0more\0wormux other\0C=3\0\0half"
    stream += block("prompt", {b"A": b""})
    blocks = Blocks(said)
    found = [each for at in range(0, len(stream), size) for each in blocks.feed(stream[at : at + size])]
    assert found == [("baseline", {b"A": b"1", b"B": ODD}), ("prompt", {b"A": b""})]
    assert said == []


@pytest.mark.parametrize(
    "large",
    [
        {b"LARGE": b"x" * ENVIRONMENT_BYTES},
        {b"A%d" % number: b"x" * 1000 for number in range(ENVIRONMENT_BYTES // 1000)},
        {b"A%d" % number: b"" for number in range(ENVIRONMENT_VARIABLES + 1)},
    ],
    ids=["one", "bytes", "number"],
)
def test_a_block_that_is_too_large_is_dropped(said: Said, large: dict[bytes, bytes]) -> None:
    stream = block("prompt", large) + block("prompt", {b"A": b"1"})
    blocks = Blocks(said)
    found = [each for at in range(0, len(stream), 4096) for each in blocks.feed(stream[at : at + 4096])]
    assert found == [("prompt", {b"A": b"1"})]
    assert said == ["too large"]


def test_garbage_without_end_is_not_kept_in_memory(said: Said) -> None:
    blocks = Blocks(said)
    for _ in range(10):
        assert list(blocks.feed(b"x" * ENVIRONMENT_BYTES)) == []
        assert len(blocks._pending) <= ENVIRONMENT_BYTES
    assert list(blocks.feed(block("prompt", {b"A": b"1"}))) == [("prompt", {b"A": b"1"})]


def test_one_file_that_only_its_owner_reads(tmp_path: Path, said: Said) -> None:
    directory = tmp_path / "panes" / "p"
    first = keepsake(directory, said)
    write(first, block("prompt", {b"EARLY": b"1"}))  # nothing to compare it with
    write(first, block("baseline", {b"OLD": b"1", b"SAME": b"1"}))
    assert sorted(path.name for path in directory.iterdir()) == ["environment.1"]
    write(first, block("prompt", {b"NEW": ODD, b"SAME": b"1", b"A_TOKEN": b"hush"}))
    assert sorted(path.name for path in directory.iterdir()) == ["environment.1", "kept"]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert (modes, stat.S_IMODE(directory.stat().st_mode)) == ({0o600}, 0o700)
    assert b"hush" not in (directory / "kept").read_bytes()
    write(first, block("baseline", {}))  # the first one counts
    first.end()
    first.end()

    second = keepsake(directory, said, 2)
    assert second.kept == Kept({b"NEW": ODD}, frozenset({b"OLD"}))
    assert sorted(path.name for path in directory.iterdir()) == ["environment.2", "kept"]
    second.end(forget=True)
    assert list(directory.parent.iterdir()) == []
    assert said == []


def test_what_was_set_again_is_not_kept_twice(tmp_path: Path, said: Said) -> None:
    kept = keepsake(tmp_path / "p", said)
    kept.write_restore(b"script")
    assert stat.S_IMODE(kept.restore.stat().st_mode) == 0o600
    write(kept, block("baseline", {}))
    assert kept.restore.exists()
    write(kept, block("prompt", {}))
    assert not kept.restore.exists()
    kept.end()


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"version": 1, "changed": [], "removed": []}', b"\xff"]
)
def test_a_damaged_file_is_left_out_and_said(tmp_path: Path, said: Said, text: bytes) -> None:
    (tmp_path / "kept").write_bytes(text)
    kept = keepsake(tmp_path, said)
    assert kept.kept == Kept()
    assert len(said) == 1
    assert "cannot be read" in said[0]
    kept.end()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "endless", "link", "directory"])
def test_what_a_program_put_in_its_place_is_left_out_and_said(tmp_path: Path, said: Said, kind: str) -> None:
    keepsake(tmp_path / "pane", said).end()
    path = tmp_path / "pane" / "kept"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.write_bytes(b'{"version": 1, "removed": [], "changed": {}}' + b" " * (8 * ENVIRONMENT_BYTES))
    elif kind == "link":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    again = keepsake(tmp_path / "pane", said, 2)
    assert again.kept == Kept()
    assert len(said) == 1
    again.end()


@pytest.mark.parametrize(
    ("shell", "put"),
    [
        ("bash", "__wormux_put() { export \"$1=$2\"; }; __wormux_drop() { unset -v \"$1\"; }"),
        ("zsh", "__wormux_put() { export \"$1=$2\"; }; __wormux_drop() { unset \"$1\"; }"),
        ("fish", "function __wormux_put; set -gx $argv; end; function __wormux_drop; set -e $argv; end"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_every_byte_comes_back_and_runs_nothing(tmp_path: Path, shell: str, put: str, locale: str) -> None:
    assert shutil.which(shell), f"{shell} is not installed"
    changed = {
        b"ODD": ODD,
        b"EMPTY": b"",
        b"MANY": b"a\n\nb\n",
        b"TWO": b"  a  b  ",
        b"PATH": os.environb[b"PATH"],
    }
    script = tmp_path / "script"
    script.write_bytes(restoring(Kept(changed, frozenset({b"GONE"})), shell))
    done = subprocess.run(
        [shell, "-c", f"{put}\nsource {script}; env -0"],
        env={"GONE": "x", "LC_ALL": locale, "PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    seen = dict(pair.split(b"=", 1) for pair in done.stdout.split(b"\0") if pair)
    assert {name: seen.get(name) for name in changed} == changed
    assert b"GONE" not in seen
    assert not (tmp_path / "owned").exists()
