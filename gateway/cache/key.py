"""What makes two requests equal: the tenant, and all that can change the answer. In doubt it is part of the key.

Keys that were too small are how caches give one caller another's answer. So the list below names what is left out, not
what is taken in: a field nobody has heard of is part of the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import orjson

from gateway.pipeline.call import Call

FORMAT = 1  # of the key; another number makes every entry of before unreachable

# Who asks and how the answer is sent or kept, nothing of what the model is given.
UNKEYED = frozenset(
    {"user", "metadata", "stream", "stream_options", "store", "safety_identifier", "prompt_cache_key"}
)  # fmt: skip


def cache_key(call: Call, *, model: str, revision: str, guards: Iterable[str]) -> bytes:
    """SHA-256 over everything of this call that can change its answer, its body as the input guards left it.

    `model` is the configured model that is asked first, `revision` the state of the configuration it has (see
    `gateway.cache.revision`), `guards` those that the caller's key adds. Raises ValueError for a call without a tenant.

    The order of fields does not count, at the top and in messages. Below other fields it does: a model that fills a
    JSON schema writes its properties in the order of the schema.
    """
    if not call.tenant:
        raise ValueError("a call without a tenant has no place in a cache")
    body = call.body
    said = [body["messages"]] if "messages" in body else []
    # A cap that only budgeted calls are given changes the answer too, and stands in no body.
    around = [FORMAT, call.tenant, call.operation, call.model, model, revision, sorted(set(guards)), call.bind_output]
    fields = [(name, body[name]) for name in sorted(body) if name not in UNKEYED and name != "messages"]
    digest = hashlib.sha256(orjson.dumps([around, said], option=orjson.OPT_SORT_KEYS))
    digest.update(orjson.dumps(fields))
    return digest.digest()
