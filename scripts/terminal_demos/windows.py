"""A small curses program: coloured windows that move over each other, and a log that scrolls."""

from __future__ import annotations

import curses
import locale

WORDS = ("plain", "größer", "漢字", "🙂 smile", "Ελλάδα", "e\u0301te\u0301", "العربية")


class Desk:
    """Draws everything anew on each key."""

    def __init__(self, screen: curses.window) -> None:
        self.screen = screen
        self.x, self.y = 10, 4
        self.log: list[str] = []
        for number in range(1, 16):
            curses.init_pair(number, number % 8, (number * 3) % 8 if number > 7 else -1)

    def draw(self) -> None:
        rows, cols = self.screen.getmaxyx()
        self.screen.erase()
        for row in range(rows - 1):
            for col in range(0, cols - 4, 4):
                self.screen.addstr(
                    row, col, f"{row * col % 1000:3}", curses.color_pair((row + col // 4) % 16)
                )
        self.screen.noutrefresh()
        self.window(rows, cols)
        self.list(rows, cols)
        curses.doupdate()

    def window(self, rows: int, cols: int) -> None:
        height, width = min(8, rows), min(30, cols)
        top, left = max(0, min(self.y, rows - height)), max(0, min(self.x, cols - width))
        window = curses.newwin(height, width, top, left)
        window.bkgd(" ", curses.color_pair(12) | curses.A_BOLD)
        window.border()
        for number, word in enumerate(WORDS[: height - 2]):
            window.addstr(
                1 + number, 2, word, (curses.A_REVERSE, curses.A_UNDERLINE, curses.A_DIM)[number % 3]
            )
        window.noutrefresh()

    def list(self, rows: int, cols: int) -> None:
        height = min(6, rows)
        log = curses.newwin(height, cols, rows - height, 0)
        log.scrollok(True)
        log.idlok(True)
        for line in self.log[-height:]:
            log.addstr("\n" + line[: cols - 2], curses.color_pair(len(line) % 8))
        log.noutrefresh()

    def press(self, key: str | int) -> bool:
        """False if that was the last one."""
        self.log.append(
            f"key {key!r} at {self.x},{self.y} {WORDS[len(self.log) % len(WORDS)] * (len(self.log) % 5)}"
        )
        match key:
            case "q":
                return False
            case curses.KEY_UP | curses.KEY_DOWN:
                self.y += 1 if key == curses.KEY_DOWN else -1
            case curses.KEY_LEFT | curses.KEY_RIGHT:
                self.x += 3 if key == curses.KEY_RIGHT else -3
            case curses.KEY_MOUSE:
                _, self.x, self.y, _, _ = curses.getmouse()
            case curses.KEY_RESIZE:
                curses.update_lines_cols()
            case " ":
                curses.beep()
                self.screen.clear()
        return True


def run(screen: curses.window) -> None:
    curses.use_default_colors()
    curses.mousemask(curses.ALL_MOUSE_EVENTS)
    curses.curs_set(0)
    desk = Desk(screen)
    going = True
    while going:
        desk.draw()
        going = desk.press(screen.get_wch())


if __name__ == "__main__":
    locale.setlocale(locale.LC_ALL, "")
    curses.wrapper(run)
