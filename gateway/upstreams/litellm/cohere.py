"""Cohere's chat API v2 as the SDK reads it, mended in three places.

Of the pinned release: it takes each line of a stream for JSON, `event:` lines included; it looks for the end and the
usage of a stream where this API does not have them; it counts all tokens, where Cohere charges for `billed_units`, and
drops the headers of a refusal, `retry-after` among them. https://docs.cohere.com/reference/chat-stream
"""

from __future__ import annotations

import importlib
import json
from typing import Any


def mend_cohere(sdk: Any) -> None:
    """Put a config in the place of the SDK's, with the same interface."""
    iterator: Any = importlib.import_module("litellm.llms.cohere.common_utils").CohereV2ModelResponseIterator
    original: Any = sdk.CohereV2ChatConfig

    class Pieces(iterator):  # type: ignore[misc]
        def convert_str_chunk_to_generic_chunk(self, chunk: Any) -> Any:
            line = chunk.decode() if isinstance(chunk, bytes) else chunk
            data = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
            if data.get("type") == "message-end":
                return self._end(data.get("delta") or {})
            return self.chunk_parser(data)

        def _end(self, delta: dict[str, Any]) -> Any:
            reason = delta.get("finish_reason")
            if reason not in _FINISH_REASONS:
                raise RuntimeError("the stream ended with an error")
            piece = self.chunk_parser({})
            piece.update(
                is_finished=True, finish_reason=_FINISH_REASONS[reason], usage=_billed(delta.get("usage") or {})
            )
            return piece

    class Config(original):  # type: ignore[misc]
        def get_model_response_iterator(
            self, streaming_response: Any, sync_stream: bool, json_mode: bool | None = False
        ) -> Any:
            return Pieces(streaming_response, sync_stream, json_mode)

        def transform_response(self, model: str, raw_response: Any, *args: Any, **options: Any) -> Any:
            reply = super().transform_response(model, raw_response, *args, **options)
            reply.usage = sdk.Usage(**_billed(raw_response.json().get("usage") or {}))
            return reply

        def get_error_class(self, error_message: str, status_code: int, headers: Any) -> Any:
            error = super().get_error_class(error_message, status_code, headers)
            error.headers = headers
            return error

    sdk.CohereV2ChatConfig = Config


_FINISH_REASONS = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
}


def _billed(usage: dict[str, Any]) -> dict[str, int]:
    """OpenAI's counts of what is charged. The API writes them as floats."""
    counts = usage.get("billed_units") or usage.get("tokens") or {}
    prompt, completion = int(counts.get("input_tokens") or 0), int(counts.get("output_tokens") or 0)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
