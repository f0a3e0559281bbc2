"""Trees of panes: pure functions on the protocol's layout (protocol §4, `layout`).

A split has two or more children, none of them a split of the same orientation; shares are positive and sum to 1.
Every function here keeps that true.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from wormux.errors import ErrorCode, Refusal
from wormux.ids import PaneId
from wormux.limits import RATIO_SUM_TOLERANCE
from wormux.protocol.messages import Direction, Layout, Orientation, PaneLeaf, Split

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Layout)


def encode_layout(layout: Layout) -> bytes:
    """As it is kept in the store."""
    return _encoder.encode(layout)


def decode_layout(data: bytes) -> Layout:
    """Back from the store. Raises `msgspec.DecodeError`."""
    layout: Layout = _decoder.decode(data)
    return layout


def pane_ids(layout: Layout) -> Iterator[PaneId]:
    """All panes, left to right and top to bottom."""
    if isinstance(layout, PaneLeaf):
        yield layout.pane_id
    else:
        for child in layout.children:
            yield from pane_ids(child)


def split_pane(layout: Layout, pane_id: PaneId, orientation: Orientation, new_id: PaneId) -> Layout:
    """`new_id` takes half of the pane's share, to the right of it or below."""
    if isinstance(layout, PaneLeaf):
        if layout.pane_id != pane_id:
            return layout
        return Split(orientation=orientation, children=(layout, PaneLeaf(pane_id=new_id)), ratios=(0.5, 0.5))
    children: list[Layout] = []
    ratios: list[float] = []
    for child, ratio in zip(layout.children, layout.ratios, strict=True):
        if layout.orientation == orientation and isinstance(child, PaneLeaf) and child.pane_id == pane_id:
            children += [child, PaneLeaf(pane_id=new_id)]
            ratios += [ratio / 2, ratio / 2]
        else:
            children.append(split_pane(child, pane_id, orientation, new_id))
            ratios.append(ratio)
    return Split(orientation=layout.orientation, children=tuple(children), ratios=tuple(ratios))


def remove_pane(layout: Layout, pane_id: PaneId) -> Layout | None:
    """Without the pane; its share goes to its siblings in proportion. None if nothing is left."""
    if isinstance(layout, PaneLeaf):
        return None if layout.pane_id == pane_id else layout
    children: list[Layout] = []
    ratios: list[float] = []
    for child, ratio in zip(layout.children, layout.ratios, strict=True):
        kept = remove_pane(child, pane_id)
        if kept is None:
            continue
        if isinstance(kept, Split) and kept.orientation == layout.orientation:
            children += kept.children
            ratios += [ratio * inner for inner in kept.ratios]
        else:
            children.append(kept)
            ratios.append(ratio)
    if len(children) == 1:
        return children[0]
    return Split(orientation=layout.orientation, children=tuple(children), ratios=normalised(ratios))


def normalised(ratios: list[float]) -> tuple[float, ...]:
    """The same proportions, summing to 1."""
    total = sum(ratios)
    return tuple(ratio / total for ratio in ratios)


def resize_split(layout: Layout, path: tuple[int, ...], ratios: tuple[float, ...]) -> Layout:
    """New shares for the split at `path` (child indexes from the root). Raises `Refusal` (`invalid`)."""
    if not isinstance(layout, Split):
        raise Refusal(ErrorCode.INVALID, "There is no split at this path.")
    if path:
        index = path[0]
        if not 0 <= index < len(layout.children):
            raise Refusal(ErrorCode.INVALID, "There is no split at this path.")
        children = list(layout.children)
        children[index] = resize_split(children[index], path[1:], ratios)
        return msgspec.structs.replace(layout, children=tuple(children))
    if len(ratios) != len(layout.children):
        raise Refusal(
            ErrorCode.INVALID,
            f"This split has {len(layout.children)} children, so as many ratios are needed.",
        )
    if not all(ratio > 0 for ratio in ratios) or abs(sum(ratios) - 1) > RATIO_SUM_TOLERANCE:
        raise Refusal(ErrorCode.INVALID, "Ratios must be positive and sum to 1.")
    return msgspec.structs.replace(layout, ratios=normalised(list(ratios)))


@dataclass(frozen=True, slots=True)
class _Box:
    """Where a pane lies, as shares of the tab."""

    left: float
    top: float
    right: float
    bottom: float


def neighbour(layout: Layout, pane_id: PaneId, direction: Direction) -> PaneId | None:
    """The nearest pane on that side whose edge overlaps, the one closest to the middle of the edge; None at the
    border of the tab."""
    boxes = dict(_boxes(layout, _Box(0.0, 0.0, 1.0, 1.0)))
    here = boxes[pane_id]
    best: tuple[float, float, PaneId] | None = None
    for other, box in boxes.items():
        if other == pane_id:
            continue
        gap, overlap, offset = _relation(here, box, direction)
        if gap > -_EPSILON and overlap > _EPSILON and (best is None or (gap, offset) < best[:2]):
            best = (gap, offset, other)
    return best[2] if best is not None else None


_EPSILON = 1e-9


def _relation(here: _Box, other: _Box, direction: Direction) -> tuple[float, float, float]:
    """How far `other` lies on that side, how much of the edge it shares, and how far off the edge's middle."""
    if direction in ("left", "right"):
        gap = here.left - other.right if direction == "left" else other.left - here.right
        overlap = min(here.bottom, other.bottom) - max(here.top, other.top)
        offset = abs((here.top + here.bottom) - (other.top + other.bottom))
    else:
        gap = here.top - other.bottom if direction == "up" else other.top - here.bottom
        overlap = min(here.right, other.right) - max(here.left, other.left)
        offset = abs((here.left + here.right) - (other.left + other.right))
    return round(gap, 9), overlap, offset


def _boxes(layout: Layout, box: _Box) -> Iterator[tuple[PaneId, _Box]]:
    if isinstance(layout, PaneLeaf):
        yield layout.pane_id, box
        return
    start = 0.0
    for child, ratio in zip(layout.children, layout.ratios, strict=True):
        end = start + ratio
        if layout.orientation == "horizontal":
            width = box.right - box.left
            inner = _Box(box.left + width * start, box.top, box.left + width * end, box.bottom)
        else:
            height = box.bottom - box.top
            inner = _Box(box.left, box.top + height * start, box.right, box.top + height * end)
        yield from _boxes(child, inner)
        start = end
