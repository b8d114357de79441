"""Text inputs. Text is always text: no string is ever opened, fetched or parsed here.

Also what encoders without a tokenizer at hand need: an estimate of tokens and a splitter.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.items import DIGEST_SIZE, Item, Modality, Part, Span

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


def document_chunks(texts: Iterable[str], source: str | None = None, *, document: str | None = None) -> list[Item]:
    """The chunks of one document as items of one group, to be embedded in one another's context (late chunking).

    Pass them to `embed_batch` and its siblings, those of several documents one after the other. A model
    or framework that does not embed in context takes each for itself.

    Args:
        texts: the chunks, in the document's order.
        source: what the document is called; kept in the spans.
        document: the whole text. With it each chunk that is found in it, behind the one before, has the
            span of its characters; chunks may overlap, and what lies between them may be left out.

    Raises:
        InvalidInputError: naming the first chunk that is no text; or if a single text was given.
    """
    if isinstance(texts, str | bytes | bytearray):
        raise InvalidInputError("one text was given where the chunks of a document are due; pass a list of them")
    group = f"document:{os.urandom(16).hex()}"
    items: list[Item] = []
    for index, text in enumerate(texts):
        try:
            items.append(replace(text_item(text), group=group))
        except InvalidInputError as error:
            raise error.at(index) from None
    if document is None:
        return items
    spans = _chunk_spans([item.text for item in items], document, source)
    return [replace(item, span=span) for item, span in zip(items, spans, strict=True)]


def _chunk_spans(chunks: Sequence[str], document: str, source: str | None) -> list[Span | None]:
    """Where chunks lie in a document; `None` for one that is not in it behind the start of the one before."""
    spans: list[Span | None] = []
    earliest = end = 0
    for chunk in chunks:
        # Text that repeats itself is taken where the chunk before ends, if only white space lies between.
        behind = document.find(chunk, end) if chunk else -1
        start = behind if behind >= 0 and not document[end:behind].strip() else document.find(chunk, earliest)
        if start < 0 or not chunk:
            spans.append(None)
            continue
        earliest, end = start + 1, start + len(chunk)
        spans.append(Span("characters", start, end, source))
    return spans


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
