"""The fixture that keeps tests on this machine."""

from __future__ import annotations

import socket

import pytest


def test_what_is_here_can_be_reached(only_loopback):
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
        assert socket.getaddrinfo("localhost", 80)
        assert client.connect_ex(server.getsockname()) != 0  # it is connected already
    assert only_loopback == []


@pytest.mark.parametrize("address", [("93.184.216.34", 80), ("10.0.0.1", 80)])
def test_what_is_elsewhere_cannot(only_loopback, address):
    with socket.socket() as client:
        with pytest.raises(ConnectionRefusedError):
            client.connect(address)
        with pytest.raises(ConnectionRefusedError):
            client.connect_ex(address)
    with pytest.raises(OSError, match="look up"):
        socket.getaddrinfo("example.org", 80)
    assert only_loopback == [address[0], address[0], "example.org"]
    only_loopback.clear()


SWALLOWING = """
import contextlib
import socket

pytest_plugins = ["llm_multi_core.embedder.testing.fixtures"]


class TestSwallowing:
    def test_a_try(self, only_loopback):
        with contextlib.suppress(OSError):
            socket.create_connection(("example.org", 80))

    def test_none(self, only_loopback):
        pass
"""


def test_a_try_that_was_swallowed_fails_the_test(run_kit, tmp_path):
    file = tmp_path / "swallowing.py"
    file.write_text(SWALLOWING, encoding="utf-8")
    assert run_kit(file) == {"TestSwallowing": {"test_a_try"}}
