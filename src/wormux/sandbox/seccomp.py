"""The system calls that no program of an isolated sandbox gets, as the kernel's own small program (seccomp).

Namespaces do not separate everything: keys are kept by user, and the kernel's log is one for all. What is left out
here is that, and what lets a program without privileges reach much more of the kernel: user namespaces (in which it
would have every capability), bpf, io_uring and the like. Programs see `EPERM`, as where the machine forbids it.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in `struct seccomp_data`; of the argument the lower half, on machines whose lower half comes first."""
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_IF_ANY, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000
"""With the error in the lower bits."""
_CLONE_NEWUSER = 0x10000000
_X32 = 0x40000000
"""The first number of another set of calls on the same machine."""


@dataclass(frozen=True)
class _Abi:
    """One set of system calls by which programs reach the kernel."""

    arch: int
    clone: int
    clone3: int
    unshare: int
    refused: tuple[int, ...]
    """add_key, request_key, keyctl, syslog, bpf, perf_event_open, userfaultfd, io_uring_setup."""


_X86_64 = _Abi(0xC000003E, 56, 435, 272, (248, 249, 250, 103, 321, 298, 323, 425))
_I386 = _Abi(0x40000003, 120, 435, 310, (286, 287, 288, 103, 357, 336, 374, 425))
_AARCH64 = _Abi(0xC00000B7, 220, 435, 97, (217, 218, 219, 116, 280, 241, 282, 425))
_ABIS = {"x86_64": (_X86_64, _I386), "aarch64": (_AARCH64,)}


def refusals(machine: str) -> bytes | None:
    """The program for `bwrap --seccomp`; None where the numbers of the calls are not known here."""
    abis = _ABIS.get(machine)
    if abis is None:
        return None
    program = b""
    for abi in abis:
        body = _body(abi)
        program += _do(_LOAD, _ARCH) + _do(_JUMP_EQUAL, abi.arch, 0, len(body) // _SIZE) + body
    return program + _refuse(errno.ENOSYS)  # no other set of calls


_SIZE = 8


def _body(abi: _Abi) -> bytes:
    """What is decided for the calls of one set; never runs past its end."""
    code = _do(_LOAD, _NUMBER)
    code += _do(_JUMP_GREATER_EQUAL, _X32, 0, 1) + _refuse(errno.ENOSYS)
    for number in abi.refused:
        code += _do(_JUMP_EQUAL, number, 0, 1) + _refuse(errno.EPERM)
    # Its flags lie in memory, which no filter can read: C libraries then use the older call.
    code += _do(_JUMP_EQUAL, abi.clone3, 0, 1) + _refuse(errno.ENOSYS)
    code += _do(_JUMP_EQUAL, abi.clone, 1, 0) + _do(_JUMP_EQUAL, abi.unshare, 0, 3)
    code += _do(_LOAD, _FIRST_ARGUMENT) + _do(_JUMP_IF_ANY, _CLONE_NEWUSER, 0, 1) + _refuse(errno.EPERM)
    return code + _do(_RETURN, _ALLOW)


def _refuse(error: int) -> bytes:
    return _do(_RETURN, _REFUSE | error)


def _do(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; jumps skip so many of those that follow."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
