"""Standard tests of the vectors themselves: count, order, independence, determinism."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_multi_core.embedder.errors import InvalidInputError, InvalidOutputError
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.items import Task
from llm_multi_core.embedder.testing.conformance.compare import (
    Vectors,
    assert_distinct,
    assert_finite,
    assert_same,
)
from llm_multi_core.embedder.testing.conformance.fixtures import EncoderTests
from llm_multi_core.embedder.testing.conformance.subject import BareEncoder, Subject, Way, embed_rows

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


class VectorTests(EncoderTests):
    """What comes out, on the bare encoder and through the embedder."""

    def test_one_row_per_item(self, subject: Subject, way: Way) -> None:
        """As many rows as items, for one item, for several, for all."""
        for count in (1, 2, 3, len(subject.items)):
            rows = subject.rows(way, subject.items[:count])
            assert len(rows) == count, f"{len(rows)} rows for {count} items"

    def test_vectors_are_finite(self, subject: Subject, way: Way) -> None:
        """No NaN, no infinity, no zero vector."""
        assert_finite(subject.vectors(way, subject.items), "all samples in one call")

    def test_different_inputs_have_different_vectors(self, subject: Subject, way: Way) -> None:
        """Samples can be told apart, and a control pair lies below a cosine of 0.99."""
        assert_distinct(subject.alone(way), subject.case.tolerance)

    def test_same_input_has_same_vector(self, subject: Subject, way: Way) -> None:
        """A second call gives what the first one gave."""
        first, second = (subject.vectors(way, subject.items) for _ in range(2))
        assert_same(second, first, subject.case.tolerance, "a second call")

    def test_duplicates_have_equal_vectors(self, subject: Subject, way: Way) -> None:
        """Equal items in one call have equal rows."""
        items, alone = subject.items, subject.alone(way)
        repeated = subject.vectors(way, [items[0], items[1], items[0], items[2], items[0]])
        expected = [alone[0], alone[1], alone[0], alone[2], alone[0]]
        assert_same(repeated, expected, subject.case.tolerance, "duplicates in one call")

    def test_batch_equals_single(self, subject: Subject, way: Way) -> None:
        """An item's row is the same alone and among items of other lengths."""
        together = subject.vectors(way, subject.items)
        assert_same(together, subject.alone(way), subject.case.tolerance, "all samples in one call against one by one")

    def test_order_of_inputs_is_kept(self, subject: Subject, way: Way) -> None:
        """Reversed and shuffled inputs have their rows in that order."""
        alone = subject.alone(way)
        orders = [list(range(len(alone)))[::-1]]
        for seed in range(3):
            orders.append(random.Random(seed).sample(orders[0], len(alone)))  # noqa: S311 - a fixed order
        for order in orders:
            found = subject.vectors(way, [subject.items[place] for place in order])
            expected = [alone[place] for place in order]
            assert_same(found, expected, subject.case.tolerance, f"the samples in the order {order}")

    def test_neighbours_do_not_matter(self, subject: Subject, way: Way) -> None:
        """An item's row does not depend on which others share its batch."""
        items, alone = subject.items, subject.alone(way)
        for place in range(1, len(items)):
            pair = subject.vectors(way, [items[0], items[place]])
            claim = f"sample 0 beside sample {place}"
            assert_same(pair, [alone[0], alone[place]], subject.case.tolerance, claim)

    @pytest.mark.parametrize("batch_size", [1, 2, 3])
    def test_batch_size_does_not_matter(self, subject: Subject, batch_size: int) -> None:
        """The embedder gives the same rows whatever the batch size."""
        with subject.new_embedder(batch_size=batch_size) as embedder:
            found = subject.spread(embed_rows(embedder, subject.items))
        assert_same(found, subject.alone("embedder"), subject.case.tolerance, f"batch_size={batch_size}")

    def test_second_instance_agrees(self, subject: Subject) -> None:
        """Another instance of the encoder, loaded anew, gives the same vectors."""
        another = BareEncoder(subject)
        try:
            found = subject.spread(another.encode(subject.items))
        finally:
            another.close()
        assert_same(found, subject.alone("bare"), subject.case.tolerance, "a second instance")

    def test_embedder_agrees_with_encoder(self, subject: Subject) -> None:
        """The embedder's vectors are the encoder's, brought to length 1 (sparse ones as they are)."""
        rows = subject.bare.encode(subject.items)
        expected = rows if rows.output == "sparse" else rows.normalize()
        found = subject.vectors("embedder", subject.items)
        assert_same(found, subject.spread(expected), subject.case.tolerance, "the embedder against the encoder")

    def test_any_text_is_embedded_or_refused(self, subject: Subject) -> None:
        """Random unicode gets one finite row a text, the same alone and together, or a clear refusal."""
        if not subject.case.is_text:
            pytest.skip("for text only")
        encoder = subject.bare.loaded()
        dense = subject.description.space.output == "dense"

        @settings(max_examples=subject.case.examples, deadline=None, derandomize=True, database=None)
        @given(st.lists(texts, min_size=1, max_size=4))
        def holds(batch: list[str]) -> None:
            items = [text_item(text) for text in batch]
            units = encoder.measure(items, Task()).units
            assert list(units) == [encoder.measure([item], Task()).units[0] for item in items]
            assert all(count >= 1 for count in units), f"measured {units}"
            if dense:
                self._check_collected(subject, embedder, batch)

        with subject.new_embedder(truncation="truncate") as embedder:
            holds()

    @staticmethod
    def _check_collected(subject: Subject, embedder: Any, batch: list[str]) -> None:
        result = embedder.run(batch, on_error="collect")
        for failure in result.failures:
            assert isinstance(failure.error, InvalidInputError | InvalidOutputError), repr(failure.error)
        assert result.vectors.shape == (len(batch), subject.description.space.dimension)
        assert (np.isfinite(result.vectors).all(axis=1) == result.ok).all()
        for place in np.flatnonzero(result.ok):
            alone = embedder.embed(batch[place])
            assert_same(
                _one(result.vectors[place]), _one(alone), subject.case.tolerance, f"{batch[place]!r} among {batch!r}"
            )


def _one(vector: Any) -> list[Vectors]:
    return [np.asarray(vector, np.float64)[None]]
