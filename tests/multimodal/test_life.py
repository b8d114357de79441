"""What an embedder of several modalities keeps, warns of and gives back: caches, copies, closing, cut inputs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from llm_multi_core.embedder import ClosedError, InvalidInputError, MemoryCache, TruncationWarning


@pytest.fixture
def inputs(picture, sound):
    """Texts, pictures and recordings, some twice."""
    return ["a", picture(1), sound(1), "b", picture(2), "a", sound(2), picture(1)]


class TestTruncation:
    def test_cut_inputs_are_warned_of_at_the_callers_line(self, make, picture):
        embedder = make("words", "pictures", text={"max_words": 2})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = embedder.run([picture(), "one two three", "one", "one two three four"])
        assert [warning.category for warning in caught] == [TruncationWarning]
        assert caught[0].filename == __file__
        assert "2 of 3 inputs were cut to the 2 words" in str(caught[0].message)
        assert "first at input 1" in str(caught[0].message)
        assert [cut.index for cut in result.reports["text"].truncations] == [1, 3]

    def test_what_was_said_of_media_may_be_cut_as_well(self, make, picture):
        embedder = make("words", text={"max_words": 3}, bridge={"image": "caption"})
        with pytest.warns(TruncationWarning, match="1 of 1 inputs were cut to the 3 words"):
            embedder.embed(picture())

    def test_or_is_refused_by_index(self, make, picture):
        embedder = make("words", "pictures", truncation="error", text={"max_words": 2})
        with pytest.raises(InvalidInputError, match=r"^input 2: it has 3 words"):
            embedder.embed_batch([picture(), "one", "one two three"])


class TestLife:
    def test_a_cache_serves_all_modalities_and_uncached_asks_none(self, make, frameworks, inputs):
        embedder = make("words", "pictures", "sounds", cache=MemoryCache())
        before = embedder.embed_batch(inputs)
        asked = len(frameworks.CALLS)
        again = embedder.run(inputs)
        assert len(frameworks.CALLS) == asked
        assert all(np.array_equal(a, b) for a, b in zip(before, again.vectors, strict=True))
        assert all(report.cache_hits for report in again.reports.values())
        with embedder.uncached() as fresh:
            assert all(np.array_equal(a, b) for a, b in zip(before, fresh.embed_batch(inputs), strict=True))
        assert len(frameworks.CALLS) > asked
        assert embedder.embed_batch(inputs[:3])  # closing the other did not close this one

    def test_pickled_copies_give_the_same(self, make, inputs):
        import pickle

        for embedder in (
            make("words", "pictures", "sounds"),
            make("words", bridge={"image": "caption", "audio": "transcript"}),
        ):
            copy = pickle.loads(pickle.dumps(embedder))
            pairs = zip(copy.embed_batch(inputs), embedder.embed_batch(inputs), strict=True)
            assert all(np.array_equal(a, b) for a, b in pairs)
            assert repr(copy) == repr(embedder)
            copy.close()

    def test_no_pickle_holds_a_key(self, make, monkeypatch):
        import pickle

        embedder = make(framework="red", api_key="r-canary-1234")
        data = pickle.dumps(embedder)
        assert b"r-canary-1234" not in data
        assert "r-canary-1234" not in repr(embedder)
        monkeypatch.setenv("RED_KEY", "from the environment")
        with pickle.loads(data) as copy:
            assert len(copy.embed_batch(["a"])) == 1

    def test_closed_embedders_refuse(self, make, inputs, picture):
        embedder = make("words", bridge={"image": "caption", "audio": "transcript"})
        embedder.embed_batch(inputs)
        embedder.close()
        embedder.close()
        for call in (embedder.embed_batch, embedder.run, embedder.embed_joint):
            with pytest.raises(ClosedError):
                call(inputs)
        with pytest.raises(ClosedError):
            embedder.similarity("a", picture())

    def test_the_repr_names_frameworks_and_bridges(self, make):
        embedder = make("words", "pictures", bridge={"audio": "transcript"})
        assert repr(embedder) == ("MultiModalEmbedder(text='words', image='pictures', audio=transcript model 'small')")

    def test_nothing_is_loaded_or_asked_before_it_is_needed(self, make):
        embedder = make("words", "pictures", "sounds", image={"model": "missing"}, audio={"model": "missing"})
        assert embedder.modalities == ("text", "image", "audio")
        assert len(embedder.embed_batch(["texts", "do not", "need them"])) == 3
