"""Hypothesis strategies for the targets: pieces of the seeds, put together anew and damaged."""

from __future__ import annotations

from hypothesis import strategies as st

from fuzz.kit import PIECE_END, Target

_ODD_BYTES = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\n",
    b'"',
    b"{",
    b"[",
    b"\x1b",
    b"9" * 400,
    b"-1",
    b"null",
    b"[" * 3000,
)


def inputs_of(target: Target) -> st.SearchStrategy[bytes]:
    """Inputs for a target: right ones, damaged ones, and noise."""
    seeds = sorted(set(target.seeds()), key=lambda seed: (len(seed), seed))
    parts = sorted(
        {piece for seed in seeds for piece in seed.split(PIECE_END)}, key=lambda part: (len(part), part)
    )
    odd = (*_ODD_BYTES, *target.words)
    piece = st.one_of(
        st.sampled_from(parts),
        st.builds(_damaged, st.sampled_from(parts), st.lists(_damage(odd), min_size=1, max_size=4)),
        st.builds(lambda part, noise: part[:2] + noise, st.sampled_from(parts), st.binary(max_size=40)),
    )
    scripts = st.lists(piece, max_size=16).map(PIECE_END.join)
    whole = st.builds(_damaged, st.sampled_from(seeds), st.lists(_damage(odd), max_size=4))
    return st.one_of(whole, scripts, scripts, st.binary(max_size=200))


_Damage = tuple[str, float, float, bytes]


def _damage(odd: tuple[bytes, ...]) -> st.SearchStrategy[_Damage]:
    share = st.floats(0, 1, exclude_max=True)
    kinds = st.sampled_from(("put", "over", "cut", "drop", "twice"))
    return st.tuples(kinds, share, share, st.one_of(st.sampled_from(odd), st.binary(min_size=1, max_size=4)))


def _damaged(data: bytes, damages: list[_Damage]) -> bytes:
    for kind, first, second, other in damages:
        at, to = sorted((int(first * (len(data) + 1)), int(second * (len(data) + 1))))
        if kind == "put":
            data = data[:at] + other + data[at:]
        elif kind == "over":
            data = data[:at] + other + data[at + len(other) :]
        elif kind == "cut":
            data = data[:at]
        elif kind == "drop":
            data = data[:at] + data[min(to, at + 64) :]
        else:
            data = data[:to] + data[at:to] + data[to:]
    return data
