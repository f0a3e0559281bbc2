"""A shell comes back from sleep as it was left, with the files of whoever uses it."""

from __future__ import annotations

import re
import shutil

import pytest

from wormux.ids import PaneId
from wormux.testing.client import ScriptedClient

from .kit import MakeServer, fall_asleep

RC = {
    "bash": (".bashrc", "PS1='own> '\nHISTFILE=~/history\nexport FROM_RC=1\n"),
    "zsh": (".zshrc", "PS1='own> '\nexport FROM_RC=1\n"),
    "fish": (
        ".config/fish/config.fish",
        "function fish_prompt; echo -n 'own> '; end\nset -g fish_greeting\nset -gx FROM_RC 1\n",
    ),
}
MARK = re.escape(b"\x1b]133;B\x07")
PROMPT = rb"own> " + MARK


async def enter(client: ScriptedClient, pane: PaneId, line: str) -> bytes:
    """Type a command line; what the pane writes from its start to the next prompt."""
    output = client.outputs[pane]
    since = output.position
    await client.type(pane, line.encode() + b"\r")
    whole = re.compile(rb"\x1b\]133;C\x07(.*?)\x1b\]133;D;\d+\x07.*?" + MARK, re.DOTALL)

    def look() -> re.Match[bytes] | None:
        return whole.search(output.received, max(0, since - output.start))

    await client.wait_for(look, f"the end of {line!r}")
    found = look()
    assert found is not None
    return found[1]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_comes_back_as_it_was(make_server: MakeServer, shell: str) -> None:
    assert shutil.which(shell), f"{shell} is not installed"
    server = make_server("--idle-timeout", "never", shell=shell, start=False)
    del server.env["HISTFILE"], server.env["PS1"]
    home = server.data_dir.parent / "home"
    name, text = RC[shell]
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_text(text)
    (home / ".local/share/fish/generated_completions").mkdir(parents=True)
    (home / "set").write_text("export KEPT='it is $HOME'; export MY_TOKEN=hush\n")
    server.start()
    async with ScriptedClient(server.url, server.token) as client:
        pane, session = client.pane(), client.session().id
        await client.wait_output(pane, PROMPT)
        await client.request("pane_resize", pane_id=pane, cols=91, rows=31)
        await enter(client, pane, "mkdir -p ~/project/deep; cd ~/project/deep")
        await enter(client, pane, "source ~/set")
        await enter(client, pane, "echo remembered $KEPT")
        await client.wait_for(
            lambda: (client.info(pane).cwd or "").endswith("/project/deep"), "the directory"
        )
        title = client.info(pane).title
        await fall_asleep(client, session)
        files = [file for file in server.data_dir.glob("sandboxes/**/*") if file.is_file()]
        assert files
        assert not [file for file in files if b"hush" in file.read_bytes()]
        if shell == "fish":  # it looks for what is older than itself, in whole seconds
            history = home / ".local/share/fish/fish_history"
            history.write_text(re.sub(r"when: \d+", "when: 1000000000", history.read_text()))

        up = b"\x10" if shell == "zsh" else b"\x1b[A"
        await client.type(pane, up)
        await client.wait_status(pane, "connected")
        shown = rb"slept [^,]*, new shell.*" + PROMPT + rb".*remembered"
        await client.wait_output(pane, shown)
        said = await enter(client, pane, "")
        assert b"remembered it is $HOME" in said
        said = await enter(client, pane, 'stty size; pwd; echo "<$KEPT$MY_TOKEN$FROM_RC>"')
        assert f"31 91\r\n{home}/project/deep\r\n<it is $HOME1>\r\n".encode() in said
        assert client.info(pane).title == title
        await client.wait_for(lambda: client.model.sessions[session].busy is None, "nothing at work")


async def test_what_the_operator_decides(make_server: MakeServer) -> None:
    """Other patterns of what is never kept; and after a restart, no integration at all."""
    server = make_server("--idle-timeout", "never", "--env-exclude", "OWN*", shell="bash", start=False)
    del server.env["HISTFILE"]
    server.start()
    async with ScriptedClient(server.url, server.token) as client:
        pane, session = client.pane(), client.session().id
        await client.wait_output(pane, MARK)
        await enter(client, pane, "export OWN_X=1 MY_TOKEN=2")
        await fall_asleep(client, session)
        await client.type(pane, b"\r")
        await client.wait_output(pane, rb"new shell.*" + MARK)
        assert b"<2>" in await enter(client, pane, 'echo "<$OWN_X$MY_TOKEN>"')
        await fall_asleep(client, session)
    server.terminate()
    server.start("--shell-integration", "off")
    async with ScriptedClient(server.url, server.token) as client:
        await client.type(pane, b'echo "<$OWN_X$MY_TOKEN>"\r')
        await client.wait_output(pane, rb"new shell.*[\r\n]<>")
        assert b"\x1b]133;" not in client.outputs[pane].whole().partition(b"new shell")[2]
