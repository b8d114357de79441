"""Fetching media from the web without becoming a way into the local network.

Only http and https; never an address that is private, loopback, link-local or otherwise not public.
The address is checked after name resolution and the connection goes to that very address, so a name
cannot resolve to something else in between; every redirect is checked anew. Proxies that the
environment names are not used, since they would resolve the name themselves.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from llm_multi_core.embedder.errors import InvalidInputError
from llm_multi_core.embedder.inputs import addresses

MAX_REDIRECTS = 5
_CHUNK = 64 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS = {"User-Agent": "llm-multi-core", "Accept-Encoding": "identity", "Connection": "close"}
_SAFE = "/%:=&?~+!$,;'@()*[]"  # beside letters and digits, what stands for itself in a URL


def fetch(url: str, *, max_bytes: int, timeout: float) -> bytes:
    """The body behind a URL.

    Args:
        url: an absolute http or https URL.
        max_bytes: the largest body that is taken.
        timeout: seconds for all of it, name resolution and redirects included.

    Raises:
        InvalidInputError: for any address that is not public, an error status, too large a body,
            too many redirects, or no answer in time. The message does not repeat the URL.
    """
    deadline = time.monotonic() + timeout
    for _ in range(MAX_REDIRECTS + 1):
        parts = _checked(url)
        try:
            location, body = _get(parts, max_bytes, deadline)
        except TimeoutError:
            raise InvalidInputError(f"the URL was not fetched within {timeout:g} s") from None
        except OSError as error:
            raise InvalidInputError(f"the URL could not be fetched ({type(error).__name__}: {error})") from None
        except http.client.HTTPException as error:  # its text may repeat the URL
            raise InvalidInputError(f"the URL could not be fetched ({type(error).__name__})") from None
        if location is None:
            return body
        url = _joined(url, location)
    raise InvalidInputError(f"the URL redirects more than {MAX_REDIRECTS} times")


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidInputError("the URL is malformed") from None
    if parts.scheme not in {"http", "https"}:
        raise InvalidInputError(f"only http and https URLs are fetched, not {parts.scheme[:20] or 'relative'} ones")
    if not parts.hostname or port == 0:
        raise InvalidInputError("the URL is malformed")
    if "@" in parts.netloc:
        raise InvalidInputError("a URL with a user name or password in it is not fetched")
    return parts


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise InvalidInputError("the URL redirects to a malformed one") from None


def _get(parts: SplitResult, max_bytes: int, deadline: float) -> tuple[str | None, bytes]:
    """One request: where it redirects to, or its body."""
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port)
    with _connect(connection.host, connection.port, secure, deadline) as sock:
        connection.sock = _DeadlineSocket(sock, deadline)
        target = quote(parts.path or "/", _SAFE) + (f"?{quote(parts.query, _SAFE)}" if parts.query else "")
        connection.request("GET", target, headers=_HEADERS)
        with connection.getresponse() as response:
            if response.status in _REDIRECTS:
                location = response.headers.get("Location")
                if not location:
                    raise InvalidInputError(f"the URL answers {response.status} without saying where to go")
                return location, b""
            if response.status != 200:
                raise InvalidInputError(f"the URL answers with status {response.status}")
            return None, _body(response, max_bytes)


def _connect(host: str, port: int, secure: bool, deadline: float) -> socket.socket:
    """A socket to a checked address of the host."""
    address = addresses.public_address(host, port, _left(deadline))
    plain = socket.create_connection((address, port), timeout=_left(deadline))
    if not secure:
        return plain
    try:
        plain.settimeout(_left(deadline))
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _body(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    promised = response.length  # None where the server does not say
    if promised is not None and promised > max_bytes:
        raise InvalidInputError(f"the URL gives more than {max_bytes} bytes")
    blocks: list[bytes] = []
    size = 0
    while block := response.read1(_CHUNK):
        size += len(block)
        if size > max_bytes:
            raise InvalidInputError(f"the URL gives more than {max_bytes} bytes")
        blocks.append(block)
    if promised is not None and size < promised:
        raise InvalidInputError(f"the URL gave {size} of the {promised} bytes that it promised")
    return b"".join(blocks)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left


class _DeadlineSocket:
    """What `http.client` needs of a socket, with one deadline for all that is sent and received.

    A timeout of a socket starts anew with every byte that trickles in. Whoever made the socket closes it.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: Any) -> None:
        """Send, in time."""
        self._sock.settimeout(_left(self._deadline))
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """The receiving end."""
        return io.BufferedReader(_Receiver(self._sock, self._deadline))

    def close(self) -> None:
        """Nothing yet: `http.client` calls this before the body is read."""


class _Receiver(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)
