"""What an isolated sandbox consists of: which files it sees, as whom it runs, and the command that makes it so.

Pure but for looking at which files there are: nothing is run or changed here.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from wormux.errors import SetupError
from wormux.limits import SANDBOX_SHM_BYTES, SANDBOX_TMP_BYTES
from wormux.sandbox.settings import Limits

HOME = "/home/user"
"""The same in every sandbox, so that what is remembered of directories holds whoever runs the shells."""
STATE = "/run/wormux/state"
"""Where the agent keeps what it has to keep, apart from the home."""
_CODE = "/run/wormux/code"
_HOSTNAME = "sandbox"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/games:/usr/games"
_ENVIRONMENT = ("LANG", "LANGUAGE", "LC_*", "TZ")
"""Patterns of the variables that shells get from the server's environment. All others may be secrets."""
_SYSTEM = ("bin", "lib", "lib32", "lib64", "libx32", "sbin", "usr")
_ETC = (
    "alternatives", "bash.bashrc", "bash_completion.d", "ca-certificates",
    "ca-certificates.conf", "crypto-policies", "csh.cshrc", "csh.login", "debian_version", "fish", "fonts", "gai.conf",
    "groff", "host.conf", "hosts", "inputrc", "java*", "ld.so.cache", "ld.so.conf",
    "ld.so.conf.d", "locale.alias", "locale.conf", "localtime", "magic", "magic.mime", "mailcap", "manpath.config",
    "mime.types", "nanorc", "networks", "nsswitch.conf", "os-release", "perl", "pki/ca-trust",
    "pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf", "profile", "profile.d", "protocols", "python3*",
    "resolv.conf", "rpc", "screenrc", "services", "shells", "skel", "ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf",
    "terminfo", "timezone", "tmux.conf", "vim", "xdg", "zsh", "zshenv", "zprofile", "zshrc", "zlogin",
)  # fmt: skip
"""What programs need of /etc. The rest may hold what is nobody else's business: accounts, keys, tokens."""
_AGENT_FILES = (
    "__init__.py", "limits.py", "version.py", "protocol/__init__.py", "protocol/agent_link.py", "agent", "__pycache__",
    "protocol/__pycache__",
)  # fmt: skip
_BOOT = (
    f"import json, os, sys; sys.path.append({_CODE!r}); "
    "from wormux.agent.__main__ import main; from wormux.agent.confine import confine; "
    "order = json.loads(sys.stdin.readline() or 'null') or sys.exit(); "
    "nothing = os.open(os.devnull, os.O_RDONLY); os.dup2(nothing, 0); os.close(nothing); "
    "confine(**order['confine']); "
    "sys.exit(main(order['arguments']) if 'arguments' in order else 0)"
)
"""Nothing is done without an order: a server that ends before it has written down whom it started leaves nobody."""


@dataclass(frozen=True)
class User:
    """Whom the shells run as."""

    uid: int
    gid: int
    name: str
    is_other: bool
    """Another one than the server's, which is root."""


@dataclass(frozen=True)
class Descriptors:
    """Open files that bubblewrap is started with, by their numbers."""

    seccomp: int
    passwd: int
    group: int
    info: int
    """Gets a JSON object with the `child-pid`."""


@dataclass(frozen=True)
class Isolation:
    """What is the same for all sandboxes of a server."""

    bwrap: str
    python: Path
    """The interpreter itself, no link to it."""
    python_prefix: Path
    """Where its library lies."""
    package: Path
    """Of Wormux."""
    user: User
    network: bool
    limits: Limits

    def command(self, home: Path, state: Path, descriptors: Descriptors) -> list[str]:
        """Runs what becomes an agent once it reads an `order` on its standard input."""
        return [
            self.bwrap,
            *self._namespaces(),
            *self._files(),
            *("--perms", "0444", "--ro-bind-data", str(descriptors.passwd), "/etc/passwd"),
            *("--perms", "0444", "--ro-bind-data", str(descriptors.group), "/etc/group"),
            *("--bind", str(home), HOME),
            *("--bind", str(state), STATE),
            *("--remount-ro", "/"),
            *("--chdir", "/"),
            *("--seccomp", str(descriptors.seccomp)),
            *("--info-fd", str(descriptors.info)),
            *("--", str(self.python), "-I", "-S", "-c", _BOOT),
        ]

    def order(self, arguments: Sequence[str] | None) -> bytes:
        """To be an agent with these arguments, or, with None, to try everything up to that and end."""
        order: dict[str, object] = {"confine": self._confinement()}
        if arguments is not None:
            order["arguments"] = list(arguments)
        return json.dumps(order).encode() + b"\n"

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What the agent and its shells are started with, out of the server's."""
        kept = {
            name: value
            for name, value in environ.items()
            if any(fnmatchcase(name, pattern) for pattern in _ENVIRONMENT)
        }
        user = {"HOME": HOME, "USER": self.user.name, "LOGNAME": self.user.name}
        return kept | user | {"PATH": _PATH, "SHELL": _shell(environ)}

    def passwd(self, environ: Mapping[str, str]) -> bytes:
        """The users that there are inside: root, so that its files have a name, and whom the shells run as."""
        user = self.user
        shell = _shell(environ)
        return (
            f"root:x:0:0:root:/root:/bin/sh\n{user.name}:x:{user.uid}:{user.gid}::{HOME}:{shell}\n".encode()
        )

    def group(self) -> bytes:
        return f"root:x:0:\n{self.user.name}:x:{self.user.gid}:\n".encode()

    def check_private(self, paths: Iterable[Path]) -> None:
        """Raises `SetupError` if one of the server's own directories could be seen from inside."""
        shown = [Path("/", name) for name in _SYSTEM] + [self.python_prefix, self.package / "agent"]
        shown += [Path(path) for path in _etc()]
        for path in paths:
            for seen in shown:
                if path.resolve().is_relative_to(seen.resolve()):
                    raise SetupError(
                        f"Every isolated sandbox can read {seen}, and so the directory {path}. "
                        "Keep the data elsewhere, with --data-dir."
                    )

    def _namespaces(self) -> list[str]:
        arguments = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--as-pid-1"]
        arguments += ["--hostname", _HOSTNAME]
        if not self.network:
            arguments.append("--unshare-net")
        arguments += ["--cap-drop", "ALL"]
        if self.user.is_other:
            for needed in ("SETUID", "SETGID", "SETPCAP"):
                arguments += ["--cap-add", f"CAP_{needed}"]
        else:
            arguments += ["--unshare-user", "--uid", str(self.user.uid), "--gid", str(self.user.gid)]
        return arguments

    def _files(self) -> list[str]:
        shown = {file: file for file in _etc()}
        if not self.python_prefix.is_relative_to("/usr"):
            shown[str(self.python_prefix)] = str(self.python_prefix)
        for file in filter(lambda file: (self.package / file).exists(), _AGENT_FILES):
            shown[f"{_CODE}/wormux/{file}"] = str(self.package / file)
        arguments = []
        for name in _SYSTEM:
            path = Path("/", name)
            if path.is_symlink():
                arguments += ["--symlink", str(path.readlink()), str(path)]
            elif path.is_dir():
                shown[str(path)] = str(path)
        for parent in sorted({parent for path in (*shown, HOME, STATE) for parent in Path(path).parents}):
            if parent != Path("/"):  # made by the way, they would be for their owner alone
                arguments += ["--perms", "0755", "--dir", str(parent)]
        for place, path_here in shown.items():
            arguments += ["--ro-bind", path_here, place]
        arguments += ["--symlink", "/proc/self/mounts", "/etc/mtab", "--proc", "/proc", "--dev", "/dev"]
        for directory, size in (("/dev/shm", SANDBOX_SHM_BYTES), ("/tmp", SANDBOX_TMP_BYTES)):
            arguments += ["--perms", "1777", "--size", str(size), "--tmpfs", directory]
        arguments += ["--remount-ro", "/dev", "--perms", "0755", "--dir", "/var"]
        return [*arguments, "--symlink", "/tmp", "/var/tmp", "--symlink", "/run", "/var/run"]

    def _confinement(self) -> dict[str, int | None]:
        user = self.user
        return {
            "uid": user.uid if user.is_other else None,
            "gid": user.gid if user.is_other else None,
            "files": self.limits.open_files,
            # The kernel counts by user, and by user namespace where there is one: then it is this sandbox's alone.
            "processes": None if user.is_other else self.limits.processes,
        }


def _etc() -> list[str]:
    """The files and directories of /etc that there are and that everybody may see."""
    paths = (path for pattern in _ETC for path in sorted(Path("/etc").glob(pattern)))
    return [str(path) for path in paths if path.exists() and path.stat().st_mode & stat.S_IROTH]


def _shell(environ: Mapping[str, str]) -> str:
    """The server's user's, if it is the system's."""
    for shell in (environ.get("SHELL", ""), "/bin/bash"):
        if any(shell.startswith(f"/{name}/") for name in _SYSTEM) and os.access(shell, os.X_OK):
            return shell
    return "/bin/sh"
