"""What the README and the docs show."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from wormux import create_app
from wormux.config import Config
from wormux.limits import FRAME_BYTES
from wormux.sandbox.runtime_dir import default_runtime_dir
from wormux.server.hosting import listen
from wormux.testing.client import ScriptedClient
from wormux.testing.server_process import ServerProcess

from .kit import BASH, PROMPT, MakeServer, fall_asleep, run

README = Path(__file__).parents[2] / "README.md"


async def test_close_the_laptop_and_come_back(make_server: MakeServer) -> None:
    """The tour: a session sleeps, nothing is lost, any key wakes it."""
    server = make_server("--idle-timeout", "1s")
    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await client.type(pane, b"echo before the sleep\n")
        await client.wait_status(pane, "asleep")

    async with ScriptedClient(server.url, server.token) as client:
        pane = client.pane()
        await client.wait_output(pane, rb"[\r\n]before the sleep")
        assert client.model.connected[pane] is False
        await client.type(pane, b"echo good morning\n")
        await client.wait_output(pane, rb"[\r\n]good morning")
        await client.wait_status(pane, "connected")


async def test_a_build_goes_on_while_nobody_looks_and_the_server_is_restarted(
    make_server: MakeServer,
) -> None:
    server = make_server("--idle-timeout", "1s")
    async with ScriptedClient(server.url, server.token) as client:
        await client.type(client.pane(), b"for i in 1 2 3; do sleep 1; echo step $i; done; echo built\n")
        await client.wait_output(client.pane(), rb"[\r\n]step 1")
    server.kill()
    server.start()
    async with ScriptedClient(server.url, server.token) as client:
        await client.wait_output(client.pane(), rb"[\r\n]built")
        await client.wait_output(client.pane(), PROMPT.encode())


async def test_sleep_keeps_files_output_size_directory_and_channel(make_server: MakeServer) -> None:
    server = make_server()
    async with ScriptedClient(server.url, server.token) as client:
        pane, session = client.pane(), client.session().id
        await client.request("pane_resize", pane_id=pane, cols=90, rows=30)
        await run(client, pane, "mkdir work; cd work")
        await run(client, pane, "echo milk > list")
        await client.wait_for(lambda: (client.info(pane).cwd or "").endswith("/work"), "the directory")
        channel = client.model.channels[pane]
        await fall_asleep(client, session)
        assert await run(client, pane, "cat list; stty size") == b"milk\r\n30 90\r\n"
        assert client.model.channels[pane] == channel
        assert b"mkdir work" in client.outputs[pane].whole()


@pytest.mark.parametrize("way", ["environment", "file"])
async def test_options_by_environment_and_file(tmp_path: Path, way: str) -> None:
    server = ServerProcess(tmp_path / "data")
    if way == "environment":
        server.env.update(WORMUX_SHELL="sh -c 'echo hello; exec cat'", WORMUX_TOKEN="by-environment")
    else:
        (tmp_path / "wormux.toml").write_text(
            'shell = ["sh", "-c", "echo hello; exec cat"]\ntoken = "by-file"\nidle_timeout = "90s"\n'
        )
        server.options = ("--config", str(tmp_path / "wormux.toml"))
    with server:
        assert server.token == f"by-{way}"
        async with ScriptedClient(server.url, server.token) as client:
            await client.wait_output(client.pane(), b"hello")


def test_every_command_of_the_readme_runs(make_server: MakeServer) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    commands = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    ours = [command[1:] for command in commands if command and command[0] == "wormux"]
    made = [command for command in commands if command and command[0] == "make"]
    assert ours
    assert [command for command in commands if command and command[0] not in ("wormux", "make")] == []
    for command in made:  # `make serve` has a test of its own; what runs this one need not run again
        subprocess.run(
            [*command, "--dry-run"],
            cwd=README.parent,
            stdout=subprocess.DEVNULL,
            check=True,
            env=without_make(),
        )
    server = make_server()
    for verb, *options in ours:
        if verb == "serve":
            server.terminate()
            server.start(*options)
        else:
            said = server.run(verb, *options)
            assert (said.returncode, said.stderr) == (0, "")
    assert "the next `wormux serve` finds" in server.stdout or "No shell is running" in server.stdout


def without_make() -> dict[str, str]:
    """The environment without what a `make` that runs the tests says to those below it."""
    ours = ("ARGS", "MAKE", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


async def test_make_serve_serves(tmp_path: Path) -> None:
    """From the checkout, by the README's first command; settings of the environment keep it off the usual places."""
    environ = without_make() | {
        "WORMUX_PORT": "0",
        "WORMUX_DATA_DIR": str(tmp_path / "data"),
        "WORMUX_SHELL": "cat",
    }
    make = await asyncio.create_subprocess_exec(
        "make",
        "--no-print-directory",
        "serve",
        cwd=README.parent,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert make.stdout is not None
    try:
        while not (line := (await make.stdout.readline()).decode()).startswith("Wormux is ready: "):
            assert line, "It ended before it was ready."
        url = line.split()[-1].rstrip("/")
        async with ScriptedClient(url, (tmp_path / "data" / "token").read_text().strip()) as client:
            await client.wait_status(client.pane(), "connected")
            await fall_asleep(client, client.session().id)
    finally:
        if make.returncode is None:
            os.killpg(make.pid, signal.SIGINT)
    assert b"Wormux stopped. No shell is running." in await make.stdout.read()
    await make.wait()
    shutil.rmtree(default_runtime_dir(tmp_path / "data"), ignore_errors=True)


async def test_wormux_inside_of_another_application(tmp_path: Path) -> None:
    """`create_app` below a path of a Starlette application, which enters its lifespan."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        config = Config(data_dir=tmp_path / "data", port=port, token="embedded", shell=tuple(BASH.split()))
        terminals = create_app(config)

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            async with terminals.router.lifespan_context(terminals):
                yield

        app = Starlette(routes=[Mount("/terminals", terminals)], lifespan=lifespan)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                ws="websockets-sansio",
                ws_max_size=FRAME_BYTES,
                ws_per_message_deflate=False,
                access_log=False,
                log_config=None,
                timeout_graceful_shutdown=5,
            )
        )
        with server.capture_signals():
            serving = asyncio.create_task(server._serve(sockets=[listener]))
        try:
            async with ScriptedClient(f"http://127.0.0.1:{port}/terminals", "embedded") as client:
                await client.type(client.pane(), b"echo a$((1+1))b\n")
                await client.wait_output(client.pane(), rb"[\r\n]a2b")
                await fall_asleep(client, client.session().id)
        finally:
            server.should_exit = True
            await serving
            shutil.rmtree(default_runtime_dir(config.data_dir), ignore_errors=True)
