from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wormux.config import Config, Site, default_data_dir, is_loopback, load, read_duration, read_public_url
from wormux.errors import SetupError
from wormux.limits import MIB


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


class TestPrecedence:
    def test_the_command_line_goes_before_the_environment_before_the_file(self, tmp_path: Path) -> None:
        file = write(
            tmp_path / "wormux.toml", 'port = 1\nhost = "::1"\nshell = "zsh"\nexit_behavior = "hold"'
        )
        config = load(
            {"port": "3", "config": str(file)},
            {"WORMUX_PORT": "2", "WORMUX_HOST": "localhost"},
        )
        assert (config.port, config.host, config.shell, config.exit_behavior) == (
            3,
            "localhost",
            ("zsh",),
            "hold",
        )

    def test_without_anything_the_defaults_hold(self) -> None:
        config = load({}, {"XDG_DATA_HOME": "/data"})
        assert config == Config(data_dir=Path("/data/wormux"))
        assert (config.host, config.port, config.token, config.idle_timeout_s) == (
            "127.0.0.1",
            8022,
            None,
            600,
        )
        assert (config.providers, config.exit_behavior, config.shell) == (("local",), "close", ())

    def test_every_option_can_come_from_everywhere(self, tmp_path: Path) -> None:
        values: dict[str, tuple[Any, str, str]] = {
            "host": ("::1", "::1", '"::1"'),
            "port": ("81", "81", "81"),
            "data_dir": ("/d", "/d", '"/d"'),
            "token": ("t", "t", '"t"'),
            "print_token": (True, "true", "true"),
            "public_url": (["https://a.b/c"], "https://a.b/c", '["https://a.b/c"]'),
            "idle_timeout": ("90s", "90s", '"90s"'),
            "shell": ("sh -l", "sh -l", '["sh", "-l"]'),
            "provider": (["local", "other"], "local other", '["local", "other"]'),
            "sleep_mode": ("freeze", "freeze", '"freeze"'),
            "stop_after": ("2h", "2h", '"2h"'),
            "shell_integration": ("off", "off", "false"),
            "env_exclude": (["A*", "B"], "A*,B", '["A*", "B"]'),
            "busy_ignore": (["watch"], "watch", '["watch"]'),
            "isolation": ("bubblewrap", "bubblewrap", '"bubblewrap"'),
            "sandbox_network": ("off", "off", "false"),
            "sandbox_memory": ("1G", "1G", '"1G"'),
            "sandbox_processes": ("64", "64", "64"),
            "sandbox_files": ("256", "256", "256"),
            "sandbox_user": ("guest", "guest", '"guest"'),
            "exit_behavior": ("hold", "hold", '"hold"'),
            "emulator": ("none", "none", '"none"'),
            "screen_memory": ("64M", "64M", '"64M"'),
            "log_level": ("debug", "debug", '"debug"'),
            "log_format": ("json", "json", '"json"'),
            "insecure": (True, "yes", "true"),
        }
        expected = Config(
            data_dir=Path("/d"),
            host="::1",
            port=81,
            token="t",
            print_token=True,
            public_urls=(Site("https", "a.b", "/c"),),
            idle_timeout_s=90.0,
            shell=("sh", "-l"),
            providers=("local", "other"),
            sleep_mode="freeze",
            stop_after_s=7200.0,
            shell_integration=False,
            env_exclude=("A*", "B"),
            busy_ignore=("watch",),
            isolation="bubblewrap",
            sandbox_network=False,
            sandbox_memory_bytes=1024 * MIB,
            sandbox_processes=64,
            sandbox_files=256,
            sandbox_user="guest",
            exit_behavior="hold",
            log_level="debug",
            log_format="json",
            emulator="none",
            screen_memory_bytes=64 * MIB,
            insecure=True,
        )
        file = write(tmp_path / "all.toml", "\n".join(f"{key} = {value[2]}" for key, value in values.items()))
        assert load({key: value[0] for key, value in values.items()}, {}) == expected
        assert load({}, {f"WORMUX_{key.upper()}": value[1] for key, value in values.items()}) == expected
        assert load({}, {"WORMUX_CONFIG": str(file)}) == expected

    def test_an_empty_variable_counts_as_absent(self) -> None:
        assert load({}, {"WORMUX_PORT": "", "WORMUX_TOKEN": ""}).port == 8022


class TestToken:
    def test_is_read_from_its_file(self, tmp_path: Path) -> None:
        file = write(tmp_path / "token", "secret\n")
        assert load({"token_file": str(file)}, {}).token == "secret"

    @pytest.mark.parametrize("content", ["", " \n", "two words", "ümlaut"])
    def test_of_a_wrong_kind_is_refused(self, tmp_path: Path, content: str) -> None:
        with pytest.raises(SetupError):
            load({"token_file": str(write(tmp_path / "token", content))}, {})

    def test_in_a_missing_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match="cannot be read"):
            load({"token_file": str(tmp_path / "none")}, {})

    def test_either_kind_hides_both_of_a_weaker_layer(self, tmp_path: Path) -> None:
        file = write(tmp_path / "token", "from-file")
        assert load({"token": "given"}, {"WORMUX_TOKEN_FILE": str(file)}).token == "given"
        assert load({"token_file": str(file)}, {"WORMUX_TOKEN": "given"}).token == "from-file"

    def test_both_in_one_layer_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match="--token and --token-file exclude each other"):
            load({"token": "a", "token_file": str(tmp_path)}, {})


class TestFile:
    def test_unknown_keys_are_named(self, tmp_path: Path) -> None:
        file = write(tmp_path / "c.toml", "prot = 1\nport = 2\nidle = 3")
        with pytest.raises(SetupError, match="unknown keys: idle, prot"):
            load({"config": str(file)}, {})

    @pytest.mark.parametrize("content", ["port = ", "port = 'x", "\udcff"])
    def test_what_is_not_toml_is_refused(self, tmp_path: Path, content: str) -> None:
        file = tmp_path / "c.toml"
        file.write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(SetupError, match="is not TOML"):
            load({"config": str(file)}, {})

    def test_that_is_missing_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match="cannot be read"):
            load({"config": str(tmp_path / "none")}, {})

    @pytest.mark.parametrize(
        "line",
        ["port = '80 '", "port = true", "port = 1.5", "host = 7", "print_token = 'maybe'", "print_token = 1",
         "public_url = 7", "public_url = [7]", "shell = []", "shell = [1]", "idle_timeout = 10",
         "screen_memory = 64", "screen_memory = '64K'", "emulator = 'tmux'", "log_level = 'loud'", "log_format = 'xml'",
         "exit_behavior = 'never'"],
    )  # fmt: skip
    def test_values_of_a_wrong_kind_name_their_place(self, tmp_path: Path, line: str) -> None:
        file = write(tmp_path / "c.toml", line)
        with pytest.raises(SetupError, match=rf"{line.split()[0]} in .*c\.toml must"):
            load({"config": str(file)}, {})


class TestValues:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0), ("2d", 172_800.0), ("never", None)],
    )
    def test_durations(self, text: str, seconds: float | None) -> None:
        assert read_duration(text, "x") == seconds

    @pytest.mark.parametrize("text", ["", "90", "m", "-1m", "1 m", "1m30s", "Never", "infs", 91, None])
    def test_other_durations_are_refused(self, text: Any) -> None:
        with pytest.raises(SetupError, match="x must be a time"):
            read_duration(text, "x")

    @pytest.mark.parametrize(
        ("text", "site"),
        [
            ("https://example.org", Site("https", "example.org")),
            ("https://EXAMPLE.org:443/", Site("https", "example.org")),
            ("http://example.org:8080/a/b/", Site("http", "example.org:8080", "/a/b")),
            ("https://[2001:db8::1]:8443", Site("https", "[2001:db8::1]:8443")),
        ],
    )
    def test_public_urls(self, text: str, site: Site) -> None:
        assert read_public_url(text, "x") == site

    @pytest.mark.parametrize(
        "text",
        ["", "example.org", "ftp://example.org", "https://", "https://me@example.org", "https://example.org?a",
         "https://example.org#a", "https://example.org/../a", "https://example.org:99999", "https://a b",
         "https://example.org/a;b", 'https://example.org/"', 7],
    )  # fmt: skip
    def test_other_public_urls_are_refused(self, text: Any) -> None:
        with pytest.raises(SetupError, match="x must be an address"):
            read_public_url(text, "x")

    def test_the_shell_is_split_as_a_shell_would(self) -> None:
        assert load({"shell": "bash --init-file 'a b'"}, {}).shell == ("bash", "--init-file", "a b")

    @pytest.mark.parametrize("text", ["bash 'unclosed", "  "])
    def test_other_shells_are_refused(self, text: str) -> None:
        with pytest.raises(SetupError, match="--shell"):
            load({"shell": text}, {})

    def test_a_relative_data_dir_does_not_follow_later_changes_of_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert load({"data_dir": "here"}, {}).data_dir == tmp_path / "here"

    def test_the_default_data_dir_ignores_a_relative_base(self) -> None:
        assert default_data_dir({"XDG_DATA_HOME": "data"}) == Path.home() / ".local/share/wormux"


class TestRelations:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
    def test_listening_for_others_needs_tls_in_front_or_a_word(self, host: str) -> None:
        with pytest.raises(SetupError, match="--insecure"):
            load({"host": host}, {})
        with pytest.raises(SetupError, match="--insecure"):
            load({"host": host, "public_url": ["http://example.org"]}, {})
        assert load({"host": host, "public_url": ["https://example.org"]}, {}).host == host
        assert load({"host": host, "insecure": True}, {}).host == host

    @pytest.mark.parametrize(
        ("host", "expected"),
        [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
         ("localhost.example", False)],
    )  # fmt: skip
    def test_loopback(self, host: str, expected: bool) -> None:
        assert is_loopback(host) is expected

    @pytest.mark.parametrize(
        ("option", "value", "sentence"),
        [
            ("port", "65536", "ports are 0 to 65535"),
            ("provider", "local local", "each only once"),
            ("idle_timeout", "0s", "at least 1 s"),
            ("screen_memory", "31M", "at least 32M"),
            ("token", "with space", "visible ASCII"),
        ],
    )
    def test_values_out_of_range_are_refused(self, option: str, value: str, sentence: str) -> None:
        with pytest.raises(SetupError, match=sentence):
            load({option: value}, {})
