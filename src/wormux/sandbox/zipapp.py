"""The agent as one file, for any python3 from 3.9 on: what it loads of this package, and nothing else.

The file is the same wherever it is built from the same sources with the same Python. Next to each source lies what this
Python made of it, which halves the time that a start takes where the image has the same Python.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import marshal
import zipfile
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_FILES = ("__init__.py", "limits.py", "version.py", "protocol/__init__.py", "protocol/agent_link.py")
_FOLDER = "agent"
_WHEN = (1980, 1, 1, 0, 0, 0)
"""The oldest time that a ZIP file knows."""
_HASH_UNCHECKED = 0b01
"""PEP 552: no time stamps that could differ from those in the ZIP file."""

MAIN = """\
import sys

if sys.version_info < (3, 9):
    import socket

    found = "%d.%d" % tuple(sys.version_info)[:2]
    with socket.socket(socket.AF_UNIX) as boot:
        boot.connect(sys.argv[1])
        boot.sendall(("The image has Python %s; the agent needs 3.9 or newer.\\n" % found).encode())
    sys.exit(1)

from wormux.agent.in_container import main

sys.exit(main())
"""
"""Whatever Python runs it, it tells what is wrong; so this is written for old ones."""


@functools.cache
def build() -> bytes:
    """The whole file."""
    names = [*_FILES, *sorted(f"{_FOLDER}/{path.name}" for path in (_PACKAGE / _FOLDER).glob("*.py"))]
    scripts = sorted(f"{_FOLDER}/shells/{path.name}" for path in (_PACKAGE / _FOLDER / "shells").iterdir())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", MAIN.encode())
        for name in names:
            source = (_PACKAGE / name).read_bytes()
            _add(archive, f"wormux/{name}", source)
            _add(archive, f"wormux/{name}c", _compiled(source, f"wormux/{name}"))
        for script in scripts:
            _add(archive, f"wormux/{script}", (_PACKAGE / script).read_bytes())
    return buffer.getvalue()


def _compiled(source: bytes, name: str) -> bytes:
    """As Python keeps it: another Python sees by the first four bytes that it is not for it, and takes the source."""
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    flags = _HASH_UNCHECKED.to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source) + marshal.dumps(code)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _WHEN)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
