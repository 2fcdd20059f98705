"""One file per kind of value. `DETECTORS` is all of them; its order decides between two that start at one
place."""

from __future__ import annotations

from guards.pii.detectors.card import CARD
from guards.pii.detectors.email import EMAIL
from guards.pii.detectors.iban import IBAN
from guards.pii.detectors.ip import IPV4, IPV6
from guards.pii.detectors.phone import PHONE
from guards.pii.detectors.ssn import US_SSN
from guards.spans.detector import Detector

DETECTORS: tuple[Detector, ...] = (EMAIL, IBAN, CARD, US_SSN, IPV6, IPV4, PHONE)
KINDS: tuple[str, ...] = tuple(dict.fromkeys(detector.kind for detector in DETECTORS))
