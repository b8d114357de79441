"""What NIM says when it refuses: OpenAI's SDK looks for it where OpenAI writes it, and NIM writes it elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from openai import APIStatusError

from llm_multi_core.embedder import Verdict
from llm_multi_core.embedder.hosted import RefusedError

_TOO_LONG = re.compile(
    r"exceeds (the )?maximum allowed (token|input)|maximum (context|sequence|input) length", re.IGNORECASE
)
_OF_SETTINGS = re.compile(
    r"dimensions?\b.{0,60}\bnot support|not support.{0,60}\bdimensions?\b|'?input_type'? (parameter|is|field)",
    re.IGNORECASE,
)
_REFUSED_BODIES = frozenset({400, 413, 422})
_LONGEST = 300
"""Characters of a reply in no known form that a message repeats."""


class NimError(RefusedError):
    """NIM, or NVIDIA's gateway before it, refused a request or failed."""


def read_refusal(error: APIStatusError) -> NimError:
    """What the SDK's error holds, in NIM's own words: a message, a problem document, or a list of broken fields."""
    headers: Mapping[str, str] = error.response.headers
    said, fields = _read(error.body)
    return NimError(
        f"NVIDIA answered {error.status_code}: {said}",
        status_code=error.status_code,
        headers=headers,
        request_id=error.request_id or headers.get("nvcf-reqid"),
        fields=fields,
    )


def verdict_of(error: NimError) -> Verdict:
    """What to do about a refusal."""
    if error.status_code not in _REFUSED_BODIES:
        return error.verdict()
    said = str(error)
    return error.verdict(too_long=bool(_TOO_LONG.search(said)), fatal=bool(_OF_SETTINGS.search(said)))


def _read(body: Any) -> tuple[str, Sequence[Sequence[str]]]:
    """What a body says, without the inputs that it may repeat, and the paths of fields that it finds wrong."""
    if not isinstance(body, Mapping):
        return (body if isinstance(body, str) else json.dumps(body))[:_LONGEST], []
    detail = body.get("detail")
    if detail and isinstance(detail, list):
        problems = [problem for problem in detail if isinstance(problem, Mapping)]
        fields = [[str(step) for step in problem.get("loc", ())] for problem in problems]
        told = zip(fields, problems, strict=True)
        return "; ".join(f"{' -> '.join(path)}: {problem.get('msg', '')}" for path, problem in told), fields
    said = body.get("message") or detail or body.get("title")
    return str(said or json.dumps(body)[:_LONGEST]), []
