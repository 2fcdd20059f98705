"""How long to wait before trying a target again.

With full jitter, as "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015) has it.
"""

from __future__ import annotations

import random

from gateway.upstreams.base import Failure, UpstreamError

BACK_OFF = 0.25  # seconds that the first retry waits at most; doubled for each further one
MAX_WAIT = 5.0  # an upstream that asks for more than this is left for the next target


def back_off(retry: int, last: UpstreamError, rng: random.Random) -> float | None:
    """Seconds until the retry of that number (from 1) after `last`; None when there should be none."""
    if last.failure is Failure.TIMEOUT:
        return None  # it may still be at work on the first try; a second would be paid twice
    wait = rng.uniform(0.0, min(MAX_WAIT, BACK_OFF * 2.0 ** (retry - 1)))
    wait = max(wait, last.retry_after or 0.0)
    return wait if wait <= MAX_WAIT else None
