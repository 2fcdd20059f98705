"""Text to token ids and back, built from a GGUF file's own vocabulary.

Byte-level BPE (`tokenizer.ggml.model` "gpt2") with the pre-tokenizers this file names. Special tokens exist
only where the caller says so: in `encode` their spelling is plain text, so nothing a user types becomes one.
Not here: chat templates, stop strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

from tokenizers import AddedToken, pre_tokenizers
from tokenizers import Tokenizer as BPETokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, PreTokenizer

from engine.errors import InvalidRequest, ModelFileError
from engine.gguf import Header
from engine.text.detokenize import Detokenizer

T = TypeVar("T")

# Token types of the GGUF specification.
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4

# How model families spell an end. A file names one of them, while its model may well emit another.
_END_MARKERS = frozenset(
    {"<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "</s>"}
)


def _byte_of_character() -> dict[str, int]:
    """Undo GPT-2's spelling of bytes as printable characters (Radford et al. 2019, `bytes_to_unicode`)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    spelled = {chr(byte): byte for byte in printable}
    return spelled | {chr(0x100 + index): byte for index, byte in enumerate(others)}


_BYTE_OF = _byte_of_character()


class Tokenizer:
    """One model's vocabulary. Immutable and safe to use from several threads at once."""

    def __init__(
        self,
        tokens: list[str],
        token_types: list[int],
        merges: list[str],
        *,
        pre_tokenizer: str,
        bos: int | None = None,
        eos: int | None = None,
        other_ends: Iterable[int] = (),
        add_bos: bool = False,
    ) -> None:
        """Raises ModelFileError if the parts do not fit together or the pre-tokenizer is not known."""
        if len(token_types) != len(tokens):
            raise ModelFileError(f"the file has {len(tokens)} tokens but {len(token_types)} token types")
        vocabulary = {token: id_ for id_, token in enumerate(tokens)}
        if len(vocabulary) != len(tokens):
            raise ModelFileError("the file's vocabulary has one token twice")
        self._tokens = tokens
        self._specials = {t: i for t, i in vocabulary.items() if token_types[i] in (_UNKNOWN, _CONTROL)}
        self._literal = {t: i for t, i in vocabulary.items() if token_types[i] == _USER_DEFINED}
        self._bpe = _byte_level_bpe(vocabulary, merges, _pre_tokenizer(pre_tokenizer))
        self._bpe.add_tokens([AddedToken(token, normalized=False) for token in self._literal])
        longest_first = sorted(filter(None, self._specials), key=len, reverse=True)
        self._special_spelling = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        self.bos = bos
        self.eos = eos
        self.add_bos = add_bos
        self.special_ids = frozenset(self._specials.values())
        spelled_ends = {i for t, i in self._specials.items() if t in _END_MARKERS}
        self.eos_token_ids = frozenset({*other_ends, *spelled_ends} | ({eos} if eos is not None else set()))
        for id_ in self.eos_token_ids | ({bos} if bos is not None else set()):
            if not 0 <= id_ < len(tokens):
                raise ModelFileError(f"the file names token {id_}, but its vocabulary has {len(tokens)}")
        if add_bos and bos is None:
            raise ModelFileError("the file asks for a beginning-of-sequence token but names none")

    @classmethod
    def from_header(cls, header: Header) -> Tokenizer:
        """Build the tokenizer a GGUF file describes. Raises ModelFileError if its kind is not read here."""
        fields = _Fields(header)
        model = fields.required("model", str)
        if model != "gpt2":
            raise ModelFileError(f"the file's tokenizer is of kind {model!r}; 'gpt2' (byte-level BPE) is read")
        other_ends = (fields.optional("eot_token_id", int), fields.optional("eom_token_id", int))
        return cls(
            fields.all_of("tokens", str),
            fields.all_of("token_type", int),
            fields.all_of("merges", str),
            pre_tokenizer=fields.required("pre", str),
            bos=fields.optional("bos_token_id", int),
            eos=fields.optional("eos_token_id", int),
            other_ends=[id_ for id_ in other_ends if id_ is not None],
            add_bos=fields.optional("add_bos_token", bool) or False,
        )

    @property
    def vocab_size(self) -> int:
        return len(self._tokens)

    def token(self, id_: int) -> str:
        """A token's spelling in the vocabulary."""
        return self._tokens[id_]

    def special_id(self, text: str) -> int | None:
        """The id of the special token spelled exactly `text`, if there is one."""
        return self._specials.get(text)

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; never a special token's. No beginning-of-sequence token is added.

        Raises InvalidRequest for text that is not Unicode (lone surrogates).
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequest("The text has a lone surrogate; it is not valid Unicode.") from error
        ids: list[int] = self._bpe.encode(text, add_special_tokens=False).ids
        return ids

    def encode_with_specials(self, text: str) -> list[int]:
        """Ids of text in which a special token's spelling means that token. Not for callers' text."""
        return self.encode_parts([(text, True)])

    def encode_parts(self, parts: Iterable[tuple[str, bool]]) -> list[int]:
        """Ids of the parts' concatenation; special tokens are seen only inside parts marked True.

        A plain run is encoded whole across the borders of parts, so the ids are those of the joined text.
        """
        ids: list[int] = []
        plain: list[str] = []
        for text, has_specials in parts:
            position = 0
            for match in self._special_spelling.finditer(text) if has_specials else ():
                plain.append(text[position : match.start()])
                ids += self.encode("".join(plain))
                ids.append(self._specials[match.group()])
                plain.clear()
                position = match.end()
            plain.append(text[position:])
        return ids + self.encode("".join(plain))

    def decode(self, ids: Iterable[int], skip_special: bool = True) -> str:
        """The text of `ids`; what is not UTF-8 becomes U+FFFD. Ids outside the vocabulary have no text."""
        return b"".join(self._bytes(id_, skip_special) for id_ in ids).decode("utf-8", "replace")

    def stream(self, skip_special: bool = True) -> Detokenizer:
        """A detokenizer for one growing sequence."""
        return Detokenizer(lambda id_: self._bytes(id_, skip_special))

    def _bytes(self, id_: int, skip_special: bool) -> bytes:
        if not 0 <= id_ < len(self._tokens):
            return b""
        token = self._tokens[id_]
        if id_ in self.special_ids:
            return b"" if skip_special else token.encode()
        if token in self._literal:
            return token.encode()
        try:
            return bytes([_BYTE_OF[character] for character in token])
        except KeyError:
            return token.encode()


class _Fields:
    """The header's `tokenizer.ggml.*` keys, read with their types."""

    def __init__(self, header: Header) -> None:
        self._metadata = header.metadata

    def optional(self, name: str, kind: type[T]) -> T | None:
        value = self._metadata.get(f"tokenizer.ggml.{name}")
        if value is not None and type(value) is not kind:
            raise ModelFileError(f"tokenizer.ggml.{name} is not of type {kind.__name__}")
        return value

    def required(self, name: str, kind: type[T]) -> T:
        value = self.optional(name, kind)
        if value is None:
            raise ModelFileError(f"tokenizer.ggml.{name} is missing")
        return value

    def all_of(self, name: str, kind: type[T]) -> list[T]:
        values = self.required(name, list)
        if not all(type(value) is kind for value in values):
            raise ModelFileError(f"tokenizer.ggml.{name} is not a list of {kind.__name__}")
        return values


def _pre_tokenizer(name: str) -> PreTokenizer:
    """The split before BPE that `tokenizer.ggml.pre` names, as in the family's published tokenizer.json."""
    byte_level = ByteLevel(add_prefix_space=False, use_regex=True)
    if name == "gpt-2":
        return byte_level
    if name == "smollm":
        return pre_tokenizers.Sequence([Digits(individual_digits=True), byte_level])
    raise ModelFileError(f"the file's pre-tokenizer {name!r} is not known; 'gpt-2' and 'smollm' are")


def _byte_level_bpe(vocabulary: dict[str, int], merges: list[str], split: PreTokenizer) -> BPETokenizer:
    pairs: list[tuple[str, str]] = []
    for merge in merges:
        left, space, right = merge.partition(" ")
        if not space or " " in right:
            raise ModelFileError(f"the file has the merge {merge!r}, which is not two tokens")
        pairs.append((left, right))
    try:
        bpe = BPETokenizer(BPE(vocabulary, pairs))
    except Exception as error:  # the library raises no narrower type for a merge outside the vocabulary
        raise ModelFileError(f"the file's merges do not fit its vocabulary: {error}") from error
    bpe.pre_tokenizer = split
    return bpe
