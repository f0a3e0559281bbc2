"""The rows of the tables, in their order, and what is known of those that Wormux may lose."""

from __future__ import annotations

from bench.peers.table import Row

ROWS = [
    Row("bulk", "Bulk output", "MB/s", high_is_good=True),
    Row("bulk share", "Bulk output that arrived rather than being skipped", "%", high_is_good=True, digits=0),
    Row("bulk cpu", "Processors' time of the server for it", "s/GB"),
    Row("bulk client", "Processor's time of the measuring client meanwhile", "% of a core", digits=0, compared=False),
    Row("echo p50", "Key echo, median", "ms", digits=2, least=0.01),
    Row("echo p99", "Key echo, 99 of 100", "ms", digits=2, least=0.01),
    Row("echo flood p50", "Key echo beside a flood, median", "ms", digits=2, least=0.01),
    Row("echo flood p99", "Key echo beside a flood, 99 of 100", "ms", digits=2, least=0.01),
    Row("echo flood rate", "The flood meanwhile", "MB/s", high_is_good=True),
    Row("attach", "Attach to 10,000 lines, until the screen is drawn", "ms"),
    Row("attach bytes", "Attach, what is sent", "kB", digits=0, least=1, compared=False),
    Row("attach above", "Attach, lines above the screen that come with it", "", digits=0, compared=False),
    Row("memory base", "Memory with one terminal", "MiB"),
    Row("memory", "Memory for each idle terminal more", "KiB", digits=0, least=1),
    Row("slow written", "Slow client: what the program wrote in 6 s", "MB", high_is_good=True, digits=0, least=1),
    Row("slow growth", "Slow client: memory that the server grew by", "MiB", digits=0, least=1),
    Row("slow echo p50", "Slow client: a neighbour's key echo, median", "ms", digits=2, least=0.01),
    Row("slow echo p99", "Slow client: a neighbour's key echo, 99 of 100", "ms", digits=2, least=0.01),
    Row("slow after", "Slow client: until it has the newest line, reading again", "s", digits=2, least=0.01),
    Row("slow got", "Slow client: what it is sent for that", "MB", digits=1, compared=False),
    Row("screens", "Reconnect in a program: screens all right", "%", high_is_good=True, digits=0, least=1),
    Row("screens on", "The same, when it has written on", "%", high_is_good=True, digits=0, least=1),
    Row("screens long", "Reconnect after hours of use: screens all right", "%", high_is_good=True, digits=0, least=1),
    Row("screens long on", "The same, when it has written on", "%", high_is_good=True, digits=0, least=1),
    Row("screens cells", "Cells wrong in all of these screens", "%", digits=2, least=0.01),
]  # fmt: skip
