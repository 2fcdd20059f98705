"""How many tokens a text has, where nobody told: by the model's own tokenizer where one is at hand, else by its bytes.

Estimates hold room in limits before a call, and make the bill of an upstream that sent no usage.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from string import ascii_letters
from threading import Lock

import structlog

log = structlog.get_logger(__name__)

Count = Callable[[str], int]

_telling_tiktoken = Lock()

MAX_COUNTED = 64 * 2**10  # characters that are tokenized of one request; what is longer is reckoned in proportion
MESSAGE_TOKENS = 4  # what OpenAI's chat format adds to each message

_WORDS = (ascii_letters + " ").encode()
_ASCII = bytes(range(128))

# OpenAI's encodings, and the files in the litellm package that hold them, by the names tiktoken's cache gives them.
# Nothing is ever fetched: an encoding whose file is not there is not used.
ENCODINGS = {
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
}


class TokenizerError(Exception):
    """A tokenizer that cannot be had; the message says why."""


def estimate(text: str) -> int:
    """Tokens of a text without a tokenizer, rather too many than too few; never 0.

    Four letters make a token. A digit or a sign is one, and four bytes of anything that is not ASCII are three:
    tokenizers differ most there.
    """
    raw = text.encode("utf-8", "replace")
    others = len(raw.translate(None, _WORDS))
    foreign = 0 if text.isascii() else len(raw.translate(None, _ASCII))
    return (len(raw) - others) // 4 + (others - foreign) + (3 * foreign + 3) // 4 + 1


class TokenCounter:
    """Counts for one model. `load` gives its tokenizer; it is called once, in a thread, when it is first needed.

    Without one, or until it is loaded, or if it cannot be, `estimate` counts.
    """

    def __init__(self, load: Callable[[], Count] | None = None) -> None:
        self._load = load
        self._count: Count = estimate
        self._loading: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Wait until the tokenizer is loaded."""
        if self._load is None:
            return
        if self._loading is None:
            self._loading = asyncio.create_task(self._get(self._load), name="tokenizer")
        await asyncio.shield(self._loading)

    def count(self, texts: Iterable[str]) -> int:
        counted = length = 0
        tokens = 0
        for text in texts:
            length += len(text)
            part = text[: max(0, MAX_COUNTED - counted)]
            if part:
                counted += len(part)
                tokens += self._count(part)
        return tokens if counted == length else tokens * length // counted

    async def _get(self, load: Callable[[], Count]) -> None:
        try:
            self._count = await asyncio.to_thread(load)
        except Exception as error:  # whatever it is, an answer is worth more than its exact count
            log.warning("tokens are estimated by bytes", reason=str(error) or type(error).__name__)


def encoding(name: str) -> Callable[[], Count]:
    """A loader of one of `ENCODINGS`. Loading raises TokenizerError."""

    def load() -> Count:
        folder = _encoding_files()
        if folder is None or not (folder / ENCODINGS[name]).is_file():
            raise TokenizerError(f"the encoding {name} is not installed; it comes with 'sluicegate[providers]'")
        import tiktoken

        with _tiktoken_at(folder):
            found = tiktoken.get_encoding(name)
        return lambda text: len(found.encode_ordinary(text))

    return load


@contextmanager
def _tiktoken_at(folder: Path) -> Iterator[None]:
    """Let tiktoken find its files in `folder`. It is told by the environment only, so one thread at a time."""
    with _telling_tiktoken:
        before = os.environ.get("TIKTOKEN_CACHE_DIR")
        os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
        try:
            yield
        finally:
            if before is None:
                del os.environ["TIKTOKEN_CACHE_DIR"]
            else:
                os.environ["TIKTOKEN_CACHE_DIR"] = before


def tokenizer_file(path: Path) -> Callable[[], Count]:
    """A loader of a `tokenizer.json`, as model repositories carry it. Loading raises TokenizerError."""

    def load() -> Count:
        try:
            from tokenizers import Tokenizer
        except ModuleNotFoundError:
            raise TokenizerError("tokenizer files need the extra: pip install 'sluicegate[engine]'") from None
        try:
            found = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise TokenizerError(f"{path} is no tokenizer: {error}") from None
        return lambda text: len(found.encode(text, add_special_tokens=False).ids)

    return load


def openai_encoding(model: str) -> str | None:
    """The encoding of one of OpenAI's models, if it is one we may have."""
    if importlib.util.find_spec("tiktoken") is None:
        return None
    from tiktoken.model import encoding_name_for_model

    try:
        name = encoding_name_for_model(model)
    except KeyError:
        return None
    return name if name in ENCODINGS else None


def _encoding_files() -> Path | None:
    spec = importlib.util.find_spec("litellm")  # finds it without importing it
    if spec is None or spec.origin is None or importlib.util.find_spec("tiktoken") is None:
        return None
    return Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"
