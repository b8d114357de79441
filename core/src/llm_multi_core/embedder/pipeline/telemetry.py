"""Spans and metrics of calls and requests, where opentelemetry-api is installed; nothing otherwise.

Names follow the semantic conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/). No content of inputs is recorded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder.encoders import Reply
from llm_multi_core.embedder.pipeline.report import Report
from llm_multi_core.embedder.spaces import Space

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram
    from opentelemetry.trace import Span

_SCOPE = "llm_multi_core.embedder"
_DURATIONS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(float(4**power) for power in range(14))


@dataclass(frozen=True, slots=True)
class CallTrace:
    """What the requests of a call need to be recorded as its parts.

    Attributes:
        attributes: those that spans and metrics of the call share.
        context: the OpenTelemetry context that the requests belong to.
    """

    attributes: dict[str, Any]
    context: Context


class RequestSpan:
    """Told what a request used."""

    def __init__(self, span: Span | None = None) -> None:
        self._span = span

    def used(self, reply: object) -> None:
        """Record the usage of a reply."""
        if self._span is not None and isinstance(reply, Reply) and reply.usage.units:
            self._span.set_attribute("gen_ai.usage.input_tokens", reply.usage.units)


@contextmanager
def call_span(framework: str, model: str, space: Space, unit: str, report: Report) -> Iterator[CallTrace | None]:
    """A span over a call, with its duration and, where a unit is a token, its usage as metrics.

    It is not made the current one: the block may be that of a generator, between whose steps other code
    runs, and which may end in another context.
    """
    if not _installed():
        yield None
        return
    from opentelemetry import trace

    attributes = {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": framework,
        "gen_ai.request.model": model,
    }
    span = trace.get_tracer(_SCOPE).start_span(
        f"embeddings {model}", attributes={**attributes, "gen_ai.embeddings.dimension.count": space.dimension}
    )
    started = time.perf_counter()
    error: BaseException | None = None
    try:
        yield CallTrace(attributes, trace.set_span_in_context(span))
    except GeneratorExit:  # a stream of which no more is wanted
        raise
    except BaseException as raised:
        error = raised
        raise
    finally:
        tokens = (report.billed_units or report.units) if unit == "token" else 0
        _describe(span, report, tokens, error)
        _record(attributes, tokens, error, time.perf_counter() - started)
        span.end()


@contextmanager
def request_span(call: CallTrace | None, items: int) -> Iterator[RequestSpan]:
    """A span over one request to a provider, the current one in the block."""
    if call is None:
        yield RequestSpan()
        return
    from opentelemetry import trace

    span = trace.get_tracer(_SCOPE).start_span(
        f"embeddings {call.attributes['gen_ai.request.model']}",
        context=call.context,
        kind=trace.SpanKind.CLIENT,
        attributes={**call.attributes, "llm_multi_core.items": items},
    )
    try:
        # A message may quote an input or a key, so that no exception is recorded.
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield RequestSpan(span)
    except BaseException as error:
        _mark_failed(span, error)
        raise
    finally:
        span.end()


def _describe(span: Span, report: Report, tokens: int, error: BaseException | None) -> None:
    if tokens:
        span.set_attribute("gen_ai.usage.input_tokens", tokens)
    span.set_attributes(
        {
            "llm_multi_core.items": report.items,
            "llm_multi_core.cache_hits": report.cache_hits,
            "llm_multi_core.requests": report.requests,
            "llm_multi_core.retries": report.retries,
            "llm_multi_core.truncations": len(report.truncations),
            "llm_multi_core.failures": len(report.failures),
        }
    )
    if error is not None:
        _mark_failed(span, error)


def _mark_failed(span: Span, error: BaseException) -> None:
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(StatusCode.ERROR)


def _record(attributes: dict[str, Any], tokens: int, error: BaseException | None, seconds: float) -> None:
    failed = {"error.type": type(error).__qualname__} if error is not None else {}
    _histogram("gen_ai.client.operation.duration", "s", _DURATIONS).record(seconds, {**attributes, **failed})
    if tokens:
        usage = _histogram("gen_ai.client.token.usage", "{token}", _TOKENS)
        usage.record(tokens, {**attributes, "gen_ai.token.type": "input"})


def _histogram(name: str, unit: str, boundaries: Sequence[float]) -> Histogram:
    from opentelemetry import metrics

    meter = metrics.get_meter(_SCOPE)
    try:
        return meter.create_histogram(name, unit, explicit_bucket_boundaries_advisory=boundaries)
    except TypeError:  # an opentelemetry-api older than 1.30
        return meter.create_histogram(name, unit)


@cache
def _installed() -> bool:
    try:
        return find_spec("opentelemetry.trace") is not None
    except ModuleNotFoundError:
        return False
