"""Content blocks of a request as parts of an OpenAI chat message: texts, images, documents, search results.

`cache_control` stays where it stood. Prompt caching is a hint, and the providers that know it bill by it.
"""

from __future__ import annotations

from typing import Any

from gateway.doors.anthropic.checks import Object, as_list, as_object, invalid, object_of, text_of, unsupported, without


def read_parts(content: Any, path: str) -> list[Object]:
    """The parts of a content that is a string or a list of blocks. Raises InvalidRequest, Unsupported."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        raise invalid(path, "a string or a list of content blocks is required")
    return [
        part
        for index, block in enumerate(content)
        for part in block_parts(as_object(block, f"{path}.{index}"), f"{path}.{index}")
    ]


def block_parts(block: Object, path: str) -> list[Object]:
    """The parts that one block becomes: one, but for a document made of several."""
    match text_of(block, "type", path):
        case "text":
            text_of(block, "text", path)
            # Citations say where an earlier reply had its words from; chat has no place for them.
            return [without(block, "citations")]
        case "image":
            return [_cached(block, {"type": "image_url", "image_url": {"url": _image_url(block, path)}})]
        case "document":
            return _document(block, path)
        case "search_result":
            return [_cached(block, {"type": "text", "text": _search_result(block, path)})]
        case kind:
            raise unsupported(f"{path}.type", f"{kind!r} blocks are not taken here")


def simplest(parts: list[Object]) -> str | list[Object]:
    """A lone text as a string, which every server takes; else the parts."""
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        text: str = parts[0]["text"]
        return text
    return parts


def _image_url(block: Object, path: str) -> str:
    source = object_of(block, "source", path)
    path = f"{path}.source"
    match text_of(source, "type", path):
        case "base64":
            return f"data:{text_of(source, 'media_type', path)};base64,{text_of(source, 'data', path)}"
        case "url":
            return text_of(source, "url", path)
        case kind:
            raise unsupported(f"{path}.type", f"an image cannot come from {kind!r}")


def _document(block: Object, path: str) -> list[Object]:
    if as_object(block.get("citations") or {}, f"{path}.citations").get("enabled"):
        raise unsupported(f"{path}.citations", "replies cannot carry citations")
    source = object_of(block, "source", path)
    told = {name: text_of(block, name, path) for name in ("title", "context") if block.get(name)}
    here = f"{path}.source"
    match text_of(source, "type", here):
        case "text":
            text = "\n\n".join([*told.values(), text_of(source, "data", here)])
            return [_cached(block, {"type": "text", "text": text})]
        case "content":
            parts = [{"type": "text", "text": text} for text in told.values()]
            parts += read_parts(source.get("content"), f"{here}.content")
            return [*parts[:-1], _cached(block, parts[-1])] if parts else []
        case "base64":
            data = f"data:{text_of(source, 'media_type', here)};base64,{text_of(source, 'data', here)}"
            file = {"filename": told.get("title", "document.pdf"), "file_data": data}
            context = [{"type": "text", "text": told["context"]}] if "context" in told else []
            return [*context, _cached(block, {"type": "file", "file": file})]
        case kind:
            raise unsupported(f"{here}.type", f"a document cannot come from {kind!r}; send it as base64 or text")


def _search_result(block: Object, path: str) -> str:
    heads = [text_of(block, "title", path), text_of(block, "source", path)]
    found = as_list(block.get("content"), f"{path}.content")
    texts = [
        text_of(as_object(part, f"{path}.content.{index}"), "text", f"{path}.content.{index}")
        for index, part in enumerate(found)
    ]
    return "\n\n".join(["\n".join(heads), *texts])


def _cached(block: Object, part: Object) -> Object:
    hint = block.get("cache_control")
    return part if hint is None else {**part, "cache_control": hint}
