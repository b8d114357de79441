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
from typing import Any, NamedTuple, TypeAlias

from llm_multi_core.embedder.encoders import Encoder, HostedEncoder, LocalEncoder, Reply, Verdict
from llm_multi_core.embedder.errors import InvalidOutputError
from llm_multi_core.embedder.pipeline.decode import MAX_DECODED_BYTES, decode_items, decoded_bytes
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


class Decoded(NamedTuple):
    """A batch, the arguments of `prepare` for it, and by place the errors of items that cannot be decoded."""

    batch: Batch
    arguments: tuple[Any, ...]
    errors: dict[int, Exception]


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
        if window.too_large(batch) or _too_much_to_decode(window, batch):
            queue.extendleft(reversed(batch.halve()))
            continue
        try:
            decoded = _decode(window, batch)
        except Exception as error:  # noqa: BLE001 - the encoder's verdict decides
            _recover(window, encoder, queue, batch, error)
            continue
        readable = _without_unreadable(window, decoded)
        if readable is None:
            continue
        try:
            return readable.batch, encoder.prepare(*readable.arguments)
        except Exception as error:  # noqa: BLE001 - the encoder's verdict decides
            _recover(window, encoder, queue, readable.batch, error)
    return None


def _arguments(window: Window, batch: Batch) -> tuple[Any, ...]:
    items, state = window.content(batch)
    return (items, window.task) if state is None else (items, window.task, state)


def _too_much_to_decode(window: Window, batch: Batch) -> bool:
    if window.intake is None or len(batch.atoms) == 1:
        return False
    return decoded_bytes(window.content(batch)[0], window.intake) > MAX_DECODED_BYTES


def _decode(window: Window, batch: Batch) -> Decoded:
    items, *rest = _arguments(window, batch)
    if window.intake is None:
        return Decoded(batch, (items, *rest), {})
    decoded, errors = decode_items(items, window.intake)
    return Decoded(batch, (decoded, *rest), errors)


def _without_unreadable(window: Window, decoded: Decoded) -> Decoded | None:
    """What could be decoded; the items that could not be fail, each for its own reason."""
    if not decoded.errors:
        return decoded
    batch, (items, *_) = decoded.batch, decoded.arguments
    kept = window.drop(batch, decoded.errors)
    if kept is None:
        return None
    by_member = dict(zip(batch.members, items, strict=True))
    _, *rest = _arguments(window, kept)
    return Decoded(kept, ([by_member[member] for member in kept.members], *rest), {})


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
        error = await _attempt(window, encoder, batch, gate)
        if error is None:
            return
        verdict = _classify(encoder, error)
        if verdict.action == "fatal":
            window.abort(batch, error)
        if verdict.action == "retry" and attempt < MAX_ATTEMPTS:
            window.report.retries += 1
            await asyncio.sleep(_pause(attempt) if verdict.after is None else verdict.after)
            continue
        if verdict.action == "retry" or len(batch.atoms) == 1:
            window.give_up(batch, error)
            return
        for half in batch.halve():
            await _request(window, encoder, half, gate)
        return


async def _attempt(window: Window, encoder: HostedEncoder, batch: Batch, gate: asyncio.Semaphore) -> Exception | None:
    """Send a batch once; the error that the encoder's verdict is to decide about, if there is one."""
    try:
        async with gate:
            reply = await _send(window, encoder, batch)
    except Exception as error:  # noqa: BLE001 - whatever an SDK raises
        return error
    window.report.billed_units += reply.usage.units
    try:
        window.accept(batch, reply.rows)
    except InvalidOutputError as error:
        if error.indices:  # explained already: the call wants the first failure raised
            raise
        return error
    return None


async def _send(window: Window, encoder: HostedEncoder, batch: Batch) -> Reply:
    items, _ = window.content(batch)
    if window.intake is not None:
        items, errors = await runtime.in_thread(decode_items, items, window.intake)
        for error in errors.values():
            raise error
    try:
        reply = await encoder.request(items, window.task)
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


def _pause(attempt: int) -> float:
    pause: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
    return pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error that is not a group; the others are consequences of stopping."""
    for error in errors.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
