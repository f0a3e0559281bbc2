"""Output and input of a real agent over cut connections, and under load."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest

from wormux.limits import AGENT_LOG_BYTES, ANSWERS_UNWRITTEN_BYTES, LINK_FRAME_BYTES, LINK_OUTPUT_BYTES
from wormux.protocol.agent_link import (
    HEADER,
    Answer,
    Attach,
    Ended,
    Hello,
    Input,
    Kind,
    Message,
    Open,
    Opened,
    Output,
    Refused,
    Resize,
    SizeMark,
    Sleep,
    encode,
)

from .harness import PLAIN, Agent, Link, Pane, until

NUMBERED = "stty raw -echo; seq 100000000 | head -c {count}"
READER = """
import os, sys, termios, tty
tty.setraw(0)
os.write(1, b"reading")
with open(sys.argv[1], "wb", buffering=0) as file:
    left = int(sys.argv[2])
    while left:
        data = os.read(0, 65536)
        file.write(data)
        left -= len(data)
os.write(1, b"complete")
"""


def numbered(count: int) -> bytes:
    data = bytearray()
    number = 1
    while len(data) < count:
        data += b"%d\n" % number
        number += 1
    return bytes(data[:count])


def test_ten_megabytes_arrive_byte_for_byte(agent: Agent) -> None:
    pane = agent.open(argv=("/bin/sh", "-c", NUMBERED.format(count=10_000_000)))
    pane.next(Ended)
    assert bytes(pane.output) == numbered(10_000_000)
    assert LINK_OUTPUT_BYTES // 2 < pane.largest_frame <= LINK_OUTPUT_BYTES


def test_a_server_that_comes_back_misses_nothing(agent: Agent) -> None:
    """It is cut off again and again, at any byte, having used less than it was sent."""
    rng = random.Random(2)
    expected = numbered(10_000_000)
    pane = agent.open(argv=("/bin/sh", "-c", NUMBERED.format(count=len(expected))))
    received = bytearray()
    cuts = 0
    while True:
        wanted = rng.randrange(1, 1_500_000)
        pane.until(lambda pane=pane, wanted=wanted: len(pane.output) >= wanted or bool(pane.all_of(Ended)))  # type: ignore[misc]
        if pane.all_of(Ended):
            break
        received += pane.output[: len(pane.output) - rng.randrange(0, min(len(pane.output), 500_000))]
        pane.close()
        pane = agent.attach(position=len(received))
        assert pane.await_opened().position == len(received)
        cuts += 1
    received += pane.output
    assert bytes(received) == expected
    assert cuts > 5


def test_a_takeover_closes_the_older_connection(agent: Agent) -> None:
    first = agent.shell()
    second = agent.attach(position=0)
    second.await_output(b"$ ")
    first.await_close()
    second.type(b"echo second\r")
    second.await_output(b"\nsecond\r\n")


def test_a_vanished_server_is_waited_for_before_anything_is_overwritten(agent: Agent) -> None:
    size = 3 * AGENT_LOG_BYTES
    pane = agent.open(argv=("/bin/sh", "-c", NUMBERED.format(count=size)))
    pane.until(lambda: len(pane.output) > 100_000)
    pane.close()
    until(lambda: held(agent)[1] > AGENT_LOG_BYTES // 2, "the log to fill")
    again = agent.attach(position=len(pane.output))
    assert again.await_opened().position == len(pane.output)
    again.next(Ended)
    assert bytes(pane.output + again.output) == numbered(size)


def held(agent: Agent) -> tuple[int, int]:
    (info,) = agent.terminals()
    return info.start, info.end


def test_a_server_that_stays_away_is_not_waited_for_for_ever() -> None:
    with Agent("--server-wait-s", "0.5") as agent:
        goes_on_without_its_server(agent)


def goes_on_without_its_server(agent: Agent) -> None:
    size = 3 * AGENT_LOG_BYTES
    pane = agent.open(argv=("/bin/sh", "-c", NUMBERED.format(count=size)))
    pane.until(lambda: len(pane.output) > 100_000)
    pane.close()
    until(lambda: held(agent)[1] == size, "the program to end", deadline_s=30)
    again = agent.attach(position=len(pane.output))
    assert again.await_opened().position == size - AGENT_LOG_BYTES
    again.next(Ended)
    assert bytes(again.output) == numbered(size)[-AGENT_LOG_BYTES:]


def test_a_position_that_is_not_there_yet_is_the_end(agent: Agent) -> None:
    pane = agent.shell()
    opened = agent.attach(position=10**9).await_opened()
    assert opened.position == opened.end == pane.position


def test_a_flood_that_nobody_reads_delays_no_other_pane(agent: Agent) -> None:
    flood = agent.open("flood", argv=("/usr/bin/yes",))
    flood.until(lambda: len(flood.output) > 1_000_000)
    quiet = agent.shell("quiet")
    for number in range(50):
        quiet.type(b"echo %d\r" % number)
        quiet.await_output(b"\n%d\r\n" % number, deadline_s=2)
    start, end = flood.position, len(flood.output)
    flood.until(lambda: len(flood.output) > end + 5_000_000)
    assert start == end


def test_a_flood_that_is_interrupted_stops(agent: Agent) -> None:
    pane = agent.shell()
    pane.type(b"yes\r")
    pane.until(lambda: len(pane.output) > 3_000_000)
    pane.type(b"\x03")
    pane.await_output(b"^C")
    pane.type(b"echo over\r")
    pane.await_output(b"\nover\r\n")


def test_megabytes_of_input_arrive_once_over_cuts(agent: Agent, tmp_path: Path) -> None:
    """Each new connection sends again from what it knows to be acknowledged, or from anywhere before."""
    rng = random.Random(4)
    expected = numbered(4_000_000)
    target = tmp_path / "received"
    argv = ("/usr/bin/env", "python3", "-I", "-c", READER, str(target), str(len(expected)))
    pane = agent.open(argv=argv)
    pane.await_output(b"reading")
    sent_up_to = 0
    for _ in range(12):
        taken = pane.await_opened().inputs.get("client", 0)
        assert taken <= sent_up_to
        at = rng.randint(max(0, taken - 200_000), taken)
        stop = min(len(expected), at + rng.randrange(200_000, 600_000))
        for start in range(at, stop, 50_000):
            pane.send(Input("client", start, expected[start : min(stop, start + 50_000)]))
        sent_up_to = max(sent_up_to, stop)
        if rng.random() < 0.5:
            pane.await_acked(rng.randint(taken, sent_up_to))
        pane.close()
        pane = agent.attach()
    taken = pane.await_opened().inputs["client"]
    for start in range(taken, len(expected), 100_000):
        pane.send(Input("client", start, expected[start : start + 100_000]))
    pane.await_output(b"complete")
    assert target.read_bytes() == expected


def test_input_waits_for_a_program_that_does_not_read(agent: Agent, tmp_path: Path) -> None:
    """More than the kernel holds; nothing of it is lost, and output goes on meanwhile."""
    expected = numbered(1_000_000)
    target = tmp_path / "received"
    go = tmp_path / "go"
    script = (
        f"stty raw -echo; echo waiting; while ! test -e {go}; do sleep 0.01; done; head -c 1000000 > {target}"
    )
    pane = agent.open(argv=("/bin/sh", "-c", script))
    pane.await_output(b"waiting")
    pane.send(Input("client", 0, expected[:500_000]), Input("client", 500_000, expected[500_000:]))
    pane.await_acked(1)
    assert agent.attach().await_opened().inputs == {"client": 1_000_000}
    go.touch()
    until(lambda: target.exists() and target.stat().st_size == len(expected), "all input")
    assert target.read_bytes() == expected


def test_input_that_was_never_written_is_not_said_to_be(agent: Agent) -> None:
    pane = agent.open(argv=("/bin/sh", "-c", "stty raw -echo; echo waiting; exec sleep 1000"))
    pane.await_output(b"waiting")
    pane.send(Input("client", 0, bytes(500_000)))
    pane.await_acked(1)
    control = agent.control()
    control.sleep(force=True)
    assert 0 < pane.next(Ended).inputs["client"] < 500_000


# --- Answers to queries --------------------------------------------------------------------------------------

SLOW_READER = """
import os, sys, time, tty
tty.setraw(0)
os.write(1, b"?" * 1000 + b"waiting")
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
with open(sys.argv[2], "wb", buffering=0) as file:
    while True:
        data = os.read(0, 700)
        file.write(data)
        if data.endswith(b"!"):
            break
os.write(1, b"complete")
"""
"""Reads nothing until a file is there, then little at a time."""


def open_slow_reader(agent: Agent, go: Path, target: Path) -> Pane:
    pane = agent.open(argv=("/usr/bin/env", "python3", "-I", "-c", SLOW_READER, str(go), str(target)))
    pane.await_output(b"waiting")
    return pane


def test_input_and_answers_keep_their_order_over_cuts(agent: Agent, tmp_path: Path) -> None:
    """Each new server begins again somewhere in what was taken already."""
    rng = random.Random(6)
    go, target = tmp_path / "go", tmp_path / "received"
    script: list[Input | Answer] = []
    at = 0
    for number in range(200):
        data = b"%d," % number * rng.randrange(1, 400)
        script += [Input("client", at, data), Answer(3 * number + 1, b"<%d>" % number)]
        at += len(data)
    script.append(Input("client", at, b"!"))
    pane = open_slow_reader(agent, go, target)
    taken = 0
    for _ in range(10):
        pane.send(*script[rng.randint(0, taken) : taken + rng.randrange(30)], Resize(80, 24))
        if rng.random() < 0.5:
            pane.next(SizeMark)
        pane.close()
        pane = agent.attach()
        opened = pane.await_opened()
        whole = [is_taken(message, opened) for message in script]
        taken = sum(whole)
        assert whole == sorted(whole, reverse=True), "something was overtaken"
        if taken > len(script) // 4:
            go.touch()
    assert taken > 0
    go.touch()
    pane.send(*script)
    pane.await_output(b"complete")
    assert target.read_bytes() == b"".join(message.data for message in script)


def is_taken(message: Input | Answer, opened: Opened) -> bool:
    if isinstance(message, Input):
        return opened.inputs.get("client", 0) >= message.position + len(message.data)
    assert opened.answered is not None
    return opened.answered >= message.position


def test_a_program_that_reads_no_answers_is_left_without_the_rest(agent: Agent, tmp_path: Path) -> None:
    go, target = tmp_path / "go", tmp_path / "received"
    answers = [Answer(number, b"%03d " % number * 1000) for number in range(1, 101)]
    pane = open_slow_reader(agent, go, target)
    pane.send(*answers, Resize(80, 24))
    pane.type(b"typed!")
    pane.next(SizeMark)
    assert agent.attach().await_opened().answered == 100
    go.touch()
    until(lambda: target.exists() and target.read_bytes().endswith(b"typed!"), "the input")
    given = target.read_bytes().removesuffix(b"typed!")
    given_numbers = [int(given[at : at + 3]) for at in range(0, len(given), 4000)]
    assert given == b"".join(answers[number - 1].data for number in given_numbers)
    assert given_numbers == sorted(given_numbers)
    in_the_kernel = 32_000
    assert ANSWERS_UNWRITTEN_BYTES - 4000 <= len(given) <= ANSWERS_UNWRITTEN_BYTES + in_the_kernel


# --- Peers that break the rules ------------------------------------------------------------------------------

OPEN = Open("p1", 1, 80, 24, 0, b"", ("/bin/cat",), env=PLAIN)


def raw(*messages: Message) -> bytes:
    return b"".join(encode(message) for message in messages)


GARBAGE = {
    "noise": random.Random(9).randbytes(5000),
    "no hello": raw(OPEN),
    "a role that is none": raw(Hello("king")),
    "two hellos": raw(Hello("pane"), Hello("pane")),
    "input before open": raw(Hello("pane"), Input("c", 0, b"x")),
    "an answer before open": raw(Hello("pane"), Answer(0, b"x")),
    "an answer to what was not written": raw(Hello("pane"), OPEN, Answer(1, b"x")),
    "sleep on a pane": raw(Hello("pane"), OPEN, Sleep(force=True)),
    "open twice": raw(Hello("pane"), OPEN, OPEN),
    "an agent's frame": raw(Hello("control"), Output(b"x")),
    "input on the control connection": raw(Hello("control"), Input("c", 0, b"x")),
    "a frame that is too long": raw(Hello("pane")) + HEADER.pack(Kind.INPUT, LINK_FRAME_BYTES + 1),
    "no size": raw(Hello("pane"), Open("p1", 1, 0, 0, 0, b"", ("/bin/cat",))),
    "a size beyond any": raw(Hello("pane"), OPEN, Resize(70_000, 24)),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage_costs_its_connection_only(agent: Agent, data: bytes) -> None:
    other = agent.shell("other")
    link = agent.stranger()
    link.socket.sendall(data)
    link.await_close()
    other.type(b"echo alive\r")
    other.await_output(b"\nalive\r\n")
    errors = agent.end()
    assert errors.count("\n") == 1
    assert errors.startswith("wormux agent: A connection was closed: ")


def test_frames_that_come_slowly_or_not_at_all_block_nobody(agent: Agent) -> None:
    links = [agent.stranger() for _ in range(50)]
    for link in links:
        link.socket.sendall(raw(Hello("pane"))[:3])
    pane = agent.shell()
    pane.type(b"echo alive\r")
    pane.await_output(b"\nalive\r\n")
    for link in links:
        link.socket.sendall(raw(Hello("pane"))[3:] + raw(Attach("nothing", 1, 0)))
        assert link.next(Refused).gone


def test_a_peer_that_never_reads_is_held_back(agent: Agent) -> None:
    """Its input is answered, so it must be taken no faster than the answers are."""
    agent.open("held", argv=("/bin/cat",)).close()
    deaf = agent.stranger()
    deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    deaf.send(Hello("pane"), Attach("held", 1, 0))
    deaf.socket.setblocking(False)
    frame = raw(Resize(80, 24)) * 100
    assert any(is_held_back(deaf, frame) for _ in range(100_000))
    pane = agent.shell()
    pane.type(b"echo alive\r")
    pane.await_output(b"\nalive\r\n")


def is_held_back(link: Link, frame: bytes) -> bool:
    try:
        link.socket.send(frame)
    except BlockingIOError:
        return True
    return False


def test_many_panes_at_once(agent: Agent) -> None:
    panes: list[Pane] = []
    for number in range(40):
        pane = agent.pane()
        pane.send(Open(f"p{number}", 1, 80, 24, 0, b"", ("/bin/sh", "-c", f"seq 2000; echo end {number}")))
        panes.append(pane)
    for number, pane in enumerate(panes):
        pane.next(Ended)
        assert pane.output.endswith(b"2000\r\nend %d\r\n" % number)
        assert isinstance(pane.opened, Opened)
