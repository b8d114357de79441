"""Nothing is cut silently."""

import warnings

import numpy as np
import pytest

from llm_multi_core.embedder import (
    Description,
    InvalidOptionError,
    Limits,
    MemoryCache,
    TruncationError,
    TruncationWarning,
)
from llm_multi_core.embedder.testing.fakes import FakeMultiVectorEncoder, FakeTextEncoder, fake_vector

LONG = " ".join(f"w{number}" for number in range(40))
HEAD = " ".join(f"w{number}" for number in range(16))


class CuttingEncoder(FakeTextEncoder):
    """Cuts by itself, as a tokenizer does; says what it was given."""

    given: list[str] = []

    def describe(self):
        base = super().describe()
        limits = Limits(unit="word", units_per_item=16, truncates=True)
        return Description(base.space, limits, base.native_dimension)

    def prepare(self, items, task, state=None):
        type(self).given.extend(item.text for item in items)
        return super().prepare(items, task, state)


def unit(vector):
    return vector / np.linalg.norm(vector)


def head_vector():
    return unit(fake_vector(f"text:{HEAD}", 8))


def test_warn_cuts_and_says_so(make_embedder):
    with pytest.warns(TruncationWarning, match=r"2 of 4 inputs were cut to the 16 words.*input 1; the longest has 40"):
        result = make_embedder().run(["short", LONG, "other", LONG])
    assert [(t.index, t.units, t.kept, t.dropped) for t in result.report.truncations] == [
        (1, 40, 16, 24),
        (3, 40, 16, 24),
    ]
    np.testing.assert_allclose(result.vectors[1], head_vector(), atol=1e-6)
    assert result.report.units == 1 + 16 + 1


def test_the_warning_names_the_users_line(make_embedder):
    with pytest.warns(TruncationWarning) as caught:
        make_embedder().embed(LONG)
    assert caught[0].filename == __file__


def test_truncate_cuts_without_a_warning(make_embedder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = make_embedder(truncation="truncate").run([LONG])
    assert result.report.truncations[0].dropped == 24
    np.testing.assert_allclose(result.vectors[0], head_vector(), atol=1e-6)


def test_error_refuses_before_anything_is_encoded(make_embedder):
    embedder = make_embedder(truncation="error")
    with pytest.raises(TruncationError, match=r"input 1: it has 40 words .* takes 16") as caught:
        embedder.embed_batch(["short", LONG])
    assert caught.value.index == 1


def test_error_can_be_collected(make_embedder):
    result = make_embedder(truncation="error").run(["a", LONG, "b", LONG], on_error="collect")
    assert result.ok.tolist() == [True, False, True, False]
    assert [failure.index for failure in result.failures] == [1, 3]
    assert [failure.error.index for failure in result.failures] == [1, 3]
    assert np.isnan(result.vectors[1]).all()


def test_mean_weighs_the_pieces_by_length(make_embedder):
    vector = make_embedder(truncation="mean").embed(LONG)
    words = LONG.split()
    pieces = [words[:16], words[16:32], words[32:]]
    mean = sum(len(piece) * unit(fake_vector("text:" + " ".join(piece), 8)) for piece in pieces)
    np.testing.assert_allclose(vector, unit(mean), atol=1e-6)


def test_mean_leaves_short_inputs_alone(make_embedder):
    texts = ["a", LONG, "b", LONG, "a"]
    result = make_embedder(truncation="mean").run(texts)
    np.testing.assert_array_equal(result.vectors[1], result.vectors[3])
    np.testing.assert_allclose(result.vectors[[0, 2, 4]], make_embedder().embed_batch(["a", "b", "a"]), atol=1e-6)
    assert not result.report.truncations


def test_an_encoder_that_cuts_is_given_the_whole(make_embedder):
    CuttingEncoder.given.clear()
    result = make_embedder(CuttingEncoder, truncation="truncate").run([LONG])
    assert CuttingEncoder.given == [LONG]
    assert result.report.truncations[0].kept == 16
    assert result.report.units == 16


def test_mean_needs_dense_vectors(make_embedder):
    with pytest.raises(InvalidOptionError, match="dense"):
        make_embedder(FakeMultiVectorEncoder, truncation="mean").space  # noqa: B018


def test_a_cache_keeps_the_treatments_apart(make_embedder):
    cache = MemoryCache()
    mean = make_embedder(truncation="mean", cache=cache).embed(LONG)
    cut = make_embedder(truncation="truncate", cache=cache).run([LONG])
    assert cut.report.cache_hits == 0
    assert not np.allclose(cut.vectors[0], mean)
    again = make_embedder(truncation="truncate", cache=cache).run([LONG])
    assert again.report.cache_hits == 1
    assert [t.index for t in again.report.truncations] == [0]
    np.testing.assert_array_equal(make_embedder(truncation="mean", cache=cache).embed(LONG), mean)
    with pytest.raises(TruncationError):
        make_embedder(truncation="error", cache=cache).embed(LONG)


def test_streams_warn_window_by_window_and_keep_nothing(make_embedder):
    with pytest.warns(TruncationWarning) as caught:
        list(make_embedder().embed_stream([LONG, LONG + " x", LONG + " y"], window=1))
    assert len(caught) == 3


def test_the_plan_knows_what_would_be_cut(make_embedder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = make_embedder().plan(["a", LONG])
    assert [truncation.index for truncation in plan.truncations] == [1]
    assert plan.units == 17
