"""Limits a minute: the arithmetic of buckets, and how fast a provider is asked in a time that passes at will."""

import asyncio
import random
import selectors
from dataclasses import replace

import pytest

from llm_multi_core.embedder import Limits, ProviderError, Verdict
from llm_multi_core.embedder.encoders import Pace
from llm_multi_core.embedder.pipeline import pacing
from llm_multi_core.embedder.pipeline.pacing import Bucket, Concurrency, Pacer, PaceState
from llm_multi_core.embedder.pipeline.rate_store import MemoryStore
from llm_multi_core.embedder.testing.hosted import HostedServer
from llm_multi_core.embedder.testing.hosted.quota import Quota

NOTHING = frozenset()


# Buckets.


def test_a_bucket_is_full_at_first_and_refills_evenly():
    bucket = Bucket(600)
    bucket.refill(1000.0)
    assert bucket.wait(600) == 0
    bucket.spend(600)
    assert bucket.wait(1) == pytest.approx(0.1)
    assert bucket.wait(50) == pytest.approx(5.0)
    bucket.refill(1002.0)
    assert bucket.level == pytest.approx(20)
    bucket.refill(1500.0)
    assert bucket.level == 600


def test_what_is_larger_than_the_bucket_waits_until_it_is_full():
    bucket = Bucket(600)
    bucket.refill(0.0)
    bucket.spend(60)
    assert bucket.wait(5000) == pytest.approx(6.0)
    bucket.refill(6.0)
    assert bucket.wait(5000) == 0
    bucket.spend(5000)
    assert bucket.wait(1) == pytest.approx(440.1)  # the debt is worked off


def test_no_limit_is_no_limit():
    bucket = Bucket(None)
    bucket.refill(0.0)
    bucket.spend(1e9)
    bucket.refused(5, told_when=False)
    assert bucket.wait(1e9) == 0


def test_a_clock_that_is_set_back_gives_nothing_and_takes_nothing():
    bucket = Bucket(600)
    bucket.refill(1000.0)
    bucket.spend(600)
    bucket.refill(400.0)
    assert bucket.level == 0
    bucket.refill(401.0)
    assert bucket.level == pytest.approx(10)


def test_a_bucket_follows_what_the_provider_says():
    bucket = Bucket(600)
    bucket.refill(0.0)
    bucket.learn(limit=600, left=100, pinned=False, now=0.0)
    assert bucket.level == 100
    bucket.learn(limit=600, left=500, pinned=False, now=0.0)
    assert bucket.level == 100  # it does not know yet of what is on its way
    bucket.learn(limit=1200, left=None, pinned=False, now=0.0)
    assert (bucket.limit, bucket.level) == (1200, 700)
    bucket.learn(limit=300, left=None, pinned=True, now=0.0)
    assert bucket.limit == 1200
    bucket.learn(limit=0, left=None, pinned=False, now=0.0)
    assert bucket.limit == 1200


def test_a_limit_that_was_not_known_is_learned_with_what_is_left_of_it():
    bucket = Bucket(None)
    bucket.learn(limit=600, left=60, pinned=False, now=5.0)
    bucket.refill(6.0)
    assert bucket.level == pytest.approx(70)


def test_refusals_make_a_bucket_careful_of_bursts_and_then_of_its_rate():
    bucket = Bucket(600)
    bucket.refill(0.0)
    bucket.refused(100, told_when=True)
    assert (bucket.burst, bucket.share, bucket.level) == (0.5, 1.0, 600)
    bucket.refused(100, told_when=False)
    assert (bucket.burst, bucket.level) == (0.25, 0)
    bucket.refused(100, told_when=False)
    assert bucket.burst == pytest.approx(100 / 600)  # one request of that size fits at once
    bucket.refused(100, told_when=False)
    assert (bucket.burst, bucket.share) == (pytest.approx(100 / 600), 0.8)
    for _ in range(50):
        bucket.refused(100, told_when=False)
    assert bucket.share == 0.05
    assert bucket.wait(100) == pytest.approx(200)
    for _ in range(100):
        bucket.accepted()
    assert bucket.share == 1.0


# Both buckets, and pauses.


def state(requests=None, units=None):
    return PaceState(Bucket(requests), Bucket(units))


def test_a_request_takes_from_both_buckets_or_from_none():
    pace = state(requests=60, units=600)
    assert pace.reserve(500, now=0.0).delay == 0
    assert pace.reserve(200, now=0.0).delay == pytest.approx(10)
    assert (pace.requests.level, pace.units.level) == (59, 100)
    turn = pace.reserve(200, now=10.0)
    assert (turn.delay, turn.time, turn.units, turn.reserved) == (0, 10.0, 200, 200)


def test_what_was_not_used_is_given_back():
    pace = state(units=600)
    turn = pace.reserve(500, now=0.0)
    pace.accepted(turn, used=200)
    assert pace.units.level == 400
    pace.accepted(turn, used=None)
    assert pace.units.level == 400
    pace.accepted(turn, used=600)
    assert pace.units.level == 300
    pace.accepted(turn, used=600, counted=True)  # the provider's own figure knows of it
    assert pace.units.level == 300


def test_what_an_estimate_is_worth_is_learned():
    pace = state(units=60_000)
    for _ in range(40):
        turn = pace.reserve(100, now=0.0)
        pace.accepted(turn, used=60)
    assert turn.reserved == pytest.approx(60, rel=1e-3)
    for used in (1e9, 0.0):
        for _ in range(100):
            pace.accepted(turn, used=used)
        assert 0.1 <= pace.worth <= 4


def test_requests_underway_together_are_refused_together():
    pace = state(units=600)
    turns = [pace.reserve(10, now=100.0) for _ in range(3)]
    for turn, now in zip(turns, (101.0, 101.1, 101.2), strict=True):
        pace.refused(turn, after=5.0, now=now)
    assert pace.units.burst == 0.5
    assert pace.resume == pytest.approx(106.2)
    assert pace.reserve(10, now=102.0).delay == pytest.approx(4.2)
    pace.refused(pace.reserve(10, now=107.0), after=5.0, now=108.0)
    assert pace.units.burst == 0.25


def test_pauses_grow_where_the_provider_does_not_say_how_long():
    pace, now, pauses = state(), 0.0, []
    for _ in range(12):
        turn = pace.reserve(10, now)
        pauses.append(pace.refused(turn, after=None, now=now))
        assert pace.resume == now + pauses[-1]
        now = pace.resume
    for number, pause in enumerate(pauses):
        longest = min(pacing.LONGEST_PAUSE, pacing.FIRST_PAUSE * 2**number)
        assert longest / 2 <= pause <= longest
    for _ in range(12):
        pace.accepted(turn, 10)
    assert pace.refused(pace.reserve(10, now), after=None, now=now) <= pacing.FIRST_PAUSE


def test_a_provider_or_a_wrong_clock_does_not_close_the_shop_for_ever():
    pace = state()
    assert pace.refused(pace.reserve(10, now=0.0), after=1e9, now=0.0) == 1e9
    assert pace.resume == 3600


def test_a_state_survives_being_written_down():
    pace = state(requests=60, units=600)
    turn = pace.reserve(10, now=3.0)
    pace.accepted(turn, used=7)
    pace.refused(turn, after=1.0, now=4.0)
    assert PaceState.from_dict(pace.to_dict()) == pace
    older = {name: pace.to_dict()[name] for name in ("requests", "units")}
    assert PaceState.from_dict(older).refusals == 0


# Places.


async def test_places_are_given_in_the_order_of_asking_and_first_to_what_was_begun():
    places, order = Concurrency(1), []

    async def take(name, first=False):
        async with places.slot(first):
            order.append(name)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(take(name)) for name in "abc"]
    await asyncio.sleep(0)
    await asyncio.gather(*tasks, take("d", first=True))
    assert "".join(order) == "abdc"  # c waited already when d asked


async def test_places_grow_fewer_and_come_back():
    places, running, most = Concurrency(8), 0, 0

    async def take():
        nonlocal running, most
        async with places.slot():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            running -= 1
        places.accepted()

    places.refused()
    places.refused()
    tasks = [asyncio.create_task(take()) for _ in range(100)]
    await asyncio.sleep(0)
    assert running == 2
    await asyncio.gather(*tasks)
    assert most == 8  # though all of them waited already when there were two


async def test_a_place_is_never_lost_to_one_who_went_away():
    places = Concurrency(2)

    async def take(seconds=0.0):
        async with places.slot():
            await asyncio.sleep(seconds)

    for round_ in range(50):
        tasks = [asyncio.create_task(take()) for _ in range(6)]
        for _ in range(round_ % 5):
            await asyncio.sleep(0)
        for task in tasks[round_ % 3 :: 2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert places._running == 0
    await asyncio.wait_for(asyncio.gather(*(take() for _ in range(10))), 30)


# Time that passes at will.


class Jumping:
    """A selector that does not wait, but moves the clock."""

    def __init__(self):
        self.inner, self.now = selectors.DefaultSelector(), 1000.0

    def select(self, timeout=None):
        self.now += timeout or 0.0
        return self.inner.select(0)

    def __getattr__(self, name):
        return getattr(self.inner, name)


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop in whose time nothing takes any."""

    def __init__(self):
        self.jumping = Jumping()
        super().__init__(self.jumping)

    def time(self):
        return self.jumping.now


class LoopStore(MemoryStore):
    async def change(self, fresh, change):
        self._state = self._state or fresh
        return change(self._state, asyncio.get_running_loop().time())


class Asked:
    """How a provider that keeps `theirs` fared with a pacer that believes in `ours`: requests of about 1,000 units."""

    def __init__(self, ours, theirs, *, count=300, burst=60.0, told=True, headers=True, measured=1000.0, spread=0):
        chooser = random.Random(1)
        self.refused, self.count = 0, count
        self.sizes = [1000 + chooser.randint(-spread, spread) for _ in range(count)]
        self._limits = theirs
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            self.seconds = runner.run(self._ask(ours, theirs, burst, told, headers, measured))
        self.burst = burst

    async def _ask(self, ours, theirs, burst, told, headers, measured):
        loop = asyncio.get_running_loop()
        quota = Quota(theirs.requests_per_minute, theirs.units_per_minute, burst, loop.time)
        pacer = Pacer(ours, NOTHING, LoopStore())

        async def request(units):
            while True:
                async with pacer.concurrency.slot():
                    turn = await pacer.wait(measured, 1e9, lambda seconds: None)
                    await asyncio.sleep(0.05)
                    wait = quota.admit(units)
                    await asyncio.sleep(0.05)
                pace = quota.pace() if headers else None
                if not wait:
                    await pacer.settle(turn, units, pace)
                    return
                self.refused += 1
                refusal = await pacer.refused(turn, wait if told else None, pace)
                await asyncio.sleep(refusal.pause)

        started = loop.time()
        await asyncio.gather(*map(request, self.sizes))
        return loop.time() - started

    @property
    def share(self):
        """Of what the limit allows, how much was reached: all but what may be sent at once, at the limit's rate."""
        needed = [
            (amount - limit * self.burst / 60) / (limit / 60)
            for amount, limit in (
                (self.count, self._limits.requests_per_minute),
                (sum(self.sizes), self._limits.units_per_minute),
            )
            if limit is not None
        ]
        return max(needed) / self.seconds


LIMIT = Limits(units_per_minute=60_000)
UNKNOWN = Limits()


@pytest.mark.parametrize("measured", [1000.0, 2500.0, 500.0])
@pytest.mark.parametrize("headers", [True, False])
def test_a_limit_that_is_known_is_used_up_and_not_exceeded(measured, headers):
    asked = Asked(LIMIT, LIMIT, measured=measured, headers=headers)
    assert asked.refused <= (0 if measured >= 1000 or headers else 8)
    assert 0.98 < asked.share <= 1.0


@pytest.mark.parametrize("measured", [1000.0, 2500.0, 500.0])
def test_requests_that_are_larger_than_their_estimate_at_times(measured):
    asked = Asked(LIMIT, LIMIT, measured=measured, spread=200)
    assert asked.refused <= 10
    assert 0.98 < asked.share <= 1.0


def test_a_limit_of_requests_as_well():
    limit = Limits(requests_per_minute=60)
    asked = Asked(limit, limit, count=200)
    assert asked.refused == 0
    assert 0.99 < asked.share <= 1.0


def test_a_limit_that_replies_tell_of_is_kept_from_the_first_one_on():
    asked = Asked(UNKNOWN, LIMIT)
    assert asked.refused == 0
    assert 0.99 < asked.share <= 1.0


@pytest.mark.parametrize("headers", [True, False])
@pytest.mark.parametrize("told", [True, False])
def test_a_limit_that_is_half_of_what_was_believed(headers, told):
    asked = Asked(replace(LIMIT, units_per_minute=120_000), LIMIT, headers=headers, told=told)
    assert asked.refused <= (0 if headers else 75)
    assert 0.95 < asked.share <= 1.0


@pytest.mark.parametrize("told", [True, False])
def test_a_limit_that_nobody_tells_of_is_not_hammered_at(told):
    asked = Asked(UNKNOWN, LIMIT, headers=False, told=told)
    assert asked.refused < 2 * asked.count
    assert 0.9 < asked.share <= 1.0


def test_a_provider_that_allows_smaller_bursts():
    asked = Asked(LIMIT, LIMIT, burst=5.0, headers=False, told=False)
    assert asked.refused < 20
    assert 0.95 < asked.share <= 1.0


# Calls.


def test_a_server_that_keeps_a_limit_is_never_exceeded(make_wire, wire_client):
    """6,000 tokens a minute may be sent at once, and 200 more take two seconds."""
    limits = replace(wire_client.wire().limits, units_per_minute=6000)
    texts = [f"{number} " + "word " * 24 for number in range(248)]  # of 25 tokens
    with HostedServer(wire_client.wire(), limits=limits) as server:
        embedder = make_wire(server.base_url, batch_size=8, limits={"units_per_minute": 6000})
        result = embedder.run(texts)
        assert server.violations == []
        assert server.outcomes == {"ok": 31}
        assert result.report.waited > 0
        want = [server.wire.vector(content, call) for call in server.calls for content in call.contents]
    assert result.ok.all()
    assert len(want) == 248
    assert result.report.billed_units == 6200


def test_so_is_one_whose_limit_is_told_only_by_its_replies(make_wire, wire_client):
    limits = replace(wire_client.wire().limits, units_per_minute=6000)
    texts = [f"{number} " + "word " * 24 for number in range(248)]
    with HostedServer(wire_client.wire(), limits=limits) as server:
        assert make_wire(server.base_url, batch_size=8).run(texts).ok.all()
        assert server.outcomes["quota"] <= 8


def test_what_the_user_says_holds_whatever_replies_say(make_wire, wire_client):
    limits = replace(wire_client.wire().limits, requests_per_minute=1000)
    with HostedServer(wire_client.wire(), limits=limits) as server:
        embedder = make_wire(server.base_url, batch_size=1, deadline=1.0, limits={"requests_per_minute": 5})
        embedder.embed_batch([f"text {number}" for number in range(5)])
        with pytest.raises(ProviderError, match="the rate limit leaves no room within the deadline of 1 s"):
            embedder.embed("one too many")
        assert len(server.requests) == 5


@pytest.fixture
def poor(scripted, told):
    """An account of a low tier, which allows 390 units a minute, and says so when more are asked for at once."""
    scripted.limits = replace(scripted.limits, items_per_batch=400, spread=400)

    def answer(texts):
        if sum(len(text.split()) for text in texts) > 390:
            raise told(Verdict("retry", after=600.0, limited=True, pace=Pace(units_per_minute=390)), "too much")

    scripted.answer = answer
    return scripted


def test_a_request_beyond_what_a_minute_allows_is_halved(make_wire, poor):
    result = make_wire(encoder=poor).run([f"text {number}" for number in range(196)])
    assert result.ok.all()
    assert poor.sizes() == [196, 98, 98]


def test_an_item_beyond_what_a_minute_allows_is_named(make_wire, poor):
    poor.limits = replace(poor.limits, units_per_item=None)
    result = make_wire(encoder=poor).run(["short", "word " * 400], on_error="collect")
    assert [failure.index for failure in result.failures] == [1]
    assert "too much" in str(result.failures[0].error)


def test_threads_and_embedders_of_one_account_share_its_limit(make_wire, scripted):
    first, second = (
        make_wire(encoder=scripted, deadline=1.0, limits={"requests_per_minute": 3}, normalize=flag)
        for flag in (True, False)
    )
    for embedder in (first, second, first):
        embedder.embed("a")
    for embedder in (first, second):
        with pytest.raises(ProviderError, match="the rate limit leaves no room"):
            embedder.embed("b")
    other = make_wire(encoder=scripted, deadline=1.0, limits={"requests_per_minute": 3}, api_key="another account")
    assert other.embed("b").shape == (8,)
