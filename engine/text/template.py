"""Chat messages to a prompt's token ids, through the chat template that the model file carries.

The template is a Jinja program and runs in a sandbox. What callers write never becomes a special token: each
content is rendered between two marks that nobody can guess (private-use characters around a random number).
Only outside the marks, in the template's own scaffold, is a special token's spelling that token.

Some templates change contents, so that marks would change what they do. The marked prompt is therefore
compared with one rendered without marks. Where they differ, it is tried again with the contents' outer
whitespace removed (most templates that differ only trim). If they differ still, the unmarked prompt is used,
but only if it has exactly the special tokens that harmless contents would give; else the request is refused.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import msgspec
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.errors import InvalidRequest, ModelFileError, UnsupportedParameter
from engine.gguf import Header
from engine.text.tokenizer import Tokenizer

# "developer" is OpenAI's newer name for the system's instructions.
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_IGNORED_FIELDS = {"role", "content", "tool_call_id"}  # tool_call_id only links to a call that cannot be here


class Message(msgspec.Struct, frozen=True):
    """One checked message: all of it that a template sees."""

    role: str
    content: str


def read_messages(messages: object) -> list[Message]:
    """Check messages in OpenAI's shape and take their texts; text parts are joined with newlines.

    Raises UnsupportedParameter for what only other models can take (images, tool calls, names), and
    InvalidRequest for what is no message; `param` says where.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes) or not messages:
        raise InvalidRequest("'messages' must be a list with at least one message.", param="messages")
    return [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]


def _message(message: object, where: str) -> Message:
    if not isinstance(message, dict):
        raise InvalidRequest("Each message must be an object.", param=where)
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise InvalidRequest(f"'role' must be one of {', '.join(_ROLES)}.", param=f"{where}.role")
    for name, value in message.items():
        if name not in _IGNORED_FIELDS and value not in (None, [], {}):
            raise UnsupportedParameter(
                f"The local engine does not support '{name}' in messages.", param=f"{where}.{name}"
            )
    content = _content(message.get("content"), f"{where}.content")
    try:
        content.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("The text has a lone surrogate.", param=f"{where}.content") from error
    return Message(_ROLES[role], content)


def _content(content: object, where: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise InvalidRequest("'content' must be text or a list of text parts.", param=where)
    texts: list[str] = []
    for index, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind == "text" or not isinstance(kind, str):
            raise InvalidRequest("A content part must have a 'type' and its text.", param=f"{where}[{index}]")
        else:
            raise UnsupportedParameter("The local engine takes only text parts.", param=f"{where}[{index}].type")
    return "\n".join(texts)


class ChatTemplate:
    """A model's chat template with its tokenizer. Safe to use from several threads at once."""

    def __init__(self, source: str, tokenizer: Tokenizer, *, now: Callable[[], datetime] = datetime.now) -> None:
        """`now` is the clock of templates that write the date. Raises ModelFileError for broken source."""
        self._tokenizer = tokenizer
        self._now = now
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateError as error:
            raise ModelFileError(f"the file's chat template is broken: {error}") from error

    @classmethod
    def from_header(cls, header: Header, tokenizer: Tokenizer) -> ChatTemplate:
        """Raises ModelFileError if the file has no chat template."""
        source = header.metadata.get("tokenizer.chat_template")
        if not isinstance(source, str):
            raise ModelFileError("the file has no chat template, so its model cannot chat")
        return cls(source, tokenizer)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """The prompt's ids, ready for the assistant's answer; beginning-of-sequence at most once.

        Raises InvalidRequest if the template refuses the messages.
        """
        ids = self._tokenizer.encode_parts(self._parts(messages))
        bos = self._tokenizer.bos
        if bos is None:
            return ids
        while ids[:2] == [bos, bos]:
            del ids[0]
        if self._tokenizer.add_bos and ids[:1] != [bos]:
            ids.insert(0, bos)
        return ids

    def _parts(self, messages: Sequence[Message]) -> list[tuple[str, bool]]:
        """The prompt in pieces, each with whether it is the template's own (and may hold special tokens)."""
        now = self._now()
        contents = [message.content for message in messages]
        unmarked = self._render(messages, contents, now)
        for candidate in (contents, [content.strip() for content in contents]):
            marks = _Marks()
            parts = marks.split(self._render(messages, [marks.around(text) for text in candidate], now))
            if parts is not None and "".join(text for text, _ in parts) == unmarked:
                return parts
        harmless = self._render(messages, ["x" if content else "" for content in contents], now)
        if self._specials(unmarked) != self._specials(harmless):
            raise InvalidRequest(
                "The messages contain text that this model's chat template would turn into control tokens.",
                param="messages",
            )
        return [(unmarked, True)]

    def _render(self, messages: Sequence[Message], contents: Sequence[str], now: datetime) -> str:
        tokenizer = self._tokenizer
        try:
            return self._template.render(
                messages=[{"role": m.role, "content": c} for m, c in zip(messages, contents, strict=True)],
                add_generation_prompt=True,
                bos_token="" if tokenizer.bos is None else tokenizer.token(tokenizer.bos),
                eos_token="" if tokenizer.eos is None else tokenizer.token(tokenizer.eos),
                strftime_now=now.strftime,
            )
        except jinja2.TemplateError as error:
            message = f"The model's chat template refuses these messages: {error}"
            raise InvalidRequest(message, param="messages") from error
        except Exception as error:  # a template is a program of the file's author: it can raise anything
            message = "The model's chat template cannot render these messages."
            raise InvalidRequest(message, param="messages") from error

    def _specials(self, text: str) -> list[int]:
        special_ids = self._tokenizer.special_ids
        return [id_ for id_ in self._tokenizer.encode_with_specials(text) if id_ in special_ids]


class _Marks:
    """One rendering's pair of marks around each content."""

    def __init__(self) -> None:
        secret = secrets.token_hex(8)
        self._start = f"\ue000{secret}\ue001"
        self._end = f"\ue001{secret}\ue000"

    def around(self, content: str) -> str:
        return f"{self._start}{content}{self._end}"

    def split(self, rendered: str) -> list[tuple[str, bool]] | None:
        """Pieces with whether each lies outside the marks; None if the marks are not in whole pairs."""
        pieces = re.split(f"({self._start}|{self._end})", rendered)
        marks = pieces[1::2]
        if marks != [self._start, self._end] * (len(marks) // 2):
            return None
        return [(text, index % 2 == 0) for index, text in enumerate(pieces[::2])]


def _environment() -> ImmutableSandboxedEnvironment:
    """What chat templates expect around them; nothing is escaped, for a prompt is not HTML."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _raise_exception
    environment.filters["tojson"] = _to_json
    return environment


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
    """JSON as written; Jinja's own filter would escape for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)
