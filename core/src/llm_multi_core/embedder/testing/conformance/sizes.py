"""Standard tests of lengths: measuring, splitting, and inputs beyond the limit."""

from __future__ import annotations

import operator
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from llm_multi_core.embedder.errors import TruncationError, TruncationWarning
from llm_multi_core.embedder.items import Item, Task
from llm_multi_core.embedder.testing.conformance.compare import assert_finite, assert_same
from llm_multi_core.embedder.testing.conformance.fixtures import EncoderTests
from llm_multi_core.embedder.testing.conformance.subject import Subject, embed_rows


class SizeTests(EncoderTests):
    """How long items are, and what happens to those that are too long."""

    def test_measure_counts_each_item(self, subject: Subject) -> None:
        """One positive whole number an item, the same alone and in any order."""
        encoder, items = subject.bare.loaded(), subject.samples
        for task in subject.tasks:
            measure = encoder.measure(items, task)
            units = [operator.index(count) for count in measure.units]
            assert len(units) == len(items), f"{len(units)} sizes for {len(items)} items"
            assert min(units) >= 1, f"sizes {units} are not all positive"
            assert measure.state is None or len(measure.state) == len(items), "state has another length than the items"
            alone = [int(encoder.measure([item], task).units[0]) for item in items]
            assert units == alone, f"sizes {units} in one call and {alone} one by one"
            reverse = [int(count) for count in encoder.measure(items[::-1], task).units]
            assert units == reverse[::-1], f"sizes {units} forwards and {reverse[::-1]} backwards"

    def test_longer_text_measures_more(self, subject: Subject) -> None:
        """A text and more behind it never counts for less, and a long one counts for several."""
        if not subject.case.is_text:
            pytest.skip("for text only")
        texts = [item.text for item in subject.samples]
        sizes = subject.sizes([*texts, *(f"{a} {b}" for a, b in pairwise(texts))])
        whole, joined = sizes[: len(texts)], sizes[len(texts) :]
        for place, count in enumerate(joined):
            parts = whole[place], whole[place + 1]
            assert count >= max(parts), f"{texts[place]!r} and {texts[place + 1]!r} have {parts}, joined only {count}"
        long = subject.sizes([" ".join(texts * 20)])[0]
        assert long > 10, f"{20 * len(texts)} texts joined count for {long} units only"

    def test_split_loses_nothing(self, subject: Subject) -> None:
        """The pieces of an over-long item are within the limit and together are the item."""
        limit, encoder = _limit(subject), subject.bare.loaded()
        for item in subject.long_items:
            for task in subject.tasks:
                pieces = encoder.split(item, limit, task)
                assert len(pieces) > 1, "an over-long item was split into one piece"
                units = [int(count) for count in encoder.measure(pieces, task).units]
                assert max(units) <= limit, f"pieces of {units} units, over the limit of {limit}"
                assert _content(pieces) == _content([item]), "the pieces joined are not the item"

    def test_overlong_input_is_refused(self, subject: Subject) -> None:
        """`truncation="error"` names the input; the others are embedded."""
        _limit(subject)
        inputs = [subject.items[0], subject.long_items[0], subject.items[1]]
        with subject.new_embedder(truncation="error") as embedder:
            with pytest.raises(TruncationError) as caught:
                embed_rows(embedder, inputs)
            assert caught.value.index == 1
            if subject.description.space.output != "dense":
                return
            result = embedder.run(inputs, on_error="collect")
        assert [(failure.index, type(failure.error)) for failure in result.failures] == [(1, TruncationError)]
        alone = subject.alone("embedder")
        found = [row[None].astype(np.float64) for row in result.vectors[[0, 2]]]
        assert_same(found, alone[:2], subject.case.tolerance, "the neighbours of a refused input")

    @pytest.mark.parametrize("policy", ["warn", "truncate"])
    def test_overlong_input_is_cut(self, subject: Subject, policy: str) -> None:
        """`"warn"` and `"truncate"` give one row, leave the neighbours alone, and `"warn"` warns."""
        limit, item = _runnable_limit(subject), subject.long_items[0]
        inputs = [subject.items[0], item, subject.items[1]]
        with subject.new_embedder(truncation=policy) as embedder, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = subject.spread(embed_rows(embedder, inputs))
            plan = embedder.plan(inputs) if subject.description.space.output == "dense" else None
        assert len(found) == len(inputs)
        assert_finite(found, f"truncation={policy!r}")
        expected = subject.alone("embedder")[:2]
        assert_same(found[::2], expected, subject.case.tolerance, "the neighbours of an over-long input")
        if not subject.description.limits.truncates:
            beginning = subject.bare.loaded().split(item, limit, Task())[:1]
            expected = subject.vectors("embedder", beginning)
            assert_same(found[1:2], expected, subject.case.tolerance, "an over-long input against its first piece")
        warned = any(issubclass(warning.category, TruncationWarning) for warning in caught)
        assert warned == (policy == "warn"), f"truncation={policy!r}: {'a' if warned else 'no'} warning"
        if plan is not None:
            assert [truncation.index for truncation in plan.truncations] == [1]

    def test_overlong_input_is_averaged(self, subject: Subject) -> None:
        """`"mean"` gives the mean of the pieces, weighted by their lengths."""
        limit = _runnable_limit(subject)
        if subject.description.space.output != "dense":
            pytest.skip("only dense vectors have a mean")
        item, encoder = subject.long_items[0], subject.bare.loaded()
        with subject.new_embedder(truncation="mean") as embedder:
            found = subject.spread(embed_rows(embedder, [subject.items[0], item]))
        pieces = encoder.split(item, limit, Task())
        weights = np.asarray(encoder.measure(pieces, Task()).units, np.float64)[:, None, None]
        mean = (np.stack(subject.vectors("embedder", pieces)) * weights).sum(axis=0)
        expected = [subject.alone("embedder")[0], mean / np.linalg.norm(mean)]
        assert_same(found, expected, subject.case.tolerance, "truncation='mean'")


def _limit(subject: Subject) -> int:
    limit = subject.description.limits.units_per_item
    if limit is None:
        pytest.skip("the encoder takes items of any length")
    if subject.case.long_sample is None and not subject.case.is_text:
        pytest.skip("the case gives no long_sample")
    return limit


def _runnable_limit(subject: Subject) -> int:
    limit = _limit(subject)
    if limit > subject.case.run_up_to and not subject.offer.spec.hosted:
        pytest.skip(f"a limit of {limit} is beyond the case's run_up_to of {subject.case.run_up_to}")
    return limit


def _content(items: list[Item]) -> Any:
    """What can be compared: texts without their white space, arrays end to end, nothing otherwise."""
    payloads = [part.payload for item in items for part in item.parts]
    if all(isinstance(payload, str) for payload in payloads):
        return "".join("".join(payload.split()) for payload in payloads)
    if all(isinstance(payload, np.ndarray) for payload in payloads):
        joined = np.concatenate(payloads)
        return joined.shape, joined.tobytes()
    return None
