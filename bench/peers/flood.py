"""`python3 flood.py BYTES SECONDS FILE`: writes so much, or for so long; how much that was goes into the file.

Then, however long that takes, it writes an end mark. Runs in the measured terminals.
"""

import os
import select
import sys
import time

LINE = b"the quick brown fox jumps over the lazy dog\r\n"
BLOCK = LINE * 300


def main() -> None:
    left, ends_s, file = int(sys.argv[1]), time.monotonic() + float(sys.argv[2]), sys.argv[3]
    os.set_blocking(1, False)
    written = 0
    while left > 0 and (rest_s := ends_s - time.monotonic()) > 0:
        if select.select([], [1], [], rest_s)[1]:
            count = os.write(1, BLOCK[: min(left, len(BLOCK))])
            left -= count
            written += count
    os.set_blocking(1, True)
    with open(f"{file}.part", "w") as told:  # noqa: PTH123 -- starts faster without pathlib
        told.write(str(written))
    os.replace(f"{file}.part", file)  # noqa: PTH105
    end = memoryview(b"that-was-" + b"all")
    while end:
        end = end[os.write(1, end) :]


main()
