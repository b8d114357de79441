"""OpenAI's wire format: embeddings, chat completions that caption a picture, transcriptions; and Azure's.

Follows https://developers.openai.com/api/reference; other providers that speak it subclass `OpenAIWire`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from typing import Any, ClassVar

from llm_multi_core.embedder.encoders import Limits
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.testing.hosted.multipart import FormPart, read_form
from llm_multi_core.embedder.testing.hosted.schema import Kinds, check_choice, check_fields, object_of
from llm_multi_core.embedder.testing.hosted.wire import (
    Content,
    EmbeddingCall,
    HttpReply,
    HttpRequest,
    Wire,
    WireError,
)

MAX_FILE_BYTES = 25 * 1024 * 1024
"""The largest recording that is taken."""
BYTES_PER_SECOND = 32_000
"""What the double takes for a second of any recording, since it decodes none."""
IMAGE_TOKENS = 85
"""What the double counts for a picture."""

_DATA_URL = re.compile(r"data:(image/(?:png|jpeg|webp|gif));base64,(.+)", re.DOTALL)
_SUFFIXES = ("flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_TYPES = {401: "authentication_error", 404: "invalid_request_error", 429: "requests", 500: "server_error"}


@dataclass(frozen=True, slots=True)
class ServedModel:
    """An embedding model: its native dimension, and whether `dimensions` may ask for another."""

    dimension: int
    shortens: bool = False


def media_key(data: bytes) -> str:
    """What a picture or recording is known by: a hash of its file's bytes."""
    return blake2b(data, digest_size=8).hexdigest()


def caption_of(data: bytes) -> str:
    """What the double's vision models say of a picture."""
    return f"A picture known as {media_key(data)}."


def transcript_of(data: bytes) -> str:
    """What the double's transcription models hear in a recording."""
    return f"Somebody says {media_key(data)}."


class OpenAIWire(Wire):
    """OpenAI's API.

    Args:
        models: the embedding models that are served, by name; OpenAI's own by default.
        base64: whether `encoding_format="base64"` is understood; servers that do not refuse it.
        blank: keys (`media_key`) of media for which caption and transcript come back empty.
        refused: keys of media that are refused, as by a content policy.
    """

    limits = Limits(
        units_per_item=8192, items_per_batch=2048, units_per_batch=300_000, padded=False, accepts_empty=False
    )
    prefix = "/v1"
    models: Mapping[str, ServedModel] = {
        "text-embedding-3-small": ServedModel(1536, shortens=True),
        "text-embedding-3-large": ServedModel(3072, shortens=True),
        "text-embedding-ada-002": ServedModel(1536),
    }
    embedding_fields: ClassVar[Mapping[str, Kinds]] = {
        "input": (str, list),
        "model": str,
        "dimensions": int,
        "encoding_format": str,
        "user": str,
    }
    chat_fields: ClassVar[Mapping[str, Kinds]] = {
        "messages": list,
        "model": str,
        "max_completion_tokens": int,
        "reasoning_effort": str,
        "temperature": (int, float),
        "seed": int,
        "user": str,
    }
    transcription_fields: ClassVar[Collection[str]] = (
        "file", "model", "response_format", "language", "prompt", "temperature", "languages[]", "keywords[]",
    )  # fmt: skip

    def __init__(
        self,
        models: Mapping[str, ServedModel] | None = None,
        *,
        base64: bool = True,
        blank: Collection[str] = (),
        refused: Collection[str] = (),
    ) -> None:
        self.models = models or type(self).models
        self.base64, self.blank, self.refused = base64, blank, refused
        self._numbers = count(1)

    def read(self, request: HttpRequest) -> EmbeddingCall | HttpReply:
        """An embedding call, or the reply to a chat or transcription request."""
        self.authenticate(request)
        endpoint, deployment = self.route(request)
        if request.method != "POST":
            raise WireError(405, f"Not allowed to {request.method} on {request.path}", "method_not_supported")
        if endpoint == "/embeddings":
            return self.read_embeddings(object_of(request.json()), deployment)
        if endpoint == "/chat/completions":
            return self._chat(object_of(request.json()))
        if endpoint == "/audio/transcriptions":
            return self._transcribe(read_form(request))
        raise WireError(404, f"Invalid URL ({request.method} {request.path})")

    def authenticate(self, request: HttpRequest) -> None:
        """Refuse a request without a key.

        Raises:
            WireError: 401.
        """
        if not request.headers.get("authorization", "").removeprefix("Bearer "):
            raise WireError(401, "You didn't provide an API key.", "invalid_api_key")

    def route(self, request: HttpRequest) -> tuple[str, str | None]:
        """The endpoint that a request is for, and the model where the path names it."""
        return request.path.removeprefix(self.prefix), None

    def read_embeddings(self, body: dict[str, Any], name: str | None) -> EmbeddingCall:
        """The call that a body is, for the model that it or the path names."""
        check_fields(body, self.embedding_fields, ("input",) if name else ("input", "model"))
        name = name or str(body["model"])
        model = self.models.get(name)
        if model is None:
            raise WireError(
                404, f"The model `{name}` does not exist or you do not have access to it.", "model_not_found"
            )
        encoding = body.get("encoding_format", "float")
        check_choice("encoding_format", encoding, ("float", "base64") if self.base64 else ("float",))
        dimension = body.get("dimensions", model.dimension)
        if "dimensions" in body and not model.shortens:
            raise WireError(400, "This model does not support specifying dimensions.", "unsupported_dimensions")
        if not 1 <= dimension <= model.dimension:
            raise WireError(400, f"Invalid value for 'dimensions' = {dimension}.", "invalid_value")
        contents = self.contents(body["input"])
        self._check_lengths(contents)
        return EmbeddingCall(contents, name, dimension, self.role(body), {"encoding": encoding})

    def role(self, body: Mapping[str, Any]) -> str:
        """Everything else in a body that changes vectors; OpenAI has nothing of the kind."""
        return ""

    def contents(self, value: Any) -> list[Content]:
        """The inputs: a text, a list of texts, a list of tokens, or a list of lists of tokens."""
        if isinstance(value, str) or (value and all(isinstance(token, int) for token in value)):
            value = [value]
        if not value:
            raise WireError(400, "'$.input' is invalid: it is empty.", "empty")
        return [self.content(entry) for entry in value]

    def content(self, entry: Any) -> Content:
        """One input."""
        if isinstance(entry, str):
            return Content(entry, max(1, len(entry.split())), len(entry.encode()))
        if isinstance(entry, list) and all(isinstance(token, int) for token in entry):
            return Content(f"tokens {entry}" if entry else "", len(entry), 0)
        raise WireError(400, "'$.input' is invalid.", "invalid_type")

    def _check_lengths(self, contents: Sequence[Content]) -> None:
        """The messages that OpenAI has for what is too long; the server would refuse it as well."""
        limit, total = self.limits.units_per_item, sum(content.units for content in contents)
        longest = max(content.units for content in contents)
        if limit is not None and longest > limit:
            raise WireError(
                400,
                f"This model's maximum context length is {limit} tokens, however you requested {longest} tokens "
                f"({longest} in your prompt; 0 for the completion). Please reduce your prompt; or completion length.",
            )
        if self.limits.units_per_batch is not None and total > self.limits.units_per_batch:
            raise WireError(
                400,
                f"Requested {total} tokens, max {self.limits.units_per_batch} tokens per request",
                "max_tokens_per_request",
            )

    def write(self, call: EmbeddingCall, vectors: Sequence[FloatArray], order: Sequence[int]) -> HttpReply:
        """A list of embeddings in the encoding that was asked for, and the usage."""
        data = [
            {"object": "embedding", "index": place, "embedding": self._encoded(vectors[place], call)} for place in order
        ]
        usage = {"prompt_tokens": call.units, "total_tokens": call.units}
        return self._reply({"object": "list", "data": data, "model": call.model, "usage": usage})

    @staticmethod
    def _encoded(vector: FloatArray, call: EmbeddingCall) -> str | list[float]:
        if call.extra["encoding"] == "base64":
            return base64.b64encode(vector.astype("<f4").tobytes()).decode()
        values: list[float] = vector.tolist()
        return values

    def refuse(self, error: WireError, headers: Mapping[str, str] | None = None) -> HttpReply:
        """An error object."""
        code = error.code or {401: "invalid_api_key", 429: "rate_limit_exceeded"}.get(error.status)
        kind = code if code in {"max_tokens_per_request", "insufficient_quota"} else _TYPES.get(error.status)
        body = {"message": error.message, "type": kind or "invalid_request_error", "param": None, "code": code}
        return self._reply({"error": body}, error.status, headers)

    def _reply(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpReply:
        return HttpReply.of_json(value, status, {"x-request-id": f"req_{next(self._numbers)}", **(headers or {})})

    def _chat(self, body: dict[str, Any]) -> HttpReply:
        check_fields(body, self.chat_fields, ("messages", "model"))
        if "reasoning_effort" in body:
            check_choice("reasoning_effort", body["reasoning_effort"], _EFFORTS)
        texts, pictures = [], []
        for message in body["messages"]:
            check_fields(object_of(message), {"role": str, "content": (str, list)}, ("role", "content"))
            content = message["content"]
            parts: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
            for part in parts:
                check_fields(object_of(part), {"type": str, "text": str, "image_url": dict}, ("type",))
                check_choice("type", part["type"], ("text", "image_url"))
                if part["type"] == "text":
                    texts.append(part["text"])
                else:
                    pictures.append(_picture(part["image_url"]))
        if len(pictures) != 1:
            raise WireError(400, f"the double describes one picture at a time, not {len(pictures)}")
        caption = self._spoken(pictures[0], caption_of(pictures[0]))
        asked, said = sum(len(text.split()) for text in texts) + IMAGE_TOKENS, len(caption.split())
        usage = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
        answer = {"role": "assistant", "content": caption, "refusal": None}
        choice = {"index": 0, "message": answer, "finish_reason": "stop", "logprobs": None}
        head = {"id": f"chatcmpl-{asked}", "object": "chat.completion", "created": 1, "model": body["model"]}
        return self._reply({**head, "choices": [choice], "usage": usage})

    def _transcribe(self, parts: Sequence[FormPart]) -> HttpReply:
        fields = {part.name: part for part in parts}
        for name in ("file", "model"):
            if name not in fields:
                raise WireError(400, f"Missing required parameter: '{name}'.", "missing_required_parameter")
        if unknown := sorted(set(fields) - set(self.transcription_fields)):
            raise WireError(400, f"Unrecognized request argument supplied: {unknown[0]}", "unknown_parameter")
        file = fields["file"]
        if file.filename.rpartition(".")[2] not in _SUFFIXES:
            raise WireError(400, f"Unrecognized file format. Supported formats: {list(_SUFFIXES)}")
        if len(file.data) > MAX_FILE_BYTES:
            raise WireError(
                413, f"Maximum content size limit ({MAX_FILE_BYTES}) exceeded ({len(file.data)} bytes read)"
            )
        text = self._spoken(file.data, transcript_of(file.data))
        if "gpt-4o" in fields["model"].data.decode():
            heard, said = len(file.data) // BYTES_PER_SECOND * 10, len(text.split())
            tokens = {"type": "tokens", "input_tokens": heard, "output_tokens": said, "total_tokens": heard + said}
            return self._reply({"text": text, "usage": tokens})
        seconds = len(file.data) / BYTES_PER_SECOND
        return self._reply({"text": text, "usage": {"type": "duration", "seconds": seconds}})

    def _spoken(self, data: bytes, text: str) -> str:
        key = media_key(data)
        if key in self.refused:
            raise WireError(400, "Your request was rejected by the safety system.", "content_policy_violation")
        return "" if key in self.blank else text


class AzureWire(OpenAIWire):
    """Azure OpenAI: the same bodies under paths that name a deployment, with `api-key` or an Entra token.

    Args:
        deployments: the model behind each deployment.
        keywords: as of `OpenAIWire`.
    """

    prefix = ""

    def __init__(self, deployments: Mapping[str, str], **keywords: Any) -> None:
        super().__init__(**keywords)
        self.deployments = deployments

    def authenticate(self, request: HttpRequest) -> None:
        """Refuse a request with neither a key nor a token."""
        if "api-key" not in request.headers and "authorization" not in request.headers:
            raise WireError(401, "Access denied due to invalid subscription key or wrong API endpoint.", "401")

    def route(self, request: HttpRequest) -> tuple[str, str | None]:
        """The endpoint, and the model of the deployment."""
        found = re.fullmatch(r"/openai/deployments/([^/]+)(/.*)", request.path)
        if found is None or "api-version" not in request.query:
            raise WireError(404, "Resource not found", "404")
        if found[1] not in self.deployments:
            raise WireError(404, "The API deployment for this resource does not exist.", "DeploymentNotFound")
        return found[2], self.deployments[found[1]]


def _picture(image_url: dict[str, Any]) -> bytes:
    check_fields(image_url, {"url": str, "detail": str}, ("url",))
    check_choice("detail", image_url.get("detail", "auto"), ("auto", "low", "high"))
    found = _DATA_URL.fullmatch(image_url["url"])
    if found is None:
        raise WireError(400, "Invalid image data: a data URL of png, jpeg, webp or gif is due.", "invalid_image_format")
    try:
        return binascii.a2b_base64(found[2], strict_mode=True)
    except binascii.Error:
        raise WireError(400, "Invalid base64 image_url.", "invalid_base64") from None
