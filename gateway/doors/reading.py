"""What doors do alike with a request's bytes: parse them, check the fields the gate must understand, name the fault."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
import orjson

from gateway.errors import InvalidRequest
from gateway.pipeline.call import MAX_TAGS

Count = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Metadata = Annotated[dict[str, str], msgspec.Meta(max_length=MAX_TAGS)]  # what a call is booked to, on every endpoint
Fields = TypeVar("Fields", bound=msgspec.Struct)


def read_object(raw: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises InvalidRequest."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"The request body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno}).",
            code="invalid_json",
        ) from None
    if not isinstance(body, dict):
        raise InvalidRequest("The request body must be a JSON object.", code="invalid_json")
    return body


def check_fields(body: dict[str, Any], fields: type[Fields]) -> Fields:
    """The fields that `fields` lists; all others are left alone. Raises InvalidRequest naming the one at fault."""
    try:
        return msgspec.convert(body, fields)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None


def _invalid(message: str) -> InvalidRequest:
    """msgspec's "Expected `int` >= 1 - at `$.max_tokens`" as an error that names its param."""
    what, _, where = message.partition(" - at `$")
    param = where.rstrip("`").lstrip(".") or None
    if param is None and what.startswith("Object missing required field `"):
        param = what.split("`")[1]
    named = f"Invalid value for '{param}': {what}." if param else f"Invalid request: {what}."
    return InvalidRequest(named, param=param, code="invalid_value")
