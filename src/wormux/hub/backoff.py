"""How long to wait before the next attempt (protocol, status `disconnected`)."""

from __future__ import annotations

from wormux.limits import ATTEMPTS, RETRY_CAP_S, RETRY_FLOOR_S, RETRY_JITTER


def retry_delay_s(failures: int, entropy: int) -> float:
    """Seconds to wait after so many failures in a row (1 or more): doubling from the floor up to the cap, less a
    jitter drawn from `entropy`, and never below the floor."""
    nominal = min(RETRY_CAP_S, RETRY_FLOOR_S * 2.0 ** min(failures - 1, 16))
    fraction = (entropy & 0xFFFF_FFFF) / 0xFFFF_FFFF
    return max(RETRY_FLOOR_S, nominal * (1.0 - RETRY_JITTER * fraction))


def round_is_over(failures: int) -> bool:
    """So many failures in a row end a round of attempts."""
    return failures >= ATTEMPTS
