"""What passes by itself is tried again, after a pause and not for ever; what ends, ends with its reason."""

import asyncio

import pytest

from llm_multi_core.embedder import EncodingError, ProviderError, Verdict
from llm_multi_core.embedder.pipeline import hosted_engine, pacing
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder
from llm_multi_core.embedder.testing.hosted import Faults

TEXTS = [f"text {number}" for number in range(200)]
AT_ONCE = Verdict("retry", after=0.0)


def failing(error, times):
    """An answer that is an error the first `times` times."""
    left = [times]

    def answer(texts):
        if left[0]:
            left[0] -= 1
            raise error

    return answer


def test_transient_errors_are_tried_again(make_embedder, scripted, told):
    scripted.answer = failing(told(AT_ONCE), 5)
    result = make_embedder(scripted).run(TEXTS)
    assert result.report.retries == 5
    assert result.report.requests == 20
    assert len(scripted.log) == 25
    assert result.ok.all()


def test_what_stays_transient_fails_in_the_end(make_embedder, scripted, told):
    scripted.answer = failing(told(AT_ONCE, "try again"), -1)
    with pytest.raises(ProviderError, match=r"failed on input 0 \(Told: try again; given up after 6 attempts\)"):
        make_embedder(scripted).embed_batch(TEXTS[:3])
    assert len(scripted.log) == hosted_engine.MAX_ATTEMPTS


def test_others_are_embedded_all_the_same(make_embedder, scripted, told):
    def answer(texts):
        if "text 15" in texts:
            raise told(AT_ONCE)

    scripted.answer = answer
    result = make_embedder(scripted).run(TEXTS, on_error="collect")
    assert [failure.index for failure in result.failures] == list(range(10, 20))
    assert result.ok.sum() == 190


@pytest.mark.parametrize("fault", ["server_error", "unavailable", "cut", "cut_within", "truncated", "rate_limited"])
def test_what_a_server_does_at_times(make_wire, server, no_pauses, fault):
    server.faults = Faults(script=("", fault, fault), retry_after=0.01)
    result = make_wire(server.base_url, batch_size=20, limits={"concurrency": 1}).run(TEXTS[:60])
    assert result.ok.all()
    assert result.report.retries == 2
    assert server.outcomes == {"ok": 3, fault: 2}


def test_rate_limits_are_no_attempts(make_embedder, scripted, told):
    scripted.answer = failing(told(Verdict("retry", after=0.0, limited=True)), 50)
    result = make_embedder(scripted).run(TEXTS[:10])
    assert result.ok.all()
    assert result.report.retries == 50


def test_what_a_provider_asks_for_is_waited_for_and_told(make_embedder, scripted, told):
    scripted.answer = failing(told(Verdict("retry", after=0.05, limited=True)), 1)
    report = make_embedder(scripted).run(TEXTS[:10]).report
    assert 0.05 <= report.waited <= 0.05 * (1 + hosted_engine.JITTER) + 1e-9
    assert report.seconds > 0.05


def test_pauses_grow_and_are_jittered():
    for attempt in range(1, 3000, 7):
        longest = min(pacing.LONGEST_PAUSE, pacing.FIRST_PAUSE * 2 ** (attempt - 1)) if attempt < 100 else 20.0
        drawn = [pacing.growing_pause(attempt) for _ in range(20)]
        assert longest / 2 <= min(drawn) < max(drawn) <= longest


@pytest.fixture
def rests(monkeypatch):
    """The pauses that would have been made between attempts; none is."""
    pauses = []

    async def note(run, seconds):
        pauses.append(seconds)

    monkeypatch.setattr(hosted_engine.HostedRun, "_rest", note)
    return pauses


def test_a_pause_is_as_long_as_asked_for_or_a_little_longer(make_wire, scripted, told, rests, monkeypatch):
    monkeypatch.setattr(hosted_engine, "MAX_ATTEMPTS", 100)
    scripted.answer = failing(told(Verdict("retry", after=30.0)), 40)
    make_wire(encoder=scripted, deadline=1e6).embed("a")
    assert len(rests) == 40
    assert 30.0 <= min(rests) < max(rests) <= 33.0


def test_pauses_grow_where_a_provider_does_not_say_how_long(make_wire, scripted, told, rests):
    scripted.answer = failing(told(Verdict("retry")), 5)
    make_wire(encoder=scripted).embed("a")
    assert len(rests) == 5
    for attempt, pause in enumerate(rests, 1):
        longest = pacing.FIRST_PAUSE * 2 ** (attempt - 1)
        assert longest / 2 <= pause <= longest


@pytest.mark.parametrize("limited", [True, False])
def test_a_pause_beyond_the_deadline_is_not_waited_for(make_wire, scripted, told, limited):
    scripted.answer = failing(told(Verdict("retry", after=3600.0, limited=limited, status=429)), -1)
    with pytest.raises(ProviderError, match=r"in 3\.?\d*e\+03 s, would lie beyond the deadline of 600 s") as caught:
        make_wire(encoder=scripted).embed("a")
    assert caught.value.status == 429
    assert len(scripted.log) == 1


def test_other_requests_do_not_wait_for_it_either(make_wire, scripted, told):
    embedder = make_wire(encoder=scripted)
    scripted.answer = failing(told(Verdict("retry", after=3600.0, limited=True)), 1)
    with pytest.raises(ProviderError, match="beyond the deadline"):
        embedder.embed("a")
    with pytest.raises(ProviderError, match="the rate limit leaves no room within the deadline of 600 s"):
        embedder.embed("b")
    assert len(scripted.log) == 1


def test_the_deadline_ends_retries_that_a_provider_asks_for_again_and_again(make_wire, scripted, told, rests):
    scripted.answer = failing(told(Verdict("retry", after=30.0)), -1)
    with pytest.raises(ProviderError, match=r"Told: told to fail; the next attempt, in 3\d.*deadline of 100 s"):
        make_wire(encoder=scripted, deadline=100.0).embed("a")
    assert len(scripted.log) == 4
    assert 90 <= sum(rests) < 100


def test_a_reply_that_does_not_come_ends_with_the_deadline(make_wire, scripted):
    async def never():
        await asyncio.Event().wait()

    scripted.answer = lambda texts: never()
    with pytest.raises(ProviderError, match=r"\(there was no reply within the deadline of 0\.05 s\)"):
        make_wire(encoder=scripted, deadline=0.05).embed("a")
    assert scripted.running == 0


def test_waiting_for_ones_turn_is_not_part_of_the_deadline(make_wire, scripted, monkeypatch):
    left = []
    remaining = hosted_engine.HostedRun._left

    def note(run, progress):
        left.append(remaining(run, progress))
        return left[-1]

    monkeypatch.setattr(hosted_engine.HostedRun, "_left", note)
    make_wire(encoder=scripted, deadline=60.0, batch_size=1, limits={"concurrency": 1}).run(TEXTS[:30])
    assert left == [60.0] * 60  # once for the limits and once for the request, after up to 29 others


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
