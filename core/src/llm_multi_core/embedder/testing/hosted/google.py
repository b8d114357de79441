"""Google's embedding methods: `batchEmbedContents` and `embedContent` of the Gemini API, `embedContent` and
`predict` of Vertex AI, and the token endpoint that service accounts ask.

Schema and limits are those of https://ai.google.dev/api/embeddings, https://ai.google.dev/gemini-api/docs/embeddings,
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/models/gemini/embedding-2 and
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/embeddings/get-text-embeddings. Tokens of text are words
here. What the service would cut in silence, the double refuses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from llm_multi_core.embedder.encoders import Limits, Pace
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.testing.hosted.google_contents import (
    ReadContent,
    ServedModel,
    entries_of,
    known_fields,
    read_content,
    read_whole,
    require,
)
from llm_multi_core.embedder.testing.hosted.wire import (
    Content,
    EmbeddingCall,
    HttpReply,
    HttpRequest,
    Wire,
    WireError,
)

ACCESS_TOKEN = "loopback-access-token"  # noqa: S105 - what the double itself hands out
"""What the token endpoint, `POST /token`, gives, and what Vertex AI then takes."""
TASK_TYPES = (
    "TASK_TYPE_UNSPECIFIED",
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
)
"""In the order of their numbers, which JSON of protocol buffers may hold instead of the names."""
SERVED = (
    ServedModel("gemini-embedding-001", 3072, 128, 2048),
    ServedModel("gemini-embedding-2", 3072, 128, 8192, multimodal=True),
    ServedModel("text-embedding-005", 768, 1, 2048, only_vertex=True),
)
BATCH_REQUESTS = 100
PREDICT_INSTANCES, PREDICT_TOKENS = 250, 20_000
IMAGES_PER_REQUEST = 6
TEXT_PAYLOAD, MEDIA_PAYLOAD = 4_194_304, 20_000_000
"""Most bytes of a body without and with media."""
AUDIO_SECONDS = {"gemini": 180.0, "vertex": 80.0}

_GEMINI = re.compile(r"/v1(?:beta)?/models/(?P<model>[\w.-]+):(?P<method>\w+)")
_VERTEX = re.compile(
    r"/v1(?:beta1)?/(?P<place>projects/[\w-]+/locations/[\w-]+/)?publishers/google/models/(?P<model>[\w.-]+)"
    r":(?P<method>\w+)"
)
_CONFIG = {"taskType", "title", "outputDimensionality"}
_VERTEX_CONFIG = _CONFIG | {"autoTruncate", "documentOcr", "audioTrackExtraction"}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class GeminiWire(Wire):
    """The Gemini API and Vertex AI, told apart by the path of a request."""

    limits: ClassVar[Limits] = Limits(
        units_per_item=8192, items_per_batch=PREDICT_INSTANCES, padded=False, accepts_empty=False
    )

    def read(self, request: HttpRequest) -> EmbeddingCall | HttpReply:
        """The call behind a request to one of the methods, or a token."""
        if request.path == "/token":
            return HttpReply.of_json({"access_token": ACCESS_TOKEN, "expires_in": 3600, "token_type": "Bearer"})
        require(request.method == "POST", f"{request.method} is not POST", 405)
        if found := _GEMINI.fullmatch(request.path):
            _authorise_gemini(request)
            return _read_gemini(found["model"], found["method"], request)
        if found := _VERTEX.fullmatch(request.path):
            _authorise_vertex(request, bool(found["place"]))
            return _read_vertex(found["model"], found["method"], request)
        raise WireError(404, f"there is nothing at {request.path}")

    def write(self, call: EmbeddingCall, vectors: Sequence[FloatArray], order: Sequence[int]) -> HttpReply:
        """The vectors in the order of the contents, which is the only one that these replies have."""
        values = [vector.tolist() for vector in vectors]
        usage = {"promptTokenCount": call.units}
        if call.extra["method"] == "predict":
            counts = [content.units for content in call.contents]
            return HttpReply.of_json(
                {
                    "predictions": [
                        {"embeddings": {"values": entry, "statistics": {"truncated": False, "token_count": count}}}
                        for entry, count in zip(values, counts, strict=False)
                    ]
                }
            )
        if call.extra["method"] == "embedContent":
            tokens = call.extra["tokens"]
            details = [{"modality": name.upper(), "tokenCount": count} for name, count in tokens.items()]
            single = {"embedding": {"values": values[0]}} if values else {}
            return HttpReply.of_json({**single, "usageMetadata": {**usage, "promptTokensDetails": details}})
        return HttpReply.of_json({"embeddings": [{"values": entry} for entry in values], "usageMetadata": usage})

    def refuse(self, error: WireError, headers: Mapping[str, str] | None = None) -> HttpReply:
        """`google.rpc.Status` in JSON. What to wait stands in its details, not in a header."""
        headers = dict(headers or {})
        status, message, details = error.status, error.message, list[dict[str, Any]]()
        if status == 401:  # what an unknown key meets
            status, message = 400, "API key not valid. Please pass a valid API key."
            details.append(_error_info("API_KEY_INVALID"))
        if error.code == "too_long":
            message = f"The input token count exceeds the maximum number of tokens allowed: {message}"
        if status == 429:
            details.append(_quota_failure("EmbedContentRequestsPerMinutePerProjectPerModel"))
        wait = headers.pop("retry-after", None)
        if wait is not None:
            details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait}s"})
        name = error.code if error.code.isupper() else _STATUSES.get(status, "UNKNOWN")
        body: dict[str, Any] = {"code": status, "message": message, "status": name}
        if details:
            body["details"] = details
        return HttpReply.of_json({"error": body}, status, headers)

    def pace_headers(self, pace: Pace) -> Mapping[str, str]:
        """None: Google's replies do not tell of limits."""
        return {}

    def vector(self, content: Content, call: EmbeddingCall) -> FloatArray:
        """The first components of the model's full vector; of length 1 only where the service makes it so."""
        model = _served(call.model)
        full = EmbeddingCall(call.contents, call.model, model.dimension, call.role)
        vector = super().vector(content, full)[: call.dimension]
        if model.multimodal:
            vector = (vector / np.linalg.norm(vector)).astype(np.float32)
        return vector


def daily_quota() -> dict[str, Any]:
    """The detail of a 429 that says that the requests of a day are used up."""
    return _quota_failure("EmbedContentRequestsPerDayPerUserPerProjectPerModel-FreeTier")


def _quota_failure(quota: str) -> dict[str, Any]:
    violation = {"quotaMetric": "generativelanguage.googleapis.com/embed_content_requests", "quotaId": quota}
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}


def _error_info(reason: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def _authorise_gemini(request: HttpRequest) -> None:
    given = request.headers.get("x-goog-api-key") or request.query.get("key")
    require(bool(given), "Method doesn't allow unregistered callers. Please use API Key.", 403)
    known_fields(request.query, {"key", "$alt"}, "the query")


def _authorise_vertex(request: HttpRequest, in_project: bool) -> None:
    """A token where the path names a project; without one, a key ("express mode")."""
    authorised = request.headers.get("authorization") == f"Bearer {ACCESS_TOKEN}"
    if in_project or not request.headers.get("x-goog-api-key"):
        require(authorised, "Request is missing required authentication credential.", 403)


def _served(name: str) -> ServedModel:
    return next(model for model in SERVED if model.name == name)


def _model(name: str, method: str, vertex: bool) -> ServedModel:
    for model in SERVED:
        if model.name == name and (vertex or not model.only_vertex):
            return model
    raise WireError(404, f"models/{name} is not found for this API version, or is not supported for {method}.")


def _read_gemini(name: str, method: str, request: HttpRequest) -> EmbeddingCall:
    model = _model(name, method, vertex=False)
    body = read_whole(request)
    if method == "batchEmbedContents":
        known_fields(body, {"requests", "model"}, "the body")
        entries = entries_of(body, "requests")
    elif method == "embedContent":
        entries = [body]
    else:
        raise WireError(404, f"there is no method {method}")
    most = BATCH_REQUESTS
    require(len(entries) <= most, f"* BatchEmbedContentsRequest.requests: at most {most} requests can be in one batch")
    contents, configs = [], []
    for number, given in enumerate(entries):
        where = f"requests[{number}]"
        entry = known_fields(given, {"content", "model", *_CONFIG}, where)
        if method == "batchEmbedContents" or "model" in entry:
            require(entry.get("model") == f"models/{name}", f"{where}.model is {entry.get('model')!r}")
        contents.append(read_content(entry.get("content"), model, where, AUDIO_SECONDS["gemini"]))
        configs.append({key: entry[key] for key in _CONFIG if key in entry})
    return _call(model, method, contents, configs, request)


def _read_vertex(name: str, method: str, request: HttpRequest) -> EmbeddingCall:
    model = _model(name, method, vertex=True)
    body = read_whole(request)
    if method == "predict":
        return _read_predict(model, body, request)
    # The batch method is in no documentation and is reported to answer 404, though the SDK can send it.
    require(method == "embedContent", f"there is no method {method}", 404)
    require(model.name.startswith("gemini"), "Precondition check failed.", 400, "FAILED_PRECONDITION")
    body = known_fields(body, {"content", "embedContentConfig", *_VERTEX_CONFIG}, "the body")
    nested = known_fields(body.get("embedContentConfig", {}), _VERTEX_CONFIG, "embedContentConfig")
    config = {**nested, **{key: body[key] for key in _VERTEX_CONFIG if key in body}}
    content = read_content(body.get("content"), model, "the body", AUDIO_SECONDS["vertex"])
    return _call(model, method, [content], [config], request)


def _read_predict(model: ServedModel, body: Mapping[str, Any], request: HttpRequest) -> EmbeddingCall:
    require(not model.multimodal, "Precondition check failed.", 400, "FAILED_PRECONDITION")
    known_fields(body, {"instances", "parameters"}, "the body")
    instances = entries_of(body, "instances")
    most = 1 if model.name.startswith("gemini") else PREDICT_INSTANCES
    require(len(instances) <= most, f"{len(instances)} instance(s) is not allowed. Maximum allowed is {most}.")
    parameters = known_fields(body.get("parameters", {}), {"outputDimensionality", "autoTruncate"}, "parameters")
    contents, configs = [], []
    for number, given in enumerate(instances):
        where = f"instances[{number}]"
        instance = known_fields(given, {"content", "taskType", "title", "mimeType"}, where)
        part = {"parts": [{"text": instance.get("content")}]}
        contents.append(read_content(part, model, where, 0.0))
        own = {key: instance[key] for key in ("taskType", "title") if key in instance}
        configs.append(parameters | own)
    total = sum(entry.content.units for entry in contents)
    require(total <= PREDICT_TOKENS, f"input token count is {total} but the model supports up to {PREDICT_TOKENS}")
    return _call(model, "predict", contents, configs, request)


def _call(
    model: ServedModel,
    method: str,
    read: Sequence[ReadContent],
    configs: Sequence[Mapping[str, Any]],
    request: HttpRequest,
) -> EmbeddingCall:
    config = configs[0]
    require(all(other == config for other in configs), "the double takes one configuration for a whole batch")
    task = config.get("taskType", "")
    task = TASK_TYPES[task] if isinstance(task, int) and 0 <= task < len(TASK_TYPES) else task
    require(task in ("", *TASK_TYPES), f"taskType {task!r} is none of {', '.join(TASK_TYPES)}")
    require(not (task and model.multimodal), f"taskType has no effect with {model.name}")
    require("title" not in config or task == "RETRIEVAL_DOCUMENT", "title is for RETRIEVAL_DOCUMENT only")
    for name in ("autoTruncate", "documentOcr", "audioTrackExtraction"):
        require(isinstance(config.get(name, False), bool), f"{name} is not a boolean")
    dimension = config.get("outputDimensionality", model.dimension)
    whole = isinstance(dimension, int) and not isinstance(dimension, bool)
    require(
        whole and model.fewest <= dimension <= model.dimension,
        f"output_dimensionality={dimension!r} is not between {model.fewest} and {model.dimension}",
    )
    contents = [entry.content for entry in read]
    images = sum(entry.images for entry in read)
    require(images <= IMAGES_PER_REQUEST, f"{images} images, and {IMAGES_PER_REQUEST} are the most")
    payload = TEXT_PAYLOAD if all(content.modality == "text" for content in contents) else MEDIA_PAYLOAD
    require(len(request.body) <= payload, f"Request payload size exceeds the limit: {payload} bytes.")
    longest = max(content.units for content in contents)
    require(longest <= model.max_tokens, f"{longest}, and {model.max_tokens} are the most", 400, "too_long")
    extra = {"method": method, "tokens": sum((entry.tokens for entry in read), Counter[str]())}
    return EmbeddingCall(contents, model.name, dimension, f"{task}|{config.get('title', '')}", extra)
