"""Decoding media ahead of the encoder, several items at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from llm_multi_core.embedder.encoders import Intake
from llm_multi_core.embedder.inputs.audio import AudioSource
from llm_multi_core.embedder.inputs.image import ImageSource
from llm_multi_core.embedder.items import Item
from llm_multi_core.embedder.pipeline.runtime import runtime


def decode_items(items: Sequence[Item], intake: Intake) -> tuple[list[Item], dict[int, Exception]]:
    """The items with their media decoded, and the errors of those that could not be, by place.

    An item with an error comes back as it was.
    """
    waiting = {
        (place, number): runtime.submit_decoding(_decode, part.payload, intake)
        for place, item in enumerate(items)
        for number, part in enumerate(item.parts)
        if isinstance(part.payload, ImageSource | AudioSource)
    }
    decoded: dict[tuple[int, int], Any] = {}
    errors: dict[int, Exception] = {}
    for where, future in waiting.items():
        _collect(where, future, decoded, errors)
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
    except Exception as error:  # noqa: BLE001 - it becomes the failure of its item
        errors.setdefault(where[0], error)


def _decode(payload: ImageSource | AudioSource, intake: Intake) -> Any:
    if isinstance(payload, ImageSource):
        return payload.decode(intake.image_side)
    return payload.decode(intake.sample_rate)


def _with_payloads(item: Item, place: int, decoded: dict[tuple[int, int], Any]) -> Item:
    parts = tuple(
        replace(part, payload=decoded[place, number]) if (place, number) in decoded else part
        for number, part in enumerate(item.parts)
    )
    return replace(item, parts=parts)
