"""Sending the requests of a window to a provider, and dealing with what comes back or does not.

A request waits for its turn, is sent, and its reply is checked. By the encoder's verdict a failure is
tried again, its batch is halved until the bad item stands alone, or the call ends. When it ends, no
more requests are sent, but those on their way are waited for: they are paid for.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from llm_multi_core.embedder.encoders import HostedEncoder, Reply, Verdict
from llm_multi_core.embedder.errors import (
    EmbedderError,
    EncodingError,
    InvalidInputError,
    InvalidOutputError,
    ProviderError,
)
from llm_multi_core.embedder.pipeline.decode import decode_items
from llm_multi_core.embedder.pipeline.plan import Batch, payload_bytes
from llm_multi_core.embedder.pipeline.provider import Provider
from llm_multi_core.embedder.pipeline.redaction import provider_error
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.pipeline.telemetry import request_span
from llm_multi_core.embedder.pipeline.window import Window

MAX_ATTEMPTS = 6
"""How often a request is sent before a transient error counts as final; rate limits do not count."""
MAX_BROKEN_REPLIES = 2
"""How often a request is sent whose replies do not fit it."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0
"""Seconds before the second attempt, doubled for each further one up to the second figure."""
HOPELESS = 8
"""So many items refused one by one, and none accepted ever, means that the fault is not with the items."""
DEFAULT_DEADLINE = 600.0


@dataclass(slots=True)
class _Try:
    """How far the attempts at one batch have come."""

    until: float
    attempts: int = 0
    broken: int = 0


class _OversizeError(Exception):
    """The media of a batch turned out to be larger than a request may be."""


class HostedRun:
    """The requests of one window. Lives on the I/O loop."""

    def __init__(self, window: Window, encoder: HostedEncoder, provider: Provider) -> None:
        self._window = window
        self._encoder = encoder
        self._provider = provider
        self._report = window.call.report
        self._deadline = float(encoder.config.options.get("deadline") or DEFAULT_DEADLINE)
        self._error: BaseException | None = None
        self._refused_alone = 0

    async def finish(self) -> None:
        """Send everything.

        Raises:
            EmbedderError: the first error that ends the call.
        """
        tasks = [asyncio.create_task(self._deliver(batch)) for batch in self._window.batches]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        if self._error is not None:
            raise self._error

    @property
    def _stopped(self) -> bool:
        return self._error is not None or self._window.cancelled

    async def _deliver(self, batch: Batch, broken: int = 0) -> None:
        """Send a batch until its rows are there or its items have failed. Errors that end the call are kept."""
        try:
            await self._pursue(batch, broken)
        except Exception as error:  # noqa: BLE001 - the first one is raised when nothing is on its way any more
            self._error = self._error or error

    async def _pursue(self, batch: Batch, broken: int) -> None:
        progress = _Try(asyncio.get_running_loop().time() + self._deadline, broken=broken)
        while not self._stopped:
            error = await self._attempt(batch, progress)
            if error is None:
                return
            verdict = self._judge(error, progress)
            if verdict.action == "retry":
                pause = await self._pause(verdict, batch, progress)
                if pause is not None:
                    self._report.retries += 1
                    await asyncio.sleep(pause)
                    continue
            await self._part(batch, error, verdict)
            return

    async def _part(self, batch: Batch, error: Exception, verdict: Verdict) -> None:
        """Deal with a batch that is not sent again as it is."""
        told = self._told(error, verdict)
        if verdict.action in ("fatal", "denied"):
            if verdict.action == "denied" and isinstance(told, ProviderError):
                self._provider.deny(self._encoder.key(), told)
            self._window.abort(batch, told)
        if verdict.action == "retry":
            self._window.give_up(batch, told)
        elif len(batch.atoms) > 1:
            await asyncio.gather(*(self._deliver(half) for half in batch.halve()))
        elif verdict.action == "shorten":
            await asyncio.gather(*(self._deliver(part) for part in self._window.shorten(batch, told)))
        else:
            self._refused_alone += 1
            if self._refused_alone >= HOPELESS and not self._provider.answered:
                self._window.abort(batch, told)
            self._window.give_up(batch, told)

    async def _attempt(self, batch: Batch, progress: _Try) -> Exception | None:
        """Send a batch once; what went wrong, if that is for the encoder's verdict to decide.

        Raises:
            EmbedderError: what ends the call whatever the encoder thinks of it.
        """
        provider, pacer = self._provider, self._provider.pacer
        async with pacer.concurrency.slot():
            if self._stopped:
                return None
            key = self._encoder.key()
            denial = provider.denial(key)
            if denial is not None:
                self._window.abort(batch, denial)
            if not await pacer.wait(batch.cost, progress.until, self._waited):
                return TimeoutError(f"the rate limit leaves no room within the deadline of {self._deadline:g} s")
            if self._stopped:
                return None
            try:
                async with asyncio.timeout_at(progress.until):
                    reply = await self._send(batch)
            except Exception as error:  # noqa: BLE001 - whatever an SDK raises
                return error
        provider.admit(key)
        await pacer.settle(batch.cost, float(reply.usage.units) or None, reply.pace)
        self._charge(batch, reply)
        again = None
        try:
            again = self._window.accept(batch, reply.rows, final=progress.broken > 0)
        except InvalidOutputError as error:
            if error.indices:  # explained already: the call wants the first failure raised
                raise
            return error
        if again is not None:
            self._report.retries += 1
            await self._deliver(again, broken=1)
        return None

    async def _send(self, batch: Batch) -> Reply:
        window = self._window
        items, _ = window.content(batch)
        if window.intake is not None:
            items, errors = await runtime.in_thread(decode_items, items, window.intake)
            for error in errors.values():
                raise error
            bound = window.limits.bytes_per_batch
            size = sum(payload_bytes(part.payload) for item in items for part in item.parts)
            if bound is not None and size > bound:
                raise _OversizeError(f"the media take {size} bytes together, and {bound} are taken at most")
        try:
            with request_span(window.call.trace, len(items)) as span:
                reply = await self._encoder.request(items, window.task)
                span.used(reply)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise RuntimeError("the client cancelled its own request") from None
        except (Exception, GeneratorExit):
            raise
        except BaseException as error:  # SystemExit would end the loop that all hosted calls share
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        if not isinstance(reply, Reply):
            raise InvalidOutputError(f"request returned {type(reply).__name__}, not Reply")
        return reply

    def _charge(self, batch: Batch, reply: Reply) -> None:
        units = reply.usage.units
        self._report.billed_units += units
        cost = reply.usage.cost
        self._report.charge(self._provider.cost_of(units or batch.cost) if cost is None else cost)

    def _judge(self, error: Exception, progress: _Try) -> Verdict:
        if isinstance(error, _OversizeError):
            return Verdict("split")
        if isinstance(error, InvalidOutputError):
            # Output that does not fit its inputs is a fault of the provider, whatever the encoder says of its errors.
            progress.broken += 1
            return Verdict("retry" if progress.broken < MAX_BROKEN_REPLIES else "split")
        if isinstance(error, EmbedderError) and not isinstance(error, EncodingError | InvalidInputError):
            return Verdict("fatal")
        return self._encoder.classify(error)

    async def _pause(self, verdict: Verdict, batch: Batch, progress: _Try) -> float | None:
        """Seconds until a request is sent again; `None` if it is not."""
        if verdict.limited:
            await self._provider.pacer.refused(batch.cost, verdict.after)
            pause = verdict.after if verdict.after is not None else _growing_pause(1)
        else:
            progress.attempts += 1
            if progress.attempts >= MAX_ATTEMPTS:
                return None
            pause = verdict.after if verdict.after is not None else _growing_pause(progress.attempts)
        return pause if asyncio.get_running_loop().time() + pause < progress.until else None

    def _told(self, error: Exception, verdict: Verdict) -> Exception:
        """The error in a form that may be told: without what an SDK attaches to it."""
        if isinstance(error, EmbedderError):
            error.__cause__ = error.__context__ = None
            return error
        return provider_error(error, verdict, self._encoder.keys)

    def _waited(self, seconds: float) -> None:
        self._report.waited += seconds
        self._window.call.progress(0)  # so that the wait is seen


def _growing_pause(attempt: int) -> float:
    pause: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
    return pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
