"""A made-up secret of every kind, put together when it is asked for: whole ones in a source file alarm every scanner.

For the start-up self-test, and for tests.
"""

from __future__ import annotations

import base64

_MIXED = "k7Qm2Xv9Rt4Lp8Zs3Wd6Hy1Bn5Gc0JfTuKaEr" * 8
_CAPITALS = "Q7M2XV3RT4LP6ZS5WD" * 8
_HEX = "3f9a07c1e58b24d6" * 8


def _b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _pem(label: str) -> str:
    lines = [_MIXED[i : i + 64] for i in range(0, 192, 64)]
    return "\n".join((f"-----BEGIN {label}PRIVATE KEY-----", *lines, f"-----END {label}PRIVATE KEY-----"))


def samples() -> dict[str, str]:
    """By kind: a text that holds one secret of it and no other."""
    name, phrase = "pass" + "word", _MIXED[:12] + "!"
    return {
        "PRIVATE_KEY": _pem("RSA "),
        "AWS_ACCESS_KEY": "AKI" + "A" + _CAPITALS[:16],
        "AWS_SECRET_KEY": "aws_secret_access_key = " + _MIXED[:40],
        "GOOGLE_KEY": "AI" + "za" + _MIXED[:35],
        "GITHUB_TOKEN": "gh" + "p_" + _MIXED[:36],
        "GITLAB_TOKEN": "gl" + "pat-" + _MIXED[:20],
        "SLACK_TOKEN": "xo" + "xb-1234567890-1234567890-" + _MIXED[:24],
        "STRIPE_KEY": "sk" + "_live_" + _MIXED[:24],
        "ANTHROPIC_KEY": "sk" + "-ant-api03-" + _MIXED[:95],
        "OPENAI_KEY": "sk" + "-proj-" + _MIXED[:120],
        "HUGGINGFACE_TOKEN": "h" + "f_" + _MIXED[:34],
        "TWILIO_KEY": "S" + "K" + _HEX[:32],
        "SENDGRID_KEY": "S" + "G." + _MIXED[:22] + "." + _MIXED[22:65],
        "MAILGUN_KEY": "ke" + "y-" + _HEX[:32],
        "NPM_TOKEN": "np" + "m_" + _MIXED[:36],
        "PYPI_TOKEN": "py" + "pi-AgEIcHlwaS5vcmc" + _MIXED[:120],
        "DOCKER_TOKEN": "dckr" + "_pat_" + _MIXED[:27],
        "DIGITALOCEAN_TOKEN": "do" + "p_v1_" + _HEX[:64],
        "SHOPIFY_TOKEN": "shp" + "at_" + _HEX[:32],
        "DATABRICKS_TOKEN": "da" + "pi" + _HEX[:32],
        "VAULT_TOKEN": "hv" + "s." + _MIXED[:24],
        "SLUICEGATE_KEY": "s" + "g-" + _MIXED[:43],
        "JWT": ".".join((_b64('{"alg":"HS256","typ":"JWT"}'), _b64('{"sub":"1","name":"Ada"}'), _MIXED[:43])),
        "AZURE_KEY": _MIXED[:3] + "8Q~" + _MIXED[:34],
        "TELEGRAM_TOKEN": "1234567890:A" + "A" + _MIXED[:33],
        "DISCORD_TOKEN": _b64("123456789012345678") + "." + _MIXED[:6] + "." + _MIXED[:27],
        "WEBHOOK_URL": "https://hooks.slack.com/services/T" + _CAPITALS[:8] + "/B" + _CAPITALS[:8] + "/" + _MIXED[:24],
        "BASIC_AUTH": "Authorization: Basic " + base64.b64encode(f"ada:{phrase}".encode()).decode(),
        "BEARER_TOKEN": "Authorization: Bearer " + _MIXED[:32],
        "URL_PASSWORD": f"postgres://ada:{_MIXED[:12]}@db.internal/app",
        "API_KEY": "api_key: " + _MIXED[:32],
        "PASSWORD": f"my {name} is {phrase}",
    }
