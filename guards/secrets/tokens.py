"""Keys and tokens that say by their own shape whose they are: one row each, a detector per kind of secret.

A row is a prefix and what follows it, as the service documents or prints them. Formats change; what is longer than the
row says is found too wherever the service leaves room. A stand-in (`ghp_xxxx...`) is nothing; a service's own example
key is found like any other, since nobody can tell by looking at it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from guards.secrets.checks import base62_checksum, decoded, jose_header, random_looking, varied
from guards.secrets.edges import LONGEST_TOKEN, LONGEST_WORD, VALUE_BYTES, places_of, tail_of
from guards.spans.detector import Detector

Check = Callable[[bytes], bool]

_DIGIT = re.compile(rb"[0-9]")


@dataclass(frozen=True, slots=True)
class Shape:
    """`prefixes` are literal; `body` follows, a pattern; `check` looks at what it found. `longest`: bytes in all."""

    kind: str
    prefixes: tuple[bytes, ...]
    body: bytes
    check: Check = varied
    longest: int = LONGEST_WORD


def _no_name(body: bytes) -> bool:
    """Names of functions are written like tokens too: `ghs_...`, `npm_...`."""
    if base62_checksum(body[:36]) or b"eyJ" in body:
        return True
    return varied(body) and b"_" not in body and _DIGIT.search(body) is not None


def _drawn(body: bytes) -> bool:
    """Where the prefix says little."""
    one_word = len(body) >= 32 and body.isalnum() and _DIGIT.search(body) is not None and body.lower() != body
    return varied(body, 8) and (one_word or random_looking(body[:64]))


def _private_key_inside(body: bytes) -> bool:
    whole = b"LS0tLS1CRUdJTi" + body
    return b"PRIVATE KEY" in decoded(whole[: min(len(whole), 80) // 4 * 4])


def _jwt(body: bytes) -> bool:
    return jose_header(b"eyJ" + body.split(b".", 1)[0])


_W = rb"[A-Za-z0-9_\-]"
_A = rb"[A-Za-z0-9]"
_X = rb"[0-9a-f]"
_END = rb"(?![A-Za-z0-9])"
_UUID = _X + rb"{8}(?:-" + _X + rb"{4}){3}-" + _X + rb"{12}"

# fmt: off
SHAPES: tuple[Shape, ...] = (
    Shape("AWS_ACCESS_KEY", (b"AKIA", b"ASIA", b"ABIA", b"ACCA"), rb"[A-Z0-9]{16}" + _END),
    Shape("AWS_ACCESS_KEY", (b"A3T",), rb"[A-Z0-9]{17}" + _END),
    Shape("AWS_SECRET_KEY", (b"FwoG", b"FQoG", b"IQoJ"), rb"[A-Za-z0-9+/=]{100,2000}", longest=LONGEST_TOKEN),
    Shape("AWS_SECRET_KEY", (b"ABSK",), rb"[A-Za-z0-9+/]{100,300}={0,2}", longest=LONGEST_TOKEN),
    Shape("AWS_SECRET_KEY", (b"bedrock-api-key-",), rb"[A-Za-z0-9+/=]{40,4000}", longest=LONGEST_TOKEN),
    Shape("GOOGLE_KEY", (b"AIza",), _W + rb"{35}" + _END),
    Shape("GOOGLE_KEY", (b"AQ.Ab",), _W + rb"{40,100}"),
    Shape("GOOGLE_KEY", (b"GOCSPX-",), _W + rb"{28}"),
    Shape("GOOGLE_KEY", (b"ya29.",), rb"[A-Za-z0-9_.\-]{20,2000}(?<!\.)", longest=LONGEST_TOKEN),
    Shape("GOOGLE_KEY", (b"1//0",), _W + rb"{30,180}"),
    Shape("GITHUB_TOKEN", (b"ghp_", b"gho_", b"ghu_", b"ghr_"), rb"[A-Za-z0-9_]{36,251}", _no_name,
          LONGEST_TOKEN),
    Shape("GITHUB_TOKEN", (b"ghs_",), rb"[A-Za-z0-9_.\-]{36,2000}(?<!\.)", _no_name, LONGEST_TOKEN),
    Shape("GITHUB_TOKEN", (b"github_pat_",), rb"[A-Za-z0-9_]{40,244}", longest=LONGEST_TOKEN),
    Shape("GITLAB_TOKEN", (
        b"glpat-", b"gldt-", b"glrt-", b"glrtr-", b"glcbt-", b"glptt-", b"glft-", b"glsoat-", b"glimt-", b"glagent-",
        b"gloas-", b"glffct-", b"glwt-",
    ), rb"[A-Za-z0-9_.\-]{20,300}(?<!\.)", longest=LONGEST_TOKEN),
    Shape("GITLAB_TOKEN", (b"GR1348941",), _W + rb"{20,50}"),
    Shape("SLACK_TOKEN", (
        b"xoxb-", b"xoxp-", b"xoxa-", b"xoxo-", b"xoxr-", b"xoxs-", b"xoxe-", b"xoxc-", b"xoxd-", b"xapp-", b"xwfp-",
        b"xoxe.xoxb-", b"xoxe.xoxp-",
    ), rb"[A-Za-z0-9%/+=\-]{10,300}", longest=LONGEST_TOKEN),
    Shape("STRIPE_KEY", (b"sk_live_", b"sk_test_", b"rk_live_", b"rk_test_", b"sk_org_"), rb"[A-Za-z0-9_]{10,255}",
          longest=LONGEST_TOKEN),
    Shape("STRIPE_KEY", (b"whsec_",), rb"[A-Za-z0-9+/=]{24,128}"),
    Shape("ANTHROPIC_KEY", (b"sk-ant-",), _W + rb"{20,250}", longest=LONGEST_TOKEN),
    Shape("OPENAI_KEY", (b"sk-proj-", b"sk-svcacct-", b"sk-admin-", b"sk-None-"), _W + rb"{20,250}",
          longest=LONGEST_TOKEN),
    Shape("OPENAI_KEY", (b"sk-",), rb"[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"),
    Shape("HUGGINGFACE_TOKEN", (b"hf_", b"api_org_"), rb"[A-Za-z0-9]{30,50}" + _END),
    Shape("TWILIO_KEY", (b"SK",), _X + rb"{32}" + _END),
    Shape("SENDGRID_KEY", (b"SG.",), _W + rb"{16,32}\." + _W + rb"{16,64}"),
    Shape("MAILGUN_KEY", (b"key-",), _X + rb"{32}" + _END),
    Shape("NPM_TOKEN", (b"npm_",), rb"[A-Za-z0-9]{36}", _no_name),
    Shape("PYPI_TOKEN", (b"pypi-AgE",), _W + rb"{50,1000}", longest=LONGEST_TOKEN),
    Shape("DOCKER_TOKEN", (b"dckr_pat_", b"dckr_oat_"), _W + rb"{20,60}"),
    Shape("DIGITALOCEAN_TOKEN", (b"dop_v1_", b"doo_v1_", b"dor_v1_"), _X + rb"{64}" + _END),
    Shape("SHOPIFY_TOKEN", (b"shpat_", b"shpca_", b"shppa_", b"shpss_", b"shpua_"), rb"[0-9a-fA-F]{32}" + _END),
    Shape("DATABRICKS_TOKEN", (b"dapi", b"dose", b"dkea", b"dsapi"), _X + rb"{32}(?:-\d)?" + _END),
    Shape("VAULT_TOKEN", (b"hvs.", b"hvb.", b"hvr."), _W + rb"{20,500}", longest=LONGEST_TOKEN),
    Shape("SLUICEGATE_KEY", (b"sg-", b"sg-admin-"), _W + rb"{43}(?!%b)" % _W),
    Shape("JWT", (b"eyJ",), rb"[A-Za-z0-9_\-]{8,2000}+\.(?=\.?[A-Za-z0-9_\-]{8})[A-Za-z0-9_\-]{0,4000}+"
          rb"(?:\.[A-Za-z0-9_\-]{0,700}+){0,3}(?<!\.)", _jwt, LONGEST_TOKEN),
    Shape("PRIVATE_KEY", (b"LS0tLS1CRUdJTi",), rb"[A-Za-z0-9+/]{40,8000}={0,2}", _private_key_inside, LONGEST_TOKEN),
    Shape("PRIVATE_KEY", (b"AGE-SECRET-KEY-1", b"AGE-SECRET-KEY-PQ-1"), rb"[A-Z0-9]{50,200}"),
    # Other services, by prefix; all of kind API_KEY.
    Shape("API_KEY", (b"sk-or-", b"sk-lf-", b"sk-cp-"), _W + rb"{20,250}", _drawn, LONGEST_TOKEN),
    Shape("API_KEY", (b"sk-",), _W + rb"{20,250}", _drawn, LONGEST_TOKEN),
    Shape("API_KEY", (b"sk_", b"sk_car_"), _A + rb"{32,64}" + _END, _drawn),
    Shape("API_KEY", (b"gsk_",), _A + rb"{48,56}" + _END),
    Shape("API_KEY", (b"csk-",), _A + rb"{40,60}" + _END),
    Shape("API_KEY", (b"xai-",), _A + rb"{70,90}" + _END),
    Shape("API_KEY", (b"pplx-",), _A + rb"{40,60}" + _END),
    Shape("API_KEY", (b"nvapi-",), _W + rb"{50,90}"),
    Shape("API_KEY", (b"r8_",), _A + rb"{37}" + _END),
    Shape("API_KEY", (b"fw_",), _A + rb"{22,28}" + _END, _drawn),
    Shape("API_KEY", (b"tgp_v1_",), _W + rb"{40,60}"),
    Shape("API_KEY", (b"tvly-", b"tvly-dev-"), _W + rb"{24,60}", _drawn),
    Shape("API_KEY", (b"pcsk_",), rb"[A-Za-z0-9_]{50,90}"),
    Shape("API_KEY", (b"lsv2_pt_", b"lsv2_sk_"), _X + rb"{32}_" + _X + rb"{10}"),
    Shape("API_KEY", (b"e2b_",), _X + rb"{40}" + _END),
    Shape("API_KEY", (b"ATATT3", b"ATCTT3"), rb"[A-Za-z0-9_\-=]{100,300}", longest=LONGEST_TOKEN),
    Shape("API_KEY", (b"ATBB",), _A + rb"{32}" + _END, _drawn),
    Shape("API_KEY", (b"lin_api_", b"lin_oauth_"), _A + rb"{40,64}" + _END),
    Shape("API_KEY", (b"ntn_", b"secret_"), _A + rb"{40,50}" + _END, _drawn),
    Shape("API_KEY", (b"pat",), _A + rb"{14}\." + _X + rb"{64}" + _END),
    Shape("API_KEY", (b"figd_", b"figr_", b"figo_"), _W + rb"{40}"),
    Shape("API_KEY", (b"PMAK-",), _X + rb"{24}-" + _X + rb"{34}"),
    Shape("API_KEY", (b"dp.pt.", b"dp.st.", b"dp.sa.", b"dp.ct.", b"dp.scim.", b"dp.audit."),
          rb"[A-Za-z0-9_.\-]{40,90}(?<!\.)"),
    Shape("API_KEY", (b"glsa_",), _A + rb"{32}_" + rb"[0-9A-Fa-f]{8}"),
    Shape("API_KEY", (b"glc_eyJ",), rb"[A-Za-z0-9+/=]{30,190}"),
    Shape("API_KEY", (b"NRAK-",), rb"[A-Z0-9]{27}" + _END),
    Shape("API_KEY", (b"sntrys_eyJ",), rb"[A-Za-z0-9+/=_\-]{50,500}", longest=LONGEST_TOKEN),
    Shape("API_KEY", (b"sntryu_",), _X + rb"{64}" + _END),
    Shape("API_KEY", (b"pscale_tkn_", b"pscale_pw_", b"pscale_oauth_"), rb"[A-Za-z0-9_.\-]{32,64}(?<!\.)"),
    Shape("API_KEY", (b"pul-",), _X + rb"{40}" + _END),
    Shape("API_KEY", (b"rubygems_",), _X + rb"{48}" + _END),
    Shape("API_KEY", (b"cio",), _A + rb"{32}" + _END, _drawn),
    Shape("API_KEY", (b"sbp_",), _X + rb"{40}" + _END),
    Shape("API_KEY", (b"sb_secret_",), _W + rb"{22,50}"),
    Shape("API_KEY", (b"tskey-auth-", b"tskey-api-", b"tskey-client-", b"tskey-scim-", b"tskey-webhook-"),
          rb"[A-Za-z0-9\-]{16,70}"),
    Shape("API_KEY", (b"sq0atp-", b"sq0csp-"), _W + rb"{22,43}"),
    Shape("API_KEY", (b"EAAA",), _W + rb"{60}" + _END, _drawn),
    Shape("API_KEY", (b"EAA",), _A + rb"{90,300}", _drawn, LONGEST_TOKEN),
    Shape("API_KEY", (b"sl.",), _W + rb"{100,2000}", _drawn, LONGEST_TOKEN),
    Shape("API_KEY", (b"aio_",), _A + rb"{28}" + _END, _drawn),
    Shape("API_KEY", (b"ops_eyJ",), _W + rb"{200,1500}", longest=LONGEST_TOKEN),
    Shape("API_KEY", (b"re_",), _A + rb"{8}_" + _A + rb"{24}" + _END, _drawn),
    Shape("API_KEY", (b"xkeysib-", b"xsmtpsib-"), _X + rb"{64}-" + _A + rb"{16}"),
    Shape("API_KEY", (b"HRKU-AA",), _W + rb"{58}"),
    Shape("API_KEY", (b"CFPAT-",), _W + rb"{43}"),
    Shape("API_KEY", (b"dt0c01.", b"dt0s01.", b"dt0s02.", b"dt0s16."), rb"[A-Z2-7]{8,24}\.[A-Z2-7]{64}"),
    Shape("API_KEY", (b"fo1_",), _W + rb"{43}"),
    Shape("API_KEY", (b"fm1a_", b"fm1r_", b"fm2_"), rb"[A-Za-z0-9+/=]{100,1500}", longest=LONGEST_TOKEN),
    Shape("API_KEY", (b"nfp_", b"nfc_", b"nfo_", b"nfu_"), _A + rb"{36}" + _END),
    Shape("API_KEY", (b"tfp_",), rb"[A-Za-z0-9_.=\-]{50,70}(?<!\.)"),
    Shape("API_KEY", (b"shippo_live_", b"shippo_test_"), _X + rb"{40}" + _END),
    Shape("API_KEY", (b"EZAK", b"EZTK"), _A + rb"{54}" + _END),
    Shape("API_KEY", (b"FLWSECK-", b"FLWSECK_TEST-"), rb"[0-9a-zA-Z]{32}(?:-X)?"),
    Shape("API_KEY", (b"bkua_",), _X + rb"{40}" + _END),
    Shape("API_KEY", (b"CCIPAT_", b"CCIPRJ_"), _A + rb"{22}_" + _X + rb"{40}"),
    Shape("API_KEY", (b"pnu_",), _A + rb"{36}" + _END),
    Shape("API_KEY", (b"sqp_", b"sqa_", b"squ_"), _X + rb"{40}" + _END),
    Shape("API_KEY", (b"pat-na1-", b"pat-na2-", b"pat-eu1-", b"pat-ap1-"), _UUID),
    Shape("API_KEY", (b"sdk-", b"mob-", b"api-"), _UUID + _END),
    Shape("API_KEY", (b"AKCp",), _A + rb"{60,80}" + _END),
    Shape("API_KEY", (b"LTAI",), _A + rb"{17,20}" + _END),
    Shape("API_KEY", (b"AKID",), _A + rb"{32}" + _END),
    Shape("API_KEY", (b"AQVN",), _W + rb"{35,38}" + _END, _drawn),
    Shape("API_KEY", (b"GOOG1E",), rb"[A-Z0-9]{50,60}" + _END),
    Shape("API_KEY", (b"v1.0-",), _X + rb"{24}-" + _X + rb"{146}"),
)
# fmt: on

TAIL = tail_of(sorted({prefix for shape in SHAPES if shape.longest > LONGEST_WORD for prefix in shape.prefixes}))
_PROBE = re.compile(rb"(\[[^\]]+\])\{(\d+)")
_MOST_PROBED = 12


def detector(
    kind: str,
    gate: bytes,
    starts: Callable[[bytes, int], Iterator[int]],
    end: Callable[[bytes, int], int | None],
) -> Detector:
    """A detector of secrets with the tail that all of them share."""
    return Detector(
        kind=kind,
        gate=gate,
        starts=starts,
        end=end,
        tail=TAIL,
        tail_bytes=VALUE_BYTES,
        longest_tail=LONGEST_TOKEN + 32,
        canonical=str,
    )


def _probe(shape: Shape) -> bytes:
    """The prefix and the first characters of the body: short, so that the gate stays small."""
    first = _PROBE.match(shape.body)
    if first is None:
        raise ValueError(f"the body of {shape.kind} has to begin with a class and a count")
    body = b"%b{%d}" % (first.group(1), min(int(first.group(2)), _MOST_PROBED))
    return b"(?:%b)%b" % (b"|".join(map(re.escape, shape.prefixes)), body)


def _of_shapes(kind: str, shapes: Sequence[Shape]) -> Detector:
    by_beginning: dict[bytes, list[tuple[re.Pattern[bytes], Check]]] = {}
    for shape in shapes:
        whole = re.compile(b"(?:%b)(%b)" % (b"|".join(map(re.escape, shape.prefixes)), shape.body))
        for beginning in sorted({prefix[:2] for prefix in shape.prefixes}):
            by_beginning.setdefault(beginning, []).append((whole, shape.check))

    def end(folded: bytes, start: int) -> int | None:
        for whole, check in by_beginning.get(folded[start : start + 2], ()):
            match = whole.match(folded, start)
            if match is not None and check(match.group(1)):
                return match.end()
        return None

    gate = b"|".join(map(_probe, shapes))
    return detector(kind, gate, places_of(gate), end)


def token_detectors() -> tuple[Detector, ...]:
    """One for each kind, in the order of `SHAPES`."""
    by_kind: dict[str, list[Shape]] = {}
    for shape in SHAPES:
        by_kind.setdefault(shape.kind, []).append(shape)
    return tuple(_of_shapes(kind, shapes) for kind, shapes in by_kind.items())
