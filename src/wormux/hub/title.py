"""The title that programs give their terminal: OSC 0 and OSC 2 (xterm, "Operating System Commands")."""

from __future__ import annotations

import re

from wormux.limits import TITLE_CHARS

_TITLE = re.compile(rb"\x1b\](?:0|2);([^\x07\x1b\x18\x1a]*)(?:\x07|\x1b\\)")
_BEGUN = re.compile(rb"\x1b(?:\](?:[02](?:;[^\x07\x1b\x18\x1a]*)?(?:\x1b)?)?)?\Z")
_CARRY_BYTES = 4 * TITLE_CHARS + 8
"""A title that is longer is none."""


class TitleScanner:
    """Finds titles in a stream that arrives in pieces."""

    def __init__(self) -> None:
        self._carry = b""

    def feed(self, data: bytes) -> str | None:
        """The last title set in `data`, if any."""
        if not self._carry and b"\x1b" not in data:
            return None
        data = self._carry + data
        titles = _TITLE.findall(data)
        # An ESC at the very end may begin a title, or be the first half of what ends one.
        before_end = data.rfind(b"\x1b", 0, -1)
        begun = _BEGUN.search(data, before_end if before_end >= 0 else len(data) - 1)
        self._carry = data[begun.start() :] if begun and len(data) - begun.start() <= _CARRY_BYTES else b""
        return clean_text(titles[-1].decode("utf-8", "replace"), TITLE_CHARS) if titles else None


def clean_text(text: str, limit: int) -> str:
    """Without control characters, at most `limit` characters."""
    return "".join(character for character in text if character.isprintable())[:limit]
