"""Bringing media into the form that an encoder takes, several items at once: decoded, or as files for a provider."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from llm_multi_core.embedder.encoders import Intake
from llm_multi_core.embedder.inputs.audio import AudioSource
from llm_multi_core.embedder.inputs.encoded import EncodedMedia, encode_media
from llm_multi_core.embedder.inputs.image import ImageSource
from llm_multi_core.embedder.items import Item, Modality, Part
from llm_multi_core.embedder.pipeline.runtime import runtime

MAX_DECODED_BYTES = 512 * 1024 * 1024
"""How much a batch may take once it is decoded; batches of larger media are halved."""

_PIXEL_BYTES = 4  # Pillow keeps RGB in four bytes
_SAMPLE_BYTES = 4
_UNKNOWN_RATE = 48_000


def decoded_bytes(items: Sequence[Item], intake: Intake) -> int:
    """About how much memory the media of items will take once it is decoded."""
    total = 0
    for item in items:
        for part in item.parts:
            if isinstance(part.payload, ImageSource):
                width, height = part.payload.decoded_size(intake.image_side)
                total += width * height * _PIXEL_BYTES
            elif isinstance(part.payload, AudioSource):
                total += int(part.payload.seconds * (intake.sample_rate or _UNKNOWN_RATE)) * _SAMPLE_BYTES
    return total


def decode_items(items: Sequence[Item], intake: Intake) -> tuple[list[Item], dict[int, Exception]]:
    """The items with their media decoded, and the errors of those that could not be, by place.

    An item with an error comes back as it was.

    Raises:
        MemoryError: if they do not fit into memory together; fewer may.
    """
    waiting = {
        (place, number): runtime.submit_decoding(_decode, part.payload, intake)
        for place, item in enumerate(items)
        for number, part in enumerate(item.parts)
        if _is_foreign(part, intake)
    }
    decoded: dict[tuple[int, int], Any] = {}
    errors: dict[int, Exception] = {}
    try:
        for where, future in waiting.items():
            _collect(where, future, decoded, errors)
    finally:
        for future in waiting.values():
            future.cancel()  # those that nobody waits for any more
    if not waiting:
        return list(items), errors
    return [_with_payloads(item, place, decoded) for place, item in enumerate(items)], errors


def _collect(
    where: tuple[int, int],
    future: Future[Any],
    decoded: dict[tuple[int, int], Any],
    errors: dict[int, Exception],
) -> None:
    try:
        decoded[where] = future.result()
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - it becomes the failure of its item
        errors.setdefault(where[0], error)


def _is_foreign(part: Part, intake: Intake) -> bool:
    """Whether a part is not yet in the form that the encoder takes."""
    if intake.formats:
        return part.modality is not Modality.TEXT and not isinstance(part.payload, EncodedMedia)
    return isinstance(part.payload, ImageSource | AudioSource)


def _decode(payload: Any, intake: Intake) -> Any:
    if intake.formats:
        return encode_media(payload, intake.formats, intake.max_bytes)
    if isinstance(payload, ImageSource):
        return payload.decode(intake.image_side)
    return payload.decode(intake.sample_rate)


def _with_payloads(item: Item, place: int, decoded: dict[tuple[int, int], Any]) -> Item:
    if (place, 0) not in decoded and len(item.parts) == 1:
        return item
    parts = tuple(
        replace(part, payload=decoded[place, number]) if (place, number) in decoded else part
        for number, part in enumerate(item.parts)
    )
    return replace(item, parts=parts)
