"""What the detectors of written numbers share: how an unfinished number at the end of a text looks.

A run of digits and separators (card, phone, security number, address of the internet) may go on until
something else stands there, or until it has more digits than any of them.
"""

from __future__ import annotations

import re

MAX_DIGITS = 19
SEPARATORS = rb" .\-/()"

NUMBER_TAIL = re.compile(
    rb"(?<![0-9A-Za-z_])(?:[+(][ (+]{0,2})?(?:\d(?:[%b]{0,2}\d){0,%d}[%b]{0,3})?\Z"
    % (SEPARATORS, MAX_DIGITS - 1, SEPARATORS)
)
NUMBER_TAIL_BYTES = b"0123456789+ .-/()"
LONGEST_NUMBER_TAIL = 3 + 1 + 3 * (MAX_DIGITS - 1) + 3
