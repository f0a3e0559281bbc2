"""Random terminal programs: what they write, and when their terminal is resized."""

from __future__ import annotations

import random

TEXTS = (
    "plain words ", "x", "longer text that wraps in a narrow terminal ", "中文字", "🙂", "e\u0301", "a\u0302\u0323b",
    "👨\u200d👩\u200d👧", "❤\ufe0f", "🇩🇪", "ｱﾊ", "█▀", "한글", " ", "\t", "é", "¿", "0123456789",
)  # fmt: skip
MODES = (
    "4", "20", "?1", "?5", "?6", "?7", "?8", "?9", "?12", "?25", "?45", "?66", "?67", "?69", "?1000", "?1002",
    "?1003", "?1004", "?1005", "?1006", "?1007", "?1015", "?1016", "?2004", "?2026", "?2027", "?2031",
)  # fmt: skip
KEPT = ("?7", "?25")
"""Mostly set, or nothing much is drawn."""


class Program:
    """A seeded stream of output."""

    def __init__(self, seed: int, cols: int, rows: int) -> None:
        self.random = random.Random(seed)
        self.cols = cols
        self.rows = rows

    def output(self, steps: int) -> bytes:
        return b"".join(self.step() for _ in range(steps))

    def step(self) -> bytes:
        """One thing that programs do."""
        makers = (
            (30, self.text), (12, self.style), (10, self.move), (8, self.line), (6, self.erase), (5, self.shift),
            (4, self.region), (4, self.mode), (2, self.saved), (2, self.charset), (2, self.alternate), (2, self.link),
            (2, self.report), (1, self.colors), (1, self.tabs), (1, self.cursor), (1, self.keyboard), (1, self.protect),
            (1, self.flood), (1, self.odd),
        )  # fmt: skip
        weights, functions = zip(*makers, strict=True)
        return str(self.random.choices(functions, weights)[0]()).encode("utf-8", "surrogateescape")

    def number(self, most: int) -> int:
        return self.random.choice((1, 1, 2, 3, self.random.randint(1, most)))

    def text(self) -> str:
        if self.random.random() < 0.1:  # with nothing between: xterm.js repeats only what comes just before
            return f"\x1b]8;;\x07\x1b(B\x0f\x1b[?2027ly\x1b[{self.number(self.cols)}b"
        return self.random.choice(TEXTS) * self.random.choice((1, 1, 2, 5, 20))

    def style(self) -> str:
        pick = self.random
        color = pick.choice(
            (
                lambda: str(pick.choice((30, 40, 90, 100)) + pick.randint(0, 7)),
                lambda: f"{pick.choice((38, 48))};5;{pick.randint(0, 255)}",
                lambda: f"{pick.choice((38, 48))};2;{pick.randint(0, 255)};0;{pick.randint(0, 255)}",
                lambda: f"4:{pick.randint(1, 5)};58;5;{pick.randint(0, 255)}",
                lambda: f"58:2::{pick.randint(0, 255)}:1:2",
                lambda: str(pick.choice((1, 2, 3, 4, 5, 7, 8, 9, 53, 21, 22, 23, 24, 27, 29, 39, 49, 59))),
                lambda: "0",
                lambda: "",
            )
        )()
        return f"\x1b[{color}m"

    def move(self) -> str:
        pick = self.random
        if pick.random() < 0.5:
            return f"\x1b[{pick.randint(1, self.rows)};{pick.randint(1, self.cols)}H"
        return f"\x1b[{self.number(self.cols)}{pick.choice('ABCDEFG`ade')}"

    def line(self) -> str:
        return self.random.choice(("\r\n", "\r\n", "\n", "\r", "\b", "\x1bM", "\x1bD", "\x1bE", "\x0b"))

    def erase(self) -> str:
        pick = self.random
        return pick.choice((f"\x1b[{pick.randint(0, 2)}K", f"\x1b[{pick.randint(0, 2)}J",
                            f"\x1b[{self.number(self.cols)}X", f"\x1b[?{pick.randint(0, 2)}K"))  # fmt: skip

    def shift(self) -> str:
        return f"\x1b[{self.number(self.cols)}{self.random.choice('@PLMST')}"

    def region(self) -> str:
        pick = self.random
        if pick.random() < 0.5:
            return "\x1b[r"
        top = pick.randint(1, self.rows - 1)
        return f"\x1b[{top};{pick.randint(top + 1, self.rows)}r"

    def mode(self) -> str:
        mode = self.random.choice(MODES)
        often = 0.9 if mode in KEPT else 0.4
        return f"\x1b[{mode}{'h' if self.random.random() < often else 'l'}"

    def saved(self) -> str:
        return self.random.choice(("\x1b7", "\x1b8", "\x1b[?1048h", "\x1b[?1048l", "\x1b[s", "\x1b[u"))

    def charset(self) -> str:
        pick = self.random
        return pick.choice((f"\x1b{pick.choice('()*+')}{pick.choice('BA0')}", "\x0e", "\x0f", "\x1bn", "\x1bo",
                            "\x1b~", "\x1b}", "\x1b|", "\x1bNx", "\x1bOx", "\x1b(0lqqk\x1b(B"))  # fmt: skip

    def alternate(self) -> str:
        return self.random.choice(("\x1b[?1049h", "\x1b[?1049l", "\x1b[?1047h\x1b[2J", "\x1b[?1047l"))

    def link(self) -> str:
        pick = self.random
        return pick.choice(("\x1b]8;;\x07", "\x1b]8;;\x1b\\", f"\x1b]8;;http://a/{pick.randint(0, 9)}\x07",
                            f"\x1b]8;id={pick.randint(0, 9)};http://b/ü\x1b\\"))  # fmt: skip

    def report(self) -> str:
        return self.random.choice((f"\x1b]2;title ü {self.random.randint(0, 99)}\x07", "\x1b]0;\x07",
                                   "\x1b]7;file://host/dir\x1b\\", "\x1b]9;text\x07", "\x1b[6n", "\x1b[c"))  # fmt: skip

    def colors(self) -> str:
        pick = self.random
        return pick.choice((f"\x1b]4;{pick.randint(0, 255)};#{pick.randint(0, 0xFFFFFF):06x}\x07", "\x1b]104\x07",
                            f"\x1b]{pick.randint(10, 12)};rgb:11/22/{pick.randint(16, 99)}\x07",
                            f"\x1b]{pick.randint(110, 112)}\x07"))  # fmt: skip

    def tabs(self) -> str:
        return self.random.choice(("\x1bH", "\x1b[g", "\x1b[3g", "\t", "\x1b[2I", "\x1b[Z"))

    def cursor(self) -> str:
        return f"\x1b[{self.random.randint(0, 6)} q"

    def keyboard(self) -> str:
        pick = self.random
        return pick.choice((f"\x1b[>{pick.randint(0, 31)}u", "\x1b[<u", f"\x1b[={pick.randint(0, 31)}u",
                            "\x1b[>4;2m", "\x1b[>4m", "\x1b[>1s"))  # fmt: skip

    def protect(self) -> str:
        return self.random.choice(('\x1b[1"q', '\x1b[0"q', '\x1b[2"q', "\x1bV", "\x1bW"))

    def flood(self) -> str:
        lines = self.random.randint(1, 3 * self.rows)
        return "".join(f"line {number} {self.text()}\r\n" for number in range(lines))

    def odd(self) -> str:
        return self.random.choice(("\x1b#8", "\x1b[!p", "\x1b[4;3;2;1H", "\x1bPq#0\x1b\\", "\x1b_Gi=1;AA\x1b\\",
                                   "\x1b[1;2;3", "\x18", "\x1b", "\udcff", "\udce4\udcb8", "\x1b]52;c;YQ==\x07",
                                   "\x1b[?7s", "\x1b[?7r", "\x1bc"))  # fmt: skip
