"""What encoders and caches get wrong beside the vectors themselves: an error or a new vector, never a wrong row."""

from dataclasses import replace

import numpy as np
import pytest

from llm_multi_core.embedder import (
    EncodingError,
    InvalidInputError,
    InvalidOptionError,
    InvalidOutputError,
    Measure,
    MemoryCache,
    MissingCredentialsError,
    Rows,
    Verdict,
)
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder, FakeTextEncoder

LONG = "word " * 40


class PickyMeasure(FakeTextEncoder):
    def measure(self, items, task):
        if any(item.text.startswith("bad") for item in items):
            raise ValueError("cannot measure")
        return super().measure(items, task)


class PickyMeasureWithState(PickyMeasure):
    def measure(self, items, task):
        return Measure(super().measure(items, task).units, state=[item.text for item in items])

    def prepare(self, items, task, state=None):
        assert [item.text for item in items] == list(state)
        return super().prepare(items, task)


@pytest.mark.parametrize("encoder", [PickyMeasure, PickyMeasureWithState])
def test_what_cannot_be_measured_fails_by_itself(make_embedder, encoder):
    texts = ["bad", *(f"text {number}" for number in range(20)), "bad", "bad too", LONG]
    result = make_embedder(encoder, truncation="mean").run(texts, on_error="collect")
    assert [failure.index for failure in result.failures] == [0, 21, 22]
    good = [*range(1, 21), 23]
    want = make_embedder(truncation="mean").embed_batch([texts[place] for place in good])
    np.testing.assert_allclose(result.vectors[good], want, atol=1e-6)
    with pytest.raises(EncodingError, match=r"failed on inputs 0, 21 .ValueError: cannot measure"):
        make_embedder(encoder).embed_batch(texts)
    assert not make_embedder(encoder).run(["bad"], on_error="collect").ok.any()


class WrongStates(FakeTextEncoder):
    def measure(self, items, task):
        return Measure([1] * len(items), state=[None])


def test_a_wrong_count_of_states_is_refused(make_embedder):
    with pytest.raises(InvalidOutputError, match="measured 1 states of 2 items"):
        make_embedder(WrongStates).embed_batch(["a", "b"])


class NoRoom(FakeTextEncoder):
    def split(self, item, max_units, task):
        raise InvalidInputError("nothing fits")


class Nothing(FakeTextEncoder):
    def split(self, item, max_units, task):
        return []


class Whole(FakeTextEncoder):
    def split(self, item, max_units, task):
        return [item]


@pytest.mark.parametrize("policy", ["truncate", "mean"])
@pytest.mark.parametrize(
    ("encoder", "error", "words"),
    [
        (NoRoom, InvalidInputError, "input 1: nothing fits"),
        (Nothing, InvalidOutputError, "into nothing for input 1"),
        (Whole, InvalidOutputError, "a piece of 40 units where 16 fit for input 1"),
    ],
)
def test_what_cannot_be_split_fails_by_itself(make_embedder, encoder, error, words, policy):
    embedder = make_embedder(encoder, truncation=policy)
    with pytest.raises(error, match=words):
        embedder.embed_batch(["a", LONG, "b"])
    result = embedder.run(["a", LONG, "b"], on_error="collect")
    assert result.ok.tolist() == [True, False, True]
    assert result.report.truncations == []
    np.testing.assert_allclose(result.vectors[result.ok], make_embedder().embed_batch(["a", "b"]), atol=1e-6)


class LastComponent(FakeTextEncoder):
    """Vectors of which the first components are all zero, though they may be cut to those."""

    def describe(self):
        return replace(super().describe(), sliceable=True)

    def forward(self, batch):
        return np.stack([np.eye(8, dtype=np.float32)[0 if item.text == "first" else 7] for item in batch[0]])


def test_a_vector_that_is_zero_once_it_is_cut_is_refused(make_embedder):
    embedder = make_embedder(LastComponent, dimensions=4)
    with pytest.raises(InvalidOutputError, match=r"zero vector.*for input 1"):
        embedder.embed_batch(["first", "last"])
    result = embedder.run(["first", "last", None], on_error="collect")
    assert result.ok.tolist() == [True, False, False]
    assert np.isnan(result.vectors[1:]).all()


class Opposites(FakeTextEncoder):
    def forward(self, batch):
        return np.stack([np.full(8, 1 if "plus" in item.text else -1, np.float32) for item in batch[0]])


def test_a_mean_that_is_zero_is_refused(make_embedder):
    with pytest.raises(InvalidOutputError, match=r"zero vector.*for input 0"):
        make_embedder(Opposites, truncation="mean").embed("plus " * 16 + "minus " * 16)


class Locked(FakeTextEncoder):
    def forward(self, batch):
        raise MissingCredentialsError("no licence")

    def classify(self, error):
        return Verdict("fatal")


def test_a_fatal_error_of_our_own_is_not_its_own_cause(make_embedder):
    with pytest.raises(MissingCredentialsError) as caught:
        make_embedder(Locked).embed("a")
    assert caught.value.__cause__ is None


class Answers:
    """A cache that knows one answer."""

    def __init__(self, *answers):
        self.answers = answers

    def get_many(self, keys):
        return list(self.answers[:1]) * len(keys) if len(self.answers) == 1 else list(self.answers)

    def set_many(self, entries):
        pass


@pytest.mark.parametrize("encoder", [FakeTextEncoder, FakeHostedEncoder])
@pytest.mark.parametrize(
    "rows",
    [
        np.full((1, 8), np.nan),
        np.zeros((1, 8)),
        np.ones((1, 5)),
        np.ones((2, 8)),
        np.ones((0, 8)),
        np.ones(8),
    ],
    ids=["nan", "zero", "dimension", "two", "none", "flat"],
)
def test_what_a_cache_has_is_not_believed_blindly(make_embedder, encoder, rows):
    embedder = make_embedder(encoder, cache=Answers(Rows(rows.astype(np.float32))))
    result = embedder.run(["a", "b", "c"])
    assert result.report.cache_hits == 0
    np.testing.assert_allclose(result.vectors, make_embedder().embed_batch(["a", "b", "c"]), atol=1e-6)


@pytest.mark.parametrize(
    ("answers", "words"), [((None, None), "2 answers for 3 keys"), ((np.ones(8),), "gave ndarray, not Rows")]
)
def test_a_cache_that_is_none_is_named(make_embedder, answers, words):
    with pytest.raises(InvalidOptionError, match=f"cache Answers gave {words}|{words}"):
        make_embedder(cache=Answers(*answers)).embed_batch(["a", "b", "c"])


def test_a_negative_size_of_a_cache_is_refused():
    with pytest.raises(InvalidOptionError, match="max_bytes=-1"):
        MemoryCache(-1)


def test_a_plan_tells_what_would_be_refused(make_embedder):
    plan = make_embedder(truncation="error").plan(["a", None, LONG])
    assert [failure.index for failure in plan.failures] == [1, 2]
    assert plan.items == 3


@pytest.mark.parametrize("window", [0, -1, 2.5, "10", True, None])
async def test_a_window_is_a_positive_whole_number(make_embedder, window):
    embedder = make_embedder()

    async def source():
        yield "a"

    with pytest.raises(InvalidOptionError, match="window="):
        next(embedder.embed_stream(["a"], window=window))
    with pytest.raises(InvalidOptionError, match="window="):
        await anext(embedder.aembed_stream(source(), window=window))
    assert [len(block) for block in embedder.embed_stream(["abc"], window=np.int64(2))] == [1]


async def test_inputs_that_are_no_inputs(make_embedder):
    async def source():
        yield "a"

    class DataFrame(list):
        def itertuples(self):
            return iter(())

    embedder = make_embedder()
    for xs, words in [
        (source(), "only aembed_stream"),
        (np.array("text"), "not as ndarray"),
        (DataFrame(["column"]), "several columns"),
    ]:
        with pytest.raises(InvalidInputError, match=words):
            embedder.embed_batch(xs)
        with pytest.raises(InvalidInputError, match=words):
            await embedder.aembed_batch(xs)
        with pytest.raises(InvalidInputError, match=words):
            embedder.plan(xs)
    with pytest.raises(InvalidOptionError, match="on_error"):
        embedder.run(["a"], on_error=[])
