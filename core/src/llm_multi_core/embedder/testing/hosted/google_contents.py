"""Reading `Content` messages and JSON of protocol buffers, as Google's methods take them; part of `google`."""

from __future__ import annotations

import base64
import binascii
import io
import re
import wave
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from llm_multi_core.embedder.testing.hosted.wire import Content, HttpRequest, WireError

IMAGE_TYPES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
"""Media types of images, with what their files begin with."""
AUDIO_TYPES = ("audio/wav", "audio/mpeg", "audio/mp3")
IMAGE_TOKENS, AUDIO_TOKENS_PER_SECOND = 258, 25
_WORDS = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model of the double.

    Attributes:
        name: its name.
        dimension, fewest: most and fewest components of a vector.
        max_tokens: tokens that one content may have.
        multimodal: whether it takes media, joins the parts of a content, and knows no task types.
        only_vertex: whether the Gemini API does not have it.
    """

    name: str
    dimension: int
    fewest: int
    max_tokens: int
    multimodal: bool = False
    only_vertex: bool = False


@dataclass(frozen=True, slots=True)
class ReadContent:
    """A content, with what it is made of.

    Attributes:
        content: what one vector is due for.
        tokens: its tokens by modality.
        images: how many images it has.
    """

    content: Content
    tokens: Counter[str]
    images: int


def require(holds: bool, message: str, status: int = 400, code: str = "") -> None:
    """Refuse a request unless something holds.

    Raises:
        WireError: if it does not.
    """
    if not holds:
        raise WireError(status, message, code)


def camel(name: str) -> str:
    """A field's name as JSON of protocol buffers usually has it: `task_type` is `taskType`."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def known_fields(value: Any, allowed: set[str], where: str) -> dict[str, Any]:
    """An object by its fields' usual names.

    Raises:
        WireError: if it is none, or has a field that is not allowed.
    """
    require(isinstance(value, Mapping), f"{where} is not an object")
    fields = {camel(name): entry for name, entry in value.items()}
    for name in fields:
        require(
            name in allowed, f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field."
        )
    return fields


def entries_of(message: Mapping[str, Any], name: str) -> list[Any]:
    """The entries of a list that must be there and not be empty.

    Raises:
        WireError: if it is not.
    """
    entries = message.get(name)
    if not isinstance(entries, list) or not entries:
        raise WireError(400, f"{name} is missing, empty or no list")
    return entries


def read_whole(request: HttpRequest) -> Mapping[str, Any]:
    """The body, which must be an object."""
    body = request.json()
    require(isinstance(body, Mapping), "the body is not an object")
    return {camel(name): entry for name, entry in body.items()}


def read_content(value: Any, model: ServedModel, where: str, seconds: float) -> ReadContent:
    """One `Content`, which gives one vector however many parts it has.

    Args:
        value: the message.
        model: the model that is to embed it.
        where: what refusals call it.
        seconds: the longest recording.

    Raises:
        WireError: for a part that is empty, unknown, damaged, or not for this model.
    """
    message = known_fields(value, {"parts", "role"}, f"{where}.content")
    parts = enumerate(entries_of(message, "parts"))
    read = [_read_part(part, model, f"{where}.content.parts[{number}]", seconds) for number, part in parts]
    tokens = Counter[str]()
    for part in read:
        tokens[part.modality] += part.units
    whole = Content(
        key="\x1f".join(part.key for part in read),
        units=sum(tokens.values()),
        nbytes=sum(part.nbytes for part in read),
        modality=read[0].modality if len(tokens) == 1 else "mixed",
    )
    return ReadContent(whole, tokens, sum(part.modality == "image" for part in read))


def _read_part(value: Any, model: ServedModel, where: str, seconds: float) -> Content:
    part = known_fields(value, {"text", "inlineData"}, where)
    require(len(part) == 1, f"{where} has {len(part)} kinds of data, not one")
    if "text" in part:
        text = part["text"]
        require(isinstance(text, str), f"{where}.text is not a string")
        require(bool(text), "EmbedContentRequest.content contains an empty Part.", 400, "empty")
        return Content(text, max(1, len(_WORDS.findall(text))), len(text.encode()))
    require(model.multimodal, f"{model.name} takes text only")
    blob = known_fields(part["inlineData"], {"mimeType", "data"}, f"{where}.inlineData")
    media_type, data = blob.get("mimeType"), _decoded(blob.get("data"), where)
    name = blake2b(data, digest_size=16).hexdigest()
    if media_type in IMAGE_TYPES:
        require(data.startswith(IMAGE_TYPES[media_type]), f"{where} is no file of type {media_type}")
        return Content(f"image:{name}", IMAGE_TOKENS, len(data), "image")
    require(media_type in AUDIO_TYPES, f"{where}: unsupported MIME type {media_type!r}")
    length = _seconds(data, where) if media_type == "audio/wav" else 1.0
    require(length <= seconds, f"{where}: {length:g} seconds of audio, and {seconds:g} are the most")
    return Content(f"audio:{name}", max(1, round(length * AUDIO_TOKENS_PER_SECOND)), len(data), "audio")


def _decoded(data: Any, where: str) -> bytes:
    """Base64 in either alphabet, both of which JSON of protocol buffers may have."""
    require(isinstance(data, str) and bool(data), f"{where}.data is no base64")
    try:
        return base64.b64decode(data.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        raise WireError(400, f"{where}.data is no base64") from None


def _seconds(data: bytes, where: str) -> float:
    try:
        with wave.open(io.BytesIO(data)) as sound:
            return float(sound.getnframes() / sound.getframerate())
    except (wave.Error, EOFError):
        raise WireError(400, f"{where} is no file of type audio/wav") from None
