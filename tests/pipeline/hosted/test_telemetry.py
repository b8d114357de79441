"""Spans and metrics, where OpenTelemetry is installed: of calls and their requests, and never of content."""

import asyncio
import json
import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from llm_multi_core.embedder import BatchError, InvalidInputError, Limits, ProviderError, Verdict
from llm_multi_core.embedder.pipeline import telemetry
from llm_multi_core.embedder.testing.fakes import FakeTextEncoder

TEXTS = [f"confidential text {number}" for number in range(30)]
KEY = "sk-canary-of-telemetry"


class Recorded:
    """What was recorded."""

    def __init__(self):
        self._spans, self._metrics = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers, self.meters = TracerProvider(), MeterProvider([self._metrics])
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))

    @property
    def calls(self):
        return [span for span in self._spans.get_finished_spans() if span.kind is SpanKind.INTERNAL]

    @property
    def requests(self):
        return [span for span in self._spans.get_finished_spans() if span.kind is SpanKind.CLIENT]

    @property
    def points(self):
        """The points of each metric."""
        data = self._metrics.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def text(self):
        """All of it, as an exporter would write it."""
        spans = [span.to_json() for span in self._spans.get_finished_spans()]
        data = self._metrics.get_metrics_data()
        return json.dumps([*spans, data.to_json() if data else ""])


@pytest.fixture
def recorded(monkeypatch):
    """Records in this test only; OpenTelemetry's own providers can be set but once."""
    recorder = Recorded()
    monkeypatch.setattr(trace, "get_tracer", recorder.tracers.get_tracer)
    monkeypatch.setattr(metrics, "get_meter", recorder.meters.get_meter)
    return recorder


def test_a_call_and_its_requests(make_wire, server, recorded):
    make_wire(server.base_url, batch_size=10).embed_batch(TEXTS)
    (call,) = recorded.calls
    assert call.name == "embeddings wire-small"
    assert dict(call.attributes) == {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "wire",
        "gen_ai.request.model": "wire-small",
        "gen_ai.embeddings.dimension.count": 16,
        "gen_ai.usage.input_tokens": 90,
        "llm_multi_core.items": 30,
        "llm_multi_core.cache_hits": 0,
        "llm_multi_core.requests": 3,
        "llm_multi_core.retries": 0,
        "llm_multi_core.truncations": 0,
        "llm_multi_core.failures": 0,
    }
    assert call.status.status_code is StatusCode.UNSET
    assert len(recorded.requests) == 3
    for request in recorded.requests:
        assert request.name == "embeddings wire-small"
        assert request.parent.span_id == call.context.span_id
        assert request.context.trace_id == call.context.trace_id
        assert call.start_time <= request.start_time <= request.end_time <= call.end_time
        assert request.attributes["gen_ai.usage.input_tokens"] == 30
        assert request.attributes["llm_multi_core.items"] == 10


def test_metrics_of_a_call(make_wire, server, recorded, caplog):
    embedder = make_wire(server.base_url)
    for _ in range(2):
        embedder.embed_batch(TEXTS)
    points = recorded.points
    (duration,) = points["gen_ai.client.operation.duration"]
    assert duration.count == 2
    assert duration.explicit_bounds == telemetry._DURATIONS
    (usage,) = points["gen_ai.client.token.usage"]
    assert (usage.count, usage.sum) == (2, 180)
    assert usage.explicit_bounds == telemetry._TOKENS
    assert usage.attributes["gen_ai.token.type"] == "input"
    assert usage.attributes["gen_ai.request.model"] == "wire-small"
    assert caplog.records == []  # such as one about an instrument that exists already


def test_a_local_model_has_no_requests(make_embedder, recorded):
    make_embedder(FakeTextEncoder).embed_batch(TEXTS)
    (call,) = recorded.calls
    assert recorded.requests == []
    assert call.attributes["llm_multi_core.items"] == 30
    assert "gen_ai.usage.input_tokens" not in call.attributes  # its unit is a word
    assert set(recorded.points) == {"gen_ai.client.operation.duration"}


def test_a_call_belongs_to_what_its_caller_does(make_wire, server, recorded):
    with recorded.tracers.get_tracer("app").start_as_current_span("indexing") as outer:
        make_wire(server.base_url).embed("a")
    assert recorded.calls[0].parent.span_id == outer.context.span_id
    assert recorded.requests[0].context.trace_id == outer.context.trace_id


async def test_so_does_an_asynchronous_one(make_wire, server, recorded):
    embedder = make_wire(server.base_url)

    async def embed(name):
        with recorded.tracers.get_tracer("app").start_as_current_span(name) as outer:
            await embedder.aembed_batch([f"{name} {number}" for number in range(3)])
        return outer.context.span_id

    outers = await asyncio.gather(*(embed(f"task {number}") for number in range(5)))
    calls = [span for span in recorded.calls if span.name.startswith("embeddings")]
    assert {call.parent.span_id for call in calls} == set(outers)
    assert {request.parent.span_id for request in recorded.requests} == {call.context.span_id for call in calls}


def test_what_a_client_records_belongs_to_its_request(make_embedder, scripted, recorded):
    """As the instrumentation of an HTTP client does."""

    def answer(texts):
        recorded.tracers.get_tracer("http").start_span("POST").end()

    scripted.answer = answer
    make_embedder(scripted).embed("a")
    (post,) = (span for span in recorded.calls if span.name == "POST")
    assert post.parent.span_id == recorded.requests[0].context.span_id


def test_each_attempt_is_a_request_of_its_own(make_embedder, scripted, told, recorded):
    left = [2]

    def answer(texts):
        if left[0]:
            left[0] -= 1
            raise told(Verdict("retry", after=0.0), "confidential words of the server")

    scripted.answer = answer
    make_embedder(scripted).embed("a")
    assert [request.attributes.get("error.type") for request in recorded.requests] == ["Told", "Told", None]
    assert [request.status.status_code for request in recorded.requests[:2]] == [StatusCode.ERROR] * 2
    assert recorded.calls[0].attributes["llm_multi_core.retries"] == 2
    assert "error.type" not in recorded.calls[0].attributes


def failing(told, action):
    def answer(texts):
        if any("29" in text for text in texts):
            raise told(Verdict(action), "confidential words of the server")

    return answer


def test_a_call_that_fails(make_embedder, scripted, told, recorded):
    scripted.answer = failing(told, "fatal")
    scripted.limits = Limits(unit="token", items_per_batch=30, padded=False)
    with pytest.raises(ProviderError):
        make_embedder(scripted).embed_batch(TEXTS)
    (call,) = recorded.calls
    assert call.attributes["error.type"] == "ProviderError"
    assert call.status.status_code is StatusCode.ERROR
    (duration,) = recorded.points["gen_ai.client.operation.duration"]
    assert duration.attributes["error.type"] == "ProviderError"


def test_collected_failures_are_counted_and_no_error(make_embedder, scripted, told, recorded):
    scripted.answer = failing(told, "split")
    make_embedder(scripted).run([*TEXTS, None], on_error="collect")
    (call,) = recorded.calls
    assert call.attributes["llm_multi_core.failures"] == 2
    assert "error.type" not in call.attributes


def test_no_content_and_no_words_of_errors_are_recorded(make_wire, scripted, told, recorded, no_pauses):
    embedder = make_wire(encoder=scripted, api_key=KEY)
    embedder.embed_batch(TEXTS)
    for action in ("fatal", "split", "retry", "denied"):
        scripted.answer = failing(told, action)
        with pytest.raises((ProviderError, BatchError)):
            embedder.embed_batch(TEXTS)
    with pytest.raises(InvalidInputError):
        embedder.embed_batch([*TEXTS, b"confidential bytes"])
    text = recorded.text()
    assert "embeddings fake-small" in text or "embeddings wire-small" in text
    assert "confidential" not in text
    assert KEY not in text
    assert "exception" not in text


def test_a_stream_that_is_left_is_no_error_and_leaks_no_context(make_embedder, scripted, recorded, caplog):
    stream = make_embedder(scripted).embed_stream(TEXTS, window=10)
    next(stream)
    assert not trace.get_current_span().get_span_context().is_valid
    stream.close()
    (call,) = recorded.calls
    assert "error.type" not in call.attributes
    assert caplog.records == []


async def test_an_asynchronous_stream_that_is_left(make_embedder, scripted, recorded, caplog):
    async for _ in make_embedder(scripted).aembed_stream(TEXTS, window=10):
        assert not trace.get_current_span().get_span_context().is_valid
        break
    while not recorded.calls:  # it is closed in a turn of this loop
        await asyncio.sleep(0.001)
    assert "error.type" not in recorded.calls[0].attributes
    assert caplog.records == []


async def test_a_call_that_is_cancelled(make_embedder, scripted, recorded):
    scripted.answer = lambda texts: asyncio.sleep(3600)
    task = asyncio.create_task(make_embedder(scripted).aembed_batch(TEXTS))
    while not scripted.running:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorded.calls[0].attributes["error.type"] == "CancelledError"


def test_an_older_api_knows_no_advice_on_buckets(make_wire, server, recorded, monkeypatch):
    class OldMeter:
        def __init__(self, meter):
            self._meter = meter

        def create_histogram(self, name, unit="", description=""):
            return self._meter.create_histogram(name, unit, description)

    monkeypatch.setattr(metrics, "get_meter", lambda name: OldMeter(recorded.meters.get_meter(name)))
    make_wire(server.base_url).embed_batch(TEXTS)
    assert recorded.points["gen_ai.client.token.usage"][0].sum == 90


def test_without_opentelemetry_nothing_is_imported_and_nothing_recorded():
    script = """
        import sys
        from importlib.machinery import PathFinder

        class Hidden(PathFinder):
            '''A machine without OpenTelemetry.'''

            @classmethod
            def find_spec(cls, name, path=None, target=None):
                if name.partition(".")[0] == "opentelemetry":
                    return None
                return super().find_spec(name, path, target)

        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not PathFinder] + [Hidden]
        from llm_multi_core.embedder import Modality, TextEmbedder
        from llm_multi_core.embedder.settings import EmbedderSettings
        from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder, FakeTextEncoder, fake_offer

        for encoder in (FakeTextEncoder, FakeHostedEncoder):
            settings = EmbedderSettings(fake_offer(encoder), "m", {"dimension": 8, "max_words": 16, "roles": False})
            assert TextEmbedder(settings).embed_batch(["a", "b"]).shape == (2, 8)
        assert not [name for name in sys.modules if name.startswith("opentelemetry")]
    """
    subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(script)], check=True)


def test_with_it_nothing_is_imported_before_a_call():
    script = "import sys, llm_multi_core.embedder; assert 'opentelemetry' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
