"""What plugins for hosted providers share: their common options, and the reading of replies and failures.

Nothing here sends anything. It knows HTTP and the conventions that providers have in common, no SDK.
"""

from __future__ import annotations

import binascii
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import cache, partial
from math import isfinite
from typing import Any, NamedTuple, TypeVar

import numpy as np

from llm_multi_core.embedder.encoders import Measure, Pace, Verdict
from llm_multi_core.embedder.errors import InvalidInputError, InvalidOutputError
from llm_multi_core.embedder.frameworks import OptionSpec
from llm_multi_core.embedder.inputs.text import BYTES_PER_TOKEN, estimate_tokens, split_text, text_item
from llm_multi_core.embedder.items import Item
from llm_multi_core.embedder.rows import FloatArray

T = TypeVar("T")

HOSTED_OPTIONS = (
    OptionSpec("base_url", str, None, summary="another server that speaks the provider's API"),
    OptionSpec("timeout", float, 60.0, summary="seconds that one attempt of a request may take"),
    OptionSpec(
        "deadline", float, 600.0, summary="seconds that a request may take with its retries, once it is its turn"
    ),
    OptionSpec("limits", dict, None, summary='other limits than the catalogue\'s: {"units_per_minute": 1000000}'),
    OptionSpec("price", float, None, summary="US dollars per million units, instead of the catalogue's"),
    OptionSpec("rate_store", str, None, summary="a file through which processes share the limits a minute"),
)
"""The options that every hosted framework takes; put them first into a specification's `options`.

The host itself sees to all of them but `base_url` and `timeout`, which are for the client.
"""

_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_DENIED = frozenset({401, 403})
_SPLIT = frozenset({400, 413, 422})
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|d|h|m|s)")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_TRANSPORT_ERRORS = frozenset({"TransportError", "APIConnectionError", "ClientConnectionError"})
"""Names of classes by which HTTP clients and SDKs tell that a connection failed; found without importing any."""
_UNSENDABLE = frozenset({"LocalProtocolError", "UnsupportedProtocol", "InvalidURL"})
"""The same for a request that no client would send: an address or a key that cannot be one."""
_BROKEN_REPLIES = frozenset(
    {"ValidationError", "APIResponseValidationError", "DecodingError", "UnknownApiResponseError"}
)
"""The same for a reply that was cut or garbled."""


class RefusedError(Exception):
    """A refusal in a provider's own words, for plugins that read replies themselves; without the request and its key.

    Attributes:
        status_code: the HTTP status.
        headers: those of the reply, names in lower case.
        reason: the provider's own code, if it gave one.
        request_id: what the provider calls the request.
        fields: where a request of the wrong form is wrong, as paths of names.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        headers: Mapping[str, str] | None = None,
        reason: str = "",
        request_id: str | None = None,
        fields: Iterable[Sequence[str]] = (),
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
        self.reason = reason
        self.request_id = request_id
        self.fields = tuple(tuple(path) for path in fields)

    def verdict(self, *, too_long: bool = False, fatal: bool = False) -> Verdict:
        """What to do about it: by the status, unless its words say more.

        Args:
            too_long: whether it says that an input is too long.
            fatal: whether it says what no other request would cure.
        """
        verdict = classify_status(self.status_code, self.headers)
        # A setting that is refused would be refused for each input by itself.
        of_settings = bool(self.fields) and not any("input" in path for path in self.fields)
        if too_long:
            verdict = replace(verdict, action="shorten")
        elif fatal or of_settings:
            verdict = replace(verdict, action="fatal")
        return replace(verdict, request_id=self.request_id or verdict.request_id)


def classify_failure(error: BaseException) -> Verdict:
    """What a failure of a request means, by its HTTP status where it has one, else by its kind.

    Refused keys (401, 403) deny; what passes by itself (429, 5xx, timeouts, cut connections, garbled
    replies) is retried; a refused body (400, 413, 422) is split; all other refusals are fatal, and so
    is what cannot be sent at all.
    """
    status = status_of(error)
    headers = headers_of(error)
    if status is not None:
        return classify_status(status, headers)
    if _names(error) & _UNSENDABLE or (error.__cause__ is not None and _names(error.__cause__) & _UNSENDABLE):
        return Verdict("fatal")
    return Verdict("retry") if _is_transient(error) else Verdict("split")


def classify_status(status: int, headers: Mapping[str, str] | None = None) -> Verdict:
    """What an HTTP status of 400 or more means, with what its headers ask to wait."""
    headers = headers or {}
    request_id = next((headers[name] for name in ("x-request-id", "request-id") if name in headers), None)
    if status == 429:
        after, pace = retry_after(headers), read_pace(headers)
        after = _reset(pace) if after is None and pace is not None else after
        return Verdict("retry", after, limited=True, status=status, request_id=request_id, pace=pace)
    if status in _RETRIED or status >= 500:
        return Verdict("retry", retry_after(headers), status=status, request_id=request_id)
    if status in _DENIED:
        return Verdict("denied", status=status, request_id=request_id)
    return Verdict("split" if status in _SPLIT else "fatal", status=status, request_id=request_id)


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an SDK's error carries, wherever it keeps it."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
                return value
    return None


def headers_of(error: BaseException) -> dict[str, str]:
    """The headers of the reply behind an SDK's error, names in lower case; empty where there are none."""
    for holder in (getattr(error, "response", None), error):
        headers = getattr(holder, "headers", None)
        if isinstance(headers, Mapping):
            return {str(name).lower(): str(value) for name, value in headers.items()}
    return {}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `retry-after-ms` or `Retry-After` (RFC 9110: seconds or a date), never negative.

    A date is taken by the provider's clock where the headers tell its time.
    """
    milliseconds = headers.get("retry-after-ms")
    if milliseconds is not None and (value := _number(milliseconds)) is not None:
        return max(0.0, value / 1000)
    text = headers.get("retry-after")
    if text is None:
        return None
    if (value := _number(text)) is not None:
        return max(0.0, value)
    until, now = _timestamp(text), _timestamp(headers.get("date", ""))
    return None if until is None else max(0.0, until - (time.time() if now is None else now))


def read_pace(headers: Mapping[str, str]) -> Pace | None:
    """The state of the rate limits by the `x-ratelimit-*` headers that OpenAI introduced and others follow."""
    lowered = {name.lower(): value for name, value in headers.items()}
    if not any(name.startswith("x-ratelimit-") for name in lowered):
        return None

    def whole(name: str) -> int | None:
        value = _number(lowered.get(f"x-ratelimit-{name}", ""))
        return None if value is None else int(value)

    return Pace(
        requests_per_minute=whole("limit-requests"),
        units_per_minute=whole("limit-tokens"),
        requests_left=whole("remaining-requests"),
        units_left=whole("remaining-tokens"),
        requests_reset=seconds_of(lowered.get("x-ratelimit-reset-requests")),
        units_reset=seconds_of(lowered.get("x-ratelimit-reset-tokens")),
    )


def seconds_of(text: str | None) -> float | None:
    """Seconds of a duration such as `"6m0s"`, `"20ms"`, `"1.5"`; `None` for anything else."""
    if not text:
        return None
    if (value := _number(text)) is not None:
        return max(0.0, value)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def in_order(entries: Iterable[tuple[int, T]], count: int) -> list[T]:
    """The values of `(index, value)` pairs in the order of their indices.

    Raises:
        InvalidOutputError: unless the indices are 0 to `count - 1`, each once.
    """
    by_index: dict[int, T] = {}
    total = 0
    for index, value in entries:
        by_index[index] = value
        total += 1
    if total != count or set(by_index) != set(range(count)):
        raise InvalidOutputError(f"a reply holds {total} vectors ({len(by_index)} distinct places) for {count} inputs")
    return [by_index[index] for index in range(count)]


def vector_of(value: Any) -> FloatArray:
    """One vector `(d,)` as replies write it: a list of numbers, or base64 of little-endian float32.

    Raises:
        InvalidOutputError: if it is neither.
    """
    if isinstance(value, str | bytes):
        return np.frombuffer(_bytes_of(value), "<f4").astype(np.float32, copy=False)
    try:
        vector = np.asarray(value, np.float32)
    except (ValueError, TypeError) as error:
        raise InvalidOutputError(f"a reply holds a vector that cannot be read ({error})") from None
    if vector.ndim != 1:
        raise InvalidOutputError(f"a reply holds a vector of {vector.ndim} axes")
    return vector


def _bytes_of(value: str | bytes) -> bytes:
    """The components that base64 holds, four bytes each."""
    try:
        data = _base64_decoder()(value)
    except ValueError as error:
        raise InvalidOutputError(f"a reply holds a vector that cannot be read ({error})") from None
    if len(data) % 4:
        raise InvalidOutputError(f"a reply holds a vector of {len(data)} bytes, which are no float32 numbers")
    return data


@cache
def _base64_decoder() -> Callable[[str | bytes], bytes]:
    """That of pybase64, where it is installed, which takes a tenth of the time; both refuse what is no base64."""
    try:
        import pybase64
    except ImportError:
        return partial(binascii.a2b_base64, strict_mode=True)
    return partial(pybase64.b64decode, validate=True)


def rows_of(values: Sequence[Any]) -> FloatArray:
    """Vectors as replies write them, stacked: `(n, d)`.

    Raises:
        InvalidOutputError: if one cannot be read, or they differ in dimension.
    """
    if len(values) == 0:
        return np.empty((0, 0), np.float32)
    vectors = [
        _bytes_of(value) if isinstance(value, str | bytes) else vector_of(value).astype("<f4").tobytes()
        for value in values
    ]
    if len({len(vector) for vector in vectors}) > 1:
        raise InvalidOutputError("a reply holds vectors of several dimensions")
    return np.frombuffer(b"".join(vectors), "<f4").astype(np.float32, copy=False).reshape(len(values), -1)


class Vectors(NamedTuple):
    """The rows `(n, d)` of a reply, and the tokens that it says it counted; 0 where it does not say."""

    rows: FloatArray
    tokens: int


def read_vectors(body: bytes, count: int) -> Vectors:
    """The vectors of a reply in the form that OpenAI introduced and others follow, in the order of the inputs.

    Raises:
        JSONDecodeError: if it was cut.
        InvalidOutputError: if it does not hold one vector for each of `count` inputs.
    """
    reply: Any = json.loads(body)
    try:
        entries = [(entry["index"], entry["embedding"]) for entry in reply["data"]]
        usage = reply.get("usage") or {}
        tokens = int(usage.get("prompt_tokens") or usage.get("total_tokens") or 0)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InvalidOutputError(f"a reply holds no embeddings: {body[:200]!r}") from None
    return Vectors(rows_of(in_order(entries, count)), tokens)


def estimate_texts(items: Sequence[Item], overhead: int = 0) -> Measure:
    """About how many tokens each one-part text item has, with `overhead` for a prompt."""
    return Measure([estimate_tokens(item.text) + overhead for item in items], exact=False)


def split_by_estimate(item: Item, max_units: int, overhead: int = 0) -> list[Item]:
    """A text item as pieces of at most `max_units` estimated tokens each, nothing left out.

    Raises:
        InvalidInputError: if not even a character fits.
    """
    room = int((max_units - overhead - 1) * BYTES_PER_TOKEN)
    if room < 4:
        raise InvalidInputError(f"a limit of {max_units} tokens leaves no room for text")
    return [text_item(piece) for piece in split_text(item.text, room)]


def _reset(pace: Pace) -> float | None:
    """Seconds until the limits that are used up are whole again; `None` where that is not told."""
    limits = ((pace.requests_left, pace.requests_reset), (pace.units_left, pace.units_reset))
    return max((reset for left, reset in limits if left == 0 and reset is not None), default=None)


def _timestamp(date: str) -> float | None:
    """An HTTP date in seconds since 1970."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, TimeoutError | OSError | EOFError | json.JSONDecodeError | UnicodeDecodeError):
        return True
    return bool(_names(error) & (_TRANSPORT_ERRORS | _BROKEN_REPLIES))


def _names(error: BaseException) -> set[str]:
    return {base.__name__ for base in type(error).__mro__}
