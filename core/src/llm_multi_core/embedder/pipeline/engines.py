"""Running the batches of a window: local models on the model thread, hosted ones on the I/O loop.

Both do the same about errors, by the encoder's own verdict: halve a batch until the bad item stands
alone, shrink what does not fit into memory, stop at what nothing will help. Hosted requests are also
tried again when the error is transient.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from concurrent.futures import wait
from typing import Any, TypeAlias

from llm_multi_core.embedder.encoders import Encoder, HostedEncoder, LocalEncoder, Reply, Verdict
from llm_multi_core.embedder.errors import InvalidOutputError
from llm_multi_core.embedder.pipeline.decode import decode_items
from llm_multi_core.embedder.pipeline.plan import Batch
from llm_multi_core.embedder.pipeline.pool import pool
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.pipeline.window import Window
from llm_multi_core.embedder.rows import Rows

MAX_ATTEMPTS = 6
"""How often a request is sent before a transient error counts as final."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0
"""Seconds before the second attempt, doubled for each further one up to the second figure."""

Prepared: TypeAlias = tuple[Batch, Any]


def run_window(window: Window) -> Rows:
    """The rows of a window's inputs, computed in this thread's time."""
    if window.batches:
        with pool.borrow(window.handle):  # a cancelled call gives its own hold up before this thread is done
            if isinstance(window.encoder, HostedEncoder):
                future = runtime.submit_io(_run_hosted(window, window.encoder))
                try:
                    future.result()
                except BaseException:
                    future.cancel()
                    raise
            else:
                _run_local(window, window.encoder)
    return window.close()


async def arun_window(window: Window) -> Rows:
    """The rows of a window's inputs, without blocking the caller's loop."""
    if window.batches and isinstance(window.encoder, HostedEncoder):
        await asyncio.wrap_future(runtime.submit_io(_run_hosted(window, window.encoder)))
        return await runtime.in_thread(window.close)
    return await runtime.in_thread(run_window, window)


def _run_local(window: Window, encoder: Encoder) -> None:
    """Prepare each batch here while the model thread computes the one before it."""
    if not isinstance(encoder, LocalEncoder):
        raise TypeError(f"{type(encoder).__name__} is neither a LocalEncoder nor a HostedEncoder")
    queue = deque(window.batches)
    ready = _next_prepared(window, encoder, queue)
    while ready is not None and not window.cancelled:
        batch, prepared = ready
        if window.too_large(batch):  # it was prepared before another one did not fit into memory
            queue.extendleft(reversed(batch.halve()))
            ready = _next_prepared(window, encoder, queue)
            continue
        running = runtime.submit_model(encoder.forward, prepared)
        try:
            ready = _next_prepared(window, encoder, queue)
        except BaseException:
            wait([running])  # the encoder must not be closed under it
            raise
        try:
            output = running.result()
        except Exception as error:  # noqa: BLE001 - the encoder's verdict decides
            _recover(window, encoder, queue, batch, error)
        except BaseException:
            wait([running])  # an interrupt, which came to this thread and not to the model's
            raise
        else:
            _accept(window, encoder, queue, batch, output)
        if ready is None:
            ready = _next_prepared(window, encoder, queue)


def _next_prepared(window: Window, encoder: LocalEncoder, queue: deque[Batch]) -> Prepared | None:
    while queue:
        batch = queue.popleft()
        if window.too_large(batch):
            queue.extendleft(reversed(batch.halve()))
            continue
        try:
            if window.intake is None:
                return batch, encoder.prepare(*_arguments(window, batch))
            decoded = _decode(window, batch)
            if decoded is not None:
                batch, arguments = decoded
                return batch, encoder.prepare(*arguments)
        except Exception as error:  # noqa: BLE001 - the encoder's verdict decides
            _recover(window, encoder, queue, batch, error)
    return None


def _arguments(window: Window, batch: Batch) -> tuple[Any, ...]:
    items, state = window.content(batch)
    return (items, window.task) if state is None else (items, window.task, state)


def _decode(window: Window, batch: Batch) -> tuple[Batch, tuple[Any, ...]] | None:
    """What can be decoded of a batch, as arguments of `prepare`; items that cannot be fail."""
    assert window.intake is not None  # noqa: S101 - asked for only then
    items, *rest = _arguments(window, batch)
    decoded, errors = decode_items(items, window.intake)
    if not errors:
        return batch, (decoded, *rest)
    kept = window.drop(batch, errors)
    if kept is None:
        return None
    left = set(kept.members)
    decoded = [item for member, item in zip(batch.members, decoded, strict=True) if member in left]
    _, *rest = _arguments(window, kept)
    return kept, (decoded, *rest)


def _accept(window: Window, encoder: Encoder, queue: deque[Batch], batch: Batch, output: Any) -> None:
    try:
        window.accept(batch, output)
    except InvalidOutputError as error:
        if error.indices:  # explained already: the call wants the first failure raised
            raise
        _recover(window, encoder, queue, batch, error)


def _recover(window: Window, encoder: Encoder, queue: deque[Batch], batch: Batch, error: Exception) -> None:
    """Put back what may succeed in smaller batches; give up what cannot be halved."""
    verdict = _classify(encoder, error)
    if verdict.action == "fatal":
        window.abort(batch, error)
    if verdict.action == "shrink":
        window.shrink(batch)
    if len(batch.atoms) > 1:
        queue.extendleft(reversed(batch.halve()))
    else:
        window.give_up(batch, error)


def _classify(encoder: Encoder, error: Exception) -> Verdict:
    # Output that does not fit its inputs is a fault of the encoder, whatever it says of its errors.
    return Verdict("split") if isinstance(error, InvalidOutputError) else encoder.classify(error)


async def _run_hosted(window: Window, encoder: HostedEncoder) -> None:
    """Send all requests, a bounded number at a time."""
    gate = asyncio.Semaphore(max(1, window.limits.concurrency))
    try:
        async with asyncio.TaskGroup() as group:
            for batch in window.batches:
                group.create_task(_request(window, encoder, batch, gate))
    except BaseExceptionGroup as errors:
        first = _first(errors)
        raise first from first.__cause__


async def _request(window: Window, encoder: HostedEncoder, batch: Batch, gate: asyncio.Semaphore) -> None:
    for attempt in range(1, MAX_ATTEMPTS + 1):
        if window.cancelled:
            return
        try:
            async with gate:
                reply = await _send(window, encoder, batch)
        except Exception as raised:  # noqa: BLE001 - the encoder's verdict decides
            error = raised
        else:
            try:
                return _take(window, batch, reply)
            except InvalidOutputError as raised:
                if raised.indices:  # explained already: the call wants the first failure raised
                    raise
                error = raised
        verdict = _classify(encoder, error)
        if verdict.action == "fatal":
            window.abort(batch, error)
        if verdict.action == "retry" and attempt < MAX_ATTEMPTS:
            window.report.retries += 1
            await asyncio.sleep(_pause(attempt) if verdict.after is None else verdict.after)
            continue
        if verdict.action == "retry" or len(batch.atoms) == 1:
            return window.give_up(batch, error)
        for half in batch.halve():
            await _request(window, encoder, half, gate)
        return None
    return None


async def _send(window: Window, encoder: HostedEncoder, batch: Batch) -> Reply:
    items, _ = window.content(batch)
    try:
        reply = await encoder.request(items, window.task)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError("the client cancelled its own request") from None
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit would end the loop that all hosted calls share
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
    if not isinstance(reply, Reply):
        raise InvalidOutputError(f"request returned {type(reply).__name__}, not Reply")
    return reply


def _take(window: Window, batch: Batch, reply: Reply) -> None:
    window.report.billed_units += reply.usage.units
    window.accept(batch, reply.rows)


def _pause(attempt: int) -> float:
    pause: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
    return pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error that is not a group; the others are consequences of stopping."""
    for error in errors.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
