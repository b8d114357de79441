"""Text inputs. Text is always text: no string is ever opened, fetched or parsed here.

Also what encoders without a tokenizer at hand need: an estimate of tokens and a splitter.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.items import DIGEST_SIZE, Item, Modality, Part

BYTES_PER_TOKEN = 3.0
"""A cautious estimate: subword tokenizers of hosted models average about 4 bytes of UTF-8 a token in
English prose, and fewer in code and in scripts with several bytes a character."""


def text_item(value: Any) -> Item:
    """One text as an item.

    Raises:
        InvalidInputError: if it is not a `str`, or holds a lone surrogate, which no tokenizer and
            no encoding can represent.
    """
    if not isinstance(value, str):
        hint = ""
        if isinstance(value, bytes | bytearray):
            hint = "; decode it first: value.decode('utf-8')"
        elif value is None or isinstance(value, float):
            hint = "; drop missing values, or replace them with a text"
        raise InvalidInputError(f"a text must be str, not {type(value).__name__}{hint}")
    text = str.__str__(value)  # a subclass such as numpy.str_ becomes a plain str; its own __str__ may say other things
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"the text holds a lone surrogate (U+{ord(text[error.start]):04X}) at character {error.start}; "
            "repair it: text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
        ) from None
    return Item((Part(Modality.TEXT, text, blake2b(encoded, digest_size=DIGEST_SIZE, person=b"text").digest()),))


def estimate_tokens(text: str) -> int:
    """About how many tokens a hosted model will count; at least 1."""
    return int(len(text.encode()) / BYTES_PER_TOKEN) + 1


def split_text(text: str, max_bytes: int) -> list[str]:
    """`text` in consecutive pieces of at most `max_bytes` of UTF-8, cut at white space where possible.

    The pieces joined give the text again; no character is cut in two.
    """
    pieces: list[str] = []
    data = text.encode()
    start = 0
    while len(data) - start > max_bytes:
        end = start + max_bytes
        while data[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        space = max(data.rfind(separator, start + max_bytes // 2, end) for separator in (b" ", b"\n", b"\t"))
        if space > start:
            end = space + 1
        elif end <= start:
            raise ValueError(f"max_bytes={max_bytes} is smaller than one character")
        pieces.append(data[start:end].decode())
        start = end
    return [*pieces, data[start:].decode()]
