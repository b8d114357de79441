"""Standard tests of inputs that are refused, and of text that must stay text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_multi_core.embedder.errors import EmbedderError, InvalidInputError
from llm_multi_core.embedder.testing.conformance.compare import assert_changed, assert_finite, assert_same
from llm_multi_core.embedder.testing.conformance.fixtures import EncoderTests
from llm_multi_core.embedder.testing.conformance.subject import Subject, embed_rows
from llm_multi_core.embedder.testing.conformance.watch import watch_io

HOST = "conformance-kit.invalid"


class RefusalTests(EncoderTests):
    """Bad inputs, and inputs that look like something else."""

    def test_bad_input_is_refused_with_its_index(self, subject: Subject) -> None:
        """`None`, a foreign object and, for text, bytes and lone surrogates raise with their index."""
        bad: list[Any] = [None, object()]
        if subject.case.is_text:
            bad += [b"bytes", "\ud800 alone", float("nan"), 7]
        first, last = subject.case.samples[0], subject.case.samples[-1]
        for value in bad:
            with pytest.raises(InvalidInputError) as caught:
                embed_rows(subject.embedder, [first, value, last])
            assert caught.value.index == 1, f"{value!r}: the error names input {caught.value.index}, not 1"

    def test_refused_input_does_not_stop_others(self, subject: Subject) -> None:
        """With `on_error="collect"` the others have their vectors, and the row of the bad one is NaN."""
        if subject.description.space.output != "dense":
            pytest.skip("collecting is for dense vectors")
        result = subject.embedder.run([subject.items[0], None, subject.items[1]], on_error="collect")
        assert [failure.index for failure in result.failures] == [1]
        assert result.ok.tolist() == [True, False, True]
        assert np.isnan(result.vectors[1]).all()
        found = [row[None].astype(np.float64) for row in result.vectors[[0, 2]]]
        expected = subject.alone("embedder")[:2]
        assert_same(found, expected, subject.case.tolerance, "the neighbours of a refused input")

    def test_empty_text(self, subject: Subject) -> None:
        """The empty text has a vector if the limits say so, and is refused with its index otherwise."""
        if not subject.case.is_text:
            pytest.skip("for text only")
        inputs = [subject.items[0], "", subject.items[1]]
        if not subject.description.limits.accepts_empty:
            with pytest.raises(InvalidInputError) as caught:
                embed_rows(subject.embedder, inputs)
            assert caught.value.index == 1
            return
        try:
            found = subject.spread(embed_rows(subject.embedder, inputs))
        except EmbedderError:
            if subject.description.space.output == "sparse":  # a text without words has no weights
                return
            raise
        assert_finite(found, "an empty text between others")
        expected = subject.alone("embedder")[:2]
        assert_same(found[::2], expected, subject.case.tolerance, "the neighbours of an empty text")

    def test_text_that_looks_like_a_path_or_url_stays_text(self, subject: Subject, tmp_path: Path) -> None:
        """No text is opened or fetched; what a file holds does not show in the vector of its name."""
        if not subject.case.is_text:
            pytest.skip("for text only")
        file = tmp_path / "conformance-kit.txt"
        first, second = subject.items[0].text, subject.items[1].text
        texts = [str(file), file.as_uri(), f"http://{HOST}/cat.png", f"https://{HOST}/index.html", "data:text/plain,hi"]
        file.write_text(first, encoding="utf-8")
        with subject.new_embedder(truncation="truncate") as embedder:
            embed_rows(embedder, [subject.items[0]])  # loads the model, which may open what it likes
            with watch_io(any_thread=True) as seen:
                before = subject.spread(embed_rows(embedder, texts))
            file.write_text(second, encoding="utf-8")
            after = subject.spread(embed_rows(embedder, texts))
            content = subject.spread(embed_rows(embedder, [first]))
        reached = [event for event in seen if file.name in event or HOST in event]
        assert not reached, f"a text was opened or fetched: {', '.join(reached)}"
        tolerance = subject.case.tolerance
        assert_same(after, before, tolerance, "texts that look like paths, after the file changed")
        assert_changed(before[:1], content, tolerance, "a path against the content of its file")
