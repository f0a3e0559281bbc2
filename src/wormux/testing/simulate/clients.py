"""What clients do in a story, and what becomes of their connections. See `kinds`."""

from __future__ import annotations

from wormux.limits import INPUT_PANE_BYTES
from wormux.protocol.frames import encode_frame
from wormux.testing.simulate.kinds import chance, client, index, kind, one_of, share, up_to
from wormux.testing.simulate.stage import SESSIONS, Stage

# --- Connections ---------------------------------------------------------------------------------------


@kind(8, when="up", number=client, resume=chance(0.8), away=chance(0.7), counts=chance(0.5))
def connect(stage: Stage, number: int, resume: bool, away: bool, counts: bool) -> None:
    """A client connects, also while it is connected. `away`: one that is not, if there is any; `counts`: it says which
    attempt of its this is."""
    if away:
        free = [n for n, one in enumerate(stage.clients) if one.socket is None]
        number = free[number % len(free)] if free else number
    if counts:
        stage.attempts[number] += 1
        stage.clients[number].connect(resume=resume, attempt=stage.attempts[number])
    else:
        stage.clients[number].connect(resume=resume)


@kind(3, number=client, keep_words=chance(0.5))
def cut(stage: Stage, number: int, keep_words: bool) -> None:
    """The client's network breaks, and it knows."""
    stage.clients[number].cut(keep_words=keep_words)


@kind(1.5, number=client)
def stall(stage: Stage, number: int) -> None:
    """The client's socket takes nothing any more, or does again."""
    socket = stage.clients[number].socket
    if socket is not None:
        socket.stalled = not socket.stalled


@kind(
    2,
    when="up",
    number=client,
    up=chance(0.7),
    down=chance(0.7),
    server_notices_s=one_of(0.1, 5.0, 80.0),
    client_notices_s=one_of(0.1, 5.0, 20.0),
)
def part_client(
    stage: Stage, number: int, up: bool, down: bool, server_notices_s: float, client_notices_s: float
) -> None:
    """A network that lets nothing through: half-open, until each side finds out, or it heals."""
    stage.world.part_client(
        stage.clients[number],
        up=up,
        down=down,
        server_notices_s=server_notices_s,
        client_notices_s=client_notices_s,
    )


@kind(2)
def heal(stage: Stage) -> None:
    """All networks let everything through again."""
    stage.world.heal()


@kind(1.5, when="up", number=client, index=index)
def ghost(stage: Stage, number: int, index: int) -> None:
    """A second connection of a client that takes it over; what is still said on the first one counts for nothing."""
    one = stage.clients[number]
    old, pane_id = one.socket, stage.known_pane(one, index)
    if old is None or one.client_id is None or pane_id is None:
        return
    channel = one.model.channels[pane_id]
    one.socket = None  # it is not hung up
    old.on_frame = old.on_close = _nobody
    one.connect()
    stage.world.run()  # the server has heard of the second one before the first says more
    stage.world.to_server(old, encode_frame(channel, b"ghost "))
    stage.world.hang_up(old)


def _nobody(_: object) -> None:
    """Listens no more."""


@kind(1.5, number=client, draws=chance(0.5))
def draw(stage: Stage, number: int, draws: bool) -> None:
    """A client draws nothing of what comes, or all of it again."""
    one = stage.clients[number]
    one.acks_output = draws
    if draws:
        one.draw()


# --- Typing --------------------------------------------------------------------------------------------


@kind(16, number=client, index=index, size=up_to(40, 1))
def type_keys(stage: Stage, number: int, index: int, size: int) -> None:
    one = stage.clients[number]
    pane_id = stage.known_pane(one, index)
    if pane_id is not None and one.input(pane_id).unacked < INPUT_PANE_BYTES - 100:
        one.type(pane_id, (b"%d:%d " % (number, stage.next_count()) * size)[:size])


@kind(1.5, when="up", number=client, index=index)
def type_into_sleep(stage: Stage, number: int, index: int) -> None:
    """A sandbox is told to sleep, and before it has heard that, somebody types in every pane."""
    sleep(stage, number, index, force=True, stop=False)
    stage.hear_clients()
    one = stage.clients[number]
    for pane_id in one.panes if one.attached else []:
        one.type(pane_id, b"%d:%d " % (number, stage.next_count()))
    stage.hear_clients()


@kind(0.3, number=client, index=index)
def overrun(stage: Stage, number: int, index: int) -> None:
    """A client types more than its window allows, and is closed for it."""
    one = stage.clients[number]
    pane_id = stage.known_pane(one, index)
    if pane_id is not None and one.input(pane_id).unacked < 1000:
        one.keeps_windows = False
        one.type(pane_id, b"%d:%d " % (number, stage.next_count()) * (INPUT_PANE_BYTES // 4))
        one.keeps_windows = True


@kind(1.5, number=client, index=index)
def wake(stage: Stage, number: int, index: int) -> None:
    stage.ask(number, "pane_wake", index)


@kind(1.5, number=client, index=index)
def take_back(stage: Stage, number: int, index: int) -> None:
    """What was typed and is not written is not wanted any more."""
    one = stage.clients[number]
    pane_id = stage.known_pane(one, index)
    if pane_id is not None:
        one.discard(pane_id)


# --- Layout --------------------------------------------------------------------------------------------


@kind(3, number=client, index=index, cols=up_to(6, 2), rows=up_to(4, 2))
def resize(stage: Stage, number: int, index: int, cols: int, rows: int) -> None:
    stage.ask(number, "pane_resize", index, cols=cols, rows=rows)


@kind(4, number=client, index=index, orientation=one_of("horizontal", "vertical"))
def split(stage: Stage, number: int, index: int, orientation: str) -> None:
    if stage.room_for_panes():
        stage.ask(number, "pane_split", index, orientation=orientation, cols=20, rows=10)


@kind(1.5, number=client, index=index)
def close_pane(stage: Stage, number: int, index: int) -> None:
    stage.ask(number, "pane_close", index)


@kind(1.5, number=client, index=index)
def create_tab(stage: Stage, number: int, index: int) -> None:
    if stage.room_for_panes():
        stage.ask(number, "tab_create", index, "sessionId")


@kind(0.5, number=client, index=index)
def close_tab(stage: Stage, number: int, index: int) -> None:
    stage.ask(number, "tab_close", index, "tabId")


@kind(2, number=client)
def create_session(stage: Stage, number: int) -> None:
    one = stage.clients[number]
    if one.attached and len(stage.world.hub.world.sessions) < SESSIONS:
        one.ask("session_create", name="another")


@kind(0.4, number=client, index=index)
def destroy_session(stage: Stage, number: int, index: int) -> None:
    stage.ask(number, "session_destroy", index, "sessionId")


@kind(0.5, number=client, index=index)
def rename(stage: Stage, number: int, index: int) -> None:
    stage.ask(number, "session_rename", index, "sessionId", name=f"name {stage.next_count()}")


@kind(0.5, number=client, index=index, seconds=one_of(0, 5, 60))
def lease(stage: Stage, number: int, index: int, seconds: int) -> None:
    stage.ask(number, "session_lease", index, "sessionId", seconds=seconds, reason="a lease")


@kind(3, number=client, index=index, force=chance(0.5), stop=chance(0.3))
def sleep(stage: Stage, number: int, index: int, force: bool, stop: bool) -> None:
    stage.ask(number, "session_sleep", index, "sessionId", force=force, stop=stop)


@kind(1, number=client, index=index, lines=up_to(300))
def redraw(stage: Stage, number: int, index: int, lines: int) -> None:
    stage.ask(number, "pane_redraw", index, lines=lines)


@kind(1, number=client, index=index)
def switch_tab(stage: Stage, number: int, index: int) -> None:
    stage.ask(number, "tab_switch", index, "tabId")


@kind(1, number=client, index=index)
def focus(stage: Stage, number: int, index: int) -> None:
    stage.ask(number, "pane_focus", index)


@kind(1, number=client, index=index, share=share)
def drag(stage: Stage, number: int, index: int, share: float) -> None:
    stage.ask(number, "layout_resize", index, "tabId", path=[], ratios=[share, 1 - share])
