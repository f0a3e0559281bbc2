"""Makes a container image from this machine's own Debian files, without any registry: a tar for `podman import`.

    python3 scripts/make_test_image.py [--without-python] IMAGE.tar

It holds a shell, the usual small programs and Debian's python3, with the libraries that they need: 55 MB, in a second.
The python3 in /opt/old says that it is of an old version.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = (
    "bash", "cat", "chmod", "chown", "cp", "echo", "env", "false", "grep", "head", "hostname", "id", "kill",
    "ln", "ls", "mkdir", "mkfifo", "mv", "nohup", "ps", "pwd", "readlink", "rm", "rmdir", "sed", "seq",
    "setsid", "sh", "sleep", "stat", "stty", "tail", "tee", "test", "touch", "tr", "true", "tty", "uname", "wc",
    "yes",
)  # fmt: skip
TERMINFO = "/lib/terminfo/x/xterm-256color"
"""Without it, shells take the terminal for a dumb one."""
PYTHON = "/usr/bin/python3"
FOLDERS = (
    "dev", "etc", "home", "opt", "opt/old", "proc", "root", "run", "sys", "usr", "usr/bin", "usr/lib", "usr/lib64",
    "usr/sbin",
)  # fmt: skip
LEFT_OUT = (
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "turtledemo",
)
"""Of Python's library; `config-*` as well."""
PASSWD = "root:x:0:0:root:/root:/bin/bash\nworker:x:1000:1000::/home/worker:/bin/sh\n"
OLD_PYTHON = """#!/bin/sh
shift 2
exec {python} -I -S -c '
import runpy, sys
sys.version_info = (3, 7, 17, "final", 0)
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
' "$@"
"""
"""Says that it is of another version than it is."""


def libraries(program: str) -> list[str]:
    """What the loader would load for it, and the loader."""
    answer = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(/\S+) \(0x", answer)


def python_files() -> Iterator[str]:
    """The interpreter and its library."""
    if not Path(PYTHON).exists():
        sys.exit(f"{PYTHON} is not here: install Debian's package python3.")
    yield os.path.realpath(PYTHON)
    command = [PYTHON, "-ISc", "import os; print(os.path.dirname(os.__file__))"]
    library = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    for folder, folders, files in os.walk(library):
        folders[:] = [name for name in folders if name not in LEFT_OUT and not name.startswith("config-")]
        yield from (os.path.join(folder, name) for name in files)  # noqa: PTH118 -- a thousand of them


def programs() -> Iterator[str]:
    """Those that are here, and what they know of the terminal."""
    for name in PROGRAMS:
        if found := shutil.which(name, path="/usr/bin:/bin"):
            yield found
    yield TERMINFO


def inside(path: str) -> str:
    """Where it lies in the image: /bin and /lib are links to those below /usr."""
    return (path if path.startswith("/usr/") else f"/usr{path}").lstrip("/")


def add_all(image: tarfile.TarFile, files: set[str]) -> None:
    """Each file once, what links point to instead of links."""
    places = {inside(path): path for path in sorted(files)}
    for place, path in sorted(places.items()):
        image.add(path, place, recursive=False)


def add_entry(image: tarfile.TarFile, name: str, kind: bytes, mode: int, target: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, target
    image.addfile(entry)


def add_text(image: tarfile.TarFile, name: str, text: str, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text), mode
    image.addfile(entry, io.BytesIO(text.encode()))


def make(path: Path, *, python: bool = True) -> None:
    """Write the image's tar."""
    files = set(programs())
    if python:
        files |= set(python_files())
    for file in [name for name in files if name.startswith(("/bin/", "/usr/bin/")) or name.endswith(".so")]:
        files |= set(libraries(file))
    with tarfile.open(path, "w", dereference=True) as image:
        for name in FOLDERS:
            add_entry(image, name, tarfile.DIRTYPE, 0o755)
        add_entry(image, "tmp", tarfile.DIRTYPE, 0o1777)
        for name in ("bin", "lib", "lib64", "sbin"):
            add_entry(image, name, tarfile.SYMTYPE, 0o777, f"usr/{name}")
        worker = tarfile.TarInfo("home/worker")
        worker.type, worker.mode, worker.uid, worker.gid = tarfile.DIRTYPE, 0o755, 1000, 1000
        image.addfile(worker)
        add_all(image, files)
        add_text(image, "etc/passwd", PASSWD)
        if python:
            add_text(image, "opt/old/python3", OLD_PYTHON.format(python=os.path.realpath(PYTHON)), 0o755)
            add_entry(image, "usr/bin/python3", tarfile.SYMTYPE, 0o777, Path(os.path.realpath(PYTHON)).name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("--without-python", action="store_true", help="to see what is said of such an image")
    options = parser.parse_args()
    make(options.image, python=not options.without_python)


if __name__ == "__main__":
    main()
