"""Hosted encoders: bounded concurrency, retries of what is transient, bad items found."""

import asyncio
import traceback

import numpy as np
import pytest

from llm_multi_core.embedder import Description, EncodingError, InvalidOutputError, Limits, ProviderError, Verdict
from llm_multi_core.embedder.pipeline import hosted_engine, pacing
from llm_multi_core.embedder.pipeline.redaction import RedactedError
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder

TEXTS = [f"text {number}" for number in range(200)]


class Transient(Exception):
    pass


class Refused(Exception):
    pass


class ScriptedEncoder(FakeHostedEncoder):
    """Fails as it is told, and notes how many requests run at once."""

    transient_failures = 0
    poison = "poison"
    log: list[int] = []
    running = most = 0

    def describe(self):
        base = super().describe()
        limits = Limits(unit="word", items_per_batch=10, padded=False, concurrency=3)
        return Description(base.space, limits, base.native_dimension)

    async def request(self, items, task):
        cls = type(self)
        cls.running += 1
        cls.most = max(cls.most, cls.running)
        cls.log.append(len(items))
        try:
            await asyncio.sleep(0)
            if cls.transient_failures:
                cls.transient_failures -= 1
                raise Transient("try again")
            if any(item.text == self.poison for item in items):
                raise ValueError("bad item")
            if any(item.text == "secret" for item in items):
                raise Refused("401")
            return await super().request(items, task)
        finally:
            cls.running -= 1

    def classify(self, error):
        if isinstance(error, Transient):
            return Verdict("retry", after=0.0)
        return Verdict("fatal") if isinstance(error, Refused) else Verdict("split")


@pytest.fixture(autouse=True)
def fresh():
    ScriptedEncoder.transient_failures = ScriptedEncoder.most = 0
    ScriptedEncoder.log.clear()


def test_requests_are_packed_and_bounded(make_embedder):
    result = make_embedder(ScriptedEncoder).run(TEXTS)
    assert result.report.requests == 20
    assert ScriptedEncoder.log == [10] * 20
    assert ScriptedEncoder.most <= 3
    assert result.report.billed_units == 400
    np.testing.assert_allclose(result.vectors, make_embedder().embed_batch(TEXTS), atol=1e-6)


def test_transient_errors_are_tried_again(make_embedder):
    ScriptedEncoder.transient_failures = 5
    result = make_embedder(ScriptedEncoder).run(TEXTS)
    assert result.report.retries == 5
    assert result.report.requests == 20
    assert len(ScriptedEncoder.log) == 25
    assert result.ok.all()


def test_what_stays_transient_fails_in_the_end(make_embedder):
    ScriptedEncoder.transient_failures = 10**6
    with pytest.raises(EncodingError, match="try again"):
        make_embedder(ScriptedEncoder).embed_batch(TEXTS[:5])
    assert len(ScriptedEncoder.log) == hosted_engine.MAX_ATTEMPTS


def test_a_poisonous_item_stands_alone_in_the_end(make_embedder):
    texts = [*TEXTS[:50], "poison", *TEXTS[50:]]
    result = make_embedder(ScriptedEncoder).run(texts, on_error="collect")
    assert [failure.index for failure in result.failures] == [50]
    np.testing.assert_allclose(result.vectors[result.ok], make_embedder().embed_batch(TEXTS), atol=1e-6)


def test_a_refused_key_ends_the_call_without_trying_the_rest(make_embedder):
    with pytest.raises(EncodingError, match="401"):
        make_embedder(ScriptedEncoder).run(["secret", *TEXTS], on_error="collect")
    assert len(ScriptedEncoder.log) < 20


class NoReply(FakeHostedEncoder):
    async def request(self, items, task):
        return np.ones((len(items), 8), np.float32)


def test_an_answer_that_is_no_reply_is_refused(make_embedder):
    with pytest.raises(InvalidOutputError, match="not Reply"):
        make_embedder(NoReply).embed_batch(["a", "b"])


class Unreliable(FakeHostedEncoder):
    error: BaseException = SystemExit(3)

    async def request(self, items, task):
        raise type(self).error


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_what_would_end_the_loop_ends_the_call_only(make_embedder, monkeypatch, error):
    monkeypatch.setattr(Unreliable, "error", error)
    with pytest.raises(EncodingError, match="failed on input 0"):
        make_embedder(Unreliable).embed("a")
    result = make_embedder(Unreliable).run(["a", None], on_error="collect")
    assert [failure.index for failure in result.failures] == [0, 1]
    assert make_embedder(FakeHostedEncoder).embed("a").shape == (8,)


def test_the_cause_of_a_hosted_failure_is_told_without_the_object_that_may_hold_a_key(make_embedder):
    with pytest.raises(ProviderError, match="ValueError: bad item") as caught:
        make_embedder(ScriptedEncoder).embed("poison")
    cause = caught.value.__cause__
    assert type(cause) is RedactedError
    assert "bad item" in str(cause)
    assert "request" in [frame.name for frame in traceback.extract_tb(cause.__traceback__)]
    assert caught.value.__context__ is None


class FullDisk:
    def get_many(self, keys):
        return [None] * len(keys)

    def set_many(self, entries):
        raise OSError("disk full")


def test_a_request_is_not_sent_again_because_the_cache_fails(make_embedder):
    with pytest.raises(OSError, match="disk full"):
        make_embedder(ScriptedEncoder, cache=FullDisk()).embed_batch(TEXTS[:10])
    assert ScriptedEncoder.log == [10]


def test_pauses_grow_and_are_bounded():
    for attempt in range(1, 30):
        bound = min(pacing.LONGEST_PAUSE, pacing.FIRST_PAUSE * 2 ** (attempt - 1))
        assert bound / 2 <= pacing.growing_pause(attempt) <= bound
