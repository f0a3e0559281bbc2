"""Records what real programs write to a terminal, for `tests/screen`: `python -m scripts.record_terminals [name …]`.

Each session types a fixed script at a program, resizes its terminal on the way and answers its queries through our
emulator. The programs run in a bubble of their own, with a host name, a user, files and processes that are the same
everywhere: nothing of the machine comes into a recording but load, memory and the time of day. Linux with `unshare`;
the programs are the Debian packages bash, htop, less, mc, nano, procps, python3, tmux and vim.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.terminal_sessions import SESSIONS, Session
from tests.screen.recording import Recording, Resize, dump
from wormux.screen.answers import Answers
from wormux.screen.ghostty import GhosttyScreen

DEMOS = Path(__file__).parent / "terminal_demos"
HOME = Path("/home/demo")
ENVIRONMENT = {
    "COLORTERM": "truecolor",
    "EDITOR": "vim",
    "HISTFILE": "",
    "HOME": str(HOME),
    "HOSTNAME": "box",
    "LANG": "C.UTF-8",
    "LOGNAME": "demo",
    "PATH": "/usr/bin:/bin",
    "SHELL": "/bin/bash",
    "TERM": "xterm-256color",
    "USER": "demo",
}
INSIDE = "WORMUX_INSIDE_THE_BUBBLE"

QUIET_S = 0.15
"""A program that has written nothing for this long waits for a key."""
PATIENCE_S = 1.5
"""For one that never falls quiet."""
KEY_GAP_S = 0.012
"""So that a program shows what each key does, as for one who types fast."""

KEY = re.compile(r"\x1b\[200~.*?\x1b\[201~|\x1b\[[0-9;<?]*[~A-Za-z]|\x1bO.|\x1b.|.", re.DOTALL)


def main() -> None:
    wanted = sys.argv[1:] or list(SESSIONS)
    if os.environ.pop(INSIDE, None) is None:
        enter_bubble(wanted)
    prepare_bubble()
    for name in wanted:
        session = SESSIONS[name]
        fill_home()
        recording = record(session)
        check(name, recording)
        size = dump(name, recording)
        print(f"{name}: {len(recording.output)} bytes of output in a file of {size}")


def enter_bubble(wanted: list[str]) -> None:
    """Starts this script again where its mounts and host name are nobody else's. Does not return."""
    command = ["unshare", "--mount", "--uts", "--propagation", "private"]
    if os.geteuid() != 0:
        command += ["--map-root-user"]
    command += [sys.executable, "-m", "scripts.record_terminals", *wanted]
    os.execvpe(command[0], command, {**os.environ, INSIDE: "1"})


def prepare_bubble() -> None:
    socket.sethostname("box")
    for folder in ("/home", "/tmp"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", folder], check=True)
    with tempfile.NamedTemporaryFile("w", delete=False) as users:
        users.write(
            f"demo:x:0:0:Demo:{HOME}:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
        )
    Path(users.name).chmod(0o644)
    subprocess.run(["mount", "--bind", users.name, "/etc/passwd"], check=True)


def fill_home() -> None:
    """What every session finds: files of several kinds and scripts, and the settings of the programs."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    for demo in DEMOS.iterdir():
        if demo.is_file():
            shutil.copy(demo, HOME / demo.name)
    shutil.copy(DEMOS / "windows.py", HOME / "program.py")
    (HOME / "wrapped.txt").write_text(
        "".join(
            f"{n} " + "a row that is far longer than the terminal is wide, " * n + "\n" for n in range(1, 9)
        )
    )
    (HOME / "coloured.txt").write_text(
        "".join(
            f"\x1b[38;5;{n}mcolour {n:3}\x1b[m \x1b[48;2;{n};{255 - n};128m  \x1b[m \x1b[1;3{n % 8}m漢字 bold\x1b[22m"
            f"\x1b[4m under{'line' * (n % 30)}\x1b[m\n"
            for n in range(256)
        )
    )
    for number in range(30):
        (HOME / f"file-{number:02}.txt").write_text("x" * number * 37)
    (HOME / "folder").mkdir()
    (HOME / "日本語.txt").write_text("日本語\n")
    for path in (HOME, *HOME.rglob("*")):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (HOME / ".bashrc").write_text(
        "PS1='\\[\\e]0;demo: \\w\\a\\e]7;file://box$PWD\\a\\e[1;32m\\]"
        "demo@box\\[\\e[m\\]:\\[\\e[34m\\]\\w\\[\\e[m\\]\\$ '\n"
        "LS_COLORS='di=01;34:*.py=01;33:*.txt=38;5;208'\nalias ls='ls --color=auto'\n"
    )
    (HOME / ".vimrc").write_text(
        "set nocompatible number ruler showcmd hlsearch incsearch title laststatus=2 mouse=a noswapfile viminfo=\n"
        "set termguicolors\nsyntax on\ncolorscheme desert\n"
    )
    (HOME / ".tmux.conf").write_text(
        "set -g mouse on\nset -g default-terminal tmux-256color\nset -g status-interval 1\nset -g set-titles on\n"
        "set -g default-command 'bash --noprofile --rcfile .bashrc'\nset -g focus-events on\n"
    )
    (HOME / ".config").mkdir()


def record(session: Session) -> Recording:
    screen = GhosttyScreen(session.cols, session.rows, Answers())
    # A process table of its own: monitors see the session's processes alone.
    command = f"cd; {session.command}"
    inner = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", command]
    terminal, inside = os.openpty()
    set_size(terminal, session.cols, session.rows)
    pid = os.fork()
    if pid == 0:
        os.login_tty(inside)
        os.execvpe(inner[0], inner, ENVIRONMENT)
    os.close(inside)
    records: list[bytes | Resize] = []
    try:
        for step in (0.5, *session.steps):
            if isinstance(step, Resize):
                screen.resize(step.cols, step.rows)
                records.append(step)
                set_size(terminal, step.cols, step.rows)
            keys = KEY.findall(step) if isinstance(step, str) else []
            for key in keys:
                os.write(terminal, key.encode())
                records += answered(screen, terminal, KEY_GAP_S)
            records += answered(screen, terminal, step if isinstance(step, float) else None)
        records += answered(screen, terminal, None)
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
        screen.close()
    return Recording(session.cols, session.rows, tuple(merged(records)))


def answered(screen: GhosttyScreen, terminal: int, seconds: float | None) -> Iterator[bytes]:
    """What the program writes in that time, or until it is quiet, its queries answered."""
    began = time.monotonic()
    while True:
        left = began + (PATIENCE_S if seconds is None else seconds) - time.monotonic()
        wait = min(left, QUIET_S) if seconds is None else left
        if wait <= 0 or not (data := read_once(terminal, wait)):
            return
        if answer := screen.feed(data):
            os.write(terminal, answer)
        yield data


def read_once(terminal: int, seconds: float) -> bytes:
    """Empty if nothing came, or nothing ever will."""
    if not select.select([terminal], [], [], seconds)[0]:
        return b""
    try:
        return os.read(terminal, 65536)
    except OSError:  # the last process has let go of the terminal
        return b""


def set_size(terminal: int, cols: int, rows: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def merged(records: list[bytes | Resize]) -> Iterator[bytes | Resize]:
    """With the output between two resizes as one record."""
    output = b""
    for item in records:
        if isinstance(item, bytes):
            output += item
            continue
        if output:
            yield output
        output = b""
        yield item
    if output:
        yield output


def check(name: str, recording: Recording) -> None:
    """Refuses a recording that tells where it was made."""
    text = recording.output
    here = {str(Path.cwd()), str(Path.home()), os.uname().nodename, os.environ.get("USER", "")}
    for word in here - {"", "/", "box"}:
        if word.encode() in text:
            sys.exit(f"{name} shows {word!r} of this machine.")


if __name__ == "__main__":
    main()
