"""Which addresses on the network may be fetched from: public ones, and nothing that leads elsewhere."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from threading import Thread

from llm_multi_core.embedder.errors import InvalidInputError

_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as networks without IPv4 reach them (RFC 6052); the last 32 bits decide."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is that of a host on the internet, also when an IPv4 one is wrapped in it."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved and not address.is_unspecified


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system's resolver gives them.

    Raises:
        OSError: if there are none.
    """
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def public_address(host: str, port: int, timeout: float) -> str:
    """The address to connect to for a host.

    Args:
        host: a name, or an address in any notation that the resolver understands.
        port: the port that will be connected to.
        timeout: seconds that the resolver may take.

    Raises:
        InvalidInputError: if the host resolves to any address that is not public.
        OSError: if it does not resolve in time.
    """
    addresses = sorted(set(_resolve_in_time(host, port, timeout)), key=lambda text: (":" in text, text))
    for text in addresses:
        address = ip_address(text.partition("%")[0])
        if not is_public(address):
            raise InvalidInputError(f"the URL leads to {address}, which is not a public address")
    if not addresses:
        raise OSError("the host has no address")
    return addresses[0]  # IPv4 first


def _resolve_in_time(host: str, port: int, timeout: float) -> list[str]:
    """What `resolve` gives, though the system's resolver knows no time limit."""
    found: list[str] = []
    errors: list[Exception] = []

    def ask() -> None:
        try:
            found.extend(resolve(host, port))
        except Exception as error:  # noqa: BLE001 - raised again in the thread that asked
            errors.append(error)

    thread = Thread(target=ask, name="llm-multi-core-resolve", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise TimeoutError("no answer in time")
    if errors:
        error = errors[0]
        raise error if isinstance(error, OSError) else OSError("the host's name is malformed")
    return found
