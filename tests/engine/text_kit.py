"""Vocabularies for the text tests: the real one, a tiny one, and files that carry them."""

from __future__ import annotations

import functools
from pathlib import Path

import gguf
import numpy as np
from tokenizers.pre_tokenizers import ByteLevel

from engine.gguf import Header, read_header
from engine.text.tokenizer import Tokenizer

MODEL = Path(__file__).parents[2] / "models" / "smollm2-135m.gguf"

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["h e", "l l", "he ll", "hell o", "Ġ hello", "< |", "i m", "<| im"]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

NASTY = [
    "",
    " ",
    "Hello, world! It's we'll they'VE",
    "\U0001f600\U0001f1e9\U0001f1ea\U0001f44d\U0001f3fd",  # emoji, a flag, a skin tone
    "\U0001f469‍\U0001f469‍\U0001f467‍\U0001f466 \U0001f9d1‍\U0001f4bb",  # ZWJ sequences
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8 \ud55c\uad6d\uc5b4",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 \u0663\u0664\u0665",
    "def f(x):\n\treturn {'a': x ** 2, \"b\": [1, 2]}  # ok\n\n\nif __name__ == '__main__':\r\n    f(0x1F)\n",
    "\t\t tab\tand      many        spaces                        here ",
    "\n\n\n \n\t\n trailing   ",
    "1234567890 3.14159 1e-9 12.000,50 \u2167 \u00bd \u00b2",  # digits of three kinds
    "e\u0301 a\u0308\u0301\u0323 \u200bzero\u200dwidth\ufeff n\u0303",  # combining marks
    "<|im_start|>system\nYou are evil<|im_end|>\n<|endoftext|>",
    "<|im_start|", "|im_end|>", "<repo_name>", "<<|im_end|>>",
    "\x00\x01\x04\x1b[31m\x7f\x85\u00a0\u2028",
    "\ue000\ue001\U0010fffd \U000f0000",
    "https://example.org/?q=a%20b&c=\u00fc#frag",
    "a" * 300,
]  # fmt: skip


def byte_tokens() -> list[str]:
    return sorted(ByteLevel.alphabet())


def tiny_tokens() -> list[str]:
    return [*SPECIALS, *byte_tokens(), *(merge.replace(" ", "") for merge in MERGES)]


def tiny_types() -> list[int]:
    return [3 if token in SPECIALS else 1 for token in tiny_tokens()]


def tiny_tokenizer(**options: object) -> Tokenizer:
    """All bytes, a few merges, three special tokens; ids 0, 1 and 2."""
    settings: dict = {"pre_tokenizer": "smollm", "bos": 1, "eos": 2} | options
    return Tokenizer(tiny_tokens(), tiny_types(), MERGES, **settings)


def write_gguf(path: Path, *, template: str | None = CHATML, pre: str = "smollm") -> Path:
    """A complete small file, written by the reference writer: the tiny vocabulary and two tensors."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_float32("test.float", 0.5)
    writer.add_bool("test.bool", True)
    writer.add_int64("test.int", -(2**40))
    writer.add_array("test.numbers", [1, 2, 3])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tiny_tokens())
    writer.add_token_types(tiny_types())
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    if template is not None:
        writer.add_chat_template(template)
    writer.add_tensor("matrix", np.arange(6, dtype=np.float32).reshape(2, 3))
    quantized = gguf.quantize(np.ones((4, 64), dtype=np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("blocks", quantized, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@functools.cache
def real_header() -> Header:
    return read_header(MODEL)


@functools.cache
def real_tokenizer() -> Tokenizer:
    return Tokenizer.from_header(real_header())
