"""Says in one sentence why this Python cannot hold Wormux; says nothing when it can.

Runs on whatever `python3` is, so it keeps to syntax that old ones read.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "Wormux needs Python 3.11 or later, and {} is {}.{}; name another by `make PYTHON=python3.12`.".format(
            sys.executable, *sys.version_info[:2]
        )
    )
try:
    import ensurepip  # noqa: F401
    import venv  # noqa: F401
except ImportError:
    sys.exit(
        "{} cannot create virtual environments; install its venv package "
        "(`apt-get install python3-venv` on Debian and Ubuntu).".format(sys.executable)
    )
