"""The rows of the tables, in their order, and what is known of those that Wormux may lose."""

from __future__ import annotations

from bench.peers.table import Row

_WAY = (
    "every byte goes through the agent, so that shells outlive the server, and into an emulator in a process of its"
    " own, so that a client gets a screen and not a replay"
)
_KEY = (
    "a key and its echo pass the agent as well, so two processes more are woken on the way, and a waking is what a key"
    " costs most; the server also keeps account of every key, so that none is lost or written twice, some 0.3 ms of its"
    " time here"
)
_KEYCAP = (
    "one cell of one screen: the emulator leaves the variation selector out of a keycap (1\ufe0f\u20e3), as"
    " [screens.md](screens.md) tells"
)
_HELD = "with systems that hold the program instead, nothing goes on beside the neighbour's keys"

ROWS = [
    Row(
        "bulk",
        "Bulk output",
        "MB/s",
        high_is_good=True,
        limit=f"{_WAY}. On two cores those processes also share what the program and the client leave.",
    ),
    Row("bulk share", "Bulk output that arrived rather than being skipped", "%", high_is_good=True, digits=0),
    Row(
        "bulk cpu",
        "Processors' time of the server for it",
        "s/GB",
        limit=f"{_WAY}. The agent takes as much as the raw read does, the emulator's parsing as much again, and the"
        " server, which writes to both the emulator and the client, the last third.",
    ),
    Row(
        "bulk client",
        "Processor's time of the measuring client meanwhile",
        "% of a core",
        digits=0,
        compared=False,
    ),
    Row("echo p50", "Key echo, median", "ms", digits=2, least=0.01, limit=f"{_KEY}."),
    Row("echo p99", "Key echo, 99 of 100", "ms", digits=2, least=0.01, limit=f"{_KEY}."),
    Row(
        "echo flood p50",
        "Key echo beside a flood, median",
        "ms",
        digits=2,
        least=0.01,
        limit=f"{_KEY}; and with two cores for the five processes of a flood, each waking waits for a turn.",
    ),
    Row(
        "echo flood p99",
        "Key echo beside a flood, 99 of 100",
        "ms",
        digits=2,
        least=0.01,
        limit="as of the median.",
    ),
    Row(
        "echo flood rate",
        "The flood meanwhile",
        "MB/s",
        high_is_good=True,
        limit="as of bulk output.",
    ),
    Row(
        "attach",
        "Attach to 10,000 lines, until the screen is drawn",
        "ms",
        limit="the emulator is asked for the screen, by a request to its process; a screen, modes and 200 lines above"
        " it come with one answer.",
    ),
    Row("attach bytes", "Attach, what is sent", "kB", digits=0, least=1, compared=False),
    Row(
        "attach above", "Attach, lines above the screen that come with it", "lines", digits=0, compared=False
    ),
    Row(
        "memory base",
        "Memory with one terminal",
        "MiB",
        limit="it is four processes of Python, half of it the server's: the others are the emulators with their"
        " library, an agent, and one that waits to be the agent of the next session.",
    ),
    Row(
        "memory",
        "Memory for each idle terminal more",
        "KiB",
        digits=0,
        least=1,
        limit="an emulator's screen and the log of the agent begin with the pane; in C, a terminal is less.",
    ),
    Row(
        "slow written",
        "Slow client: what the program wrote in 6 s",
        "MB",
        high_is_good=True,
        digits=0,
        least=1,
        limit="nobody holds the program up, so this is bulk output again, without a client.",
    ),
    Row(
        "slow growth",
        "Slow client: memory that the server grew by",
        "MiB",
        digits=0,
        least=1,
        compared=False,
    ),
    Row("slow per MB", "Slow client: memory for each MB that the program wrote", "KiB", digits=0, least=1),
    Row(
        "slow echo p50",
        "Slow client: a neighbour's key echo, median",
        "ms",
        digits=2,
        least=0.01,
        limit=f"as of the echo beside a flood; {_HELD}.",
    ),
    Row(
        "slow echo p99",
        "Slow client: a neighbour's key echo, 99 of 100",
        "ms",
        digits=2,
        least=0.01,
        limit=f"as of the echo beside a flood; {_HELD}.",
    ),
    Row(
        "slow after",
        "Slow client: until it has the newest line, reading again",
        "s",
        digits=2,
        least=0.01,
    ),
    Row("slow got", "Slow client: what it is sent for that", "MB", digits=1, compared=False),
    Row(
        "screens",
        "Reconnect in a program: screens all right",
        "%",
        high_is_good=True,
        digits=0,
        least=1,
        limit=f"{_KEYCAP}.",
    ),
    Row("screens on", "The same, when it has written on", "%", high_is_good=True, digits=0, least=1),
    Row(
        "screens long",
        "Reconnect after hours of use: screens all right",
        "%",
        high_is_good=True,
        digits=0,
        least=1,
    ),
    Row("screens long on", "The same, after hours, written on", "%", high_is_good=True, digits=0, least=1),
    Row(
        "screens cells",
        "Cells wrong in all of these screens",
        "%",
        digits=2,
        least=0.01,
        limit=f"{_KEYCAP}.",
    ),
]
