"""All detectors of secrets. Their order decides between two that start at one place: who knows most is first."""

from __future__ import annotations

from guards.secrets.carried import AWS_SECRET_KEY, BASIC_AUTH, BEARER_TOKEN, URL_PASSWORD
from guards.secrets.marked import MARKED
from guards.secrets.named import NAMED_KEY, PASSWORD
from guards.secrets.private_keys import PRIVATE_KEY
from guards.secrets.tokens import token_detectors
from guards.spans.detector import Detector

DETECTORS: tuple[Detector, ...] = (
    PRIVATE_KEY,
    *token_detectors(),
    *MARKED,
    AWS_SECRET_KEY,
    BASIC_AUTH,
    BEARER_TOKEN,
    URL_PASSWORD,
    NAMED_KEY,
    PASSWORD,
)
KINDS: tuple[str, ...] = tuple(dict.fromkeys(detector.kind for detector in DETECTORS))
