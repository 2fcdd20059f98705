"""One file per family of values. `DETECTORS` is all of them; its order decides between two that start at one
place: what proves itself or is named stands before what could be many things."""

from __future__ import annotations

from guards.pii.detectors import americas, asia_africa, banking, devices, documents, europe
from guards.pii.detectors.birth import DATE_OF_BIRTH
from guards.pii.detectors.card import CARD
from guards.pii.detectors.crypto import CRYPTO_ADDRESS
from guards.pii.detectors.email import EMAIL
from guards.pii.detectors.iban import IBAN
from guards.pii.detectors.ip import IPV4, IPV6
from guards.pii.detectors.mrz import MRZ
from guards.pii.detectors.phone import PHONE
from guards.pii.detectors.ssn import US_ITIN, US_SSN
from guards.pii.detectors.urls import URL_CREDENTIALS
from guards.spans.detector import Detector

DETECTORS: tuple[Detector, ...] = (
    EMAIL,
    URL_CREDENTIALS,
    IBAN,
    MRZ,
    CRYPTO_ADDRESS,
    *devices.DETECTORS,
    *banking.DETECTORS,
    *europe.DETECTORS,
    *americas.DETECTORS,
    *asia_africa.DETECTORS,
    CARD,
    US_ITIN,
    US_SSN,
    DATE_OF_BIRTH,
    *documents.WEAK_DETECTORS,
    *banking.WEAK_DETECTORS,
    IPV6,
    IPV4,
    PHONE,
)
KINDS: tuple[str, ...] = tuple(dict.fromkeys(detector.kind for detector in DETECTORS))
