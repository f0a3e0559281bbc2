"""The simulator: seeded stories of a hub and its surroundings, what must hold in them, and what breaks it on purpose.

`python -m wormux.testing.simulate --help`; docs/simulator.md. Reading order: `story`, `kinds`, `stage`, then what can
happen (`clients`, `terminals`, `faults`), `play`, `rest`, `shrink`, `trace`, `many`, `mutations`.
"""
