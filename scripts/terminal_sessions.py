"""What `record_terminals` types at which program."""

from __future__ import annotations

from dataclasses import dataclass

from tests.screen.recording import Resize

Step = str | Resize | float
"""Keys to press, a new size, or seconds to look on."""

UP, DOWN, RIGHT, LEFT = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"
APP_UP, APP_DOWN, APP_RIGHT, APP_LEFT = "\x1bOA", "\x1bOB", "\x1bOC", "\x1bOD"
PAGE_UP, PAGE_DOWN, ESC = "\x1b[5~", "\x1b[6~", "\x1b"
F3, F5, F6, F9, F10 = "\x1bOR", "\x1b[15~", "\x1b[17~", "\x1b[20~", "\x1b[21~"


BAR = (
    "for i in $(seq 0 5 100); do printf '\\r\\e[K[%-20s] %3d%%' $(printf '%*s' $((i / 5)) | tr ' ' '#') $i;"
    " sleep 0.01; done; echo\r"
)
BUSY = "python3 -c 'while True: sum(range(50000)); __import__(\"time\").sleep(.02)'"


@dataclass(frozen=True)
class Session:
    """A program, the size of its terminal at the start, and what is done with it. It is killed where the steps end,
    if it runs on."""

    command: str
    cols: int
    rows: int
    steps: tuple[Step, ...]


SESSIONS = {
    "bash": Session(
        "bash --noprofile --rcfile .bashrc",
        80,
        24,
        (
            "ls -la --color=always\r",
            "cat letters.txt\r",
            "for i in $(seq 1 60); do printf 'line %3d \\e[3%dmcolour\\e[m\\n' $i $((i % 8)); done\r",
            "echo a line that is typed so long that it goes on in the next row, and is edited there, in the middle",
            LEFT * 30 + "\x17" + "\x01" + RIGHT * 5 + "very " + "\x05\r",
            Resize(110, 30),
            "grep --color=always -n the *.txt | head -40\r",
            UP * 3 + DOWN + "\r",
            "\x12cat\r",
            Resize(72, 20),
            "ls\r",
            "printf '%s\\n' ünïcödé 日本語 👍🏽 e\u0301\r",
            "\x1b[200~echo pasted\necho twice\x1b[201~\r",
            BAR,
            "clear\r",
            "seq 200\r",
            "cat wrapped.txt\r",
            "exit\r",
        ),
    ),
    "vim": Session(
        "vim story.txt",
        80,
        24,
        (
            "jjjllll" + "5x" + "u",
            "/river\rnnN",
            ":set list cursorline relativenumber\r",
            "GoA new line: 漢字 and 🙂, straße.\x1b",
            "ggVjjd",
            "p",
            Resize(120, 40),
            ":split program.py\r",
            ":vsplit letters.txt\r",
            "\x17w" + "\x06\x06\x02",
            "\x17w" + "10G" + "zz",
            ":%s/the/THE/g\r",
            "u",
            Resize(70, 18),
            "i" + "typed " * 14 + ESC,
            "v" + "w" * 8 + "~",
            ":only\r",
            ":set nowrap\r$" + "0",
            "\x06\x06\x06\x05\x05\x05\x19\x19\x02",
            ":terminal ls\r",
            "\x17:q!\r",
            ":!echo from the shell\r",
            "\r",
            Resize(80, 24),
            "\x0c",
            ":help scroll\r",
            "\x06\x06" + ":q\r",
            ":qa!\r",
        ),
    ),
    "less": Session(
        "less -R -# 4 story.txt letters.txt coloured.txt",
        80,
        24,
        (
            " " + " " + "b" + "jjjkk",
            "/the\rnnnN",
            "g" + "G",
            ":n\r",
            "  ",
            "-S\r",
            RIGHT * 3 + LEFT,
            Resize(100, 32),
            ":n\r",
            "   jjjjbb",
            Resize(60, 15),
            "-S\r" + "  ",
            "h" + "jj" + "q",
            "-N\r" + " ",
            "!ls\r",
            "\r",
            "v",
            ":q!\r",
            "q",
        ),
    ),
    "htop": Session(
        f"sleep 600 & nice {BUSY} & sleep 500 & exec htop -d 5",
        100,
        30,
        (
            1.2,
            DOWN * 3 + UP,
            "t",
            F6 + DOWN + "\r",
            "H",
            Resize(80, 24),
            1.0,
            "/sleep" + "\r",
            "S" + DOWN * 3 + RIGHT + DOWN + ESC,
            Resize(132, 36),
            1.0,
            F9 + ESC,
            "h" + " ",
            "\x1b[<0;20;10M\x1b[<0;20;10m",
            Resize(60, 14),
            0.8,
            "q",
        ),
    ),
    "top": Session(
        f"sleep 600 & nice {BUSY} & sleep 500 & exec top -d 0.5",
        80,
        24,
        (
            1.1,
            "zx",
            0.6,
            "1",
            "c",
            "V",
            0.6,
            Resize(120, 32),
            0.6,
            "A",
            0.6,
            "A",
            "m" + "t",
            Resize(70, 16),
            0.6,
            "h",
            "q",
            "q",
        ),
    ),
    "mc": Session(
        "mc",
        80,
        25,
        (
            1.5,
            APP_DOWN * 9 + APP_UP,
            "\t" + APP_DOWN * 2 + "\t",
            F3,
            PAGE_DOWN + PAGE_DOWN + PAGE_UP,
            F10,
            F9,
            APP_RIGHT + APP_DOWN * 3,
            ESC,
            ESC,
            Resize(110, 34),
            "ls -l\r",
            0.5,
            "\x0f",
            0.5,
            "\x0f",
            "\x1b[<0;5;6M\x1b[<0;5;6m",
            F5,
            ESC,
            ESC,
            Resize(66, 20),
            "\x15",
            F10,
            "\r",
        ),
    ),
    "nano": Session(
        "nano -l -m --softwrap story.txt",
        80,
        24,
        (
            DOWN * 6 + "\x05" + " and more text 漢字",
            "\x17river\r",
            "\x0b\x0b\x15\x15\x15",
            PAGE_DOWN + PAGE_DOWN + PAGE_UP,
            "\x1ba" + DOWN * 4 + RIGHT * 6 + "\x1b6",
            Resize(100, 30),
            "\x1c" + "river\r" + "sea\r" + "a",
            "\x07",
            PAGE_DOWN + "\x18",
            Resize(64, 18),
            "\x0f" + "copy.txt\r" + "y",
            "\x1b[<0;12;6M\x1b[<0;12;6m",
            "\x18" + "n",
        ),
    ),
    "tmux": Session(
        "tmux -f .tmux.conf new-session -s demo bash --noprofile --rcfile .bashrc",
        100,
        30,
        (
            "ls --color=always\r",
            "\x02%",
            "seq 80\r",
            '\x02"',
            "cat letters.txt\r",
            "\x02o" + "vim -u .vimrc story.txt\r",
            "\x06\x06",
            "\x02z" + "\x02z",
            Resize(120, 36),
            "\x02[" + PAGE_UP + UP * 4 + "q",
            "\x02c" + "top -d 0.5\r",
            0.8,
            "q" + "\x02p",
            "\x02;" + 'for i in $(seq 40); do echo -e "\\e[4$((i % 8))m row $i \\e[m"; done\r',
            Resize(74, 22),
            "\x02:" + "display-panes\r",
            "\x02w" + DOWN + "q",
            "\x02d",
        ),
    ),
    "python": Session(
        "python3 -q",
        80,
        24,
        (
            "print('hello', 6 * 7)\r",
            "import this\r",
            "def double(x):\r    return 2 * x\r\r",
            "[double(n) for n in range(60)]\r",
            "1 / 0\r",
            UP + UP + LEFT * 4 + "00" + "\r",
            "'漢字 🙂 ' * 20\r",
            Resize(100, 30),
            "help(str.join)\r",
            "q",
            "for c in 'αβγ': print(f'\\x1b[1;4m{c}\\x1b[0m')\r\r",
            Resize(64, 20),
            "print('x' * 500)\r",
            "import sys; print(sys.byteorder)\t\r",
            "exit()\r",
        ),
    ),
    "colours": Session(
        "python3 colours.py", 80, 24, (0.3, "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r")
    ),
    "curses": Session(
        "python3 windows.py",
        80,
        24,
        (
            0.3,
            "abc" + APP_DOWN * 3 + APP_RIGHT * 4,
            "   ",
            Resize(100, 30),
            "def" + APP_UP * 2 + APP_LEFT,
            "  ",
            "\x1b[<0;10;8M\x1b[<0;10;8m",
            Resize(60, 16),
            " ghi" + APP_DOWN * 12,
            "q",
        ),
    ),
}
