"""What the errors of OpenAI's API, and of servers that speak it, mean beyond their HTTP status."""

from __future__ import annotations

import re
from typing import Any

from llm_multi_core.embedder import Verdict
from llm_multi_core.embedder.hosted import headers_of, status_of

_OUT_OF_MONEY = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
    }
)
"""429s that no waiting helps (https://developers.openai.com/api/docs/guides/error-codes)."""
_NO_SUCH_MODEL = frozenset({"model_not_found", "DeploymentNotFound", "unsupported_country_region_territory"})
_OF_EVERY_REQUEST = frozenset({"model", "dimensions", "encoding_format", "user", "extra_body"})
"""Parameters that are the same in all requests, so that no smaller one would fare better."""
_TOO_LONG = re.compile(
    r"maximum (context|input) length|context[ _]length[ _]exceeded|maximum context|exceeds? the context length"
    r"|`?inputs`? must have less than|n_ctx|input is too (long|large)|longer than the maximum model length"
    r"|longer than \d+ seconds|too many (input )?tokens for",
    re.IGNORECASE,
)
"""How OpenAI, vLLM, text-embeddings-inference, Ollama and llama.cpp say that an input is too long."""
_UNSUPPORTED = re.compile(
    r"dimensions?\b.{0,40}\bnot support|not support.{0,40}\bdimensions?\b|matryoshka|encoding_format"
    r"|unrecognized request argument|extra inputs are not permitted|unsupported_?(parameter|value)",
    re.IGNORECASE,
)


def verdict_of(error: Exception) -> Verdict | None:
    """What to do about an error that OpenAI's own codes explain; `None` leaves it to its HTTP status."""
    status = status_of(error)
    if status is None:
        return None
    request_id = headers_of(error).get("x-request-id")
    code, kind, param = (str(getattr(error, name, None) or "") for name in ("code", "type", "param"))
    said = _message(error)
    if code in _OUT_OF_MONEY or kind in _OUT_OF_MONEY or code in _NO_SUCH_MODEL:
        return Verdict("fatal", status=status, request_id=request_id)
    if status not in {400, 413, 422}:
        return None
    if code == "context_length_exceeded" or _TOO_LONG.search(said):
        return Verdict("shorten", status=status, request_id=request_id)
    if param in _OF_EVERY_REQUEST or code.startswith(("unsupported_", "unknown_param")) or _UNSUPPORTED.search(said):
        return Verdict("fatal", status=status, request_id=request_id)
    return None


def _message(error: Any) -> str:
    return f"{getattr(error, 'message', '')} {getattr(error, 'body', '')}"
