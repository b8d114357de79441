"""Cohere's Embed API, version 2: `POST /v2/embed` as its reference documents it.

Schema, limits and wording are those of https://docs.cohere.com/reference/embed and
https://docs.cohere.com/reference/errors. Tokens are words here; what a picture counts for follows from
the size of its file.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, ClassVar

import numpy as np

from llm_multi_core.embedder.encoders import Limits, Pace
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.testing.hosted.wire import (
    Content,
    EmbeddingCall,
    HttpReply,
    HttpRequest,
    Wire,
    WireError,
)

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif")
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")
EMBEDDING_TYPES = ("float", "int8", "uint8", "binary", "ubinary", "base64")
MAX_IMAGE_BYTES = 5_000_000
MAX_IMAGES_BYTES = 20_000_000
MAX_PAYLOAD_BYTES = 20_000_000
BYTES_PER_IMAGE_TOKEN = 512
_FIELDS: Mapping[str, type] = {
    "model": str,
    "input_type": str,
    "texts": list,
    "images": list,
    "inputs": list,
    "max_tokens": int,
    "output_dimension": int,
    "embedding_types": list,
    "truncate": str,
    "priority": int,
}


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model of the double.

    Attributes:
        dimensions: what `output_dimension` may be, the default first; a single one cannot be chosen.
        max_tokens: tokens that one input may have.
        mixed: whether it takes `inputs`, and several images.
    """

    dimensions: tuple[int, ...]
    max_tokens: int
    mixed: bool


MODELS: Mapping[str, ServedModel] = {
    "embed-v5.0-pro": ServedModel((2048, 1536, 1024, 768, 512, 256), 128_000, mixed=True),
    "embed-v5.0-fast": ServedModel((2048, 1536, 1024, 768, 512, 256), 128_000, mixed=True),
    "embed-v4.0": ServedModel((1536, 1024, 512, 256), 128_000, mixed=True),
    "embed-english-v3.0": ServedModel((1024,), 512, mixed=False),
    "embed-multilingual-v3.0": ServedModel((1024,), 512, mixed=False),
    "embed-english-light-v3.0": ServedModel((384,), 512, mixed=False),
    "embed-multilingual-light-v3.0": ServedModel((384,), 512, mixed=False),
}


class CohereWire(Wire):
    """Reads and writes `POST /v2/embed`.

    Args:
        models: models to serve other than Cohere's, such as a server for other weights has.
    """

    limits: ClassVar[Limits] = Limits(items_per_batch=96, accepts_empty=False)

    def __init__(self, models: Mapping[str, ServedModel] = MODELS) -> None:
        self.models = models

    def read(self, request: HttpRequest) -> EmbeddingCall:
        """What a request asks for.

        Raises:
            WireError: as Cohere refuses.
        """
        if (request.method, request.path) != ("POST", "/v2/embed"):
            raise WireError(404, "404 page not found")
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise WireError(401, "no api key supplied")
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise WireError(400, "invalid request: the content type must be application/json")
        body = _checked(request.json())
        model = self.models.get(body["model"])
        if model is None:
            raise WireError(
                404,
                f"model '{body['model']}' not found, make sure the correct model ID was used and that you have "
                "access to the model.",
            )
        contents = _contents(body, model)
        if "inputs" in body and len(request.body) > MAX_PAYLOAD_BYTES:
            raise WireError(413, "invalid request: the payload is larger than 20mb", "too_large")
        contents = _fitted(contents, model, body)
        return EmbeddingCall(
            contents=contents,
            model=body["model"],
            dimension=_dimension(body, model),
            # With models that take mixed inputs "image" is another word for "search_document".
            role="search_document" if model.mixed and body["input_type"] == "image" else body["input_type"],
            extra={"embedding_types": tuple(body["embedding_types"]), "mixed": model.mixed},
        )

    def write(self, call: EmbeddingCall, vectors: Sequence[FloatArray], order: Sequence[int]) -> HttpReply:
        """The reply; entries have no indices, so that they always come in the order of the inputs."""
        digest = blake2b("\0".join(content.key for content in call.contents).encode(), digest_size=16).hexdigest()
        return HttpReply.of_json(
            {
                "id": digest,
                "embeddings": {kind: [_written(vector, kind) for vector in vectors] for kind in _kinds(call)},
                "texts": [content.key for content in call.contents if content.modality == "text"],
                "meta": {"api_version": {"version": "2"}, "billed_units": _billed(call)},
                "response_type": "embeddings_by_type",
            },
            headers={"x-debug-trace-id": digest},
        )

    def refuse(self, error: WireError, headers: Mapping[str, str] | None = None) -> HttpReply:
        """A refusal: an id and a message."""
        value = {"id": "00000000-0000-0000-0000-000000000000", "message": error.message}
        return HttpReply.of_json(value, error.status, {"x-debug-trace-id": "refused", **(headers or {})})

    def pace_headers(self, pace: Pace) -> Mapping[str, str]:
        """The headers that trial keys get: calls a minute, and how many are left."""
        values = {"limit": pace.requests_per_minute, "remaining": pace.requests_left}
        return {f"x-trial-endpoint-call-{name}": str(value) for name, value in values.items() if value is not None}


def quantized(vector: FloatArray, kind: str) -> FloatArray:
    """A vector `(d,)` of length 1 as the double writes it in one of the types, bits unpacked to -1 and 1."""
    if kind in {"binary", "ubinary"}:
        return np.where(vector > 0, 1, -1).astype(np.float32)
    if kind in {"int8", "uint8"}:
        largest = float(np.abs(vector).max())
        return np.round(vector / largest * 127).astype(np.float32) + (128 if kind == "uint8" else 0)
    return vector


def _kinds(call: EmbeddingCall) -> tuple[str, ...]:
    kinds: tuple[str, ...] = call.extra["embedding_types"]
    return kinds


def _written(vector: FloatArray, kind: str) -> Any:
    if kind == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    if kind == "float":
        return [float(value) for value in vector]
    values = np.nan_to_num(quantized(vector, kind))
    if kind in {"int8", "uint8"}:
        return [int(value) for value in values]
    packed = np.packbits(values > 0).astype(int)
    return (packed - (128 if kind == "binary" else 0)).tolist()


def _billed(call: EmbeddingCall) -> dict[str, int]:
    """Words for texts; a count of pictures, and with models that take mixed inputs their tokens as well."""
    pictures = sum(content.modality.count("image") for content in call.contents)
    seen = sum(content.units for content in call.contents if "image" in content.modality)
    billed = {"input_tokens": call.units - seen}
    if pictures:
        billed["images"] = pictures
        if call.extra["mixed"]:
            billed["image_tokens"] = seen
    return {name: count for name, count in billed.items() if count}


def _checked(body: Any) -> dict[str, Any]:
    """The body, its fields known, of the right type and within what they may be."""
    if not isinstance(body, dict):
        raise WireError(400, "invalid json syntax: the body is not an object")
    for name, value in body.items():
        if name not in _FIELDS:
            raise WireError(400, f"invalid request: unknown field '{name}'")
        if not isinstance(value, _FIELDS[name]) or isinstance(value, bool):
            raise WireError(400, f"invalid request: '{name}' is of the wrong type")
    kinds = body.get("embedding_types", [])
    for holds, message in (
        ("model" in body, "a model parameter is required for this endpoint."),
        (
            body.get("input_type") in INPUT_TYPES,
            "invalid request: valid input_type must be provided with the provided model",
        ),
        (kinds, "embedding_types parameter is required"),
        (set(kinds) <= set(EMBEDDING_TYPES), f"invalid request: embedding_types cannot be {kinds}"),
        (
            body.get("truncate", "END") in {"NONE", "START", "END"},
            "invalid request: truncate must be one of 'NONE', 'START', or 'END'.",
        ),
        (0 <= body.get("priority", 0) <= 999, "invalid request: priority must be between 0 and 999"),
        (body.get("max_tokens", 1) >= 1, "invalid request: max_tokens must be at least 1"),
    ):
        if not holds:
            raise WireError(400, message)
    return body


def _dimension(body: Mapping[str, Any], model: ServedModel) -> int:
    wanted: int = body.get("output_dimension", model.dimensions[0])
    if "output_dimension" in body and (len(model.dimensions) == 1 or wanted not in model.dimensions):
        raise WireError(400, f"invalid request: output_dimension {wanted} is not supported by the provided model")
    return wanted


def _contents(body: Mapping[str, Any], model: ServedModel) -> list[Content]:
    given = [name for name in ("texts", "images", "inputs") if name in body]
    if len(given) != 1:
        raise WireError(400, "invalid request: exactly one of texts, images and inputs must be provided")
    entries = body[given[0]]
    if not entries:
        raise WireError(400, f"invalid request: {given[0]} must not be empty")
    if given == ["texts"]:
        return _texts(entries, body["input_type"])
    if given == ["images"]:
        return _images(entries, body["input_type"], model)
    if not model.mixed:
        raise WireError(400, "invalid request: inputs is not supported by the provided model")
    if body["input_type"] == "image":
        raise WireError(400, "invalid request: input_type=image cannot be used with inputs")
    parts = [_parts(entry) for entry in entries]
    _check_together([part for entry in parts for part in entry])
    return [_joined(entry) for entry in parts]


def _texts(entries: Sequence[Any], input_type: str) -> list[Content]:
    if len(entries) > 96:
        message = f"invalid request: total number of texts must be at most 96 - received {len(entries)}"
        raise WireError(400, message, "too_many")
    if input_type == "image":
        raise WireError(400, "invalid request: input_type=image cannot be used with texts")
    return [_text(entry) for entry in entries]


def _images(entries: Sequence[Any], input_type: str, model: ServedModel) -> list[Content]:
    if input_type != "image":
        raise WireError(400, "invalid request: images must be used with input_type=image")
    if not model.mixed and len(entries) > 1:
        message = f"invalid request: total number of images must be at most 1 - received {len(entries)}"
        raise WireError(400, message, "too_many")
    contents = [_image(entry) for entry in entries]
    _check_together(contents)
    return contents


def _parts(entry: Any) -> list[Content]:
    if not isinstance(entry, dict) or set(entry) != {"content"} or not isinstance(entry["content"], list):
        raise WireError(400, "invalid request: an input is an object with a list of content")
    if not entry["content"]:
        raise WireError(400, "invalid request: the content of an input must not be empty")
    parts = []
    for part in entry["content"]:
        match part:
            case {"type": "text", "text": text, **rest} if not rest:
                parts.append(_text(text))
            case {"type": "image_url", "image_url": {"url": url, **more}, **rest} if not rest and not more:
                parts.append(_image(url))
            case _:
                raise WireError(400, "invalid request: content must be of type text or image_url")
    return parts


def _joined(parts: Sequence[Content]) -> Content:
    """Several parts as the one input that they are; a single one is what it would be by itself."""
    if len(parts) == 1:
        return parts[0]
    key = blake2b("\0".join(f"{part.modality}:{part.key}" for part in parts).encode(), digest_size=16).hexdigest()
    return Content(
        key,
        sum(part.units for part in parts),
        sum(part.nbytes for part in parts),
        "+".join(part.modality for part in parts),
    )


def _text(value: Any) -> Content:
    if not isinstance(value, str):
        raise WireError(400, "invalid request: a text must be a string")
    return Content(value, len(value.split()), len(value.encode()))


def _image(value: Any) -> Content:
    head, _, data = value.partition(",") if isinstance(value, str) else ("", "", "")
    media_type = head.removeprefix("data:").removesuffix(";base64")
    if f"data:{media_type};base64" != head or media_type not in IMAGE_TYPES:
        raise WireError(400, "invalid request: an image must be a data URI of jpeg, png, webp or gif in base64")
    try:
        file = base64.b64decode(data, validate=True)
    except binascii.Error:
        raise WireError(400, "invalid request: an image is not valid base64") from None
    if len(file) > MAX_IMAGE_BYTES:
        raise WireError(400, "invalid request: an image is larger than 5mb", "too_large")
    key = blake2b(file, digest_size=16).hexdigest()
    return Content(key, max(1, len(file) // BYTES_PER_IMAGE_TOKEN), len(file), "image")


def _check_together(contents: Sequence[Content]) -> None:
    if sum(content.nbytes for content in contents if content.modality == "image") > MAX_IMAGES_BYTES:
        raise WireError(413, "invalid request: the images are larger than 20mb together", "too_large")


def _fitted(contents: Sequence[Content], model: ServedModel, body: Mapping[str, Any]) -> list[Content]:
    """The inputs, over-long texts cut at the end or the start, or refused."""
    most = min(model.max_tokens, body.get("max_tokens", model.max_tokens))
    truncate = body.get("truncate", "END")
    fitted = []
    for content in contents:
        if content.modality == "image" or content.units <= most:
            fitted.append(content)
            continue
        if truncate == "NONE" or content.modality != "text":
            raise WireError(
                400,
                f"too many tokens: total number of tokens in an input cannot exceed {most} - received {content.units}.",
                "too_long",
            )
        words = content.key.split()
        fitted.append(_text(" ".join(words[:most] if truncate == "END" else words[-most:])))
    return fitted
