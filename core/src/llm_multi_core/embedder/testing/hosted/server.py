"""`HostedServer`: a provider on the loopback interface, in a thread of its own, for real SDKs to talk to.

It checks what comes in, counts it, keeps the limits, and fails where it was told to. What the messages
look like is the wire's.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np

from llm_multi_core.embedder.encoders import Limits
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.testing.hosted.connection import HEADER_LIMIT, read_request, written
from llm_multi_core.embedder.testing.hosted.faults import Fate, Fates, Faults
from llm_multi_core.embedder.testing.hosted.quota import Quota
from llm_multi_core.embedder.testing.hosted.wire import (
    Content,
    EmbeddingCall,
    HttpReply,
    HttpRequest,
    Wire,
    WireError,
)

_REFUSALS = {
    "rate_limited": (429, "too many requests"),
    "server_error": (500, "an error of the server"),
    "unavailable": (503, "overloaded, try again later"),
}
_NOT_THE_REQUESTS_FAULT = frozenset({401, 403, 429})


@dataclass(slots=True)
class RequestRecord:
    """What came in, and what became of it.

    Attributes:
        method, path, query, headers, body: as in `HttpRequest`.
        call: what it asked for, if it was an embedding request that could be read.
        status: the status of the reply; 0 where the connection was cut before one.
        outcome: `"ok"`, a name out of `FAILURES` or `DISTORTIONS`, `"refused"` (schema, limits, poison),
            `"denied"` (key), `"quota"` (limits a minute), or `"broken"` (an error of the wire).
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    call: EmbeddingCall | None = None
    status: int = 0
    outcome: str = "ok"


class HostedServer:
    """A provider's double; a context manager.

    Args:
        wire: the provider's wire format.
        faults: how it fails; may be replaced at any time, `server.faults = Faults(...)`.
        latency: seconds from a request to its reply, at least.
        limits: other limits than the wire's. `requests_per_minute` and `units_per_minute` are kept over
            real time; the others for each request.
        burst: seconds whose quota a minute may be used at once.

    Attributes:
        requests: all requests, in the order in which they came.
        calls: the embedding calls that were answered in full.
        violations: what requests did that the provider does not allow: broken schema, exceeded limits.
        peak: most requests that were under way at the same time.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        faults: Faults | None = None,
        latency: float = 0.0,
        limits: Limits | None = None,
        burst: float = 60.0,
    ) -> None:
        self.wire, self.latency, self.limits = wire, latency, limits or wire.limits
        self.requests: list[RequestRecord] = []
        self.calls: list[EmbeddingCall] = []
        self.violations: list[str] = []
        self.peak = 0
        self.faults = faults or Faults()
        self._quota = Quota(self.limits.requests_per_minute, self.limits.units_per_minute, burst)
        self._under_way = 0
        self._port = 0
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def faults(self) -> Faults:
        """How it fails. Setting it starts the random choice anew."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults, self._fates = faults, Fates(faults)

    @property
    def base_url(self) -> str:
        """What a client takes as its base URL, without a slash at its end."""
        if not self._port:
            raise RuntimeError("the server is not running; use it in a with statement")
        return f"http://127.0.0.1:{self._port}{self.wire.prefix}"

    @property
    def outcomes(self) -> Counter[str]:
        """How often each outcome occurred."""
        return Counter(record.outcome for record in self.requests)

    def __enter__(self) -> Self:
        listening: Future[int] = Future()
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._run(listening),), name="hosted-server", daemon=True
        )
        self._thread.start()
        self._port = listening.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._port = 0

    async def _run(self, listening: Future[int]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEADER_LIMIT, backlog=512)
        except OSError as error:
            listening.set_exception(error)
            return
        listening.set_result(server.sockets[0].getsockname()[1])
        await self._stop.wait()
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await server.wait_closed()
        await asyncio.sleep(0)  # transports that were aborted close their sockets in the next turn

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while (request := await read_request(reader, writer)) is not None:
                if not await self._answer(request, writer):
                    break
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()  # the client went away, as a cancelled one does
        except (ValueError, asyncio.LimitOverrunError) as error:
            self.violations.append(f"not HTTP/1.1: {error}")
            writer.close()
        except asyncio.CancelledError:
            writer.transport.abort()  # the server stops; streams would log what is raised here
        finally:
            self._connections.discard(task)

    async def _answer(self, request: HttpRequest, writer: asyncio.StreamWriter) -> bool:
        """Reply to one request; whether the connection stays open."""
        started = self._loop.time()
        self._under_way += 1
        self.peak = max(self.peak, self._under_way)
        try:
            record = RequestRecord(request.method, request.path, request.query, request.headers, request.body)
            self.requests.append(record)
            fate = self._fates.next()
            reply = self._guarded_reply(request, record, fate)
            delay = self.latency + (self.faults.slow_seconds if fate.slow else 0)
            await asyncio.sleep(max(0.0, started + delay - self._loop.time()))
        finally:
            self._under_way -= 1
        return await self._send(reply, record, writer, keep=request.headers.get("connection", "").lower() != "close")

    async def _send(self, reply: HttpReply, record: RequestRecord, writer: asyncio.StreamWriter, *, keep: bool) -> bool:
        message = written(reply, keep_alive=keep)
        if record.outcome == "cut":
            return False
        record.status = reply.status
        if record.outcome == "cut_within":
            writer.write(message[: len(message) - len(reply.body) // 2])
            await writer.drain()
            return False
        if record.call is not None and reply.status == 200 and record.outcome != "truncated":
            self.calls.append(record.call)
        writer.write(message)
        await writer.drain()
        return keep

    def _guarded_reply(self, request: HttpRequest, record: RequestRecord, fate: Fate) -> HttpReply:
        try:
            return self._reply(request, record, fate)
        except Exception as error:  # noqa: BLE001 - a fault of the wire must not look like a cut connection
            record.outcome = "broken"
            self.violations.append(f"the wire failed: {type(error).__name__}: {error}")
            return self.wire.refuse(WireError(500, f"the double failed ({type(error).__name__}: {error})"))

    def _reply(self, request: HttpRequest, record: RequestRecord, fate: Fate) -> HttpReply:
        headers = self._pace_headers()
        try:
            asked = self.wire.read(request)
            if isinstance(asked, EmbeddingCall):
                record.call = asked
                self._check_limits(asked)
        except WireError as error:
            if error.status not in _NOT_THE_REQUESTS_FAULT:
                self.violations.append(f"{request.method} {request.path}: {error.message}")
            record.outcome = "denied" if error.status in (401, 403) else "refused"
            return self.wire.refuse(error, headers)
        if key := self._denied_key(request):
            record.outcome = "denied"
            # In full, as some servers do: whoever logs or raises this text has to mask it.
            return self.wire.refuse(WireError(401, f"Incorrect API key provided: {key}."), headers)
        if fate.failure in _REFUSALS:
            record.outcome = fate.failure
            return self.wire.refuse(WireError(*_REFUSALS[fate.failure]), headers | self._wait(self.faults.retry_after))
        if isinstance(asked, EmbeddingCall) and any(content.key in self.faults.poison for content in asked.contents):
            record.outcome = "refused"
            return self.wire.refuse(WireError(400, "an input cannot be processed", "poison"), headers)
        if wait := self._quota.admit(record.call.units if record.call else 0):
            record.outcome = "quota"
            return self.wire.refuse(WireError(429, "limit a minute reached"), self._pace_headers() | self._wait(wait))
        reply = asked if isinstance(asked, HttpReply) else self._vectors(asked, record, fate.distortion)
        if fate.failure:
            record.outcome = fate.failure
        if fate.failure == "truncated":
            reply = replace(reply, body=reply.body[: len(reply.body) // 2])
        return replace(reply, headers={**reply.headers, **self._pace_headers()})

    def _vectors(self, call: EmbeddingCall, record: RequestRecord, distortion: str) -> HttpReply:
        vectors: Sequence[FloatArray] = [self.wire.vector(content, call) for content in call.contents]
        order = range(len(vectors))
        if distortion:
            record.outcome = distortion
        if distortion == "shuffled":
            order = order[::-1]
        elif distortion == "short":
            vectors, order = vectors[:-1], order[:-1]
        elif distortion == "nan":
            vectors = [np.concatenate([[np.float32("nan")], vectors[0][1:]]).astype(np.float32), *vectors[1:]]
        elif distortion == "wrong_dimension":
            vectors = [vector[:-1] for vector in vectors]
        return self.wire.write(call, vectors, order)

    def _check_limits(self, call: EmbeddingCall) -> None:
        limits, contents = self.limits, call.contents
        nbytes = sum(content.nbytes for content in contents)
        longest = max((content.units for content in contents), default=0)
        for what, found, most, status, code in (
            ("inputs", len(contents), limits.items_per_batch, 400, "too_many"),
            (f"{limits.unit}s in an input", longest, limits.units_per_item, 400, "too_long"),
            (f"{limits.unit}s in a request", call.units, limits.units_per_batch, 400, "too_large"),
            ("bytes in a request", nbytes, limits.bytes_per_batch, 413, "too_large"),
        ):
            if most is not None and found > most:
                raise WireError(status, f"{found} {what}, and {most} are the most", code)
        if not limits.accepts_empty and any(_is_empty(content) for content in contents):
            raise WireError(400, "an input is an empty text", "empty")

    def _denied_key(self, request: HttpRequest) -> str:
        given = [value.removeprefix("Bearer ") for value in (*request.headers.values(), *request.query.values())]
        return next((key for key in given if key in self.faults.denied_keys), "")

    def _pace_headers(self) -> dict[str, str]:
        pace = self._quota.pace()
        return {} if pace is None else dict(self.wire.pace_headers(pace))

    @staticmethod
    def _wait(seconds: float | None) -> dict[str, str]:
        return {} if seconds is None else {"retry-after": f"{seconds:.6g}"}


def _is_empty(content: Content) -> bool:
    return content.modality == "text" and not content.key
