"""The targets by name."""

from __future__ import annotations

from fuzz.kit import Target
from fuzz.targets import config, files, hub, links, messages, screens, snapshots

TARGETS: dict[str, Target] = {
    module.TARGET.name: module.TARGET for module in (config, files, hub, links, messages, screens, snapshots)
}
