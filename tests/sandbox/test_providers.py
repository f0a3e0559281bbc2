"""Providers of other packages: found as they are installed, and their faults told in sentences."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wormux.cli import main
from wormux.errors import SetupError
from wormux.sandbox.providers import make_provider, provider_names
from wormux.sandbox.settings import ProviderSettings
from wormux.testing.fake_sandbox import FakeProvider

MOON = """
from wormux.errors import SetupError
from wormux.testing.fake_sandbox import FakeProvider, FakeWorld

class Moon(FakeProvider):
    name = "moon"

    def __init__(self, settings):
        super().__init__(FakeWorld())
        self.settings = settings
"""


class Site:
    """A directory of installed packages, as `pip install --target` makes one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def install(self, package: str, source: str = MOON, *, entry: str = "Moon", name: str = "moon") -> None:
        """`package`, whose only module brings a provider."""
        module = package.replace("-", "_")
        (self.path / f"{module}.py").write_text(source)
        info = self.path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[wormux.providers]\n{name} = {module}:{entry}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(str(path))
    known = set(sys.modules)
    yield Site(path)
    for name in set(sys.modules) - known:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(path)):
            del sys.modules[name]


def test_an_installed_provider_is_found_and_made_with_its_settings(site: Site, tmp_path: Path) -> None:
    assert "moon" not in provider_names()
    site.install("wormux-moon")
    assert provider_names()[0] == "local"
    assert provider_names()[-1] == "moon"
    settings = ProviderSettings(tmp_path, options={"phase": "full"})
    provider = make_provider("moon", settings)
    assert isinstance(provider, FakeProvider)
    assert getattr(provider, "settings", None) is settings


def test_it_need_not_be_a_class(site: Site, tmp_path: Path) -> None:
    site.install("wormux-moon", MOON + "def make(settings): return Moon(settings)", entry="make")
    assert make_provider("moon", ProviderSettings(tmp_path)).name == "moon"


@pytest.mark.parametrize(
    ("source", "entry", "sentence"),
    [
        ("import nowhere_to_be_found", "Moon",
         "cannot be loaded: ModuleNotFoundError: No module named 'nowhere_to_be_found'."),
        ("raise ValueError('one\\ntwo.')", "Moon", "cannot be loaded: ValueError: one two."),
        ("", "Moon", "cannot be loaded: AttributeError: module 'wormux_moon' has no attribute 'Moon'."),
        ("Moon = 3", "Moon", "cannot be made: wormux_moon:Moon is not callable."),
        ("def make(settings): raise KeyError('url')", "make", "cannot be made: KeyError: 'url'."),
        ("def make(settings): raise AssertionError", "make", "cannot be made: AssertionError."),
        ("def make(): pass", "make",
         "cannot be made: TypeError: make() takes 0 positional arguments but 1 was given."),
        ("def make(settings): return {}", "make", "is none: wormux_moon:make made a dict."),
        (MOON + "    name = 'sun'", "Moon", "calls itself sun: both names must be the same."),
    ],
    ids=["imports", "raises", "lacks", "number", "fails", "asserts", "takes-nothing", "dict", "name"],
)  # fmt: skip
def test_what_is_wrong_with_it_is_a_sentence(
    site: Site, tmp_path: Path, source: str, entry: str, sentence: str
) -> None:
    site.install("wormux-moon", source, entry=entry)
    with pytest.raises(SetupError) as failure:
        make_provider("moon", ProviderSettings(tmp_path))
    assert str(failure.value) == f"The provider moon of the package wormux-moon {sentence}"


def test_an_abstract_method_that_is_missing_is_named(site: Site, tmp_path: Path) -> None:
    source = "from wormux.sandbox.port import Provider\nclass Moon(Provider):\n"
    site.install("wormux-moon", source + "    def __init__(self, settings): pass")
    with pytest.raises(SetupError, match=r"cannot be made: TypeError: .*Moon.*aclose"):
        make_provider("moon", ProviderSettings(tmp_path))


def test_a_name_of_ours_cannot_be_taken(site: Site, tmp_path: Path) -> None:
    site.install("wormux-moon", name="local")
    with pytest.raises(SetupError) as failure:
        make_provider("local", ProviderSettings(tmp_path))
    assert str(failure.value) == (
        "The package wormux-moon brings a provider local, and so does Wormux itself: it must have another name."
    )


def test_two_packages_of_one_name_are_told_apart_by_nobody(site: Site, tmp_path: Path) -> None:
    site.install("wormux-moon")
    site.install("other-moon")
    assert provider_names().count("moon") == 1
    with pytest.raises(SetupError) as failure:
        make_provider("moon", ProviderSettings(tmp_path))
    assert str(failure.value) == (
        "The packages other-moon and wormux-moon bring a provider moon: remove all but one."
    )


class TestOnTheCommandLine:
    def test_what_there_is_is_said(
        self, site: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        site.install("wormux-moon")
        assert _serve(tmp_path, "sun") == 1
        said = capfd.readouterr().err
        assert said == f"wormux: There is no provider sun; there is: {', '.join(provider_names())}.\n"
        assert "local" in said
        assert "moon" in said

    def test_a_sentence_of_the_plugins_own_is_the_only_line(
        self, site: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        source = (
            MOON + "        raise SetupError(f'There is no moon in phase {settings.options[\"phase\"]}.')"
        )
        site.install("wormux-moon", source)
        config = tmp_path / "wormux.toml"
        config.write_text('[provider_options.moon]\nphase = "new"\n')
        assert _serve(tmp_path, "moon", "--config", str(config)) == 1
        assert capfd.readouterr().err == "wormux: There is no moon in phase new.\n"

    def test_a_fault_of_the_plugin_is_one_line_as_well(
        self, site: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        site.install("wormux-moon", "def make(settings): raise KeyError('url')", entry="make")
        assert _serve(tmp_path, "moon") == 1
        assert capfd.readouterr().err == (
            "wormux: The provider moon of the package wormux-moon cannot be made: KeyError: 'url'.\n"
        )


def _serve(tmp_path: Path, provider: str, *options: str) -> int:
    data_dir = str(tmp_path / "data")
    return main(["serve", "--port", "0", "--data-dir", data_dir, "--provider", provider, *options])
