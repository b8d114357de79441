"""The wire format of NVIDIA NIM: OpenAI's embeddings with `input_type`, `truncate` and `modality`.

Follows https://docs.nvidia.com/nim/nemo-retriever/embedding/latest/reference.html; refusals are those
of the microservice for inputs, and those of the cloud's gateway for keys.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from llm_multi_core.embedder.encoders import Limits
from llm_multi_core.embedder.testing.hosted.openai import OpenAIWire, media_key
from llm_multi_core.embedder.testing.hosted.schema import Kinds, check_choice, check_fields
from llm_multi_core.embedder.testing.hosted.wire import Content, EmbeddingCall, HttpReply, HttpRequest, WireError

_DATA_URL = re.compile(r"data:image/(?:png|jpeg);base64,(.+)", re.DOTALL)
_SUFFIX = re.compile(r"(.+)-(query|passage)")
_IMAGE_UNITS = 50
_PLAIN_FIELDS: Mapping[str, Kinds] = {
    "input": (str, list),
    "model": str,
    "encoding_format": str,
    "dimensions": int,
    "user": str,
}
_TITLES = {401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True, slots=True)
class Microservice:
    """An embedding model as NIM serves it.

    Attributes:
        dimension: components of a vector.
        context: the longest text, in tokens.
        dimensions: further sizes that may be asked for.
        images: whether it takes pictures.
        retrieval: whether it takes `input_type` and `truncate`; nvclip does not.
        modality: whether it takes `modality`.
    """

    dimension: int
    context: int
    dimensions: tuple[int, ...] = ()
    images: bool = False
    retrieval: bool = True
    modality: bool = False


MICROSERVICES: Mapping[str, Microservice] = {
    "nvidia/nv-embedqa-e5-v5": Microservice(1024, 512),
    "nvidia/llama-3.2-nv-embedqa-1b-v2": Microservice(2048, 8192, (384, 512, 768, 1024)),
    "nvidia/llama-nemotron-embed-vl-1b-v2": Microservice(2048, 2048, (512, 1024), images=True, modality=True),
    "nvidia/nvclip": Microservice(1024, 77, images=True, retrieval=False),
}
"""The models that the double knows."""


class NvidiaWire(OpenAIWire):
    """NIM's embeddings.

    Args:
        needs_key: whether a key is required, as in the cloud.
        microservices: other models than `MICROSERVICES`.
    """

    limits: ClassVar[Limits] = Limits(items_per_batch=1024, padded=False, accepts_empty=False)

    def __init__(self, needs_key: bool = True, microservices: Mapping[str, Microservice] = MICROSERVICES) -> None:
        super().__init__()
        self.needs_key, self.microservices = needs_key, microservices

    def authenticate(self, request: HttpRequest) -> None:
        """Refuse a request without a key, in the cloud."""
        if self.needs_key and not request.headers.get("authorization", "").removeprefix("Bearer "):
            raise WireError(401, "Header of type `authorization` was missing")

    def read_embeddings(self, body: dict[str, Any], name: str | None) -> EmbeddingCall:
        """The call that a body is, with the role in a field or at the end of the model's name."""
        name, role = str(body.get("model")), str(body.get("input_type", ""))
        model = self.microservices.get(name)
        if model is None and (found := _SUFFIX.fullmatch(name)):
            name, role = found.groups()
            model = self.microservices.get(name)
        if model is None:
            raise WireError(404, f"Function for model {name!r} not found for account")
        self._check(body, model, role)
        contents = self.contents(body["input"])
        for content in contents:
            if content.modality == "image" and (not model.images or role == "query"):
                raise WireError(422, f"{name} takes no image{' as a query' if model.images else ''}", "input")
            if content.modality == "text" and content.units > model.context:
                raise WireError(400, f"Input length {content.units} exceeds maximum allowed token size {model.context}")
        if "modality" in body and any(content.modality != body["modality"] for content in contents):
            raise WireError(422, f"an input is not of the modality {body['modality']}", "input")
        extra = {"encoding": body.get("encoding_format", "float")}
        return EmbeddingCall(contents, name, body.get("dimensions", model.dimension), role, extra)

    def _check(self, body: dict[str, Any], model: Microservice, role: str) -> None:
        fields = dict(_PLAIN_FIELDS)
        if model.retrieval:
            fields |= {"input_type": str, "truncate": str}
        if model.modality:
            fields["modality"] = str
        try:
            check_fields(body, fields, ("input", "model"))
            check_choice("encoding_format", body.get("encoding_format", "float"), ("float", "base64"))
            check_choice("truncate", body.get("truncate", "NONE"), ("NONE", "START", "END"))
            check_choice("modality", body.get("modality", "text"), ("text", "image"))
            check_choice("dimensions", body.get("dimensions", model.dimension), (*model.dimensions, model.dimension))
            if model.retrieval and not model.images:  # the others take it that a text is a passage
                check_choice("input_type", role, ("query", "passage"))
        except WireError as error:
            raise WireError(422, error.message, next(iter(re.findall(r"'(\w+)'", error.message)), "body")) from None

    def content(self, entry: Any) -> Content:
        """A text, or a picture as a data URL."""
        found = _DATA_URL.fullmatch(entry) if isinstance(entry, str) else None
        if found is None:
            return super().content(entry)
        try:
            data = binascii.a2b_base64(found[1], strict_mode=True)
        except binascii.Error:
            raise WireError(422, "an image is not base64", "input") from None
        return Content(media_key(data), _IMAGE_UNITS, len(data), "image")

    def refuse(self, error: WireError, headers: Mapping[str, str] | None = None) -> HttpReply:
        """As a problem document of the gateway, as a list of broken fields, or as a message."""
        body: dict[str, Any] = {"error": error.message}
        if error.status in _TITLES:
            title = _TITLES[error.status]
            body = {"type": "urn:problem-details", "title": title, "status": error.status, "detail": error.message}
        elif error.status == 422:
            where = ["body", error.code or "input"]
            body = {"detail": [{"type": "value_error", "loc": where, "msg": error.message, "input": None}]}
        elif error.code in {"too_long", "too_many", "too_large"}:
            body = {"object": "error", "message": error.message, "detail": {}, "type": "invalid_request_error"}
        return HttpReply.of_json(body, error.status, {"nvcf-reqid": f"nvcf-{error.status}", **(headers or {})})
