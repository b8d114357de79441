"""The provider's double itself, over a bare HTTP client and with the simplest wire there could be."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import httpx
import numpy as np
import pytest

from llm_multi_core.embedder import Limits
from llm_multi_core.embedder.testing.hosted import (
    Content,
    EmbeddingCall,
    Faults,
    HostedServer,
    HttpReply,
    Wire,
    WireError,
)
from llm_multi_core.embedder.testing.hosted.faults import Fates
from llm_multi_core.embedder.testing.hosted.quota import Quota

LIMITS = Limits(items_per_batch=4, units_per_item=5, units_per_batch=12, bytes_per_batch=200, accepts_empty=False)


class PlainWire(Wire):
    """`POST /v0/embed` with a JSON list of texts; replies with a list of `[index, vector]`."""

    limits = LIMITS
    prefix = "/v0"

    def read(self, request):
        if request.path == "/v0/models":
            return HttpReply.of_json(["plain"])
        if request.path != "/v0/embed":
            raise WireError(404, "no such path")
        if "x-key" not in request.headers:
            raise WireError(401, "no key")
        texts = request.json()
        if not isinstance(texts, list):
            raise WireError(422, "not a list")
        contents = [Content(text, len(text.split()), len(text.encode())) for text in texts]
        return EmbeddingCall(contents, "plain", 4)

    def write(self, call, vectors, order):
        return HttpReply.of_json([[place, vectors[place].tolist()] for place in order])

    def refuse(self, error, headers=None):
        return HttpReply.of_json({"error": error.message, "code": error.code}, error.status, headers)


def ask(server, texts, key="k", **keywords):
    return httpx.post(f"{server.base_url}/embed", json=texts, headers={"x-key": key}, **keywords)


def expected(texts):
    wire = PlainWire()
    return [wire.vector(Content(text, 0, 0), EmbeddingCall((), "plain", 4)) for text in texts]


def test_a_reply_holds_the_vectors_of_the_wire_in_order():
    with HostedServer(PlainWire()) as server:
        reply = ask(server, ["a", "b", "a"])
    assert reply.status_code == 200
    assert [place for place, _ in reply.json()] == [0, 1, 2]
    np.testing.assert_allclose([vector for _, vector in reply.json()], expected(["a", "b", "a"]), rtol=1e-6)
    assert [content.key for content in server.calls[0].contents] == ["a", "b", "a"]
    record = server.requests[0]
    assert (record.method, record.path, record.status, record.outcome) == ("POST", "/v0/embed", 200, "ok")
    assert record.headers["x-key"] == "k"
    assert json.loads(record.body) == ["a", "b", "a"]
    assert server.violations == []


def test_requests_of_another_kind_are_answered_by_the_wire():
    with HostedServer(PlainWire(), faults=Faults(script=("nan", "unavailable"))) as server:
        assert httpx.get(f"{server.base_url}/models").json() == ["plain"]
        assert httpx.get(f"{server.base_url}/models").status_code == 503
    assert server.calls == []


def test_one_connection_serves_many_requests_of_every_framing():
    def chunks():
        yield b'["a", '
        yield b'"b"]'

    with HostedServer(PlainWire()) as server, httpx.Client(headers={"x-key": "k"}) as client:
        url = f"{server.base_url}/embed"
        ports = set()
        for content in (b'["a", "b"]', chunks(), b'["a", "b"]'):
            reply = client.post(url, content=content)
            ports.add(reply.extensions["network_stream"].get_extra_info("client_addr"))
            assert len(reply.json()) == 2
        assert len(ports) == 1
        closed = client.post(url, json=["a"], headers={"connection": "close"})
    assert closed.headers["connection"] == "close"
    assert server.violations == []


def test_large_bodies_arrive_whole():
    limits = Limits(items_per_batch=10)
    text = "x" * 5_000_000
    with HostedServer(PlainWire(), limits=limits) as server:
        assert ask(server, [text]).status_code == 200
    assert server.calls[0].contents[0].key == text


async def test_64_connections_at_once():
    texts = [[f"{i} {j}" for j in range(4)] for i in range(64)]
    limits = httpx.Limits(max_connections=64)
    with HostedServer(PlainWire(), latency=0.2) as server:
        async with httpx.AsyncClient(headers={"x-key": "k"}, limits=limits, timeout=30) as client:
            replies = await asyncio.gather(
                *(client.post(f"{server.base_url}/embed", json=group) for group in texts for _ in range(2))
            )
    found = [[vector for _, vector in reply.json()] for reply in replies]
    np.testing.assert_allclose(found[::2], [expected(group) for group in texts], rtol=1e-6)
    np.testing.assert_array_equal(found[::2], found[1::2])
    assert 1 < server.peak <= 64


@pytest.mark.parametrize(
    ("texts", "status", "code", "violation"),
    [
        (["a"] * 5, 400, "too_many", "5 inputs, and 4"),
        (["a b c d e f"], 400, "too_long", "6 tokens in an input, and 5"),
        (["a b c d e"] * 3, 400, "too_large", "15 tokens in a request, and 12"),
        (["a" * 201], 413, "too_large", "201 bytes in a request, and 200"),
        (["a", ""], 400, "empty", "empty"),
        ("a", 422, "", "not a list"),
    ],
)
def test_what_the_provider_does_not_allow_is_refused_and_noted(texts, status, code, violation):
    with HostedServer(PlainWire()) as server:
        reply = ask(server, texts)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert violation in reply.json()["error"]
    assert [violation in noted for noted in server.violations] == [True]
    assert server.calls == []


def test_a_missing_or_refused_key_is_no_violation():
    with HostedServer(PlainWire(), faults=Faults(denied_keys=frozenset({"stolen"}))) as server:
        assert httpx.post(f"{server.base_url}/embed", json=["a"]).status_code == 401
        assert ask(server, ["a"], key="stolen").status_code == 401
        assert ask(server, ["a"], key="good").status_code == 200
        server.faults = Faults(denied_keys=frozenset({"good"}))
        assert ask(server, ["a"], key="good").status_code == 401
    assert server.violations == []
    assert server.outcomes == {"denied": 3, "ok": 1}


@pytest.mark.parametrize(("failure", "status"), [("rate_limited", 429), ("server_error", 500), ("unavailable", 503)])
@pytest.mark.parametrize("retry_after", [None, 0.01])
def test_refusals(failure, status, retry_after):
    with HostedServer(PlainWire(), faults=Faults(script=(failure,), retry_after=retry_after)) as server:
        refused, answered = ask(server, ["a"]), ask(server, ["a"])
    assert (refused.status_code, answered.status_code) == (status, 200)
    assert refused.headers.get("retry-after") == (None if retry_after is None else "0.01")
    assert [record.outcome for record in server.requests] == [failure, "ok"]
    assert len(server.calls) == 1


@pytest.mark.parametrize("failure", ["cut", "cut_within"])
def test_cut_connections(failure):
    with HostedServer(PlainWire(), faults=Faults(script=(failure,))) as server, httpx.Client() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(f"{server.base_url}/embed", json=["a"], headers={"x-key": "k"})
        assert client.post(f"{server.base_url}/embed", json=["a"], headers={"x-key": "k"}).status_code == 200
    assert [record.outcome for record in server.requests] == [failure, "ok"]
    assert len(server.calls) == 1


def test_truncated_json():
    with HostedServer(PlainWire(), faults=Faults(script=("truncated",))) as server:
        reply = ask(server, ["a"])
    assert reply.status_code == 200
    with pytest.raises(ValueError, match="Expecting"):
        reply.json()
    assert server.calls == []


def test_distorted_replies():
    names = ("shuffled", "short", "nan", "wrong_dimension")
    with HostedServer(PlainWire(), faults=Faults(script=names)) as server:
        shuffled, short, nan, wrong = (json.loads(ask(server, ["a", "b", "c"]).text) for _ in names)
    right = expected(["a", "b", "c"])
    assert [place for place, _ in shuffled] == [2, 1, 0]
    np.testing.assert_allclose([vector for _, vector in shuffled], right[::-1], rtol=1e-6)
    assert [place for place, _ in short] == [0, 1]
    assert np.isnan(nan[0][1]).tolist() == [True, False, False, False]
    np.testing.assert_allclose([vector for _, vector in nan[1:]], right[1:], rtol=1e-6)
    assert [len(vector) for _, vector in wrong] == [3, 3, 3]
    assert [record.outcome for record in server.requests] == list(names)


def test_poison_refuses_its_whole_request_without_naming_it():
    with HostedServer(PlainWire(), faults=Faults(poison=frozenset({"bad"}))) as server:
        refused, answered = ask(server, ["a", "bad"]), ask(server, ["a"])
    assert (refused.status_code, answered.status_code) == (400, 200)
    assert "bad" not in refused.text
    assert server.violations == []


def test_a_slow_reply_comes_later():
    with HostedServer(PlainWire(), faults=Faults(script=("slow",), slow_seconds=30)) as server:
        with pytest.raises(httpx.ReadTimeout):
            ask(server, ["a"], timeout=0.2)
        assert ask(server, ["a"]).status_code == 200


def test_a_fault_of_the_wire_is_told_and_no_cut_connection():
    with HostedServer(PlainWire()) as server:
        assert ask(server, [1]).status_code == 500
    assert "AttributeError" in server.violations[0]


def test_what_is_not_http_is_noted():
    async def talk(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"nonsense\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    with HostedServer(PlainWire()) as server:
        asyncio.run(talk(httpx.URL(server.base_url).port))
    assert server.violations[0].startswith("not HTTP/1.1")


def test_a_server_that_does_not_run_has_no_address():
    server = HostedServer(PlainWire())
    with pytest.raises(RuntimeError, match="with statement"):
        _ = server.base_url
    with server:
        assert server.base_url.startswith("http://127.0.0.1:")


def test_shares_are_met_and_the_same_each_time():
    faults = Faults(seed=3, rate_limited=0.1, server_error=0.05, cut=0.05, shuffled=0.5, slow=0.25)
    first, second = Fates(faults), Fates(faults)
    drawn = [first.next() for _ in range(4000)]
    assert drawn == [second.next() for _ in range(4000)]
    failures = Counter(fate.failure for fate in drawn)
    assert failures["rate_limited"] == pytest.approx(400, rel=0.2)
    assert failures["server_error"] + failures["cut"] == pytest.approx(400, rel=0.2)
    assert sum(fate.distortion == "shuffled" for fate in drawn) == pytest.approx(2000, rel=0.1)
    assert sum(fate.slow for fate in drawn) == pytest.approx(1000, rel=0.1)
    other = Fates(Faults(seed=3, rate_limited=0.1, server_error=0.05, cut=0.05))
    assert [fate.failure for fate in drawn] == [other.next().failure for _ in range(4000)]


@pytest.mark.parametrize("wrong", [{"cut": 1.5}, {"cut": -0.1}, {"cut": 0.6, "truncated": 0.6}, {"script": ("flood",)}])
def test_impossible_faults_are_refused(wrong):
    with pytest.raises(ValueError, match=r"shares|flood"):
        Faults(**wrong)


def test_limits_a_minute_are_kept_and_told():
    limits = Limits(items_per_batch=4, requests_per_minute=60, units_per_minute=6)
    with HostedServer(PlainWire(), limits=limits) as server:
        first, second = ask(server, ["a b", "c"]), ask(server, ["a b c d"])
    assert first.status_code == 200
    headers = first.headers
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-limit-tokens"]) == ("60", "6")
    assert (headers["x-ratelimit-remaining-requests"], headers["x-ratelimit-remaining-tokens"]) == ("59", "3")
    assert float(headers["x-ratelimit-reset-tokens"].removesuffix("s")) == pytest.approx(30, abs=1)
    assert second.status_code == 429
    assert 5 < float(second.headers["retry-after"]) <= 10  # one token in ten seconds
    assert [record.outcome for record in server.requests] == ["ok", "quota"]
    assert server.violations == []


class TestQuota:
    def test_requests_flow_in_all_the_time(self):
        now = [0.0]
        quota = Quota(60, None, burst=2, clock=lambda: now[0])
        assert [quota.admit(0) for _ in range(3)] == [0, 0, 1]
        now[0] = 0.5
        assert quota.admit(0) == pytest.approx(0.5)
        now[0] = 1.0
        assert quota.admit(0) == 0
        now[0] = 100.0
        assert [quota.admit(0) for _ in range(3)] == [0, 0, 1]  # no more than the burst is saved up

    def test_a_refused_request_takes_nothing(self):
        quota = Quota(60, 60, burst=10, clock=lambda: 0.0)
        assert quota.admit(8) == 0
        assert quota.admit(8) == pytest.approx(6)
        assert quota.admit(2) == 0
        assert quota.pace().requests_left == 8

    def test_a_request_larger_than_the_burst_is_paid_for_afterwards(self):
        now = [0.0]
        quota = Quota(None, 60, burst=10, clock=lambda: now[0])
        assert quota.admit(25) == 0
        assert quota.pace().units_left == 0
        assert quota.admit(5) == pytest.approx(20)

    def test_no_limits(self):
        quota = Quota(None, None)
        assert quota.admit(10**9) == 0
        assert quota.pace() is None
