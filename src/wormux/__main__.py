"""`python -m wormux` is the command `wormux`."""

from __future__ import annotations

import sys

from wormux.cli import main

sys.exit(main())
