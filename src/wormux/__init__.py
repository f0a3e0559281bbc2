"""Wormux: a terminal multiplexer in the browser, for machines that fall asleep.

`create_app` is the way in for programs; everything else is reached through its own module.
It is looked up on first use, so that the agent, which runs on a bare Python, can live in this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wormux.version import __version__

if TYPE_CHECKING:
    from wormux.server.app import create_app

__all__ = ["__version__", "create_app"]


def __getattr__(name: str) -> Any:
    if name == "create_app":
        from wormux.server.app import create_app

        return create_app
    message = f"module 'wormux' has no attribute {name!r}"
    raise AttributeError(message)
