"""Jina's wire format: `POST /v1/embeddings`, checked model by model against the published schema.

Written after https://api.jina.ai/openapi.json. Of omni models that document says nothing yet; their
audio inputs are taken in the form `{"audio": ...}`, that of Jina's client for SageMaker.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, ClassVar

from llm_multi_core.embedder.encoders import Limits, Pace
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.testing.hosted.openai import media_key
from llm_multi_core.embedder.testing.hosted.wire import (
    Content,
    EmbeddingCall,
    HttpReply,
    HttpRequest,
    Wire,
    WireError,
)

_RETRIEVAL = ("retrieval.query", "retrieval.passage", "text-matching")
_CODE = ("nl2code", "qa", "code2code", "code2nl", "code2completion")
_MEDIA_UNITS = 100
_MEDIA_BYTES = 8_000_000
_MAGIC: Mapping[str, tuple[bytes, ...]] = {
    "image": (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF"),
    "audio": (b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
}


@dataclass(frozen=True, slots=True)
class Schema:
    """What a model takes.

    Attributes:
        dimension: components of its vectors.
        context: the longest input, in tokens; with late chunking that of all inputs together.
        inputs: the kinds of items.
        tasks: the values of `task`.
        fields: names of the body beyond `model`, `input`, `truncate` and `embedding_type`.
    """

    dimension: int
    context: int
    inputs: tuple[str, ...] = ("text",)
    tasks: tuple[str, ...] = ()
    fields: tuple[str, ...] = ("task", "dimensions", "normalized")


_V5_TASKS = (*_RETRIEVAL, "clustering", "classification")
_OMNI = ("text", "image", "audio")
SCHEMAS: Mapping[str, Schema] = {
    "jina-embeddings-v3": Schema(
        1024,
        8192,
        tasks=(*_RETRIEVAL, "classification", "separation"),
        fields=("task", "dimensions", "normalized", "late_chunking"),
    ),
    "jina-embeddings-v4": Schema(
        2048,
        32768,
        ("text", "image"),
        (*_RETRIEVAL, "code.query", "code.passage"),
        ("task", "dimensions", "late_chunking", "return_multivector"),
    ),
    "jina-embeddings-v5-text-small": Schema(1024, 32768, tasks=_V5_TASKS),
    "jina-embeddings-v5-text-nano": Schema(768, 8192, tasks=_V5_TASKS),
    "jina-embeddings-v5-omni-small": Schema(1024, 32768, _OMNI, _V5_TASKS),
    "jina-embeddings-v5-omni-nano": Schema(768, 8192, _OMNI, _V5_TASKS),
    "jina-clip-v2": Schema(1024, 8192, ("text", "image"), ("retrieval.query",)),
    "jina-clip-v1": Schema(768, 8192, ("text", "image"), fields=("normalized",)),
    "jina-embeddings-v2-base-en": Schema(768, 8192, fields=("normalized",)),
    "jina-code-embeddings-1.5b": Schema(
        1536,
        32768,
        tasks=tuple(f"{kind}.{side}" for kind in _CODE for side in ("query", "passage")),
        fields=("task", "dimensions"),
    ),
}
"""The models that the double knows."""


class JinaWire(Wire):
    """Jina's embeddings.

    Args:
        needs_key: whether a key is required, as in the cloud; Jina's containers ask for none.
        schemas: other models than `SCHEMAS`.
    """

    limits: ClassVar[Limits] = Limits(items_per_batch=2048, accepts_empty=False)
    prefix: ClassVar[str] = "/v1"

    def __init__(self, needs_key: bool = True, schemas: Mapping[str, Schema] = SCHEMAS) -> None:
        self.needs_key, self.schemas = needs_key, schemas

    def read(self, request: HttpRequest) -> EmbeddingCall:
        """The call, if every field is one that its model takes."""
        self._check_access(request)
        body = request.json()
        if not isinstance(body, dict):
            raise WireError(422, "the body is no object", "body")
        schema = self.schemas.get(body.get("model", ""))
        if schema is None:
            raise WireError(400, f"Model {body.get('model')!r} not found", "INPUT_MODEL_NOT_FOUND")
        allowed = {"model", "input", "truncate", "embedding_type", *schema.fields}
        if unknown := sorted(set(body) - allowed):
            raise WireError(422, f"{body['model']} takes no {', '.join(unknown)}", f"body -> {unknown[0]}")
        dimension = _checked_parameters(body, schema)
        entries = body.get("input")
        if not isinstance(entries, list) or not entries:
            raise WireError(422, "input is no list of items", "body -> input")
        contents = [_content(entry, schema) for entry in entries]
        late = bool(body.get("late_chunking"))
        _check_lengths(contents, schema, late)
        task = str(body.get("task", ""))
        extra = {"late": late, "base64": body.get("embedding_type") == "base64", "task": task}
        return EmbeddingCall(contents, body["model"], dimension, role=task, extra=extra)

    def vector(self, content: Content, call: EmbeddingCall) -> FloatArray:
        """With late chunking that of the content among all contents of the request."""
        if call.extra.get("late"):
            around = "\0".join(other.key for other in call.contents)
            digest = blake2b(around.encode(), digest_size=16).hexdigest()
            call = replace(call, role=f"{call.role}\0{digest}")
        return super().vector(content, call)

    def write(self, call: EmbeddingCall, vectors: Sequence[FloatArray], order: Sequence[int]) -> HttpReply:
        """Vectors with their indices, as base64 of little-endian float32 or as numbers."""
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(vectors[index].astype("<f4").tobytes()).decode()
                if call.extra["base64"]
                else vectors[index].tolist(),
            }
            for index in order
        ]
        usage = {"total_tokens": call.units, "prompt_tokens": call.units}
        return HttpReply.of_json({"model": call.model, "object": "list", "usage": usage, "data": data})

    def refuse(self, error: WireError, headers: Mapping[str, str] | None = None) -> HttpReply:
        """In one of Jina's three forms: flat for keys, with `errors` for a broken schema, else nested."""
        body: dict[str, Any]
        if error.status == 401:
            body = {"detail": error.message, "request_id": "r401", "code": error.code or "AUTH_INVALID_API_KEY"}
        elif error.status == 422:
            problem = {"field": error.code, "message": error.message, "type": "value_error", "input": None}
            body = {"detail": f"Validation error: {error.message}", "request_id": "r422", "errors": [problem]}
        else:
            code = {"too_long": "INPUT_TOKEN_LIMIT_EXCEEDED"}.get(error.code, error.code or f"ERROR_{error.status}")
            body = {"detail": {"message": error.message, "request_id": f"r{error.status}", "code": code}}
        return HttpReply.of_json(body, error.status, headers)

    def pace_headers(self, pace: Pace) -> Mapping[str, str]:
        """What is left of the limits, and nothing else."""
        left = {"Requests": pace.requests_left, "Tokens": pace.units_left}
        return {f"X-RateLimit-Remaining-{name}": str(value) for name, value in left.items() if value is not None}

    def _check_access(self, request: HttpRequest) -> None:
        if (request.method, request.path) != ("POST", "/v1/embeddings"):
            raise WireError(404, f"no {request.method} {request.path} here", "RESOURCE_NOT_FOUND")
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise WireError(415, "the body is not said to be JSON")
        authorization = request.headers.get("authorization")
        if authorization is None and self.needs_key:
            raise WireError(401, "Authentication required", "AUTH_MISSING_API_KEY")
        if authorization is not None and not authorization.removeprefix("Bearer ").strip():
            raise WireError(401, "Invalid authorization format", "AUTH_INVALID_FORMAT")


def _checked_parameters(body: Mapping[str, Any], schema: Schema) -> int:
    """The dimension asked for; all parameters have been found in order."""
    for name in ("truncate", "normalized", "late_chunking", "return_multivector"):
        if not isinstance(body.get(name, False), bool):
            raise WireError(422, f"{name} is no boolean", f"body -> {name}")
    if body.get("embedding_type", "float") not in ("float", "base64"):
        raise WireError(422, "the double gives float and base64 only", "body -> embedding_type")
    if body.get("task") is not None and body["task"] not in schema.tasks:
        raise WireError(422, f"task {body['task']!r} is not one of {', '.join(schema.tasks)}", "body -> task")
    dimension = body.get("dimensions", schema.dimension)
    if not isinstance(dimension, int) or isinstance(dimension, bool) or not 0 < dimension <= schema.dimension:
        raise WireError(422, f"dimensions {dimension!r} is not from 1 to {schema.dimension}", "body -> dimensions")
    return dimension


def _content(entry: Any, schema: Schema) -> Content:
    kind = next(iter(entry)) if isinstance(entry, dict) and len(entry) == 1 else ""
    if kind not in schema.inputs or not isinstance(entry[kind], str):
        raise WireError(422, f"an input is no object of one of {', '.join(schema.inputs)}", "body -> input")
    if kind == "text":
        text: str = entry[kind]
        return Content(text, max(1, len(text.split())), len(text.encode()))
    try:
        data = base64.b64decode(entry[kind], validate=True)
    except binascii.Error:
        raise WireError(400, f"an {kind} is not base64", "INPUT_INVALID_MEDIA") from None
    if not data.startswith(_MAGIC[kind]):
        raise WireError(400, f"an {kind} is in no known format", "INPUT_INVALID_MEDIA")
    if len(data) > _MEDIA_BYTES:
        raise WireError(413, f"an {kind} has {len(data)} bytes, and {_MEDIA_BYTES} are the most")
    return Content(media_key(data), _MEDIA_UNITS, len(data), kind)


def _check_lengths(contents: Sequence[Content], schema: Schema, late: bool) -> None:
    texts = [content.units for content in contents if content.modality == "text"]
    longest = sum(texts) if late else max(texts, default=0)
    if longest > schema.context:
        message = f"Input text exceeds the model's maximum of {schema.context} tokens"
        raise WireError(400, message, "too_long")
    if late and len(texts) < len(contents):
        raise WireError(422, "late chunking works with texts only", "body -> input")
