"""Token ids to text, one at a time, never showing half a character.

A token of a byte-level vocabulary is a run of bytes, and a character may be spread over several tokens. The
bytes of an unfinished character wait; whatever still waits when the stream ends comes out of `finish` as
U+FFFD, so that all pieces together are always the text of all ids together.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable


class Detokenizer:
    """The growing text of one sequence. Not shared between sequences.

    `token_bytes` gives an id's bytes; b"" for an id that has no text.
    """

    def __init__(self, token_bytes: Callable[[int], bytes]) -> None:
        self._token_bytes = token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        """The text that `token` completes; empty while a character is unfinished."""
        return self._decoder.decode(self._token_bytes(token))

    def finish(self) -> str:
        """What an unfinished character leaves: U+FFFD, or nothing. Call once, at the end."""
        return self._decoder.decode(b"", final=True)
