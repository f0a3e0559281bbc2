"""The kinds of identity in Wormux. Ids are opaque strings, never used twice (protocol §1).

A `Channel` is the exception: a small number that is given out again after its pane is closed.
Where ids come from: clients choose a `ClientId`; every other id is derived from the entropy
that the driver hands to the hub with each step.
"""

from __future__ import annotations

from typing import NewType

UserId = NewType("UserId", str)
ClientId = NewType("ClientId", str)
"""One attached page or program; survives several connections."""
ConnectionId = NewType("ConnectionId", int)
"""One WebSocket; counted up by the server process, so meaningless to the next one."""
SessionId = NewType("SessionId", str)
SandboxId = NewType("SandboxId", str)
TabId = NewType("TabId", str)
PaneId = NewType("PaneId", str)
Channel = NewType("Channel", int)
"""0..254: the number of a pane on the wire."""
