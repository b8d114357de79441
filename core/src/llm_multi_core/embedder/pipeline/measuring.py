"""Asking an encoder how large items are, and for pieces of those that are too large.

Its answers are checked here, since a wrong one would show up as a vector that is missing or of only a
part of its input.
"""

from __future__ import annotations

from collections.abc import Sequence

from llm_multi_core.embedder.encoders import Encoder, Measure
from llm_multi_core.embedder.errors import InvalidOutputError
from llm_multi_core.embedder.items import Item, Task

NOTHING = Measure((), state=())
"""The measure of no items."""


def measure_items(encoder: Encoder, name: str, items: Sequence[Item], task: Task) -> Measure:
    """What the encoder, which messages call `name`, measures.

    Raises:
        InvalidOutputError: if that is not one answer an item.
    """
    measure = encoder.measure(items, task)
    for what, answers in (("", measure.units), (" states", measure.state)):
        if answers is not None and len(answers) != len(items):
            raise InvalidOutputError(f"{name} measured {len(answers)}{what} of {len(items)} items")
    return measure


def join_measures(parts: Sequence[Measure]) -> Measure:
    """The measure of all items of several measures, in order."""
    known = [part for part in parts if part.units]
    states = [part.state for part in known if part.state is not None]
    return Measure(
        units=[count for part in known for count in part.units],
        exact=all(part.exact for part in known),
        state=[entry for state in states for entry in state] if len(states) == len(known) else None,
    )


def split_item(
    encoder: Encoder, name: str, item: Item, bound: int, task: Task, most: int | None = None
) -> tuple[list[Item], Measure]:
    """The first `most` pieces of an item that is longer than `bound`, and how large they are.

    Raises:
        InvalidOutputError: if there are none, or one is itself too long, which an encoder would cut
            without a word.
    """
    pieces = list(encoder.split(item, bound, task))[:most]
    if not pieces:
        raise InvalidOutputError(f"{name} split what is too long into nothing")
    measure = measure_items(encoder, name, pieces, task)
    if (longest := max(measure.units)) > bound:
        raise InvalidOutputError(f"{name} split what is too long into a piece of {longest} units where {bound} fit")
    return pieces, measure
