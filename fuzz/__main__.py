"""`python -m fuzz TARGET [--seconds N] [--corpus DIR] [--input FILE]`: run a target, guided by coverage.

Seeds are written to the corpus first; what adds coverage is kept there. A finding ends the run with its traceback, and
its input is left in the directory `found` beside the corpus; `--input` runs that one again. Needs atheris
(`make fuzz` installs it).
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

INPUT_BYTES = 1 << 16
INPUT_S = 30
"""Until libFuzzer takes an input for one that hangs: also one in C code, that Python cannot interrupt."""
MEMORY_MB = 2048


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Throw hostile bytes at one target.")
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "wormux-fuzz")
    parser.add_argument("--input", type=Path, help="run this file alone")
    given = parser.parse_args()
    if given.input is not None:
        from fuzz.targets import TARGETS

        TARGETS[given.target](given.input.read_bytes())
        print("Nothing was found.")
        return
    import atheris

    with atheris.instrument_imports(include=["wormux"], exclude=["wormux.testing", "wormux.limits"]):
        targets = importlib.import_module("fuzz.targets").TARGETS
    if given.target not in targets:
        sys.exit(f"There is no target {given.target}; there are: {', '.join(targets)}.")
    target = targets[given.target]
    corpus = importlib.import_module("fuzz.corpus")
    directory = given.corpus / given.target
    print(f"{corpus.write(target, directory)} seeds in {directory}", flush=True)
    found = given.corpus / "found"
    found.mkdir(exist_ok=True)
    words = found.parent / f"{given.target}.words"
    words.write_text(
        "".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in target.words)
    )
    options = [
        f"-max_total_time={given.seconds}",
        f"-timeout={INPUT_S}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={INPUT_BYTES}",
        f"-artifact_prefix={found}/{given.target}-",
        f"-dict={words}",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(directory)], target, enable_python_coverage=True)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
