"""What is installed from an sdist or a checkout is whole: the command, and the page with all its parts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
from importlib.metadata import distributions
from pathlib import Path
from zipfile import ZipFile

import pytest

import wormux

ROOT = Path(__file__).resolve().parent.parent
PAGE = "wormux/server/page"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(600)]


def run(*command: str | Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command away from the checkout, with another PATH if one is given; its output is one text."""
    environment = os.environ | ({} if path is None else {"PATH": path})
    return subprocess.run(
        command,
        cwd=ROOT.anchor,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def succeed(*command: str | Path, path: str | None = None) -> str:
    done = run(*command, path=path)
    assert done.returncode == 0, done.stdout
    return done.stdout


def build_wheel(source: Path, folder: Path, path: str | None = None) -> Path:
    succeed(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source, path=path)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def without_node(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which there is no program at all."""
    return str(tmp_path_factory.mktemp("empty"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    build = "import os, sys; os.chdir(sys.argv[1]); from hatchling.build import build_sdist; build_sdist(sys.argv[2])"
    succeed(sys.executable, "-c", build, ROOT, folder)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(sdist: Path, without_node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as it comes from the source distribution, where there is no Node.js."""
    return build_wheel(sdist, tmp_path_factory.mktemp("wheel"), path=without_node)


def test_wheel_holds_the_page_and_everything_it_names(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        index = archive.read(f"{PAGE}/index.html").decode()

    named = re.findall(r'(?:src|href)="\./(assets/[^"]+)"', index)
    assert any(name.endswith(".js") for name in named)
    assert {f"{PAGE}/{name}" for name in named} <= names


def test_page_has_no_inline_script(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        index = archive.read(f"{PAGE}/index.html").decode()

    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", index, re.DOTALL)
    assert scripts
    assert all("src=" in attributes and not body.strip() for attributes, body in scripts)


def test_checkout_gives_the_same_wheel_as_the_sdist(wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as one, ZipFile(build_wheel(ROOT, tmp_path)) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())


def test_installed_command_tells_its_version(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path, with_pip=True)
    python = tmp_path / "bin" / "python"
    succeed(python, *PIP[1:], "install", "--constraint", ROOT / "constraints.txt", wheel)

    assert wormux.__version__ in succeed(tmp_path / "bin" / "wormux", "--version")


def test_without_page_and_node_the_build_says_what_it_needs(
    sdist: Path, without_node: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(sdist, source)
    shutil.rmtree(source / "src" / PAGE)

    done = run(*PIP, "wheel", "--no-deps", "--no-build-isolation", source, path=without_node)

    assert done.returncode != 0
    assert "Building the page needs Node.js 20.19 or later with npm, and no node is on PATH." in done.stdout


def test_every_installed_package_is_pinned() -> None:
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    )
    pins = {plain(name): version for name, version in pins.items()}
    installed = {plain(package.name): package.version for package in distributions()}
    for aside in ("wormux", "pip", "setuptools"):
        installed.pop(aside, None)

    assert {name: pins.get(name) for name in installed} == installed


def plain(name: str) -> str:
    """The name of a package in the one spelling that compares."""
    return re.sub(r"[-_.]+", "-", name).lower()
