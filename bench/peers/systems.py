"""All that is measured, in the order of the table's columns."""

from __future__ import annotations

from bench.peers.jupyter import Jupyter, Terminado
from bench.peers.node import Gritty, Wetty
from bench.peers.port import Peer
from bench.peers.raw import Raw
from bench.peers.shellinabox import ShellInABox
from bench.peers.tmux import Tmux
from bench.peers.ttyd import Ttyd
from bench.peers.wormux import Wormux

SYSTEMS: list[Peer] = [
    Raw(), Wormux(), Terminado(), Jupyter(), Wetty(), Gritty(), Tmux(), ShellInABox(), Ttyd(),
]  # fmt: skip
