"""Fetching media from the web without becoming a way into the local network.

Only http and https; never an address that is private, loopback, link-local or otherwise not public.
The address is checked after name resolution and the connection goes to that very address, so a name
cannot resolve to something else in between; every redirect is checked anew.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from urllib.parse import urljoin, urlsplit

from llm_multi_core.embedder.errors import InvalidInputError

MAX_REDIRECTS = 5
_CHUNK = 64 * 1024


def fetch(url: str, *, max_bytes: int, timeout: float) -> bytes:
    """The body behind a URL.

    Args:
        url: an absolute http or https URL.
        max_bytes: the largest body that is taken.
        timeout: seconds for all of it, redirects included.

    Raises:
        InvalidInputError: for any address that is not public, an error status, too large a body,
            too many redirects, or no answer in time.
    """
    deadline = time.monotonic() + timeout
    for _ in range(MAX_REDIRECTS + 1):
        try:
            location, body = _get(url, max_bytes, deadline)
        except (OSError, http.client.HTTPException) as error:
            raise InvalidInputError(f"the URL could not be fetched ({type(error).__name__}: {error})") from None
        if location is None:
            return body
        url = urljoin(url, location)
    raise InvalidInputError(f"the URL redirects more than {MAX_REDIRECTS} times")


def public_address(host: str, port: int) -> str:
    """The address to connect to for a host.

    Raises:
        InvalidInputError: if the host resolves to any address that is not public.
        OSError: if it does not resolve.
    """
    addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
        if not address.is_global or address.is_multicast or (inner is not None and not inner.is_global):
            raise InvalidInputError(f"the URL leads to {address}, which is not a public address")
    return min(addresses, key=lambda text: (":" in text, text))  # IPv4 first


def _get(url: str, max_bytes: int, deadline: float) -> tuple[str | None, bytes]:
    """One request: where it redirects to, or its body."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise InvalidInputError("the URL is malformed") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidInputError(f"only http and https URLs are fetched, not {parts.scheme or 'a relative one'}:")
    address = public_address(parts.hostname, port)
    connection = _connect(parts.scheme, parts.hostname, address, port, deadline)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"User-Agent": "llm-multi-core", "Accept-Encoding": "identity"})
        response = connection.getresponse()
        if response.status in {301, 302, 303, 307, 308}:
            location = response.headers.get("Location")
            if not location:
                raise InvalidInputError(f"the URL answers {response.status} without saying where to go")
            return location, b""
        if response.status != 200:
            raise InvalidInputError(f"the URL answers {response.status} {response.reason}")
        return None, _body(response, connection, max_bytes, deadline)
    finally:
        connection.close()


def _connect(scheme: str, host: str, address: str, port: int, deadline: float) -> http.client.HTTPConnection:
    """A connection to `address` that speaks to it as `host`."""
    connection = http.client.HTTPConnection(host, port, timeout=_left(deadline))
    plain = socket.create_connection((address, port), timeout=_left(deadline))
    try:
        connection.sock = (
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) if scheme == "https" else plain
        )
    except BaseException:
        plain.close()
        raise
    return connection


def _body(
    response: http.client.HTTPResponse, connection: http.client.HTTPConnection, max_bytes: int, deadline: float
) -> bytes:
    blocks: list[bytes] = []
    size = 0
    while True:
        if connection.sock is not None:
            connection.sock.settimeout(_left(deadline))
        block = response.read1(_CHUNK)
        if not block:
            return b"".join(blocks)
        size += len(block)
        if size > max_bytes:
            raise InvalidInputError(f"the URL gives more than {max_bytes} bytes")
        blocks.append(block)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left
