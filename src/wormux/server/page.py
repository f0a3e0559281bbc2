"""The page's own files, read once: what is not among them does not exist, whatever a request's path says."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

PAGE_DIR = Path(__file__).parent / "page"

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""Files of other kinds are not served."""
_PACKED = frozenset({".css", ".html", ".js", ".json", ".svg", ".ttf", ".txt", ".wasm"})


@dataclass(frozen=True)
class PageFile:
    content: bytes
    packed: bytes | None
    """The content compressed by gzip, where that is worth it."""
    content_type: str
    etag: str


@dataclass(frozen=True)
class Page:
    """`index` is None where the page was not built."""

    index: PageFile | None
    assets: dict[str, PageFile]
    """By their names within `assets/`, which Vite gives a hash of the content."""


def load_page(folder: Path = PAGE_DIR) -> Page:
    index = folder / "index.html"
    assets = folder / "assets"
    return Page(
        index=_load(index) if index.is_file() else None,
        assets={
            path.relative_to(assets).as_posix(): _load(path)
            for path in sorted(assets.rglob("*"))
            if path.is_file() and path.suffix in _CONTENT_TYPES
        },
    )


def _load(path: Path) -> PageFile:
    content = path.read_bytes()
    packed = gzip.compress(content, 6, mtime=0) if path.suffix in _PACKED else None
    return PageFile(
        content,
        packed if packed is not None and len(packed) < len(content) else None,
        _CONTENT_TYPES[path.suffix],
        f'W/"{hashlib.sha256(content).hexdigest()[:32]}"',
    )
