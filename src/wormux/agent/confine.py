"""What the agent of an isolated sandbox does before all else: it gives up for good what it was started with.

As root, bubblewrap leaves it no more than is needed to become another user; afterwards nothing is left of it, and
nothing that it starts can gain any (no new privileges, which bubblewrap has set).
"""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Optional

_PR_CAPBSET_DROP = 24
_CAPABILITIES = 64
"""As many as the kernel's sets have room for."""
_CAPABILITY_VERSION_3 = 0x20080522
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_RESTRICT_SELF = 446
"""Numbers of system calls, the same on all machines."""
_LANDLOCK_GIVE_VERSION = 1
_LANDLOCK_SCOPES_SINCE = 6
_LANDLOCK_SCOPE_ABSTRACT_SOCKETS = 1


class StillPrivileged(Exception):
    """It could not be given up. `str(error)` is a sentence."""


def confine(uid: Optional[int], gid: Optional[int], files: Optional[int], processes: Optional[int]) -> None:
    """Become this user, if one is given, with these limits on each process and on all of the user's together.

    Raises `StillPrivileged` and `OSError`; nothing may be done then but to end."""
    _limit(resource.RLIMIT_NOFILE, files)
    _limit(resource.RLIMIT_NPROC, processes)
    libc = ctypes.CDLL(None, use_errno=True)
    if uid is not None and gid is not None:
        for number in range(_CAPABILITIES):
            libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    if libc.capset(header, none) != 0:
        raise StillPrivileged(f"Capabilities cannot be given up: {os.strerror(ctypes.get_errno())}.")
    _shut_off_abstract_sockets(libc)
    _check()


def _limit(what: int, most: Optional[int]) -> None:
    if most is not None:
        soft, hard = resource.getrlimit(what)
        hard = most if hard == resource.RLIM_INFINITY else min(hard, most)
        soft = hard if soft == resource.RLIM_INFINITY else min(hard, soft)
        resource.setrlimit(what, (soft, hard))


def _shut_off_abstract_sockets(libc: ctypes.CDLL) -> None:
    """Keep this process and all that it starts from the sockets without a file that others on the machine have made:
    whoever shares the network would reach them, such as a desktop's. Kernels before 6.12 cannot."""
    if libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_GIVE_VERSION) < _LANDLOCK_SCOPES_SINCE:
        return
    rules = (ctypes.c_uint64 * 3)(0, 0, _LANDLOCK_SCOPE_ABSTRACT_SOCKETS)
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, rules, ctypes.sizeof(rules), 0)
    if ruleset < 0 or libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0) != 0:
        raise StillPrivileged(
            f"Sockets of the machine cannot be shut off: {os.strerror(ctypes.get_errno())}."
        )
    os.close(ruleset)


def _check() -> None:
    """Look at what the kernel says of this process rather than believe ourselves."""
    if 0 in (*os.getresuid(), *os.getresgid(), *os.getgroups()):
        raise StillPrivileged("The sandbox would run as root.")
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123
        status = dict(line.split(":", 1) for line in file)
    held = [name for name in status if name.startswith("Cap") and int(status[name], 16) != 0]
    if held or int(status["NoNewPrivs"]) != 1:
        raise StillPrivileged("The sandbox would have privileges of the server.")
