"""Soak and load: many panes and clients on real servers for minutes, and whether anything grew meanwhile.

`python -m wormux.testing.load` runs it. Reading order: `plan` says how much, `run` what happens in which order, `site`
is one server with its clients, `work` what they do in a round, `meter` reads the kernel's figures, `growth` judges
them, `report` prints them.
"""
