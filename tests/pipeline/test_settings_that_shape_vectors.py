"""Dimensions, roles, caches: which vectors are the same and which are not."""

import numpy as np
import pytest

from llm_multi_core.embedder import (
    Description,
    IncompatibleSpacesError,
    MemoryCache,
    Space,
    Task,
    UnsupportedDimensionsError,
    VectorCache,
)
from llm_multi_core.embedder.pipeline.pool import pool
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder, FakeTextEncoder, fake_vector

ENCODED: list[str] = []


class RecordingEncoder(FakeTextEncoder):
    def forward(self, batch):
        ENCODED.extend(item.text for item in batch[0])
        return super().forward(batch)


class MatryoshkaEncoder(RecordingEncoder):
    def describe(self):
        base = super().describe()
        dimension = self.config.options["dimension"]
        return Description(Space(base.space.name, dimension), base.limits, dimension, sliceable=True)


class FixedEncoder(RecordingEncoder):
    def describe(self):
        base = super().describe()
        return Description(Space(base.space.name, 8), base.limits, 8)


class StrictEncoder(FixedEncoder):
    def describe(self):
        if self.config.dimensions not in {None, 4}:
            raise UnsupportedDimensionsError("only 4 and 8 are offered")
        base = super().describe()
        return Description(Space(base.space.name, self.config.dimensions or 8), base.limits, 8)


class InstructedEncoder(FakeTextEncoder):
    def describe(self):
        base = super().describe()
        return Description(base.space, base.limits, base.native_dimension, instructions=True)

    def vectors(self, items, task):
        return super().vectors(items, Task(task.role)) + len(task.instruction or "")


@pytest.fixture(autouse=True)
def forget():
    ENCODED.clear()


def unit(vector):
    return vector / np.linalg.norm(vector)


def test_a_matryoshka_model_is_cut_and_normalised_again(make_embedder):
    whole, cut = make_embedder(MatryoshkaEncoder), make_embedder(MatryoshkaEncoder, dimensions=3)
    assert cut.dimension == 3
    assert cut.space.dimension == 3
    np.testing.assert_allclose(cut.embed("a"), unit(fake_vector("text:a", 8)[:3]), atol=1e-6)
    assert cut.space.fingerprint != whole.space.fingerprint
    with pytest.raises(IncompatibleSpacesError, match=r"3 d.*8 d"):
        cut.space.require_same(whole.space)


def test_embedders_that_differ_in_the_cut_share_one_encoder_and_its_cache(make_embedder):
    cache = MemoryCache()
    make_embedder(MatryoshkaEncoder, cache=cache).embed_batch(["a", "b"])
    before = len(pool)
    result = make_embedder(MatryoshkaEncoder, cache=cache, dimensions=3).run(["b", "a"])
    assert len(pool) == before
    assert result.report.cache_hits == 2
    assert ENCODED == ["a", "b"]


def test_an_encoder_that_takes_dimensions_is_asked_for_them(make_embedder):
    for encoder in (FakeTextEncoder, FakeHostedEncoder):
        embedder = make_embedder(encoder, dimensions=5)
        np.testing.assert_allclose(embedder.embed("a"), unit(fake_vector("text:a", 5)), atol=1e-6)


def test_a_model_that_is_no_matryoshka_is_cut_only_on_demand(make_embedder):
    with pytest.raises(UnsupportedDimensionsError, match="force_dimensions=True"):
        make_embedder(FixedEncoder, dimensions=4).embed("a")
    forced = make_embedder(FixedEncoder, dimensions=4, force_dimensions=True)
    np.testing.assert_allclose(forced.embed("a"), unit(fake_vector("text:a", 8)[:4]), atol=1e-6)
    with pytest.raises(UnsupportedDimensionsError, match="gives 8 dimensions and cannot give 9"):
        make_embedder(FixedEncoder, dimensions=9, force_dimensions=True).embed("a")
    assert make_embedder(FixedEncoder, dimensions=8).dimension == 8


def test_an_encoders_own_refusal_of_dimensions(make_embedder):
    assert make_embedder(StrictEncoder, dimensions=4).dimension == 4
    with pytest.raises(UnsupportedDimensionsError, match="only 4 and 8"):
        make_embedder(StrictEncoder, dimensions=5).embed("a")
    with pytest.raises(UnsupportedDimensionsError, match="force_dimensions=True"):
        make_embedder(StrictEncoder, dimensions=5).embed("a")
    assert make_embedder(StrictEncoder, dimensions=5, force_dimensions=True).dimension == 5


def test_refused_dimensions_leave_no_encoder_behind(make_embedder):
    before = len(pool)
    for encoder in (FixedEncoder, StrictEncoder):
        with pytest.raises(UnsupportedDimensionsError):
            make_embedder(encoder, dimensions=5).embed("a")
    assert len(pool) == before


def test_roles_reach_a_model_that_tells_them_apart(make_embedder):
    embedder = make_embedder(roles=True)
    query, document, symmetric = (embedder.embed("a", role=role) for role in ("query", "document", None))
    np.testing.assert_allclose(query, unit(fake_vector("query|text:a", 8)), atol=1e-6)
    np.testing.assert_allclose(document, unit(fake_vector("document|text:a", 8)), atol=1e-6)
    np.testing.assert_array_equal(symmetric, embedder.embed("a", role="symmetric"))


def test_a_cache_keeps_roles_apart_where_they_matter_and_only_there(make_embedder):
    for roles, hits in ((True, 0), (False, 1)):
        embedder = make_embedder(roles=roles, cache=MemoryCache())
        query = embedder.embed("a", role="query")
        result = embedder.run(["a"], role="document")
        assert result.report.cache_hits == hits
        assert np.array_equal(result.vectors[0], query) is not roles


def test_instructions_reach_a_model_that_follows_them(make_embedder):
    embedder = make_embedder(InstructedEncoder, cache=MemoryCache())
    plain = embedder.embed("a")
    assert not np.allclose(embedder.embed("a", instruction="Find similar"), plain)
    np.testing.assert_array_equal(embedder.embed("a"), plain)


def test_models_never_share_cached_vectors(make_embedder):
    cache = MemoryCache()
    make_embedder(model="one", cache=cache).embed("a")
    assert make_embedder(model="two", cache=cache).run(["a"]).report.cache_hits == 0
    assert make_embedder(dimension=16, cache=cache).run(["a"]).report.cache_hits == 0


def test_a_new_encoding_version_starts_its_cache_anew(make_embedder, monkeypatch):
    cache = MemoryCache()
    old = make_embedder(cache=cache)
    old.embed("a")
    old_id = old.encoder_id
    old.close()
    monkeypatch.setattr(FakeTextEncoder, "encoding_version", 2)
    new = make_embedder(cache=cache)
    assert new.encoder_id != old_id
    assert new.run(["a"]).report.cache_hits == 0


def test_the_cache_answers_what_it_can_and_the_rest_is_encoded(make_embedder):
    embedder = make_embedder(RecordingEncoder, cache=MemoryCache())
    first = embedder.embed_batch(["a", "b", "c"])
    result = embedder.run(["x", "b", "y", "a", "b"])
    assert result.report.cache_hits == 2
    assert sorted(ENCODED) == ["a", "b", "c", "x", "y"]
    np.testing.assert_array_equal(result.vectors[[3, 1, 4]], first[[0, 1, 1]])


def test_what_was_encoded_before_a_failure_is_not_encoded_again(make_embedder):
    class Broken(Exception):
        pass

    cache = MemoryCache()
    embedder = make_embedder(RecordingEncoder, cache=cache, batch_size=1)

    def texts():
        yield from (str(number) for number in range(10))
        raise Broken

    stream = embedder.embed_stream(texts(), window=4)
    with pytest.raises(Broken):
        list(stream)
    done = len(ENCODED)
    assert done >= 8
    embedder.embed_batch([str(number) for number in range(10)])
    assert sorted(ENCODED) == sorted(str(number) for number in range(10))


def test_the_memory_cache_is_bounded_and_drops_the_oldest(make_embedder):
    row_bytes = 8 * 4
    cache = MemoryCache(max_bytes=3 * row_bytes)
    embedder = make_embedder(RecordingEncoder, cache=cache)
    embedder.embed_batch(["a", "b", "c"])
    embedder.embed("a")
    embedder.embed("d")
    assert len(cache) == 3
    assert embedder.run(["a"]).report.cache_hits == 1
    assert embedder.run(["b"]).report.cache_hits == 0
    assert isinstance(cache, VectorCache)
