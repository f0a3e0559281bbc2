"""Whether what the store holds can be a hub's: a file may have been damaged, or changed by hand.

Who starts from records that contradict each other breaks its word to every client; so they are refused as a whole, with
what is wrong, before anything is made of them.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from wormux.errors import StoreRefused
from wormux.hub.layout import decode_layout, pane_ids
from wormux.ids import PaneId, TabId
from wormux.limits import (
    LARGEST_POSITION,
    MAX_COLS,
    MAX_ROWS,
    MIN_COLS,
    MIN_ROWS,
    PANES,
    POSITION_MARK_BYTES,
    RATIO_SUM_TOLERANCE,
)
from wormux.protocol.messages import Layout, PaneLeaf
from wormux.records import Checkpoint, Intent, Snapshot


def check(snapshot: Snapshot) -> None:
    """Raises `StoreRefused`, with a sentence for the operator, for records that no hub ever saved together."""
    sessions = {record.id: record for record in snapshot.sessions}
    sandboxes = Counter(record.sandbox_id for record in snapshot.sessions)
    _expect(all(count == 1 for count in sandboxes.values()), "two sessions have one sandbox")
    for tab in snapshot.tabs:
        session = sessions.get(tab.session_id)
        _expect(session is not None and session.intent != Intent.DESTROYING, "a tab has no session")
    _check_panes(snapshot)
    layouts = {tab.id: _layout(tab.layout) for tab in snapshot.tabs}
    shown = [(tab_id, pane_id) for tab_id, layout in layouts.items() for pane_id in pane_ids(layout)]
    held = [(pane.tab_id, pane.id) for pane in snapshot.panes]
    _expect(sorted(shown) == sorted(held), "a layout shows other panes than its tab has")
    places: set[tuple[TabId, PaneId]] = set(shown)
    _expect(all((tab.id, tab.focus) in places for tab in snapshot.tabs), "the focus of a tab is elsewhere")
    _expect(0 <= snapshot.meta.rev_mark <= 2 * LARGEST_POSITION, "the mark of revisions is out of bounds")
    for entry in snapshot.inputs:
        _expect(0 <= entry.position <= LARGEST_POSITION, "a position is out of bounds")
    for checkpoint in snapshot.checkpoints:
        _check_checkpoint(checkpoint)


def _check_panes(snapshot: Snapshot) -> None:
    channels = [pane.channel for pane in snapshot.panes] + list(snapshot.meta.free_channels)
    whole = all(type(channel) is int and 0 <= channel < PANES for channel in channels)
    _expect(whole and len(set(channels)) == len(channels), "the channels of panes are not their own")
    for pane in snapshot.panes:
        _check_size(pane.cols, pane.rows)
        mark_fits = 0 <= pane.position_mark <= LARGEST_POSITION + 2 * POSITION_MARK_BYTES
        _expect(mark_fits and 0 <= pane.generation < LARGEST_POSITION, "a position is out of bounds")
        _expect(0 <= pane.channel_rev <= 2 * LARGEST_POSITION, "a revision is out of bounds")


def _layout(data: bytes) -> Layout:
    try:
        layout = decode_layout(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _refused("a layout cannot be read") from None
    _check_split(layout)
    return layout


def _check_split(layout: Layout) -> None:
    if isinstance(layout, PaneLeaf):
        return
    shares = layout.ratios
    right = len(layout.children) == len(shares) >= 2 and all(share > 0 for share in shares)
    _expect(right and abs(sum(shares) - 1) <= RATIO_SUM_TOLERANCE, "the shares of a split are wrong")
    for child in layout.children:
        alike = not isinstance(child, PaneLeaf) and child.orientation == layout.orientation
        _expect(not alike, "a split is inside one like it")
        _check_split(child)


def _check_checkpoint(checkpoint: Checkpoint) -> None:
    _expect(checkpoint.start >= 0 and checkpoint.end <= LARGEST_POSITION, "a position is out of bounds")
    if checkpoint.screen is not None:
        _check_size(checkpoint.cols, checkpoint.rows)
    before = 0
    for mark in checkpoint.sizes:
        _expect([type(number) for number in mark] == [int, int, int], "a size cannot be read")
        position, cols, rows = mark
        # Without output a size has no place, and older servers gave it one behind the screen.
        in_place = before <= position <= checkpoint.end or (position > 0 and not checkpoint.log)
        _expect(in_place, "a size is out of its place")
        _check_size(cols, rows)
        before = position


def _check_size(cols: int, rows: int) -> None:
    _expect(MIN_COLS <= cols <= MAX_COLS and MIN_ROWS <= rows <= MAX_ROWS, "a size that no terminal has")


def _expect(is_right: bool, what_is_wrong: str) -> None:
    if not is_right:
        raise _refused(what_is_wrong)


def _refused(what_is_wrong: str) -> StoreRefused:
    return StoreRefused(
        f"The store is damaged: its records contradict each other ({what_is_wrong}). Put a backup in its place, or "
        "move it away to start empty."
    )
