"""What `make bench-peers` makes of its figures: medians, ratios, tables, and whether a screen is right."""

from __future__ import annotations

import pytest

from bench.peers import rows, screens
from bench.peers.judge import BLANK, Screen, judge
from bench.peers.table import BEGIN, END, Results, Row, standing, tables, written_between
from bench.peers.tmux import unescaped

FAST = Row("rate", "Bulk", "MB/s", high_is_good=True)
SHORT = Row("echo p50", "Echo", "ms", digits=2, limit="one process more.")


def figures() -> dict[str, dict[str, float | str]]:
    return {
        "raw": {"rate": 90.0, "echo p50": 0.01},
        "ours": {"rate": 60.0, "echo p50": 0.4},
        "slow": {"rate": 5.0, "echo p50": 0.2},
        "without": {"rate": "new shell"},
    }


class TestResults:
    def test_rounds_become_medians(self) -> None:
        results = Results()
        for rate in (1.0, 100.0, 3.0):
            results.add("ours", {"rate": rate})
        assert results.of("ours") == {"rate": 3.0}

    def test_samples_of_all_rounds_become_percentiles(self) -> None:
        results = Results()
        results.pool("ours", {"echo": [1.0] * 98})
        results.pool("ours", {"echo": [7.0, 9.0]})
        assert results.of("ours") == {"echo p50": 1.0, "echo p99": 9.0}

    def test_a_word_stands_only_where_no_round_has_a_figure(self) -> None:
        results = Results()
        results.add("ours", {"rate": "cut off", "attach": "new shell"})
        results.add("ours", {"rate": 2.0, "attach": "new shell"})
        assert results.of("ours") == {"rate": 2.0, "attach": "new shell"}

    def test_a_system_that_failed_at_everything_has_no_figures(self) -> None:
        assert Results().of("ours") == {}


class TestStanding:
    def test_above_one_is_better_whichever_way_is_good(self) -> None:
        rate = standing(FAST, "ours", figures(), ["raw"])
        echo = standing(SHORT, "ours", figures(), ["raw"])
        assert rate is not None
        assert echo is not None
        assert (rate.rival, rate.ratio) == ("slow", 12.0)
        assert (echo.rival, echo.ratio) == ("slow", 0.5)

    def test_a_limit_is_no_rival(self) -> None:
        place = standing(FAST, "ours", figures(), [])
        assert place is not None
        assert place.rival == "raw"

    def test_words_are_not_compared(self) -> None:
        assert standing(FAST, "without", figures(), []) is None
        assert standing(Row("none", "", ""), "ours", figures(), []) is None

    def test_figures_below_the_least_are_not_told_apart(self) -> None:
        row = Row("growth", "", "MiB", least=1)
        place = standing(row, "ours", {"ours": {"growth": -3.0}, "slow": {"growth": 0.2}}, [])
        assert place is not None
        assert place.ratio == 1.0


class TestTables:
    def test_every_system_has_its_column_and_lost_rows_their_reason(self) -> None:
        text = tables([FAST, SHORT], figures(), "ours", ["raw"])
        assert "| Bulk, MB/s | 90.0 | 60.0 | 5.0 | new shell |" in text
        assert "| Echo, ms | 0.01 | 0.40 | 0.20 | – |" in text
        assert "| Bulk | 12.0 × | slow |" in text
        assert "| Echo | 0.50 × (lost) | slow |" in text
        assert "- **Echo**: one process more." in text
        assert "**Bulk**" not in text

    def test_without_a_loss_it_says_so(self) -> None:
        assert "No row is lost." in tables([FAST], figures(), "ours", ["raw"])

    def test_only_the_place_between_the_markers_is_written(self) -> None:
        page = f"# Before\n\n{BEGIN}\nold\n{END}\n\nbehind\n"
        written = written_between(page, "new")
        assert written == f"# Before\n\n{BEGIN}\n\nnew\n\n{END}\n\nbehind\n"
        assert written_between(written, "new") == written

    def test_a_page_without_markers_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no place for the tables"):
            written_between(f"# Only one\n{BEGIN}\n", "new")

    def test_rows_have_names_of_their_own(self) -> None:
        assert len({row.key for row in rows.ROWS}) == len({row.title for row in rows.ROWS}) == len(rows.ROWS)


def cell(text: str, color: str = "default") -> list[object]:
    return [text, 1, color, "default", ""]


class TestJudge:
    SHOWN = Screen([[cell("a"), cell("b", "1")]], {"cursor": "2,0", "buffer": "normal", "mode x": True})

    def test_the_same_is_right(self) -> None:
        verdict = judge(self.SHOWN, self.SHOWN)
        assert (verdict.cells, verdict.wrong, verdict.rest) == (2, 0, ())
        assert verdict.is_all_right

    def test_a_colour_is_a_difference(self) -> None:
        other = Screen([[cell("a"), cell("b")]], self.SHOWN.state)
        assert judge(self.SHOWN, other).wrong == 1

    def test_blank_cells_do_not_count_where_both_are(self) -> None:
        other = Screen([[cell("a"), cell("b", "1"), BLANK, BLANK], [], [BLANK]], self.SHOWN.state)
        assert judge(self.SHOWN, other).cells == 2

    def test_what_only_one_of_them_shows_is_wrong(self) -> None:
        other = Screen([[cell("a")], [], [cell("c")]], self.SHOWN.state)
        verdict = judge(self.SHOWN, other)
        assert (verdict.cells, verdict.wrong) == (3, 2)

    def test_cursor_and_modes_are_the_rest(self) -> None:
        state = {"cursor": "0,0", "buffer": "normal", "mode x": False, "title": "other"}
        verdict = judge(self.SHOWN, Screen(self.SHOWN.rows, state))
        assert verdict.rest == ("cursor", "mode x")
        assert not verdict.is_all_right


def test_places_to_cut_lie_between_sequences() -> None:
    data = b"plain \x1b[31mred\x1b[m and plain\r\nto the end"
    for share in range(10):
        at = screens.between(data, share / 10)
        assert data[at : at + 1] in (b"\x1b", b"\r", b"")


def test_control_mode_of_tmux_is_read_back() -> None:
    assert unescaped(b"a\\033[1m\\134n\xc3\xa9\\015\\012") == b"a\x1b[1m\\n\xc3\xa9\r\n"
