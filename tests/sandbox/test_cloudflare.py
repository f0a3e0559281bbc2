"""Terminals of Cloudflare sandboxes: numbered, recognised when they come again, with input that arrives once."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from socket import gaierror

import pytest
from websockets.exceptions import InvalidProxy

from wormux.errors import SandboxError
from wormux.limits import CLOUDFLARE_KEPT_BYTES, MIB, POSITION_MARK_BYTES
from wormux.protocol.agent_link import (
    Attach,
    Ended,
    Exit,
    InputAck,
    Open,
    Opened,
    Ready,
    Refused,
    SizeMark,
)
from wormux.sandbox import cloudflare_pane, cloudflare_socket
from wormux.sandbox.cloudflare import CloudflareProvider
from wormux.sandbox.port import Frozen, Lost, Sandbox, SandboxEvent, Uncertain
from wormux.sandbox.settings import ProviderSettings
from wormux.testing.cloudflare_server import CloudflareServer
from wormux.testing.sandbox_conformance import BOX, CLIENT, WITHIN_S, Events, Pane, ignore, open_request

SECRET = "Bearer hush-hush"

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])
"""The server's; the conformance suite runs on both."""


class World:
    """A Cloudflare server, and a provider that knows it."""

    def __init__(self, server: CloudflareServer, data_dir: Path) -> None:
        self.server = server
        self.data_dir = data_dir
        self.providers: list[CloudflareProvider] = []
        self.provider = self.later_provider()
        self.events: Events[SandboxEvent] = Events()

    def later_provider(self, **options: object) -> CloudflareProvider:
        """As another run of the server makes it."""
        table = {"url": self.server.url, "headers": {"Authorization": "env:SECRET"}, **options}
        provider = CloudflareProvider(ProviderSettings(self.data_dir, options=table), env={"SECRET": SECRET})
        self.providers.append(provider)
        return provider

    async def start(self) -> Sandbox:
        self.events = Events()
        return await self.provider.start(BOX, self.events)

    async def until(self, is_so: Callable[[], object]) -> None:
        """Until something of the server is so: it tells nobody, so it is looked at again and again."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                if is_so():
                    return
                await asyncio.sleep(0.005)

    async def again(self, pane: Pane) -> Pane:
        """The pane's terminal, taken up where it was left."""
        return Pane(await self.start(), Attach("pane-1", 1, await pane.position()), pane.typed)


@asynccontextmanager
async def make_world(data_dir: Path, **options: object) -> AsyncIterator[World]:
    async with CloudflareServer(headers={"Authorization": SECRET}, **options) as server:  # type: ignore[arg-type]
        world = World(server, data_dir)
        yield world
        for provider in world.providers:
            await provider.aclose()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with make_world(tmp_path) as made:
        yield made


async def at_prompt(pane: Pane) -> Pane:
    await pane.shows(b"$ ")
    return pane


def soon(monkeypatch: pytest.MonkeyPatch, name: str, value: float) -> None:
    monkeypatch.setattr(cloudflare_pane, name, value)


# --- Opening -------------------------------------------------------------------------------------------------


async def test_a_terminal_is_opened_with_its_size_its_shell_and_our_headers(world: World) -> None:
    sandbox = await world.start()
    assert world.server.connects == []  # only a terminal wakes it
    pane = await at_prompt(Pane(sandbox, Open("pane-1", 3, 91, 31, 0, b"", ("/bin/sh",))))
    (connect,) = world.server.connects
    assert connect.sandbox == BOX
    assert connect.query == {"sessionId": "pane-1-3", "cols": "91", "rows": "31", "shell": "/bin/sh"}
    assert connect.headers["Authorization"] == SECRET
    pane.type(b"stty size\n")
    await pane.shows(b"31 91")
    assert (await pane.opened()).sizes == (SizeMark(0, 91, 31),)
    pane.terminal.resize(100, 30)
    await pane.events.next(SizeMark)
    pane.type(b"stty size\n")
    await pane.shows(b"30 100")


async def test_the_configured_shell_comes_before_the_servers(world: World) -> None:
    world.provider = world.later_provider(shell="/bin/bash")
    pane = Pane(await world.start(), open_request())
    await pane.opened()
    assert world.server.connects[0].query["shell"] == "/bin/bash"


async def test_a_shell_with_arguments_is_the_containers_own(world: World) -> None:
    pane = Pane(await world.start(), Open("pane-1", 1, 80, 24, 0, b"", ("/bin/bash", "--norc")))
    await pane.opened()
    assert "shell" not in world.server.connects[0].query


async def test_input_waits_until_the_sandbox_takes_it(world: World) -> None:
    world.server.ready.clear()
    pane = Pane(await world.start(), open_request())
    pane.type(b"echo fi''rst\n")
    await world.until(lambda: world.server.connects)
    pane.type(b"echo se''cond\n")
    assert pane.events.all == []
    world.server.ready.set()
    await pane.shows(b"second")
    assert world.server.dropped == []
    assert pane.output.count(b"first\r\n") == 1


@pytest.mark.parametrize(
    "mark", [b"\\033]133;B\\007", b"\\033[?2004h", b""], ids=["mark", "paste mode", "quiet"]
)
async def test_a_fresh_shell_is_ready_when_it_says_so_or_is_quiet(world: World, mark: bytes) -> None:
    pane = Pane(await world.start(), open_request())
    assert not (await pane.opened()).ready
    pane.type(b"printf '%s'\n" % mark)
    await pane.events.next(Ready)
    await pane.shows(b"$ ")
    assert len(pane.events.of(Ready)) == 1


async def test_a_shell_that_never_speaks_is_ready_all_the_same(tmp_path: Path) -> None:
    async with make_world(tmp_path, shell=("/bin/cat",)) as world:
        pane = Pane(await world.start(), Open("pane-1", 1, 80, 24, 0, b"", ()))
        await pane.events.next(Ready)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (400, "does not understand the request; check the url (status 400)."),
        (401, "refuses our credentials (status 401)."),
        (403, "refuses our credentials (status 403)."),
        (404, "is not at this address; check the url (status 404)."),
        (429, "takes no more requests for now (status 429)."),
        (418, "does not open a terminal (status 418)."),
        (503, "cannot start a terminal for now (status 503)."),
    ],
)
async def test_a_refused_connect_says_why(world: World, status: int, sentence: str) -> None:
    world.server.refuse_status = status
    refused = await Pane(await world.start(), open_request()).events.next(Refused)
    assert refused == Refused(f"The Cloudflare sandbox {sentence}")
    world.server.refuse_status = None
    await at_prompt(Pane(await world.start(), open_request()))


async def test_wrong_credentials_are_refused_and_never_shown(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.provider = world.later_provider(headers={"Authorization": "Bearer wrong-secret"})
    refused = await Pane(await world.start(), open_request()).events.next(Refused)
    assert "refuses our credentials" in refused.reason
    world.provider = world.later_provider()
    pane = await at_prompt(Pane(await world.start(), open_request()))
    pane.type(b"echo se''cond\n")
    await pane.shows(b"second")
    said = [record.getMessage() for record in caplog.records if record.name != "websockets.server"]
    assert caplog.records  # the server's own, at least
    for secret in ("wrong-secret", "hush-hush", "sessionId"):
        assert not [text for text in said if secret in text]


async def test_where_nobody_listens_is_said(tmp_path: Path) -> None:
    async with CloudflareServer() as server:
        url = server.url
    provider = CloudflareProvider(ProviderSettings(tmp_path, options={"url": url}), env={})
    lost = await Pane(await provider.start(BOX, ignore), open_request()).events.next(Lost)
    assert lost == Lost("127.0.0.1 cannot be reached: Connection refused.")
    await provider.aclose()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (TimeoutError(), "The Cloudflare sandbox did not answer within 60 seconds."),
        (ssl.SSLCertVerificationError("self-signed"), "example.com shows a certificate that is not trusted."),
        (
            gaierror(-2, "Name or service not known"),
            "The name or address example.com of the Cloudflare sandbox",
        ),
        (
            OSError("Multiple exceptions: [Errno 111] …"),
            "The name or address example.com of the Cloudflare sandbox",
        ),
        (
            InvalidProxy("http://me:secret@proxy", "odd"),
            "The proxy that the environment names cannot be used.",
        ),
        (ImportError("python-socks"), "The connection to example.com fails (ImportError)."),
    ],
)
async def test_every_failure_to_connect_has_its_sentence(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    world.provider = world.later_provider(url="wss://example.com/{sandbox}?secret={pane}")
    monkeypatch.setattr(cloudflare_socket, "_Connect", fail)
    lost = await Pane(await world.start(), open_request()).events.next(Lost)
    assert lost.reason.startswith(sentence)
    assert "secret" not in lost.reason


async def test_a_server_without_tls_is_said(world: World) -> None:
    world.provider = world.later_provider(url=world.server.url.replace("ws://", "wss://"))
    lost = await Pane(await world.start(), open_request()).events.next(Lost)
    assert lost == Lost("127.0.0.1 breaks the connection off before it stands.")


async def test_what_is_no_such_server_is_said(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example.com\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"ws://127.0.0.1:{port}/{{sandbox}}/{{pane}}"
    provider = CloudflareProvider(ProviderSettings(tmp_path, options={"url": url}), env={})
    lost = await Pane(await provider.start(BOX, ignore), open_request()).events.next(Lost)
    assert lost == Lost("127.0.0.1 does not answer as a Cloudflare sandbox does.")
    await provider.aclose()
    server.close()
    await server.wait_closed()


async def test_no_redirect_is_followed(tmp_path: Path) -> None:
    """It would carry our headers to whoever it names."""
    async with CloudflareServer() as other:

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            location = other.url.format(sandbox="box", pane="stolen").replace("ws:", "http:")
            writer.write(
                b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location.encode()
            )
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        options = {"url": f"ws://127.0.0.1:{port}/{{sandbox}}/{{pane}}", "headers": {"Authorization": SECRET}}
        provider = CloudflareProvider(ProviderSettings(tmp_path, options=options), env={})
        refused = await Pane(await provider.start(BOX, ignore), open_request()).events.next(Refused)
        assert "(status 302)" in refused.reason
        assert other.connects == []
        await provider.aclose()
        server.close()
        await server.wait_closed()


async def test_a_terminal_that_cannot_be_started_says_why(world: World) -> None:
    world.server.refuse_spawn = "no \x1b[31mpty\x07\nleft " + "x" * 1000
    refused = await Pane(await world.start(), open_request()).events.next(Refused)
    assert refused.reason.startswith("The Cloudflare sandbox says: no [31mpty left xxx")
    assert len(refused.reason) < 300


async def test_a_sandbox_that_does_not_get_ready_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloudflare_socket, "OPEN_WITHIN_S", 0.2)
    world.server.ready.clear()
    lost = await Pane(await world.start(), open_request()).events.next(Lost)
    assert lost == Lost("The Cloudflare sandbox did not get ready within 0.2 seconds.")


# --- Sleep, and what comes again -----------------------------------------------------------------------------


async def test_the_last_socket_that_closes_is_sleep(world: World) -> None:
    sandbox = await world.start()
    panes = [await at_prompt(Pane(sandbox, open_request(f"pane-{number}"))) for number in range(3)]
    for pane in panes:
        await pane.events.next(Ready)
    heard = [len(pane.events.all) for pane in panes]
    await world.server.sleep(BOX)
    await world.events.next(Frozen)
    assert world.events.all == [Frozen()]
    assert [len(pane.events.all) for pane in panes] == heard
    assert await world.provider.find(BOX, ignore) == Frozen()
    assert world.server.wakes == 1


async def test_after_sleep_the_shell_is_fresh_and_is_the_next_terminal(world: World) -> None:
    pane = await at_prompt(Pane(await world.start(), open_request()))
    pane.type(b"echo be''fore\n")
    await pane.shows(b"before\r\n$ ")
    await world.server.sleep(BOX)
    await world.events.next(Frozen)
    again = await world.again(pane)
    assert (await again.events.next(Refused)).gone
    position = await pane.position()
    assert world.server.connects[-1].query["shell"] == "/bin/sh"
    fresh = Pane(await world.start(), Open("pane-1", 2, 100, 30, position, b"<new shell>", ("/bin/sh",)))
    await fresh.events.next(Ready)
    await fresh.shows(b"<new shell>$ ")
    assert (await fresh.opened()).position == position
    fresh.type(b"echo af''ter; stty size\n")
    await fresh.shows(b"after\r\n30 100")
    assert len(world.server.connects) == 2  # the one that found the shell gone is the new terminal's
    assert len(world.server.ptys()) == 1
    assert fresh.output.startswith(b"<new shell>$ ")


def numbers_of(panes: list[Pane]) -> list[int]:
    """All lines of `COUNT` that a terminal showed on its links, one after the other."""
    everything = b"".join(pane.output for pane in panes)
    return [int(number) for number in re.findall(rb"nr-(\d+)-\r\n", everything)]


COUNT = b"i=0; while [ $i -lt 15000 ]; do echo nr-$i-; i=$((i+1)); done; echo do''ne\n"


async def test_a_link_that_broke_goes_on_at_the_byte(world: World) -> None:
    panes = [await at_prompt(Pane(await world.start(), open_request()))]
    panes[0].type(COUNT)
    for count in (100, 3000, 6000):
        await panes[-1].events.until(lambda: any(number >= count for number in numbers_of(panes)))  # noqa: B023
        world.server.drop()
        await world.events.next(Frozen)
        panes.append(await world.again(panes[-1]))
        assert (await panes[-1].opened()).position == await panes[-2].position()
    await panes[-1].events.until(lambda: panes[-1].output.endswith(b"$ ") or numbers_of(panes)[-1] == 14999)
    assert numbers_of(panes) == list(range(15000))
    assert len(world.server.ptys()) == 1


async def test_one_of_several_that_breaks_alone_is_lost_and_found(world: World) -> None:
    sandbox = await world.start()
    broken = await at_prompt(Pane(sandbox, open_request("pane-1")))
    calm = await at_prompt(Pane(sandbox, open_request("pane-2")))
    world.server.drop("pane-1-1")
    assert await broken.events.next(Lost) == Lost("The connection to the Cloudflare sandbox broke.")
    assert world.events.all == []
    found = await world.provider.find(BOX, ignore)
    assert isinstance(found, Sandbox)
    assert {info.pane_id for info in found.welcome.terminals} == {"pane-1", "pane-2"}
    again = Pane(found, Attach("pane-1", 1, await broken.position()), broken.typed)
    again.type(b"echo a''gain\n")
    await again.shows(b"again\r\n")
    assert again.output.startswith(b"echo a''gain")
    calm.type(b"echo ca''lm\n")
    await calm.shows(b"calm\r\n")


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_later_server_recognises_the_output(world: World, how: str) -> None:
    pane = await at_prompt(Pane(await world.start(), open_request(position=500)))
    pane.type(b"echo be''fore\n")
    await pane.shows(b"before\r\n$ ")
    position, shown = await pane.position(), pane.output
    if how == "stopped":
        await world.provider.aclose()
    connects = len(world.server.connects)
    world.provider = world.later_provider()
    assert await world.provider.find(BOX, ignore) == Frozen()
    assert len(world.server.connects) == connects  # looking wakes nothing
    started = await world.start()
    assert [(info.pane_id, info.generation) for info in started.welcome.terminals] == [("pane-1", 1)]
    again = Pane(started, Attach("pane-1", 1, 0), pane.typed)
    opened = await again.opened()
    assert (opened.position, opened.end) == (500, position)
    assert opened.inputs == {CLIENT: pane.typed}
    again.type(b"echo af''ter\n")
    await again.shows(b"after\r\n$ ")
    assert again.output == shown + b"echo af''ter\r\nafter\r\n$ "


async def test_output_of_the_meantime_has_the_positions_that_it_would_have_had(world: World) -> None:
    pane = await at_prompt(Pane(await world.start(), open_request()))
    await world.provider.aclose()
    world.server.ptys()["pane-1-1"].write(b"echo mean''while\n")
    await world.until(lambda: b"meanwhile\r\n" in world.server.ptys()["pane-1-1"].kept)
    world.provider = world.later_provider()
    again = Pane(await world.start(), Attach("pane-1", 1, await pane.position()))
    await again.shows(b"meanwhile\r\n$ ")
    assert (await again.opened()).position == await pane.position()
    assert again.output == b"echo mean''while\r\nmeanwhile\r\n$ "


async def test_more_than_is_kept_is_a_gap_that_no_position_fills(world: World) -> None:
    pane = await at_prompt(Pane(await world.start(), open_request()))
    world.server.drop()
    await world.events.next(Frozen)
    world.server.ptys()["pane-1-1"].emit(b"".join(b"%d\r\n" % number for number in range(100_000)))
    again = await world.again(pane)
    opened = await again.opened()
    assert opened.position >= await pane.position() + POSITION_MARK_BYTES // 2
    assert opened.end == opened.position + CLOUDFLARE_KEPT_BYTES
    await again.shows(b"99999\r\n")
    assert len(again.output) == CLOUDFLARE_KEPT_BYTES
    world.server.drop()
    await world.events.next(Frozen)
    third = await world.again(again)
    assert (await third.opened()).position == opened.end  # from here on it is recognised again


async def test_what_repeats_itself_is_not_shown_twice(world: World) -> None:
    pane = await at_prompt(Pane(await world.start(), open_request()))
    terminal = world.server.ptys()["pane-1-1"]
    terminal.emit(b"y\r\n" * 200_000)
    await pane.events.until(lambda: len(pane.output) >= 600_000)
    world.server.drop()
    await world.events.next(Frozen)
    terminal.emit(b"y\r\n" * 5 + b"end")
    again = await world.again(pane)
    await again.shows(b"end")
    assert again.output == b"end"  # five lines fewer, of the same kind as those shown


async def test_putting_to_sleep_closes_the_sockets_and_ends_nothing(world: World) -> None:
    sandbox = await world.start()
    pane = await at_prompt(Pane(sandbox, open_request()))
    sandbox.sleep(force=False)
    await world.events.next(Frozen)
    await world.until(lambda: not world.server.links())
    assert not world.server.ptys()["pane-1-1"].has_exited
    again = await world.again(pane)
    again.type(b"echo a''gain\n")
    await again.shows(b"again\r\n")


async def test_it_sleeps_by_itself_when_nobody_uses_it(tmp_path: Path) -> None:
    async with make_world(tmp_path, sleep_after_s=0.3) as world:
        pane = await at_prompt(Pane(await world.start(), open_request()))
        await world.events.next(Frozen)
        assert world.server.containers == {}
        again = await world.again(pane)
        assert (await again.events.next(Refused)).gone


async def test_what_is_stored_is_ours_alone_and_goes_with_the_pane_and_the_sandbox(world: World) -> None:
    sandbox = await world.start()
    pane = await at_prompt(Pane(sandbox, open_request()))
    await at_prompt(Pane(sandbox, open_request("pane-2")))
    folder = world.data_dir / "cloudflare"
    files = {path.name for path in (folder / BOX).iterdir()}
    assert files == {"pane-1.json", "pane-1.tail", "pane-2.json", "pane-2.tail"}
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert SECRET not in "".join(path.read_text(errors="replace") for path in folder.rglob("*.*"))
    pane.terminal.close()
    assert {path.name for path in (folder / BOX).iterdir()} == {"pane-2.json", "pane-2.tail"}
    await world.provider.destroy(BOX)
    assert list(folder.iterdir()) == []


async def test_what_is_stored_and_damaged_is_left_out_with_a_word(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    pane = await at_prompt(Pane(await world.start(), open_request()))
    await world.provider.aclose()
    path = world.data_dir / "cloudflare" / BOX / "pane-1.json"
    for damage in (b"", b"{}", b"[]", path.read_bytes().replace(b'"generation": 1', b'"generation": -1')):
        path.write_bytes(damage)
        caplog.clear()
        world.provider = world.later_provider()
        assert await world.provider.find(BOX, ignore) is None
        assert "cannot be read; it is left out" in caplog.text
    assert (await (await world.again(pane)).events.next(Refused)).gone


async def test_a_disk_that_is_full_stops_no_terminal(world: World, caplog: pytest.LogCaptureFixture) -> None:
    sandbox = await world.start()
    folder = world.data_dir / "cloudflare" / BOX
    folder.rmdir()
    pane = await at_prompt(Pane(sandbox, open_request()))
    pane.type(b"echo on''ward\n")
    await pane.shows(b"onward\r\n")
    assert caplog.text.count("cannot be stored") == 1


# --- Input ---------------------------------------------------------------------------------------------------


async def test_what_went_out_on_an_earlier_link_is_not_sent_again(world: World) -> None:
    pane = await at_prompt(Pane(await world.start(), open_request()))
    pane.type(b"echo fi''rst\n")
    await pane.events.next(InputAck, lambda ack: ack.position == pane.typed)
    await pane.shows(b"first\r\n$ ")
    pane.terminal.detach()
    pane.type(b"")
    again = Pane(await world.start(), Attach("pane-1", 1, await pane.position()))
    again.type(b"echo fi''rst\necho se''cond\n")
    await again.events.next(InputAck, lambda ack: ack.position == again.typed)
    await again.shows(b"second\r\n")
    assert bytes(world.server.ptys()["pane-1-1"].typed) == b"echo fi''rst\necho se''cond\n"


async def test_input_of_a_link_that_broke_is_named_and_not_sent_again(tmp_path: Path) -> None:
    async with make_world(
        tmp_path, shell=("/bin/sh", "-c", "stty -echo; echo set; exec cat >/dev/null")
    ) as world:
        pane = Pane(await world.start(), Open("pane-1", 1, 80, 24, 0, b"", ()))
        await pane.shows(b"set")
        pane.type(b"silent\n")
        await world.until(lambda: world.server.ptys()["pane-1-1"].typed)
        world.server.drop()
        await world.events.next(Frozen)
        assert pane.events.of(InputAck) == []
        again = await world.again(pane)
        assert (await again.opened()).inputs == {CLIENT: pane.typed}
        again.terminal.write(CLIENT, 0, b"silent\n")
        assert await again.events.next(Uncertain) == Uncertain(CLIENT, 7)
        assert bytes(world.server.ptys()["pane-1-1"].typed) == b"silent\n"


async def test_a_program_that_is_silent_has_its_input_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link is looked at, and missed nothing."""
    soon(monkeypatch, "CLOUDFLARE_DEAF_AFTER_S", 0.1)
    async with make_world(
        tmp_path, shell=("/bin/sh", "-c", "stty -echo; echo set; exec cat >/dev/null")
    ) as world:
        pane = Pane(await world.start(), Open("pane-1", 1, 80, 24, 0, b"", ()))
        await pane.shows(b"set")
        for word in (b"one\n", b"two\n"):
            pane.type(word)
            await pane.events.next(InputAck, lambda ack: ack.position == pane.typed)
        assert pane.events.of(Uncertain) == []
        assert bytes(world.server.ptys()["pane-1-1"].typed) == b"one\ntwo\n"
        assert len(pane.events.of(Opened)) == 1
        assert world.events.all == []


async def test_a_deaf_link_is_noticed_and_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    soon(monkeypatch, "CLOUDFLARE_DEAF_AFTER_S", 0.1)
    pane = await at_prompt(Pane(await world.start(), open_request()))
    world.server.deafen()
    world.server.ptys()["pane-1-1"].emit(b"missed\r\n")
    pane.type(b"echo swal''lowed\n")
    assert await pane.events.next(Uncertain) == Uncertain(CLIENT, pane.typed)
    await pane.shows(b"missed\r\n")
    pane.type(b"echo he''ard\n")
    await pane.shows(b"heard\r\n")
    await pane.events.next(InputAck, lambda ack: ack.position == pane.typed)
    assert b"swal" not in pane.output
    assert world.server.dropped == [b"echo swal''lowed\n"]
    assert pane.output == b"$ missed\r\necho he''ard\r\nheard\r\n$ "[: len(pane.output)]
    assert pane.events.of(Lost) == []
    assert world.events.all == []


async def test_what_is_typed_while_a_link_is_looked_at_arrives_on_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon(monkeypatch, "CLOUDFLARE_DEAF_AFTER_S", 0.05)
    pane = await at_prompt(Pane(await world.start(), open_request()))
    pane.type(b"stty -echo; echo si''lent; head -n 20 >/dev/null; echo do''ne\n")
    await pane.shows(b"silent\r\n")
    lines = [b"line %d\n" % number for number in range(20)]
    for line in lines[:-1]:  # some of them in the middle of a look
        pane.type(line)
        await asyncio.sleep(0.013)
    pane.type(lines[-1])
    await pane.shows(b"done\r\n")
    await pane.events.next(InputAck, lambda ack: ack.position == pane.typed)
    assert pane.events.of(Uncertain) == []
    assert bytes(world.server.ptys()["pane-1-1"].typed).endswith(b"".join(lines))
    assert len(world.server.connects) > 1


async def test_a_deaf_link_to_a_sandbox_that_slept_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon(monkeypatch, "CLOUDFLARE_DEAF_AFTER_S", 0.1)
    pane = await at_prompt(Pane(await world.start(), open_request()))
    pane.type(b"echo fi''rst\n")
    await pane.shows(b"first\r\n$ ")
    world.server.deafen()
    world.server.ptys().clear()
    world.server.containers[BOX].ptys.pop("pane-1-1").end()
    pane.type(b"echo swal''lowed\n")
    lost = await pane.events.next(Lost)
    assert lost.dead
    assert pane.events.of(InputAck)[-1].position < pane.typed


async def test_a_deaf_link_that_cannot_be_replaced_is_sleep(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon(monkeypatch, "CLOUDFLARE_DEAF_AFTER_S", 0.1)
    pane = await at_prompt(Pane(await world.start(), open_request()))
    world.server.deafen()
    world.server.refuse_status = 503
    pane.type(b"x")
    await world.events.next(Frozen)
    world.server.refuse_status = None
    again = await world.again(pane)
    assert (await again.opened()).inputs == {CLIENT: 1}


async def test_a_large_paste_arrives_whole(world: World) -> None:
    pane = await at_prompt(Pane(await world.start(), open_request()))
    pane.type(b"stty -echo raw; head -c 1000000 | cksum\n")
    await pane.events.next(InputAck, lambda ack: ack.position == pane.typed)
    text = bytes(range(97, 123)) * 38462
    for start in range(0, 1_000_000, 250_000):
        pane.type(text[start : start + 250_000])
    await pane.events.until(lambda: re.search(rb"\d 1000000\s", pane.output) is not None)
    assert bytes(world.server.ptys()["pane-1-1"].typed).endswith(text[:1_000_000])


async def test_an_answer_goes_out_once_also_after_a_restart(world: World) -> None:
    pane = await at_prompt(Pane(await world.start(), open_request(position=100)))
    assert (await pane.opened()).answered == 100
    pane.terminal.answer(await pane.position(), b"echo an''swer\n")
    await pane.shows(b"answer\r\n$ ")
    await world.provider.aclose()
    world.provider = world.later_provider()
    again = Pane(await world.start(), Attach("pane-1", 1, 0))
    assert (await again.opened()).answered == 102
    again.terminal.answer(102, b"echo an''swer\n")
    again.type(b"echo la''st\n")
    await again.shows(b"last")
    assert bytes(world.server.ptys()["pane-1-1"].typed).count(b"an''swer") == 1


# --- Floods --------------------------------------------------------------------------------------------------


async def test_what_is_held_is_read_all_the_same_and_comes_whole(world: World) -> None:
    pane = await at_prompt(Pane(await world.start(), open_request()))
    terminal = world.server.ptys()["pane-1-1"]
    before = len(pane.output)
    pane.terminal.hold(True)
    block = b"x" * 65534 + b"\r\n"
    for _ in range(6 * MIB // len(block)):
        terminal.emit(block)
        await asyncio.sleep(0)
    await world.until(lambda: not any(link.behind for link in world.server.links()))
    assert len(pane.output) == before
    pane.terminal.hold(False)
    await pane.events.until(lambda: len(pane.output) == before + 6 * MIB)
    assert not any(link.is_deaf for link in world.server.links())


async def test_more_than_can_be_held_is_a_gap_that_is_named(world: World) -> None:
    pane = await at_prompt(Pane(await world.start(), open_request()))
    terminal = world.server.ptys()["pane-1-1"]
    pane.terminal.hold(True)
    block = b"x" * 65534 + b"\r\n"
    for _ in range(20 * MIB // len(block)):
        terminal.emit(block)
        await asyncio.sleep(0)
    await world.until(lambda: not world.server.links())
    assert pane.events.of(Lost) == []
    pane.terminal.hold(False)
    lost = await pane.events.next(Lost)
    assert not lost.dead
    assert len(pane.output) > 8 * MIB
    assert world.events.all == []
    terminal.emit(b"newest")
    again = Pane(await world.start(), Attach("pane-1", 1, await pane.position()))
    await again.shows(b"newest")


# --- Silent ends ---------------------------------------------------------------------------------------------


async def test_a_shell_that_exited_in_silence_shows_at_the_next_key(world: World) -> None:
    pane = await at_prompt(Pane(await world.start(), open_request()))
    pane.type(b"exit\n")
    await pane.events.next(InputAck, lambda ack: ack.position == pane.typed)
    typed = pane.typed
    await world.until(lambda: world.server.ptys()["pane-1-1"].has_exited)
    assert pane.events.of(Ended) == []
    pane.type(b"x")
    ended = await pane.events.next(Ended)
    assert ended.exit == Exit(code=None, signal=None)
    assert ended.position == await pane.position()
    assert Uncertain(CLIENT, pane.typed) in pane.events.all
    assert max(ack.position for ack in pane.events.of(InputAck)) == typed
    assert world.events.all == []
    pane.terminal.detach()

    again = Pane(await world.start(), Attach("pane-1", 1, 0))
    assert await again.events.next(Ended) == ended
    assert again.output == pane.output
    again.terminal.forget()
    fresh = Pane(await world.start(), open_request(generation=2, position=ended.position))
    await at_prompt(fresh)
    assert world.server.connects[-1].session == "pane-1-2"


async def test_a_socket_that_fails_without_input_is_no_end_of_a_shell(world: World) -> None:
    await at_prompt(Pane(await world.start(), open_request()))
    (link,) = world.server.links()
    await link.socket.close(1011)
    await world.events.next(Frozen)


async def test_an_error_on_a_live_link_is_its_reason(world: World) -> None:
    sandbox = await world.start()
    pane = await at_prompt(Pane(sandbox, open_request()))
    await at_prompt(Pane(sandbox, open_request("pane-2")))
    (link,) = world.server.links("pane-1-1")
    await link.socket.send('{"type":"error","message":"out of memory"}')
    await link.socket.close(1011)
    assert await pane.events.next(Lost) == Lost("The Cloudflare sandbox says: out of memory")


async def test_a_destroyed_sandbox_cannot_be_mistaken(world: World) -> None:
    await at_prompt(Pane(await world.start(), open_request()))
    await world.provider.destroy(BOX)
    assert await world.provider.list() == ()
    with pytest.raises(SandboxError):
        await world.provider.destroy("../up")  # type: ignore[arg-type]
