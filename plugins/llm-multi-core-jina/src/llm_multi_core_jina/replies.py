"""Reading what Jina answers: vectors, usage, refusals. Sends nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import Reply, Usage, Verdict
from llm_multi_core.embedder.hosted import RefusedError, read_pace, read_vectors

if TYPE_CHECKING:
    import httpx

TOO_LONG = "INPUT_TOKEN_LIMIT_EXCEEDED"
_FATAL = frozenset({"INPUT_MODEL_NOT_FOUND", "AUTHZ_INSUFFICIENT_BALANCE", "AUTHZ_RESOURCE_LIMIT_EXCEEDED"})
_LONGEST = 300
"""Characters of a reply in no known form that a message repeats."""


class JinaAPIError(RefusedError):
    """Jina refused a request, or failed. `reason` is Jina's own code (`"AUTH_INVALID_API_KEY"`), if it gave one."""


def verdict_of(error: JinaAPIError) -> Verdict:
    """What to do about a refusal."""
    return error.verdict(too_long=error.reason == TOO_LONG, fatal=error.reason in _FATAL)


def read_reply(response: httpx.Response, count: int) -> Reply:
    """The vectors of a reply to `count` inputs, in their order.

    Raises:
        JinaAPIError: for a refusal.
        JSONDecodeError: for a reply that was cut.
        InvalidOutputError: for one that does not hold a vector for each input.
    """
    if response.is_error or response.is_redirect:
        raise read_refusal(response.status_code, response.headers, response.content)
    vectors = read_vectors(response.content, count)
    return Reply(vectors.rows, Usage(vectors.tokens), read_pace(response.headers))


def read_refusal(status: int, headers: Mapping[str, str], content: bytes) -> JinaAPIError:
    """The error behind a refusal, whose body has one of three forms: flat, nested, or with a list of errors."""
    try:
        body: Any = json.loads(content)
    except ValueError:
        body = content.decode(errors="replace")[:_LONGEST]
    detail = body.get("detail", body) if isinstance(body, dict) else body
    source: Mapping[str, Any] = detail if isinstance(detail, dict) else body if isinstance(body, dict) else {}
    said = source.get("message") or (detail if isinstance(detail, str) else json.dumps(detail)[:_LONGEST])
    reason, request_id = source.get("code") or "", source.get("request_id")
    problems = body.get("errors") if isinstance(body, dict) else None
    problems = problems if isinstance(problems, list) else []
    fields = [str(problem.get("field", "")).split(" -> ") for problem in problems if isinstance(problem, dict)]
    return JinaAPIError(
        f"Jina answered {status}{f' {reason}' if reason else ''}: {said}",
        status_code=status,
        headers=headers,
        reason=str(reason),
        request_id=None if request_id is None else str(request_id),
        fields=fields,
    )
