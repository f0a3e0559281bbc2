"""Which providers there are, by their names: ours, and those that other packages bring as entry points.

A package brings one by an entry point of the group `wormux.providers`, whose name is the provider's and whose object
is called with `ProviderSettings` and returns a `Provider`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from wormux.errors import SetupError
from wormux.sandbox.port import Provider
from wormux.sandbox.settings import ProviderSettings

GROUP = "wormux.providers"

ProviderFactory = Callable[[ProviderSettings], Provider]


def _local(settings: ProviderSettings) -> Provider:
    from wormux.sandbox.local import LocalProvider

    return LocalProvider(settings)


_OURS: dict[str, ProviderFactory] = {"local": _local}


def provider_names() -> tuple[str, ...]:
    """All that can be asked for here; ours first."""
    others = {entry.name for entry in entry_points(group=GROUP)} - _OURS.keys()
    return (*_OURS, *sorted(others))


def make_provider(name: str, settings: ProviderSettings) -> Provider:
    """Raises `SetupError` if there is none of this name, or if it cannot be made."""
    factory = _OURS.get(name)
    if factory is None:
        entry = next(iter(entry_points(group=GROUP, name=name)), None)
        if entry is None:
            raise SetupError(f"There is no provider {name}; there is: {', '.join(provider_names())}.")
        try:
            factory = entry.load()
        except Exception as error:
            raise SetupError(f"The provider {name} cannot be loaded: {error}.") from error
    return factory(settings)
