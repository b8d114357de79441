"""A bad day at the provider: everything that can happen, and every vector right in the end."""

import numpy as np
import pytest

from llm_multi_core.embedder.testing.hosted import Faults

TEXTS = [f"text number {number}" for number in range(5000)]
POISON = frozenset({TEXTS[17], TEXTS[2500], TEXTS[4999]})
BAD = [17, 2500, 4999]


@pytest.mark.parametrize("seed", range(4))
def test_all_vectors_but_those_of_three_poisonous_texts(make_wire, server, no_pauses, seed):
    """5% of requests refused for their rate, 2% failed, 1% cut; at most 1.3 times the requests of a good day."""
    embedder = make_wire(server.base_url, batch_size=16)
    good_day = embedder.plan(TEXTS).requests
    server.faults = Faults(seed=seed, rate_limited=0.05, server_error=0.02, cut=0.01, retry_after=0.01, poison=POISON)
    result = embedder.run(TEXTS, on_error="collect")
    requests, outcomes = len(server.requests), dict(server.outcomes)
    assert min(outcomes[fault] for fault in ("rate_limited", "server_error", "cut", "refused")) > 0
    assert [failure.index for failure in result.failures] == BAD
    assert all(f"input {failure.index}" in str(failure.error) for failure in result.failures)
    assert result.ok.sum() == 4997
    assert requests <= 1.3 * good_day
    assert good_day == 314
    assert result.report.requests == outcomes["ok"]
    assert server.violations == []
    server.faults = Faults()
    np.testing.assert_array_equal(result.vectors[result.ok], embedder.embed_batch(TEXTS)[result.ok])


def test_replies_that_are_wrong_in_every_way(make_wire, server, no_pauses):
    server.faults = Faults(
        seed=3, truncated=0.03, cut_within=0.02, unavailable=0.03, shuffled=0.2, short=0.03,
        wrong_dimension=0.03, retry_after=0.01,
    )  # fmt: skip
    embedder = make_wire(server.base_url, batch_size=16)
    result = embedder.run(TEXTS)
    assert result.ok.all()
    assert set(server.outcomes) == {
        "ok",
        "truncated",
        "cut_within",
        "unavailable",
        "shuffled",
        "short",
        "wrong_dimension",
    }
    server.faults = Faults()
    np.testing.assert_array_equal(result.vectors, embedder.embed_batch(TEXTS))
