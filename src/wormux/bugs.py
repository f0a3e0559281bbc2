"""How our own mistakes are logged: where they happened, and nothing that somebody typed."""

from __future__ import annotations

import logging
import traceback


def log_bug(logger: logging.Logger, doing: str, error: BaseException) -> None:
    """Log where `error` came from, but not its message, which may quote what somebody typed."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("A bug: %s while %s.\n%s", type(error).__name__, doing, frames.rstrip())
