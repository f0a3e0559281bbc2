"""Shows, page by page, what a terminal can be asked for beside text. Enter goes on."""

from __future__ import annotations

import sys
import termios
from collections.abc import Callable

ESC = "\x1b"
CSI = "\x1b["


def put(*parts: str) -> None:
    sys.stdout.write("".join(parts))
    sys.stdout.flush()


def colours() -> None:
    put(f"{CSI}H{CSI}2J")
    for n in range(256):
        put(f"{CSI}48;5;{n}m{CSI}38;5;{255 - n}m {n:3}", f"{CSI}m\n" if n % 16 == 15 else "")
    for n in range(76):
        put(f"{CSI}48;2;{3 * n};{255 - 3 * n};{n}m{CSI}38:2::{n}:{n}:{3 * n}m▀")
    put(f"{CSI}m\n")
    for n in (*range(30, 38), *range(90, 98)):
        put(f"{CSI}{n};{n + 10}mAa{CSI}1m Bb{CSI}22;39m Cc{CSI}m")
    put("\n")


def attributes() -> None:
    names = {
        1: "bold",
        2: "faint",
        3: "italic",
        4: "underline",
        5: "blink",
        7: "inverse",
        8: "hidden",
        9: "struck",
    }
    for n, name in (*names.items(), (53, "overline")):
        put(f"{CSI}{n}m{name}{CSI}m {CSI}{n};35;44m{name}{CSI}39;49m {name}{CSI}m\n")
    for n in range(6):
        put(f"{CSI}4:{n}munder {n} {CSI}58;5;{n + 9}mcoloured{CSI}58;2;200;{n};9m true{CSI}m  ")
    put("\n\n", f"{CSI}1;2;3;4;7;9mall at once{CSI}22;23m fewer{CSI}24;27;29m none{CSI}m\n")
    put(f"{ESC}]8;;https://example.org/one{ESC}\\a link{ESC}]8;;{ESC}\\ and ")
    put(f"{ESC}]8;id=x;https://example.org/two\x07one with a name{ESC}]8;;\x07, and ")
    put(f"{CSI}32m{ESC}]8;id=x;https://example.org/two\x07the same again{ESC}]8;;\x07{CSI}m\n")
    put(
        f"{ESC}]8;;https://example.org/long{ESC}\\",
        "a link that goes on in the next row, " * 4,
        f"{ESC}]8;;{ESC}\\\n",
    )
    put(f"{CSI}41mto the edge{CSI}K{CSI}m\n{CSI}42mback{CSI}1K{CSI}m\n{CSI}45m{CSI}2K{CSI}3Crow{CSI}m\n")


def edges() -> None:
    for left in range(76, 81):
        put("-" * left, "漢字🙂", "\n")
    put("e\u0301" * 40, "\n", "1" * 79, "👩‍💻", "2" * 79, "🇫🇷", "3" * 78, "👍🏽\n")
    put("x" * 80, "\r\n", "y" * 80, "z\n", "q" * 79, f"w{CSI}D{CSI}1Pv\n", "w" * 80, "\b\bB\n")
    put(f"{CSI}?7l", "no wrap " * 14, f"{CSI}?7h\n")
    put("漢" * 40, f"{CSI}10Dab{CSI}7D{CSI}3X\n", "字" * 40, f"\r{CSI}Cx{CSI}20G{CSI}3P{CSI}2@\n")
    put("tabs\there\tand\tthere", f"{CSI}2Zback", "\n", "end at the edge" + "." * 65)


def editing() -> None:
    put(f"{CSI}2J{CSI}H", *(f"row {n:2} {'=' * n}\r\n" for n in range(1, 24)))
    put(f"{CSI}5;15r{CSI}15;1H", *(f"\n{CSI}33minside {n}{CSI}m" for n in range(4)))
    put(f"{CSI}5;1H{ESC}M{ESC}Mabove{CSI}44m{CSI}2S{CSI}49m{CSI}46m{CSI}1T{CSI}m")
    put(f"{CSI}8;10H{CSI}2L{CSI}mnew{CSI}12;1H{CSI}41m{CSI}M{CSI}m")
    put(f"{CSI}?6h{CSI}3;3Horigin{CSI}99;1Hbottom{CSI}?6l")
    put(
        f"{CSI}20;8H{CSI}3@ins{CSI}21;8H{CSI}43m{CSI}4P{CSI}m{CSI}22;5H{CSI}42m{CSI}6X{CSI}m{CSI}4h insert {CSI}4l"
    )
    put(f"{CSI}17;1Hab{CSI}9b{CSI}18;70H{CSI}0J{CSI}2;20H{CSI}1J{CSI}19;3H{CSI}31mpen")


def boxes() -> None:
    put(
        f"{CSI}m{CSI}r{CSI}2J{CSI}H{ESC}(0lqqqwqqqk{ESC}(B top\r\n{ESC}(0x   x   x{ESC}(B\r\n",
        f"{ESC}(0mqqqvqqqj\r\n{ESC}(B",
    )
    put(
        f"{ESC})0\x0eaffff\x0f shifted \x0e`abcdefghijklmnopqrstuvwxyz{{|}}~\x0f\r\n",
        f"{ESC}(A#pound{ESC}(B\r\n",
    )
    put(f"{CSI}3g{CSI}5G{ESC}H{CSI}17G{ESC}H{CSI}60G{ESC}H\ra\tb\tc\td\r\n{CSI}1;35m{ESC}(0qqq")


def saved() -> None:
    put(f"{ESC}(B{CSI}m\r\n{CSI}12;30H{CSI}1;36m{ESC}7{CSI}m{CSI}2;2Helsewhere{ESC}8back{CSI}m")
    put(f"{CSI}15;5H{CSI}32m{CSI}s{CSI}20;1H{CSI}mbelow{CSI}uagain")
    put(f"{CSI}16;10H{CSI}33m{CSI}?1049h{CSI}H{CSI}41malternate{CSI}K{CSI}m{CSI}5;5H{ESC}7 inner")


def alternate() -> None:
    put(f"{CSI}3;3H漢字{ESC}8restored{CSI}?25l{CSI}8;20r{CSI}20;1H\n\n")
    put(*(f"{CSI}{n};{n}H{CSI}3{n % 8}mdiagonal" for n in range(8, 20)), f"{CSI}10;40H{CSI}4m")


def leaving() -> None:
    put(
        f"{CSI}?1049l{CSI}?25h after {CSI}r{CSI}m{CSI}?47h{CSI}Hold alternate{CSI}?47l{CSI}18;1H{CSI}?1047h{CSI}m"
    )
    put("cleared on leaving\r\n")


def modes() -> None:
    put(
        f"{CSI}?1047l{CSI}m\r\n{ESC}]0;A title – 漢字{ESC}\\{ESC}]2;Only the title\x07{CSI}22;0t{ESC}]2;pushed\x07"
    )
    put(
        f"{ESC}]4;1;rgb:aa/00/11;2;#00bb22{ESC}\\{ESC}]10;#eeeeee\x07{ESC}]11;rgb:1111/2222/3333{ESC}\\{ESC}]12;#ff0000{ESC}\\"
    )
    put(
        f"{CSI}31mred that is changed{CSI}m\r\n{CSI}?1003h{CSI}?1006h{CSI}?1004h{CSI}?2004h{CSI}?1h{ESC}={CSI}4 q"
    )
    put(f"{CSI}?2026hheld back\r\n{CSI}?45h")


def progress() -> None:
    put(f"{CSI}?2026l{CSI}?45l{CSI}?1003l{CSI}?1006l{CSI}?1004l{CSI}?2004l{CSI}?1l{ESC}>{CSI}0 q{CSI}23;0t")
    put(f"{ESC}]104{ESC}\\{ESC}]110{ESC}\\{ESC}]111{ESC}\\{ESC}]112{ESC}\\\n{ESC}7{CSI}1;23r{ESC}8{CSI}A")
    for n in range(90):
        put(f"{CSI}3{n % 8}munpacking{CSI}m package {n} ({'ü' * (n % 37)}) …\r\n")
        if n % 3 == 0:
            put(
                f"{ESC}7{CSI}24;1H{CSI}30;42mprogress {n:3}%{CSI}m [{'#' * (n // 2)}{'.' * (45 - n // 2)}]{ESC}8"
            )
    put(f"{ESC}7{CSI}1;24r{ESC}8{ESC}7{CSI}24;1H{CSI}J{ESC}8")


def scrolled() -> None:
    put(f"{CSI}!p")
    for n in range(400):
        put(
            f"{CSI}38;5;{n % 256}m{n:4}{CSI}48;5;{(n * 7) % 256}m {'word ' * (n % 23)}{CSI}m{'漢' * (n % 9)}\r\n"
        )


PAGES: tuple[Callable[[], None], ...] = (
    colours, attributes, edges, editing, boxes, saved, alternate, leaving, modes, progress, scrolled,
)  # fmt: skip


def main() -> None:
    quiet = termios.tcgetattr(sys.stdin)
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    for page in PAGES[:-1]:
        page()
        sys.stdin.readline()
    PAGES[-1]()


if __name__ == "__main__":
    main()
