"""From items to the fields of a request: the plainest form that the model takes them in.

Texts go as `texts`. Pictures go as `inputs`, which have a role and may be several, and may be
interleaved with text; to models without `inputs` one picture goes as `images`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from llm_multi_core.embedder import InvalidInputError, Item, Modality, Part
from llm_multi_core.embedder.inputs.encoded import EncodedMedia
from llm_multi_core.embedder.inputs.text import estimate_tokens
from llm_multi_core_cohere.catalogue import CohereModel

TEXT_ONLY = (Modality.TEXT,)


def request_fields(model: CohereModel, items: Sequence[Item], input_type: str) -> Mapping[str, Any]:
    """What a request for items of one `form_of` says of them, its input type included.

    Raises:
        InvalidInputError: for an item that the model does not take.
    """
    if all(item.signature == TEXT_ONLY for item in items):
        return {"texts": [item.text for item in items], "input_type": input_type}
    if model.mixed:
        inputs = [{"content": [_content(part) for part in item.parts]} for item in items]
        return {"inputs": inputs, "input_type": input_type}
    return {"images": [_image(item.parts[0]).data_url for item in items], "input_type": "image"}


def form_of(model: CohereModel, item: Item) -> Hashable:
    """What items that may share a request have in common."""
    if item.signature == TEXT_ONLY:
        return "texts"
    return "inputs" if model.mixed else ("images", item.digest)


def estimate_units(model: CohereModel, item: Item) -> int:
    """About how many tokens an item has."""
    return sum(_part_units(model, part) for part in item.parts)


def _part_units(model: CohereModel, part: Part) -> int:
    if part.modality is Modality.TEXT:
        return estimate_tokens(part.payload)
    width, height = getattr(part.payload, "size", (0, 0))
    return model.image_tokens(width, height)


def _content(part: Part) -> dict[str, Any]:
    if part.modality is Modality.TEXT:
        return {"type": "text", "text": part.payload}
    return {"type": "image_url", "image_url": {"url": _image(part).data_url}}


def _image(part: Part) -> EncodedMedia:
    if not isinstance(part.payload, EncodedMedia):
        raise InvalidInputError(f"cohere embeds text and images, not {part.modality}")
    return part.payload
