"""What Google's refusals mean. Reads `google.rpc.Status` in JSON, as both SDKs' errors carry it; imports neither."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llm_multi_core.embedder.encoders import Verdict
from llm_multi_core.embedder.hosted import seconds_of, status_of

_TOO_LONG = re.compile(r"(?i)\btoken count\b|\bnumber of tokens\b|\btoo many tokens\b")
_BY_KIND = {
    "DefaultCredentialsError": Verdict("fatal"),  # there are none; whoever sets them up may call again
    "RefreshError": Verdict("denied"),
    "ParseError": Verdict("retry"),  # of protocol buffers: a reply that was cut or garbled
}
"""By the names of classes that carry no HTTP status."""


def classify(error: BaseException) -> Verdict | None:
    """The verdict on an error that says more than its HTTP status does; `None` for any other."""
    for kind in type(error).__mro__:
        if kind.__name__ in _BY_KIND:
            return _BY_KIND[kind.__name__]
    status = status_of(error)
    if status is None:
        return None
    body = _body_of(error)
    message, name = str(body.get("message", "")), body.get("status")
    details = body.get("details")
    details = [entry for entry in details if isinstance(entry, Mapping)] if isinstance(details, list) else []
    if status == 429 and _spent_for_the_day(details):
        return Verdict("fatal", status=status)
    if status == 429 or status >= 500:
        after = next((seconds_of(str(entry["retryDelay"])) for entry in details if "retryDelay" in entry), None)
        return None if after is None else Verdict("retry", after, limited=status == 429, status=status)
    if status != 400:
        return None
    if any(str(entry.get("reason", "")).startswith("API_KEY_") for entry in details) or "API key" in message:
        return Verdict("denied", status=status)
    if name == "FAILED_PRECONDITION":  # no billing, a region that is not served, a method that a model lacks
        return Verdict("fatal", status=status)
    return Verdict("shorten", status=status) if _TOO_LONG.search(message) else None


def _body_of(error: BaseException) -> Mapping[str, Any]:
    """The `google.rpc.Status` of an error; empty where there is none."""
    body = getattr(error, "details", None)
    if not isinstance(body, Mapping):
        read = getattr(getattr(error, "response", None), "json", None)
        try:
            body = read() if callable(read) else None
        except ValueError:  # not JSON
            return {}
    if isinstance(body, list) and body:  # as some gateways of Google wrap it
        body = body[0]
    if not isinstance(body, Mapping):
        return {}
    inner = body.get("error", body)
    return inner if isinstance(inner, Mapping) else {}


def _spent_for_the_day(details: list[Mapping[str, Any]]) -> bool:
    violations = [entry for detail in details for entry in detail.get("violations", ()) if isinstance(entry, Mapping)]
    return any("PerDay" in str(entry.get("quotaId", "")) for entry in violations)
