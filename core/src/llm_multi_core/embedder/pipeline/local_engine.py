"""Running the batches of a window on a local model, on the model thread.

Each batch is prepared in the caller's thread while the one before it is computed.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import wait
from typing import Any, NamedTuple, TypeAlias

from llm_multi_core.embedder.encoders import Encoder, LocalEncoder, Verdict
from llm_multi_core.embedder.errors import InvalidOutputError
from llm_multi_core.embedder.pipeline.decode import MAX_DECODED_BYTES, decode_items, decoded_bytes
from llm_multi_core.embedder.pipeline.plan import Batch
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core.embedder.pipeline.window import Window

Prepared: TypeAlias = tuple[Batch, Any]


class Decoded(NamedTuple):
    """A batch, the arguments of `prepare` for it, and by place the errors of items that cannot be decoded."""

    batch: Batch
    arguments: tuple[Any, ...]
    errors: dict[int, Exception]


def run_local(window: Window, encoder: Encoder) -> None:
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
