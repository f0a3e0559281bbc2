"""The targets by name."""

from __future__ import annotations

from fuzz.kit import Target
from fuzz.targets import (
    agent,
    agent_hub,
    config,
    files,
    http,
    hub,
    links,
    messages,
    screens,
    server_link,
    snapshots,
    store,
)

TARGETS: dict[str, Target] = {
    module.TARGET.name: module.TARGET
    for module in (
        agent,
        agent_hub,
        config,
        files,
        http,
        hub,
        links,
        messages,
        screens,
        server_link,
        snapshots,
        store,
    )
}
