"""Standard tests of an embedder's life: threads, async, pickling, closing."""

from __future__ import annotations

import asyncio
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from llm_multi_core.embedder.errors import ClosedError
from llm_multi_core.embedder.rows import Rows
from llm_multi_core.embedder.testing.conformance.case import API_KEY
from llm_multi_core.embedder.testing.conformance.compare import assert_same
from llm_multi_core.embedder.testing.conformance.fixtures import EncoderTests
from llm_multi_core.embedder.testing.conformance.subject import Subject, aembed_rows, embed_rows

THREADS = 8


class LifeTests(EncoderTests):
    """What holds however and wherever an embedder is used."""

    def test_threads_agree_with_serial(self, subject: Subject) -> None:
        """Eight threads that share one embedder, from its first use on, get the serial result."""
        alone, items = subject.alone("embedder"), subject.items
        start = threading.Barrier(THREADS)
        with subject.new_embedder() as embedder, ThreadPoolExecutor(THREADS) as threads:

            def embed(turn: int) -> Rows:
                turned = items[turn % len(items) :] + items[: turn % len(items)]
                start.wait()
                return embed_rows(embedder, turned)

            results = list(threads.map(embed, range(THREADS)))
        for turn, rows in enumerate(results):
            places = [(turn + place) % len(items) for place in range(len(items))]
            expected = [alone[place] for place in places]
            assert_same(subject.spread(rows), expected, subject.case.tolerance, f"thread {turn}")

    def test_async_agrees_with_sync(self, subject: Subject) -> None:
        """Eight asynchronous calls at once get the synchronous result."""
        alone, items = subject.alone("embedder"), subject.items

        async def embed_all() -> list[Rows]:
            forwards, backwards = aembed_rows(subject.embedder, items), aembed_rows(subject.embedder, items[::-1])
            single = [aembed_rows(subject.embedder, [item]) for item in items[:6]]
            return await asyncio.gather(forwards, backwards, *single)

        forwards, backwards, *single = (subject.spread(rows) for rows in asyncio.run(embed_all()))
        tolerance = subject.case.tolerance
        assert_same(forwards, alone, tolerance, "the samples, asynchronously")
        assert_same(backwards, alone[::-1], tolerance, "the samples backwards, asynchronously")
        found = [vectors for rows in single for vectors in rows]
        assert_same(found, alone[: len(single)], tolerance, "single samples, asynchronously")

    def test_pickled_embedder_agrees(self, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
        """A pickled copy loads the model again when it is first used, and gives equal vectors."""
        credentials = subject.offer.spec.credentials
        for variable in credentials.variables if credentials is not None else ():
            monkeypatch.setenv(variable, subject.case.api_key or API_KEY)
        copy = pickle.loads(pickle.dumps(subject.embedder))  # noqa: S301 - made one line above
        with copy:
            assert copy._lease.resolved is None, "the copy was resolved before its first use"
            assert_same(
                subject.spread(embed_rows(copy, subject.items)),
                subject.alone("embedder"),
                subject.case.tolerance,
                "a pickled copy",
            )
            assert copy.encoder_id == subject.embedder.encoder_id

    def test_closed_embedder_refuses(self, subject: Subject) -> None:
        """After `close`, which may be called twice, every use raises; others are not affected."""
        embedder = subject.new_embedder()
        embed_rows(embedder, subject.items[:1])
        embedder.close()
        embedder.close()
        with pytest.raises(ClosedError):
            embed_rows(embedder, subject.items[:1])
        with pytest.raises(ClosedError):
            embedder.embed_batch(subject.items[:1])
        with pytest.raises(ClosedError):
            _ = embedder.dimension
        found = subject.vectors("embedder", subject.items)
        assert_same(found, subject.alone("embedder"), subject.case.tolerance, "another embedder after the close")

    def test_no_inputs(self, subject: Subject) -> None:
        """An empty list gives no rows, of the right dimension and kind."""
        space = subject.description.space
        rows = embed_rows(subject.embedder, [])
        assert len(rows) == 0
        rows.check(0, space.dimension, space.output)
        if space.output == "dense":
            assert subject.embedder.embed_batch([]).shape == (0, space.dimension)
