"""Plays recorded output into its terminal, as the program did that wrote it. Runs in the measured terminals.

It reads orders: a record separator, `FILE START END TIMES COLS ROWS` and a line feed. It waits until the terminal has
that size, and writes these bytes of the file, so many times. What else is typed, answers to queries say, is dropped.
"""

import os
import re
import time
import tty

ORDER = re.compile(rb"\x1e(\S+) (\d+) (\d+) (\d+) (\d+) (\d+)\n")


def main() -> None:
    tty.setraw(0)
    write(b"ready\r\n")
    typed = b""
    while data := os.read(0, 4096):
        typed += data
        while order := ORDER.search(typed):
            typed = typed[order.end() :]
            play(*order.groups())


def play(file: bytes, start: bytes, end: bytes, times: bytes, cols: bytes, rows: bytes) -> None:
    for _ in range(500):
        if os.get_terminal_size(1) == (int(cols), int(rows)):
            break
        time.sleep(0.01)
    with open(file, "rb") as recording:  # noqa: PTH123 -- starts faster without pathlib
        data = recording.read()[int(start) : int(end)]
    for _ in range(int(times)):
        write(data)


def write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    main()
