"""What is sent: requests as large and as many at a time as the limits allow, each input once."""

import numpy as np
import pytest

from llm_multi_core.embedder import InvalidOutputError
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder

TEXTS = [f"text {number}" for number in range(200)]


def test_requests_are_packed_and_bounded(make_embedder, scripted):
    result = make_embedder(scripted).run(TEXTS)
    assert result.report.requests == 20
    assert scripted.sizes() == [10] * 20
    assert scripted.most == 3
    assert result.report.billed_units == 400
    np.testing.assert_allclose(result.vectors, make_embedder().embed_batch(TEXTS), atol=1e-6)


def test_duplicates_are_sent_once(make_embedder, scripted):
    texts = [TEXTS[number % 7] for number in range(50)]
    result = make_embedder(scripted).run(texts)
    assert sum(scripted.sizes()) == 7
    assert result.report.duplicates == 43
    np.testing.assert_allclose(result.vectors, make_embedder().embed_batch(texts), atol=1e-6)


def test_work_is_spread_over_all_places_but_not_too_thin(make_wire, server):
    texts = [f"a text {number}" for number in range(1000)]
    make_wire(server.base_url, limits={"concurrency": 5, "spread": 10}).embed_batch(texts)
    assert sorted(len(call.contents) for call in server.calls) == [200] * 5
    server.calls.clear()
    make_wire(server.base_url, limits={"concurrency": 5, "spread": 400}).embed_batch(texts)
    assert sorted(len(call.contents) for call in server.calls) == [200, 400, 400]


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (4096, [512] * 8),
        (5000, [625] * 8),
        (9000, [750] * 12),  # three windows, of which two are underway at a time
    ],
)
def test_where_several_windows_are_known_to_come_they_share_the_places(make_wire, server, count, sizes):
    texts = [f"text {number}" for number in range(count)]
    embedder = make_wire(server.base_url)
    assert embedder.plan(texts).requests == len(sizes)
    vectors = embedder.embed_batch(texts)
    assert sorted(len(call.contents) for call in server.calls) == sizes
    np.testing.assert_array_equal(vectors, embedder.embed_batch(iter(texts)))  # whose number is not known


def test_no_request_is_larger_than_a_minute_allows(make_wire, server):
    texts = [f"five words in text {number}" for number in range(100)]
    make_wire(server.base_url, limits={"units_per_minute": 50_000, "units_per_batch": 100_000}).embed_batch(texts)
    assert len(server.calls) == 2
    server.calls.clear()
    plan = make_wire(server.base_url, limits={"units_per_minute": 100}).plan(texts)
    assert plan.requests == 5


class NoReply(FakeHostedEncoder):
    async def request(self, items, task):
        return np.ones((len(items), 8), np.float32)


def test_an_answer_that_is_no_reply_is_refused(make_embedder, no_pauses):
    with pytest.raises(InvalidOutputError, match="not Reply"):
        make_embedder(NoReply).embed_batch(["a", "b"])
