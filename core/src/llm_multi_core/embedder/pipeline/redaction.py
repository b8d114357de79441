"""Keeping keys out of what a provider's SDK says when it fails."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from llm_multi_core.embedder.encoders import Verdict
from llm_multi_core.embedder.errors import AccessDeniedError, EmbedderError, ProviderError

MASK = "**********"
_LONGEST = 500
"""Characters of an SDK's message that are repeated; some append the whole reply."""
_PATTERNS = (
    re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"),
    re.compile(r"(?i)\b((?:x-)?(?:goog-)?(?:api[-_]?key|access[-_]?token|token|key))(\"?\s*[=:]\s*\"?)[\w.~+/-]{8,}"),
)


class RedactedError(Exception):
    """What a provider's SDK raised, its text with keys masked and its attributes left behind."""


def redact(text: str, keys: Iterable[str]) -> str:
    """`text` with the keys masked, however they are written in it, and with what looks like one."""
    for key in sorted(filter(None, keys), key=len, reverse=True):
        # A key may come with a line break at its end, which some errors show and others leave out.
        forms = {key, key.strip(), " ".join(key.split()), quote(key, safe=""), repr(key)[1:-1]} - {""}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, MASK)
    text = _PATTERNS[0].sub(rf"\1 {MASK}", text)
    return _PATTERNS[1].sub(rf"\1\2{MASK}", text)


def redacted(error: EmbedderError, keys: Iterable[str]) -> EmbedderError:
    """An error of the library's own that a plugin raised, without a key and without what it was raised from."""
    keys = list(keys)
    error.__cause__ = error.__context__ = None
    error.args = tuple(_without(value, keys) for value in error.args)
    for name, value in vars(error).items():
        setattr(error, name, _without(value, keys))
    return error


def provider_error(error: BaseException, verdict: Verdict, keys: Iterable[str], reason: str = "") -> ProviderError:
    """What an SDK raised, in the library's terms and without a key.

    Args:
        error: what it raised.
        verdict: what the encoder makes of it.
        keys: the keys that may be in it.
        reason: why nothing more is done about it.
    """
    kind = AccessDeniedError if verdict.action == "denied" else ProviderError
    said = redact(" ".join(str(error).split()), keys)
    said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."
    parts = [type(error).__name__, *filter(None, [said])]
    message = "; ".join([": ".join(parts), *filter(None, [reason])])
    told = kind(message, status=verdict.status, request_id=verdict.request_id)
    told.__cause__ = RedactedError(f"{type(error).__module__}.{type(error).__qualname__}: {said}").with_traceback(
        error.__traceback__
    )
    return told


def _without(value: object, keys: list[str]) -> object:
    if isinstance(value, str):
        return redact(value, keys)
    if isinstance(value, list):  # notes
        return [_without(entry, keys) for entry in value]
    return value
