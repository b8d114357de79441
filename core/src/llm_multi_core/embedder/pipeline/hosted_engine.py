"""Sending the requests of a window to a provider, and dealing with what comes back or does not.

A request waits for its turn, is sent, and its reply is checked. By the encoder's verdict a failure is
tried again, its batch is halved until the bad item stands alone, or the call ends. When it ends, no
more requests are sent, but those on their way are waited for: they are paid for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace

from llm_multi_core.embedder.encoders import HostedEncoder, Reply, Verdict
from llm_multi_core.embedder.errors import (
    EmbedderError,
    EncodingError,
    InvalidInputError,
    InvalidOutputError,
    ProviderError,
)
from llm_multi_core.embedder.items import Item
from llm_multi_core.embedder.pipeline.decode import decode_items
from llm_multi_core.embedder.pipeline.pacing import NO_TURN, Turn, growing_pause
from llm_multi_core.embedder.pipeline.plan import Batch, payload_bytes
from llm_multi_core.embedder.pipeline.provider import Provider
from llm_multi_core.embedder.pipeline.redaction import provider_error, redacted
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.pipeline.telemetry import request_span
from llm_multi_core.embedder.pipeline.waits import WaitEndedError, Waits
from llm_multi_core.embedder.pipeline.window import Received, Window

MAX_ATTEMPTS = 6
"""How often a request is sent before a transient error counts as final; rate limits do not count."""
MAX_BROKEN_REPLIES = 2
"""How often a request is sent whose replies do not fit it."""
JITTER = 0.1
"""By up to this share a pause is longer than the provider asks for, so that not all requests come back at once."""
HOPELESS = 8
"""So many items refused one by one, and none accepted ever, means that the fault is not with the items."""
DEFAULT_DEADLINE = 600.0


@dataclass(slots=True)
class _Try:
    """How far the attempts at one batch have come.

    Attributes:
        batch: what of it can be sent.
        again: whether it was sent before, at least as a part of another batch. Such batches come first, so
            that what was begun is finished, and a fault of all requests is found with few of them.
        seconds: how long it was underway or paused; waiting for its turn does not count.
        attempts: transient failures so far, rate limits not counted.
        broken: replies so far that did not fit, also those to a batch that it was a part of.
        unsound: whether its rows came before and were not sound.
        turn: under which it was sent last.
        key: the key that it was sent with.
    """

    batch: Batch
    again: bool = False
    seconds: float = 0.0
    attempts: int = 0
    broken: int = 0
    unsound: bool = False
    turn: Turn = NO_TURN
    key: str | None = None


class _OversizeError(Exception):
    """The media of a batch turned out to be larger than a request may be."""


class _TooLateError(Exception):
    """There is no time left for a request."""


class HostedRun:
    """The requests of one window. Lives on the I/O loop.

    Args:
        window: the window.
        encoder: sends them.
        provider: the account.
        told: called when a batch is done.

    Attributes:
        left: the batches that are not done yet.
    """

    def __init__(self, window: Window, encoder: HostedEncoder, provider: Provider, told: Callable[[], None]) -> None:
        self.left = len(window.batches)
        self._window = window
        self._encoder = encoder
        self._provider = provider
        self._told = told
        self._report = window.call.report
        self._price = window.handle.price
        self._deadline = float(encoder.config.options.get("deadline") or DEFAULT_DEADLINE)
        self._error: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._waits = Waits(lambda: window.cancelled)
        self._refused_alone = 0

    async def finish(self) -> None:
        """Send everything.

        Raises:
            EmbedderError: the first error that ends the call.
        """
        call = self._window.call
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        call.running.add(self)
        try:
            if not call.cancelled:
                await self._send_all()
        finally:
            call.running.discard(self)
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Send nothing any more; `finish` then only waits for what is on its way. For any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._waits.end)

    def cancel(self) -> None:
        """Wait for nothing. For any thread."""
        if self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)

    async def _send_all(self) -> None:
        tasks = [asyncio.create_task(self._finish(batch)) for batch in self._window.batches]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def _finish(self, batch: Batch) -> None:
        await self._deliver(_Try(batch))
        self.left -= 1
        self._told()

    async def _deliver(self, progress: _Try) -> None:
        """Send a batch until its rows are there or its items have failed. Errors that end the call are kept."""
        try:
            with suppress(WaitEndedError):
                await self._pursue(progress)
        except Exception as error:  # noqa: BLE001 - the first one is raised when nothing is on its way any more
            self._error = self._error or error
            call = self._window.call
            call.cancelled = call.cancelled or call.salvages  # without salvage, windows before this one are wanted
            self._waits.end()

    async def _pursue(self, progress: _Try) -> None:
        while True:
            error = await self._attempt(progress)
            if error is None:
                return
            if isinstance(error, _TooLateError):
                self._window.give_up(progress.batch, ProviderError(str(error)))
                return
            verdict = await self._judge(error, progress)
            if verdict.action != "retry":
                await self._part(progress, error, verdict)
                return
            pause = verdict.after or 0.0
            reason = self._why_no_more(pause, progress)
            if reason is not None:
                self._window.give_up(progress.batch, self._told_as(error, verdict, reason))
                return
            self._report.retries += 1
            if verdict.limited:
                self._waited(pause)
            progress.seconds += pause
            progress.again = True
            await self._rest(pause)

    async def _part(self, progress: _Try, error: Exception, verdict: Verdict) -> None:
        """Deal with a batch that is not sent again as it is."""
        batch, told = progress.batch, self._told_as(error, verdict)
        if verdict.action in ("fatal", "denied"):
            if verdict.action == "denied" and isinstance(told, ProviderError):
                self._provider.deny(progress.key, told)
            self._window.abort(batch, told)
        if len(batch.atoms) > 1:
            await self._deliver_parts(batch.halve(), broken=min(progress.broken, 1))
        elif verdict.action == "shorten":
            await self._deliver_parts(self._window.shorten(batch, told))
        else:
            self._refused_alone += not isinstance(error, InvalidInputError | _OversizeError)
            if self._refused_alone >= HOPELESS and not self._provider.answered:
                self._window.abort(batch, told)
            self._window.give_up(batch, told)

    async def _deliver_parts(self, parts: Iterable[Batch], broken: int = 0) -> None:
        await asyncio.gather(*(self._deliver(_Try(part, again=True, broken=broken)) for part in parts))

    async def _attempt(self, progress: _Try) -> Exception | None:
        """Send a batch once; what went wrong, if that is for the encoder's verdict to decide.

        Raises:
            EmbedderError: what ends the call whatever the encoder thinks of it.
        """
        provider = self._provider
        if provider.denies:
            self._refuse_denied(self._encoder.key(), progress.batch)
        async with AsyncExitStack() as place:
            async with self._waits.one():
                await place.enter_async_context(provider.pacer.concurrency.slot(first=progress.again))
            try:
                items = await self._content(progress)
            except (_OversizeError, MemoryError) as error:
                return error
            if not items:
                return None
            async with self._waits.one():
                turn = await provider.pacer.wait(progress.batch.cost, self._left(progress), self._waited)
            if turn is None:
                return _TooLateError(f"the rate limit leaves no room within the deadline of {self._deadline:g} s")
            progress.turn, progress.key = turn, self._encoder.key()
            self._refuse_denied(progress.key, progress.batch)
            try:
                reply = await self._send(items, progress)
            except Exception as error:  # noqa: BLE001 - whatever an SDK raises
                return error
        provider.admit(progress.key)
        self._charge(progress.batch, reply)
        return await self._accept(progress, reply)

    async def _content(self, progress: _Try) -> list[Item]:
        """The items of a batch as they are sent; those that cannot be read fail, each by itself."""
        window = self._window
        items, _ = window.content(progress.batch)
        if window.intake is None:
            return items
        read, errors = await runtime.in_thread(decode_items, items, window.intake)
        if errors:
            by_member = dict(zip(progress.batch.members, read, strict=True))
            kept = window.drop(progress.batch, errors)
            if kept is None:
                return []
            progress.batch, read = kept, [by_member[member] for member in kept.members]
        bound = window.limits.bytes_per_batch
        size = sum(payload_bytes(part.payload) for item in read for part in item.parts)
        if bound is not None and size > bound:
            raise _OversizeError(f"the media take {size} bytes together, and {bound} are taken at most")
        return read

    async def _send(self, items: Sequence[Item], progress: _Try) -> Reply:
        loop = asyncio.get_running_loop()
        started = loop.time()
        limit = asyncio.timeout(self._left(progress))
        try:
            async with limit:
                return await self._request(items)
        except TimeoutError:
            if limit.expired():
                raise _TooLateError(f"there was no reply within the deadline of {self._deadline:g} s") from None
            raise
        finally:
            progress.seconds += loop.time() - started

    async def _request(self, items: Sequence[Item]) -> Reply:
        try:
            with request_span(self._window.call.trace, len(items)) as span:
                reply = await self._encoder.request(items, self._window.task)
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

    async def _accept(self, progress: _Try, reply: Reply) -> Exception | None:
        """Take the rows of a reply, before anything else can go wrong; why not, if they do not fit."""
        window, batch = self._window, progress.batch
        received: Received | InvalidOutputError
        try:
            received = window.receive(batch, reply.rows)
        except InvalidOutputError as error:
            received = error
        else:
            self._provider.answered = self._provider.answered or bool(received.sound.any())
            if window.keeps:
                await runtime.in_thread(window.store, received)  # a cache may take its time
        await self._provider.pacer.settle(progress.turn, float(reply.usage.units) or None, reply.pace)
        if isinstance(received, InvalidOutputError):
            return received
        again = window.conclude(batch, received, final=progress.unsound)
        if again is not None:
            self._report.retries += 1
            await self._deliver(_Try(again, again=True, unsound=True))
        return None

    def _charge(self, batch: Batch, reply: Reply) -> None:
        usage, price = reply.usage, self._price
        estimate = None if price is None else (usage.units or batch.cost) * price / 1e6
        self._report.billed_units += usage.units
        self._report.requests += max(0, usage.requests - 1)  # the last one is counted with its rows
        self._report.charge(estimate if usage.cost is None else usage.cost)

    async def _judge(self, error: Exception, progress: _Try) -> Verdict:
        """What to do about an error; of a retry also after how many seconds."""
        if isinstance(error, _OversizeError):
            return Verdict("split")
        if isinstance(error, InvalidOutputError):
            # Output that does not fit its inputs is a fault of the provider, whatever the encoder says of its errors.
            progress.broken += 1
            again = progress.broken < MAX_BROKEN_REPLIES
            return Verdict("retry", growing_pause(progress.broken)) if again else Verdict("split")
        if isinstance(error, EmbedderError) and not isinstance(error, EncodingError | InvalidInputError):
            return Verdict("fatal")
        verdict = self._classify(error)
        if verdict.action != "retry":
            return verdict
        if verdict.limited:
            refusal = await self._provider.pacer.refused(progress.turn, verdict.after, verdict.pace)
            if refusal.too_large:  # or, if it is a single item, it never will be accepted
                return replace(verdict, action="split")
            pause = refusal.pause
        else:
            progress.attempts += 1
            pause = growing_pause(progress.attempts) if verdict.after is None else verdict.after
        if verdict.after is not None:
            pause *= random.uniform(1.0, 1.0 + JITTER)  # noqa: S311 - jitter, not a secret
        return replace(verdict, after=pause)

    def _classify(self, error: Exception) -> Verdict:
        """The encoder's verdict."""
        try:
            return self._encoder.classify(error)
        except Exception as fault:  # noqa: BLE001 - of the plugin's; told below, where it drags no other error along
            broken = fault
        raise self._told_as(broken, Verdict("fatal"), "in the encoder's own judgement of an error")

    def _why_no_more(self, pause: float, progress: _Try) -> str | None:
        """Why a request is not sent once more after a pause, if it is not."""
        if progress.attempts >= MAX_ATTEMPTS:
            return f"given up after {MAX_ATTEMPTS} attempts"
        if pause >= self._left(progress):
            return f"the next attempt, in {pause:.3g} s, would lie beyond the deadline of {self._deadline:g} s"
        return None

    def _told_as(self, error: Exception, verdict: Verdict, reason: str = "") -> EmbedderError:
        """The error in a form that may be told: without what an SDK attaches to it."""
        keys = self._encoder.keys
        return (
            redacted(error, keys) if isinstance(error, EmbedderError) else provider_error(error, verdict, keys, reason)
        )

    def _refuse_denied(self, key: str | None, batch: Batch) -> None:
        denial = self._provider.denial(key)
        if denial is not None:
            self._window.abort(batch, denial)

    def _left(self, progress: _Try) -> float:
        """Seconds until the deadline of a request."""
        return max(0.0, self._deadline - progress.seconds)

    async def _rest(self, seconds: float) -> None:
        async with self._waits.one():
            await asyncio.sleep(seconds)

    def _waited(self, seconds: float) -> None:
        self._report.waited += seconds
        self._window.call.progress(0)  # so that the wait is seen
