"""What Cohere answers instead of vectors, and what that means for the request.

Statuses and messages: https://docs.cohere.com/reference/errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llm_multi_core.embedder.encoders import Verdict
from llm_multi_core.embedder.hosted import classify_status

DENY_LISTED = 498
"""A text holds a token that Cohere refuses; nothing to do with keys."""
CANCELLED = 499
NOT_IMPLEMENTED = 501

_TOO_LONG = re.compile(
    r"too many tokens|too long|(?:exceed|longer than|maximum|at most)[^.]*\btokens?\b", re.IGNORECASE
)
_WHOLE_REQUEST = re.compile(
    r"input_type|output_dimension|embedding_types|truncate must|model parameter|api version|unknown field"
    r"|not supported (?:by|for|with)|matryoshka",
    re.IGNORECASE,
)
"""In what was refused for a setting, which halves of the request have as well."""
_MONTH = re.compile(r"calls? ?/ ?month|(?:per|a|this) month|monthly", re.IGNORECASE)
_HINTS = {
    401: "; check api_key=, or the variable CO_API_KEY",
    403: "; the key may not use this model",
    DENY_LISTED: "; it refuses what a text holds",
}


class CohereError(Exception):
    """A reply without vectors.

    The SDK's own errors print all headers of the reply before they come to the message.

    Attributes:
        status_code: the HTTP status; below 300 for a reply that cannot be read.
        message: what Cohere says.
        headers: of the reply, names in lower case.
    """

    def __init__(self, status_code: int, message: str, headers: Mapping[str, str]) -> None:
        super().__init__(f"{message} (HTTP {status_code}){_HINTS.get(status_code, '')}")
        self.status_code, self.message, self.headers = status_code, message, dict(headers)

    @classmethod
    def of(cls, status_code: int | None, body: Any, headers: Mapping[str, str] | None) -> CohereError:
        """From what the SDK's errors carry."""
        lowered = {name.lower(): value for name, value in (headers or {}).items()}
        status = status_code or 0
        message = "the reply cannot be read as JSON" if status < 300 else _message_in(body)
        return cls(status, message, lowered)

    def verdict(self) -> Verdict:
        """What to do about it."""
        verdict = classify_status(self.status_code, self.headers)
        return replace(
            verdict,
            action=self._action() or verdict.action,
            status=self.status_code if self.status_code >= 400 else None,
            request_id=verdict.request_id or self.headers.get("x-debug-trace-id"),
        )

    def _action(self) -> Any:
        """Where Cohere's statuses and messages say more than HTTP's."""
        status = self.status_code
        if status < 400 or status == CANCELLED:
            return "retry"
        if status == DENY_LISTED:
            return "split"
        if status == NOT_IMPLEMENTED or (status == 429 and _MONTH.search(self.message)):
            return "fatal"
        if status in {400, 422} and _TOO_LONG.search(self.message):
            return "shorten"
        if status in {400, 422} and _WHOLE_REQUEST.search(self.message):
            return "fatal"
        return None


def _message_in(body: Any) -> str:
    """The message in a refusal: Cohere's own, or that of a server or gateway that speaks its API."""
    found = body
    for _ in range(2):
        if isinstance(found, Mapping):
            found = next((found[name] for name in ("message", "error", "detail") if found.get(name)), None)
    return " ".join(str(found).split()) if found else "refused without a message"
