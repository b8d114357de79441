"""What a call cost, as far as it can be known."""

import pytest

from llm_multi_core.embedder import MemoryCache, Reply, Usage
from llm_multi_core.embedder.testing.hosted import Faults

TEXTS = [f"three words {number}" for number in range(100)]


def test_the_users_price_counts_the_providers_tokens(make_wire, server):
    report = make_wire(server.base_url, price=2.0, price_in_catalogue=50.0).run(TEXTS).report
    assert report.billed_units == 300
    assert report.cost == pytest.approx(300 * 2.0 / 1e6)
    assert "about $0.000600" in str(report)


def test_else_the_catalogues(make_wire, server):
    assert make_wire(server.base_url, price_in_catalogue=50.0).run(TEXTS).report.cost == pytest.approx(300 * 50 / 1e6)


def test_what_is_not_known_is_not_known(make_wire, server, wire_client):
    assert make_wire(server.base_url).run(TEXTS).report.cost is None
    server.wire.models = {**wire_client.MODELS, "another": wire_client.MODELS["wire-small"]}
    other = make_wire(server.base_url, price_in_catalogue=50.0, model="another").run(TEXTS).report
    assert other.cost is None
    assert "$" not in str(other)


def test_a_price_of_zero_is_known(make_wire, server):
    assert make_wire(server.base_url, price=0.0, price_in_catalogue=50.0).run(TEXTS).report.cost == 0.0


def test_nothing_is_asked_nothing_is_paid(make_wire, server):
    cache = MemoryCache()
    embedder = make_wire(server.base_url, price=2.0, cache=cache)
    embedder.run(TEXTS)
    again = embedder.run(TEXTS).report
    assert (again.cost, again.billed_units, again.requests, again.cache_hits) == (0.0, 0, 0, 100)
    assert embedder.run([]).report.cost == 0.0


def test_a_local_model_has_no_cost(make_embedder):
    report = make_embedder().run(TEXTS).report
    assert (report.cost, report.billed_units, report.waited) == (None, 0, 0.0)


def test_a_plan_has_the_same_estimate(make_wire, server):
    embedder = make_wire(server.base_url, price=2.0)
    plan = embedder.plan([*TEXTS, TEXTS[0]])
    assert (plan.units, plan.duplicates) == (300, 1)
    assert plan.cost == pytest.approx(300 * 2.0 / 1e6)
    assert server.requests == []
    assert make_wire(server.base_url).plan(TEXTS).cost is None


def test_a_reply_with_a_row_that_is_not_sound_is_paid_for_as_well(make_wire, server):
    server.faults = Faults(script=("nan",))
    report = make_wire(server.base_url, price=2.0, limits={"concurrency": 1}).run(TEXTS[:10]).report
    assert report.requests == 2
    assert report.billed_units == 30 + 3
    assert report.cost == pytest.approx(33 * 2.0 / 1e6)


def replied(usage):
    return lambda texts: lambda reply: Reply(reply.rows, usage)


def test_an_encoder_may_know_better(make_wire, scripted):
    scripted.answer = replied(Usage(units=7, requests=3, cost=0.25))
    report = make_wire(encoder=scripted, price=2.0, batch_size=10).run(TEXTS[:20]).report
    assert report.cost == pytest.approx(0.5)
    assert report.billed_units == 14
    assert report.requests == 6


def test_where_a_provider_does_not_count_the_estimate_does(make_wire, scripted):
    scripted.answer = replied(Usage())
    report = make_wire(encoder=scripted, price=2.0).run(TEXTS[:20]).report
    assert report.billed_units == 0
    assert report.cost == pytest.approx(60 * 2.0 / 1e6)
    plan = make_wire(encoder=scripted, price=2.0).plan(TEXTS[:20])
    assert plan.cost == pytest.approx(report.cost)


def test_embedders_that_differ_in_price_only_do_not_share_it(make_wire, scripted):
    reports = [make_wire(encoder=scripted, price=price).run(TEXTS[:10]).report for price in (1.0, 3.0, None)]
    assert [report.cost for report in reports] == [pytest.approx(30 / 1e6), pytest.approx(90 / 1e6), None]


def test_the_progress_line_of_a_hosted_call(make_wire, server, capfd):
    make_wire(server.base_url, price=2.0).embed_batch(TEXTS, show_progress=True)
    line = capfd.readouterr().err
    assert "wire text" in line
    assert "300 units" in line
    assert "$0.0006" in line
