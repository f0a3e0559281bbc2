"""Which providers there are, by their names: ours, and those that other packages bring as entry points.

A package brings one by an entry point of the group `wormux.providers`, whose name is the provider's and whose object
is called with `ProviderSettings` and returns a `Provider` of that name. docs/providers.md tells how one is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points

from wormux.errors import SetupError
from wormux.sandbox.port import Provider
from wormux.sandbox.settings import ProviderSettings

GROUP = "wormux.providers"

ProviderFactory = Callable[[ProviderSettings], Provider]


def _local(settings: ProviderSettings) -> Provider:
    if settings.isolation == "bubblewrap":
        from wormux.sandbox.isolated import IsolatedProvider

        return IsolatedProvider(settings)
    from wormux.sandbox.local import LocalProvider

    return LocalProvider(settings)


def _cloudflare(settings: ProviderSettings) -> Provider:
    from wormux.sandbox.cloudflare import CloudflareProvider

    return CloudflareProvider(settings)


def _container(settings: ProviderSettings) -> Provider:
    try:
        from wormux.sandbox.container import ContainerProvider
    except ModuleNotFoundError as error:
        raise SetupError(
            f"Containers need the package {error.name}: install them with pip install 'wormux[container]'."
        ) from error
    return ContainerProvider(settings)


_OURS: dict[str, ProviderFactory] = {"local": _local, "container": _container, "cloudflare": _cloudflare}


def provider_names() -> tuple[str, ...]:
    """All that can be asked for here; ours first."""
    others = {entry.name for entry in entry_points(group=GROUP)} - _OURS.keys()
    return (*_OURS, *sorted(others))


def make_provider(name: str, settings: ProviderSettings) -> Provider:
    """Raises `SetupError` if there is none of this name, or if it cannot be made."""
    entries = list(entry_points(group=GROUP, name=name))
    ours = _OURS.get(name)
    if ours is not None:
        if entries:
            raise SetupError(
                f"{_packages(entries)} a provider {name}, and so does Wormux itself: it must have another name."
            )
        return ours(settings)
    if not entries:
        raise SetupError(f"There is no provider {name}; there is: {', '.join(provider_names())}.")
    if len(entries) > 1:
        raise SetupError(f"{_packages(entries)} a provider {name}: remove all but one.")
    return _of_plugin(entries[0], settings)


def _of_plugin(entry: EntryPoint, settings: ProviderSettings) -> Provider:
    """Nothing is taken for granted of what others wrote."""
    package = entry.dist.name if entry.dist is not None else entry.module
    provider_of = f"The provider {entry.name} of the package {package}"
    try:
        factory = entry.load()
    except Exception as error:
        raise SetupError(f"{provider_of} cannot be loaded: {_told(error)}") from error
    if not callable(factory):
        raise SetupError(f"{provider_of} cannot be made: {entry.value} is not callable.")
    try:
        provider = factory(settings)
    except SetupError:
        raise
    except Exception as error:
        raise SetupError(f"{provider_of} cannot be made: {_told(error)}") from error
    if not isinstance(provider, Provider):
        raise SetupError(f"{provider_of} is none: {entry.value} made a {type(provider).__name__}.")
    named = getattr(provider, "name", None)
    if named != entry.name:
        raise SetupError(f"{provider_of} calls itself {named}: both names must be the same.")
    return provider


def _packages(entries: Sequence[EntryPoint]) -> str:
    """ "The packages a and b bring"."""
    names = sorted(entry.dist.name if entry.dist is not None else entry.module for entry in entries)
    return (
        f"The package {names[0]} brings" if len(names) == 1 else f"The packages {' and '.join(names)} bring"
    )


def _told(error: Exception) -> str:
    """On one line, with its kind, since it was written for programmers."""
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text}." if text else f"{type(error).__name__}."
