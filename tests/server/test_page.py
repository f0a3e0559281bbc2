from __future__ import annotations

from pathlib import Path

from wormux.server.page import load_page


def test_only_the_page_and_its_assets_are_taken(tmp_path: Path) -> None:
    (tmp_path / "assets" / "fonts").mkdir(parents=True)
    for name in (
        "index.html",
        "other.html",
        "assets/a.css",
        "assets/fonts/f.woff2",
        "assets/.hidden",
        "assets/x.py",
    ):
        (tmp_path / name).write_text(name)
    page = load_page(tmp_path)
    assert page.index is not None
    assert page.index.content == b"index.html"
    assert sorted(page.assets) == ["a.css", "fonts/f.woff2"]


def test_a_change_changes_the_etag(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("a")
    before = load_page(tmp_path).index
    (tmp_path / "index.html").write_text("b")
    after = load_page(tmp_path).index
    assert before is not None
    assert after is not None
    assert before.etag != after.etag


def test_what_does_not_shrink_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("short")
    page = load_page(tmp_path)
    assert page.index is not None
    assert page.index.packed is None


def test_a_page_that_was_not_built_is_empty(tmp_path: Path) -> None:
    page = load_page(tmp_path / "none")
    assert page.index is None
    assert page.assets == {}
