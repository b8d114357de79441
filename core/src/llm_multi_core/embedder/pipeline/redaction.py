"""Keeping keys out of what a provider's SDK says when it fails."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from llm_multi_core.embedder.encoders import Verdict
from llm_multi_core.embedder.errors import AccessDeniedError, ProviderError

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
        for form in {key, quote(key, safe=""), repr(key)[1:-1]}:
            text = text.replace(form, MASK)
    text = _PATTERNS[0].sub(rf"\1 {MASK}", text)
    return _PATTERNS[1].sub(rf"\1\2{MASK}", text)


def provider_error(error: BaseException, verdict: Verdict, keys: Iterable[str]) -> ProviderError:
    """What an SDK raised, in the library's terms and without a key."""
    if isinstance(error, ProviderError):
        return error
    keys = list(keys)
    kind = AccessDeniedError if verdict.action == "denied" else ProviderError
    said = redact(" ".join(str(error).split()), keys)
    said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."
    told = kind(f"{type(error).__name__}: {said}", status=verdict.status, request_id=verdict.request_id)
    told.__cause__ = RedactedError(f"{type(error).__module__}.{type(error).__qualname__}: {said}").with_traceback(
        error.__traceback__
    )
    return told
