"""Trees of panes keep their invariants, whatever is split, closed and dragged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wormux.errors import Refusal
from wormux.hub.layout import (
    decode_layout,
    encode_layout,
    neighbour,
    pane_ids,
    remove_pane,
    resize_split,
    split_pane,
)
from wormux.ids import PaneId
from wormux.protocol.messages import Layout, Orientation, PaneLeaf, Split

A, B, C, D = (PaneId(name) for name in "abcd")
ORIENTATIONS: list[Orientation] = ["horizontal", "vertical"]
OPERATIONS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 20), st.sampled_from(ORIENTATIONS)), max_size=30
)


def leaf(pane_id: PaneId) -> PaneLeaf:
    return PaneLeaf(pane_id=pane_id)


def check(layout: Layout) -> None:
    if isinstance(layout, PaneLeaf):
        return
    assert len(layout.children) >= 2
    assert len(layout.ratios) == len(layout.children)
    assert all(ratio > 0 for ratio in layout.ratios)
    assert sum(layout.ratios) == pytest.approx(1)
    for child in layout.children:
        assert isinstance(child, PaneLeaf) or child.orientation != layout.orientation
        check(child)


@settings(deadline=None)
@given(OPERATIONS)
def test_splits_and_closes_keep_the_invariants(operations: list[tuple[bool, int, Orientation]]) -> None:
    layout: Layout = leaf(A)
    panes = [A]
    for number, (closes, index, orientation) in enumerate(operations):
        pane_id = panes[index % len(panes)]
        if closes and len(panes) > 1:
            kept = remove_pane(layout, pane_id)
            assert kept is not None
            layout = kept
            panes.remove(pane_id)
        else:
            new_id = PaneId(f"p{number}")
            layout = split_pane(layout, pane_id, orientation, new_id)
            panes.append(new_id)
        check(layout)
        assert sorted(pane_ids(layout)) == sorted(panes)
        assert decode_layout(encode_layout(layout)) == layout


def test_a_split_takes_half_of_the_share() -> None:
    layout = split_pane(leaf(A), A, "horizontal", B)
    layout = split_pane(layout, B, "horizontal", C)
    assert layout == Split(
        orientation="horizontal", children=(leaf(A), leaf(B), leaf(C)), ratios=(0.5, 0.25, 0.25)
    )


def test_a_split_across_nests() -> None:
    layout = split_pane(split_pane(leaf(A), A, "horizontal", B), B, "vertical", C)
    inner = Split(orientation="vertical", children=(leaf(B), leaf(C)), ratios=(0.5, 0.5))
    assert layout == Split(orientation="horizontal", children=(leaf(A), inner), ratios=(0.5, 0.5))


def test_closing_joins_what_would_be_nested_alike() -> None:
    columns = split_pane(leaf(A), A, "horizontal", B)
    nested = split_pane(split_pane(columns, B, "vertical", C), C, "horizontal", D)
    assert remove_pane(nested, B) == Split(
        orientation="horizontal", children=(leaf(A), leaf(C), leaf(D)), ratios=(0.5, 0.25, 0.25)
    )


def test_closing_the_last_pane_leaves_nothing() -> None:
    assert remove_pane(leaf(A), A) is None


def test_shares_of_the_split_at_a_path() -> None:
    layout = split_pane(split_pane(leaf(A), A, "horizontal", B), B, "vertical", C)
    dragged = resize_split(layout, (1,), (0.2, 0.8))
    assert isinstance(dragged, Split)
    assert dragged.ratios == (0.5, 0.5)
    assert isinstance(dragged.children[1], Split)
    assert dragged.children[1].ratios == (0.2, 0.8)


@pytest.mark.parametrize(
    ("path", "ratios"),
    [
        ((0,), (0.5, 0.5)),
        ((7,), (0.5, 0.5)),
        ((-1,), (0.5, 0.5)),
        ((), (1.0,)),
        ((), (0.5, 0.6)),
        ((), (1.0, 0.0)),
        ((), (1.5, -0.5)),
        ((), (float("nan"), 0.5)),
        ((), (float("inf"), 0.5)),
    ],
)
def test_shares_that_cannot_be(path: tuple[int, ...], ratios: tuple[float, ...]) -> None:
    with pytest.raises(Refusal):
        resize_split(split_pane(leaf(A), A, "horizontal", B), path, ratios)


def test_neighbours() -> None:
    """
    a | b
      |---
      | c
    """
    layout = split_pane(split_pane(leaf(A), A, "horizontal", B), B, "vertical", C)
    assert neighbour(layout, B, "left") == A
    assert neighbour(layout, C, "left") == A
    assert neighbour(layout, B, "down") == C
    assert neighbour(layout, C, "up") == B
    assert neighbour(layout, A, "right") in (B, C)
    assert neighbour(layout, A, "left") is None
    assert neighbour(layout, A, "up") is None
    assert neighbour(resize_split(layout, (1,), (0.8, 0.2)), A, "right") == B
    assert neighbour(resize_split(layout, (1,), (0.2, 0.8)), A, "right") == C
