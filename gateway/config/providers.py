"""The providers a target may name, and what each takes beside a model and a key.

The names are those of the litellm SDK, which translates for all but "openai". Providers are left out whose login opens
a browser, that run a model in this process, or that stand for something else than a provider. Nothing here loads the
SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NATIVE = "openai"  # any server that speaks OpenAI's API; no translation


@dataclass(frozen=True, slots=True)
class Provider:
    """`options` maps our names of settings to the SDK's. `key` tells whether a target cannot be without `api_key`."""

    chat: bool = True
    embeddings: bool = False
    key: bool = True
    address: bool = False  # whether a target cannot be without `base_url`
    options: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()  # options that a target cannot be without
    module: str | None = None  # what the SDK needs for it and does not bring


_AWS = {
    "region": "aws_region_name",
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
}
_GOOGLE = {"region": "vertex_location", "project": "vertex_project", "credentials": "vertex_credentials"}
_CHAT_ONLY = (
    "ai21_chat", "anthropic", "azure_ai", "cerebras", "dashscope", "deepinfra", "deepseek", "friendliai", "groq",
    "hyperbolic", "lambda_ai", "meta_llama", "minimax", "moonshot", "novita", "nscale", "ovhcloud", "perplexity",
    "replicate", "scaleway", "xai", "zai",
)  # fmt: skip
_CHAT_AND_EMBEDDINGS = (
    "cohere", "databricks", "fireworks_ai", "gemini", "huggingface", "mistral", "nebius", "nvidia_nim", "openrouter",
    "sambanova", "together_ai",
)  # fmt: skip

PROVIDERS: Mapping[str, Provider] = {
    NATIVE: Provider(key=False, embeddings=True),
    **{name: Provider() for name in _CHAT_ONLY},
    **{name: Provider(embeddings=True) for name in _CHAT_AND_EMBEDDINGS},
    "voyage": Provider(chat=False, embeddings=True),
    "azure": Provider(embeddings=True, address=True, options={"api_version": "api_version"}, required=("api_version",)),
    # Without keys of their own these take the machine's: instance roles, workload identity, a login.
    "bedrock": Provider(embeddings=True, key=False, options=_AWS, required=("region",)),
    "vertex_ai": Provider(
        embeddings=True, key=False, options=_GOOGLE, required=("project", "region"), module="google.auth"
    ),
    "ollama_chat": Provider(key=False, address=True),
}
