"""Which secrets are found, with exact bounds, in code and in prose, and what is left alone."""

from __future__ import annotations

import base64
import random
import time
import zlib
from collections.abc import Callable
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits

import pytest

from guards.secrets.checks import base62_checksum, random_looking
from guards.secrets.detectors import DETECTORS, KINDS
from guards.secrets.samples import samples
from guards.spans.fold import fold
from guards.spans.scanner import Scanner

SCANNER = Scanner(DETECTORS)
ALNUM = ascii_letters + digits
HEX = "0123456789abcdef"
B64 = ALNUM + "+/"
URL = ALNUM + "-_"
BASE62 = digits + ascii_uppercase + ascii_lowercase


def found(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in SCANNER.spans(fold(text))]


def of(alphabet: str, size: int) -> Callable[[random.Random], str]:
    """A random text whose ends are no separators."""

    def draw(rng: random.Random) -> str:
        ends = [char for char in alphabet if char.isalnum()]
        middle = "".join(rng.choices(alphabet, k=size - 2))
        return rng.choice(ends) + middle + rng.choice(ends)

    return draw


def text(*parts: str | Callable[[random.Random], str]) -> Callable[[random.Random], str]:
    return lambda rng: "".join(part if isinstance(part, str) else part(rng) for part in parts)


def checked(prefix: str) -> Callable[[random.Random], str]:
    """A token of GitHub's and npm's making: the last six characters are a CRC-32 in base 62."""

    def draw(rng: random.Random) -> str:
        body = "".join(rng.choices(ALNUM, k=30))
        rest, check = zlib.crc32(body.encode()), ""
        for _ in range(6):
            rest, digit = divmod(rest, 62)
            check = BASE62[digit] + check
        return prefix + body + check

    return draw


def unpadded(raw: str) -> str:
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def jwt(header: str) -> Callable[[random.Random], str]:
    return text(unpadded(header), ".", unpadded('{"sub":"42","admin":true}'), ".", of(URL, 43))


def bot_token(rng: random.Random) -> str:
    return ".".join((unpadded(str(rng.randrange(10**17, 10**18))), of(URL, 6)(rng), of(URL, 38)(rng)))


TOKENS: list[tuple[str, Callable[[random.Random], str]]] = [
    ("AWS_ACCESS_KEY", text("AKIA", of(ascii_uppercase + "234567", 16))),
    ("AWS_ACCESS_KEY", text("ASIA", of(ascii_uppercase + digits, 16))),
    ("AWS_SECRET_KEY", text("IQoJb3JpZ2lu", of(B64, 300))),
    ("GOOGLE_KEY", text("AIza", of(URL, 35))),
    ("GOOGLE_KEY", text("ya29.", of(URL, 120))),
    ("GOOGLE_KEY", text("GOCSPX-", of(URL, 28))),
    ("GITHUB_TOKEN", checked("ghp_")),
    ("GITHUB_TOKEN", checked("gho_")),
    ("GITHUB_TOKEN", checked("ghs_")),
    ("GITHUB_TOKEN", text("github_pat_", of(ALNUM, 22), "_", of(ALNUM, 59))),
    ("GITLAB_TOKEN", text("glpat-", of(URL, 20))),
    ("GITLAB_TOKEN", text("glrt-", of(URL, 20))),
    ("SLACK_TOKEN", text("xoxb-", of("123456789", 12), "-", of("123456789", 12), "-", of(ALNUM, 24))),
    ("SLACK_TOKEN", text("xapp-1-A0", of(ascii_uppercase + digits, 9), "-", of("123456789", 13), "-", of(HEX, 64))),
    ("STRIPE_KEY", text("sk_live_", of(ALNUM, 24))),
    ("STRIPE_KEY", text("rk_test_", of(ALNUM, 99))),
    ("STRIPE_KEY", text("whsec_", of(ALNUM, 32))),
    ("ANTHROPIC_KEY", text("sk-ant-api03-", of(URL, 93), "AA")),
    ("OPENAI_KEY", text("sk-proj-", of(URL, 74), "T3BlbkFJ", of(URL, 74))),
    ("OPENAI_KEY", text("sk-", of(ALNUM, 20), "T3BlbkFJ", of(ALNUM, 20))),
    ("HUGGINGFACE_TOKEN", text("hf_", of(ascii_letters, 34))),
    ("TWILIO_KEY", text("SK", of(HEX, 32))),
    ("SENDGRID_KEY", text("SG.", of(URL, 22), ".", of(URL, 43))),
    ("MAILGUN_KEY", text("key-", of(HEX, 32))),
    ("MAILGUN_KEY", text(of(HEX, 32), "-", of(HEX, 8), "-", of(HEX, 8))),
    ("NPM_TOKEN", checked("npm_")),
    ("PYPI_TOKEN", text("pypi-AgEIcHlwaS5vcmc", of(URL, 150))),
    ("DOCKER_TOKEN", text("dckr_pat_", of(URL, 27))),
    ("DIGITALOCEAN_TOKEN", text("dop_v1_", of(HEX, 64))),
    ("SHOPIFY_TOKEN", text("shpat_", of(HEX, 32))),
    ("DATABRICKS_TOKEN", text("dapi", of(HEX, 32))),
    ("VAULT_TOKEN", text("hvs.", of(URL, 90))),
    ("SLUICEGATE_KEY", text("sg-", of(URL, 43))),
    ("SLUICEGATE_KEY", text("sg-admin-", of(URL, 43))),
    ("JWT", jwt('{"alg":"RS256","kid":"1"}')),
    ("JWT", jwt('{"typ":"JWT","alg":"none"}')),
    ("AZURE_KEY", text(of(ALNUM, 3), "8Q~", of(ALNUM + "_.-", 34))),
    ("AZURE_KEY", text(of(ALNUM, 76), "+ASt", of(ALNUM, 5), "Q==")),
    ("AZURE_KEY", text(of(ALNUM, 52), "JQQJ99", of(ALNUM, 26))),
    ("TELEGRAM_TOKEN", text(of("123456789", 10), ":AA", of(URL, 33))),
    ("DISCORD_TOKEN", bot_token),
    ("API_KEY", text("sk-or-v1-", of(HEX, 64))),
    ("API_KEY", text("sk-", of(ALNUM, 48))),
    ("API_KEY", text("gsk_", of(ALNUM, 52))),
    ("API_KEY", text("xai-", of(ALNUM, 80))),
    ("API_KEY", text("pplx-", of(ALNUM, 48))),
    ("API_KEY", text("r8_", of(ALNUM, 37))),
    ("API_KEY", text("lin_api_", of(ALNUM, 40))),
    ("API_KEY", text("ntn_", of(ALNUM, 46))),
    ("API_KEY", text("glsa_", of(ALNUM, 32), "_", of(HEX, 8))),
    ("API_KEY", text("pul-", of(HEX, 40))),
    ("API_KEY", text("dt0c01.", of(ascii_uppercase + "234567", 24), ".", of(ascii_uppercase + "234567", 64))),
    ("API_KEY", text(of(HEX, 32), "-us14")),
    ("API_KEY", text(of(ALNUM, 14), ".atlasv1.", of(URL, 65))),
    ("PRIVATE_KEY", text("AGE-SECRET-KEY-1", of(ascii_uppercase + digits, 58))),
]
SETTINGS = [
    "{}",
    "My key is {}, do not tell anybody.",
    "Use {}.",
    "export TOOL_X={}\n",
    '{{"value": "{}"}}',
    "const x = '{}';",
    "- `{}`",
    "| prod | {} |",
    "line one\\n{}\\nline three",
    "see?a={}&b=1",
    "連絡{}です",
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_keys_and_tokens_are_found_whole_wherever_they_stand(setting: str) -> None:
    rng = random.Random(setting)
    for kind, draw in TOKENS * 5:
        token = draw(rng)
        assert found(setting.format(token)) == [(kind, token)], token


def test_every_kind_is_found_in_its_own_sample() -> None:
    assert {kind: [name for name, _ in found(sample)] for kind, sample in samples().items()} == {
        kind: [kind] for kind in KINDS
    }


NAMED = [
    ("PASSWORD", "DB_PASS={}", "Tr0ub4dor&3"),
    ("PASSWORD", 'password = "{}"', "hunter2"),
    ("PASSWORD", "'password' => '{}',", "S3cr3t!pw"),
    ("PASSWORD", '{{"user": "ada", "password": "{}"}}', "blue(42)fish"),
    ("PASSWORD", '\\"password\\": \\"{}\\"', "hunter22"),
    ("PASSWORD", "my password is {}", "Gr8escape"),
    ("PASSWORD", "The password for the staging db is {}.", "xK9$mmPq"),
    ("PASSWORD", "Password: {}\nUser: ada", "P@ssw0rd!2024"),
    ("PASSWORD", "**Password:** `{}`", "ninja77x"),
    ("PASSWORD", "<password>{}</password>", "hunter2x"),
    ("PASSWORD", "mysql --user ada --password {} -h db", "s3same99"),
    ("PASSWORD", "mysqldump --password={} x", "s3same99"),
    ("PASSWORD", "Server=db;User Id=ada;Password={};Encrypt=yes", "Qw3rty7x"),
    ("PASSWORD", "https://x.example/login?user=a&password={}&next=1", "abc123xyz"),
    ("PASSWORD", "spring.datasource.password={}", "d4t4b4se"),
    ("PASSWORD", "POSTGRES_PASSWORD: {}", "n0tAw0rd"),
    ("PASSWORD", "Passwort: {}", "Sch1ffahrt"),
    ("PASSWORD", "la contraseña es: x, contraseña: {}", "gat0negr0"),
    ("PASSWORD", "pw: {}", "ge11eim!"),
    ("PASSWORD", "password: str = '{}'", "hunter2!"),
    ("PASSWORD", 'os.environ["PGPASSWORD"] = "{}"', "hunter2!"),
    ("PASSWORD", "| password | {} |", "hunter2!"),
    ("API_KEY", "api_key={}", "k3J9dmQ0x8Lz2PqW7vN1"),
    ("API_KEY", '"apiKey": "{}"', "9f86d081884c7d659a2feaa0c55ad015"),
    ("API_KEY", "X-Api-Key: {}", "f3b1c2d4-5e6f-4a1b-9c8d-7e6f5a4b3c2d"),
    ("API_KEY", "client_secret: {}", "Zx8vQ2nL7tR4wY1kP6mD3s"),
    ("API_KEY", "STRIPE_SECRET_TOKEN='{}'", "q8Xv2Nf5Tz7Lw3Rk9Hj4"),
    ("API_KEY", "the api key is {} I think", "h2Kq9Vd4Xs7Mf1Lz8Wp3"),
    ("API_KEY", "AccountName=x;AccountKey={};EndpointSuffix=y", "aB3/dE6+gH9jK2mN5pQ8sT1vW4yZ7cF0hL2oR5uX8bE=="),
    ("API_KEY", "SECRET_KEY_BASE={}", "0f9e8d7c6b5a49382716f5e4d3c2b1a0ffeeddcc"),
    ("API_KEY", "monitor --token {}", "Jt5Wq8Zn2Lx6Rb9Kv3Mf"),
    ("API_KEY", '//registry.example/:_authToken="{}"', "Jt5Wq8Zn2Lx6Rb9Kv3Mf"),
    ("AWS_SECRET_KEY", "aws_secret_access_key = {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("AWS_SECRET_KEY", '"SecretAccessKey": "{}"', "q8Xv2Nf5Tz7Lw3Rk9Hj4/Zx8vQ2nL7tR4wY1kP6x"),
    ("BEARER_TOKEN", "curl -H 'Authorization: Bearer {}' x", "q8Xv2Nf5Tz7Lw3Rk9Hj4"),
    ("BASIC_AUTH", "Authorization: Basic {}", base64.b64encode(b"ada:love lace").decode()),
    ("BASIC_AUTH", '{{"auths":{{"r":{{"auth": "{}"}}}}}}', base64.b64encode(b"ada:lovelace1").decode()),
    ("URL_PASSWORD", "postgresql+asyncpg://ada:{}@db.internal:5432/app", "tiger"),
    ("URL_PASSWORD", "redis://:{}@cache:6379/0", "pa55"),
    ("URL_PASSWORD", "git clone https://ada:{}@git.example/x.git", "x-oauth%40basic"),
    ("URL_PASSWORD", '"amqps://ada:{}@${{HOST}}/vh"', "r4bbit"),
    ("WEBHOOK_URL", "https://discord.com/api/webhooks/{}", "123456789012345678/" + "aB3_x" * 13),
    ("WEBHOOK_URL", "https://hooks.slack.com/services/{}", "T01ABCDEF/B02GHIJKL/aB3dE6gH9jK2mN5pQ8sT1vW4"),
]


@pytest.mark.parametrize(("kind", "setting", "value"), NAMED)
def test_a_secret_is_found_by_what_stands_beside_it(kind: str, setting: str, value: str) -> None:
    assert found(setting.format(value)) == [(kind, value)]


def test_an_access_key_id_gives_away_the_secret_key_beside_it() -> None:
    pair = "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    assert found(pair) == [("AWS_ACCESS_KEY", pair[:20]), ("AWS_SECRET_KEY", pair[21:])]


BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
KEYS = [
    f"-----BEGIN PRIVATE KEY-----\n{BODY}\n{BODY}\nAbc=\n-----END PRIVATE KEY-----",
    f"-----BEGIN RSA PRIVATE KEY-----\r\nProc-Type: 4,ENCRYPTED\r\nDEK-Info: AES-128-CBC,3F17\r\n\r\n{BODY}\r\n"
    "-----END RSA PRIVATE KEY-----",
    f"-----BEGIN OPENSSH PRIVATE KEY-----\\n{BODY}\\n{BODY}\\n-----END OPENSSH PRIVATE KEY-----",
    f"-----BEGIN EC PRIVATE KEY-----\\\\n{BODY}\\\\n-----END EC PRIVATE KEY-----",
    f"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\nComment: none\n\n{BODY}\nAbcd\n=aB3d\n"
    "-----END PGP PRIVATE KEY BLOCK-----",
    f"-----BEGIN PRIVATE KEY-----\n> {BODY}\n> {BODY}\n> -----END PRIVATE KEY-----",
    f'-----BEGIN PRIVATE KEY-----\\n" +\n   "{BODY}\\n" +\n   "-----END PRIVATE KEY-----',
    f"-----BEGIN PRIVATE KEY----- {BODY} -----END PRIVATE KEY-----",
    f"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n{BODY}\n---- END SSH2 ENCRYPTED PRIVATE KEY ----",
    f"-----BEGIN PRIVATE KEY-----\n{BODY}\n{BODY}",
    "-----BEGIN RSA PRIVATE KEY-----\nTk9UQVJFQUxLRVkK\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\n" + f"{BODY}\n" * 200 + "-----END PRIVATE KEY-----",
    f"Private-Lines: 2\n{BODY}\n{BODY}\nPrivate-MAC: {'0a' * 20}",
]


@pytest.mark.parametrize("key", KEYS)
def test_a_private_key_is_found_from_header_to_footer(key: str) -> None:
    for before, after in (("", ""), ("It is ", "\nKeep it."), ('{"k":"', '"}'), ("-", " and so on")):
        assert found(before + key + after) == [("PRIVATE_KEY", key)]


def test_a_key_in_base64_of_a_key_file_is_found() -> None:
    wrapped = base64.b64encode(KEYS[0].encode()).decode()
    assert found(f"  tls.key: {wrapped}\n") == [("PRIVATE_KEY", wrapped)]


def test_two_keys_are_two_findings() -> None:
    assert found(KEYS[0] + "\n" + KEYS[1]) == [("PRIVATE_KEY", KEYS[0]), ("PRIVATE_KEY", KEYS[1])]


# What the public leak benchmarks send. Nobody can tell by looking that these are no live keys.
@pytest.mark.parametrize(
    "token",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp_" + "EXAMPLENOTAREALGITHUBTOKEN0000000000",
        "xoxb-" + "00000-00000-EXAMPLENOTAREALTOKEN",
    ],
)
def test_published_example_keys_are_found(token: str) -> None:
    assert [value for _, value in found(f"key {token}, and more")] == [token]


def test_a_name_that_looks_like_a_token_is_one_only_with_the_right_checksum() -> None:
    token = checked("ghp_")(random.Random(3))
    name = token[:20] + "_" + token[21:]
    assert base62_checksum(token[4:].encode()) and not base62_checksum(name[4:].encode())
    assert found("ghp_" + token) == [("GITHUB_TOKEN", token)]
    assert found(token + "_old") == [("GITHUB_TOKEN", token + "_old")]
    assert found(name) == found("npm_" + "someverylongnameofafunctionofsomebody") == []


@pytest.mark.parametrize(
    ("alphabet", "size"), [(ALNUM, 20), (ALNUM, 40), (HEX, 32), (B64, 40), (URL, 32), (ascii_lowercase + digits, 32)]
)
def test_what_a_machine_draws_looks_random(alphabet: str, size: int) -> None:
    rng = random.Random(size)
    missed = sum(not random_looking("".join(rng.choices(alphabet, k=size)).encode()) for _ in range(2000))
    assert missed <= 100  # 5 %


@pytest.mark.parametrize(
    "evil",
    ["sk-", "-eyJ", "-----BEGIN PRIVATE KEY-----", "password=", "api_key: ", "://a:", "Basic ", ".aws",
     "A" * 39 + " aws ", "-----BEGIN PRIVATE KEY-----\n" + BODY, "A: b\n", "ghp_" + "a" * 36 + "-", "8Q~",
     ".atlasv1.", "password for a "],
)  # fmt: skip
def test_time_grows_with_the_text_and_no_faster(evil: str) -> None:
    def seconds(size: int) -> float:
        folded = fold((evil * size)[:size])
        best = 9.0
        for _ in range(2):
            started = time.process_time()
            list(SCANNER.spans(folded))
            best = min(best, time.process_time() - started)
        return best

    seconds(2_000)
    assert seconds(20_000) < 0.05 + 8 * seconds(5_000)  # four times in proportion, sixteen if quadratic
