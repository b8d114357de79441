"""Media from the web: what is fetched, what is refused, and that time and size are bounded."""

import http.server
import ipaddress
import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from llm_multi_core.embedder import InvalidInputError, create_audio_embedder, create_image_embedder
from llm_multi_core.embedder.inputs import addresses, urls
from llm_multi_core.embedder.inputs.image import image_item
from llm_multi_core.embedder.inputs.sources import SourcePolicy
from llm_multi_core.embedder.testing.media import (
    draw_picture,
    encode_picture,
    encode_sound,
    media_plugin,
    synthesise,
)

PUBLIC = "93.184.216.34"
PNG = encode_picture(draw_picture())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        status, headers, body = self.server.pages.get(urlsplit(self.path).path, (404, {}, b"nothing here"))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    """A server on the loopback address; its pages are by path: status, headers, body."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.pages, server.seen = {"/a.png": (200, {}, PNG)}, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def internet(monkeypatch):
    """Pretends that example.com is public, and leads connections to its address to this machine."""
    monkeypatch.setattr(addresses, "resolve", lambda host, port: [PUBLIC] if host.endswith("example.com") else [host])
    connect, asked = socket.create_connection, []

    def create_connection(address, timeout):
        asked.append(address)
        assert timeout > 0
        return connect(("127.0.0.1", address[1]), timeout)

    monkeypatch.setattr(socket, "create_connection", create_connection)
    return asked


def url(site, path="/a.png", host="www.example.com"):
    return f"http://{host}:{site.server_address[1]}{path}"


def fetch(address, max_bytes=1_000_000, timeout=20.0):
    return urls.fetch(address, max_bytes=max_bytes, timeout=timeout)


def test_a_page_is_fetched_from_the_address_that_was_checked(site, internet):
    assert fetch(url(site)) == PNG
    assert internet == [(PUBLIC, site.server_address[1])]
    ((path, headers),) = site.seen
    assert path == "/a.png"
    assert headers["Host"] == f"www.example.com:{site.server_address[1]}"
    assert headers["Accept-Encoding"] == "identity"


def test_the_name_is_resolved_once_so_that_it_cannot_change_its_mind(site, internet, monkeypatch):
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    monkeypatch.setattr(addresses, "resolve", lambda host, port: next(answers))
    assert fetch(url(site)) == PNG
    assert internet == [(PUBLIC, site.server_address[1])]
    with pytest.raises(InvalidInputError, match=r"127\.0\.0\.1"):
        fetch(url(site))


def test_all_addresses_of_a_name_must_be_public(monkeypatch):
    monkeypatch.setattr(addresses, "resolve", lambda host, port: [PUBLIC, "10.0.0.1"])
    with pytest.raises(InvalidInputError, match=r"10\.0\.0\.1, which is not a public address"):
        fetch("http://example.com/")


def test_an_image_item_from_a_url(site, internet):
    with pytest.raises(InvalidInputError, match="allow_urls=True"):
        image_item(url(site))
    assert not site.seen
    item = image_item(url(site), SourcePolicy(allow_urls=True))
    assert item.digest == image_item(PNG).digest


def test_odd_characters_are_quoted(site, internet):
    site.pages["/ü%20b"] = site.pages["/%C3%BC%20b"] = (200, {}, PNG)
    assert fetch(url(site, "/ü%20b?q=a b&c=ü#part")) == PNG
    assert site.seen[-1][0] == "/%C3%BC%20b?q=a%20b&c=%C3%BC"
    with pytest.raises(InvalidInputError):
        fetch(url(site, "/a\r\nX-Evil: 1"))
    assert all("X-Evil" not in headers for _, headers in site.seen)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(site, internet, status):
    site.pages["/old"] = (status, {"Location": "/a.png"}, b"")
    site.pages["/other"] = (status, {"Location": url(site, "/old", "cdn.example.com")}, b"")
    assert fetch(url(site, "/other")) == PNG
    assert len(internet) == 3


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://127.0.0.1/a.png", r"127\.0\.0\.1, which is not a public address"),
        ("http://169.254.169.254/latest/meta-data", r"169\.254\.169\.254, which is not"),
        ("//10.1.2.3/", r"10\.1\.2\.3, which is not"),
        ("file:///etc/passwd", "only http and https URLs are fetched, not file ones"),
        ("data:text/plain,hello", "not data ones"),
        ("gopher://example.com/", "not gopher ones"),
        ("http://[", "malformed"),
        ("http://user:hunter2@example.com/", "user name or password"),
    ],
)
def test_redirects_are_checked_anew(site, internet, location, words):
    site.pages["/old"] = (302, {"Location": location}, b"")
    with pytest.raises(InvalidInputError, match=words) as caught:
        fetch(url(site, "/old"))
    assert "hunter2" not in str(caught.value)


def test_redirects_without_end_and_without_aim(site, internet):
    site.pages["/loop"] = (302, {"Location": "/loop"}, b"")
    site.pages["/lost"] = (302, {}, b"")
    with pytest.raises(InvalidInputError, match="more than 5 times"):
        fetch(url(site, "/loop"))
    assert len(site.seen) == 6
    with pytest.raises(InvalidInputError, match="302 without saying where"):
        fetch(url(site, "/lost"))


@pytest.mark.parametrize(
    ("create", "framework", "good"),
    [
        (create_image_embedder, "fake-image", encode_picture(draw_picture())),
        (create_audio_embedder, "fake-audio", encode_sound(synthesise())),
    ],
)
def test_bad_urls_in_a_batch_leave_the_others_unharmed(site, internet, install_plugin, create, framework, good):
    install_plugin(
        "llm-multi-core-fake-media",
        entry_points={"fake-media": "fake_media_plugin"},
        modules={"fake_media_plugin": media_plugin()},
    )
    private = f"http://127.0.0.1:{site.server_address[1]}/good"
    site.pages |= {"/good": (200, {}, good), "/old": (302, {"Location": private}, b"")}
    inputs = [good, url(site, "/old"), url(site, "/good"), private, url(site, "/missing"), good]
    with create(framework, allow_urls=True) as embedder:
        result = embedder.run(inputs, on_error="collect")
        alone = embedder.embed(good)
    assert [(failure.index, type(failure.error)) for failure in result.failures] == [
        (1, InvalidInputError),
        (3, InvalidInputError),
        (4, InvalidInputError),
    ]
    reasons = [str(failure.error) for failure in result.failures]
    assert all(reason.startswith(f"input {index}: ") for index, reason in zip((1, 3, 4), reasons, strict=True))
    assert all("not a public address" in reason for reason in reasons[:2])
    assert "404" in reasons[2]
    assert sorted(path for path, _ in site.seen) == ["/good", "/missing", "/old"]
    for vector in result.vectors[[0, 2, 5]]:
        assert vector @ alone > 0.99999


# Addresses.

# fmt: off
PRIVATE = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "192.0.0.1", "198.18.0.1", "192.0.2.1", "203.0.113.5", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd12:3456::1",
    "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::ffff:224.0.0.1", "2002:7f00:1::", "2002:a00:1::", "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2001::1", "100::1",
]
REACHABLE = [
    "93.184.216.34", "8.8.8.8", "172.32.0.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808",
    "2002:808:808::1",
]
# fmt: on


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public(address):
    assert not addresses.is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(InvalidInputError, match=r"not a public address|could not be fetched"):
        fetch(f"http://{host}/a.png")


@pytest.mark.parametrize("address", REACHABLE)
def test_addresses_that_are_public(address):
    assert addresses.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "localhost", "127.0.0.1.", "[::ffff:7f00:1]"]
)
def test_other_spellings_of_this_machine(site, host):
    with pytest.raises(InvalidInputError, match=r"not a public address|could not be fetched"):
        fetch(url(site, host=host))
    assert not site.seen


def test_a_link_local_address_with_a_zone(monkeypatch):
    monkeypatch.setattr(addresses, "resolve", lambda host, port: ["fe80::1%eth0"])
    with pytest.raises(InvalidInputError, match="fe80::1, which is not a public address"):
        fetch("http://example.com/")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://", "malformed"),
        ("http://[::1", "malformed"),
        ("http://example.com:99999/", "malformed"),
        ("http://example.com:0/", "malformed"),
        ("http://user:hunter2@example.com/a.png", "user name or password"),
        ("ftp://user:hunter2@example.com/a.png", "not ftp ones"),
        ("a.png", "not relative ones"),
        (f"http://{'a' * 70}.com/", "could not be fetched|not a public"),
        ("http://a..b/", "could not be fetched|not a public"),
    ],
)
def test_urls_that_are_none(address, words):
    with pytest.raises(InvalidInputError, match=words) as caught:
        fetch(address)
    assert "hunter2" not in str(caught.value)


# Size, status, time.


def test_what_the_server_says_is_checked(site, internet):
    site.pages["/large"] = (200, {}, b"x" * 5000)
    site.pages["/chunks"] = (200, {"Transfer-Encoding": "chunked"}, b"1388\r\n" + b"x" * 5000 + b"\r\n0\r\n\r\n")
    site.pages["/cut"] = (200, {"Content-Length": "9000"}, b"x" * 5000)
    site.pages["/cut-chunks"] = (200, {"Transfer-Encoding": "chunked"}, b"1388\r\n" + b"x" * 50)
    site.pages["/secret"] = (403, {}, b"")
    for path in ("/large", "/chunks"):
        assert fetch(url(site, path)) == b"x" * 5000
        with pytest.raises(InvalidInputError, match="gives more than 4999 bytes"):
            fetch(url(site, path), max_bytes=4999)
    with pytest.raises(InvalidInputError, match="gave 5000 of the 9000 bytes"):
        fetch(url(site, "/cut"))
    with pytest.raises(InvalidInputError, match=r"could not be fetched \(IncompleteRead\)"):
        fetch(url(site, "/cut-chunks"))
    with pytest.raises(InvalidInputError, match="status 403"):
        fetch(url(site, "/secret?token=hunter2"))
    with pytest.raises(InvalidInputError, match="status 404"):
        fetch(url(site, "/nowhere"))


@contextmanager
def raw_server(answer):
    """A server that hands its connection to `answer`, with an event that says when the client is gone."""
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                try:
                    answer(connection, gone)
                except OSError:  # the client has had enough
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://www.example.com:{server.getsockname()[1]}/"
        finally:
            gone.set()
            thread.join()


def silent(connection, gone):
    gone.wait()


def trickle_of_headers(connection, gone):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not gone.wait(0.01):
        connection.sendall(b"X: y\r\n"[:1])


def trickle_of_body(connection, gone):
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not gone.wait(0.01):
        connection.sendall(b"x")


@pytest.mark.parametrize("answer", [silent, trickle_of_headers, trickle_of_body])
def test_time_is_bounded_however_much_trickles_in(internet, answer):
    with raw_server(answer) as address, pytest.raises(InvalidInputError, match=r"not fetched within 0\.2 s"):
        fetch(address, timeout=0.2)


def test_a_resolver_that_takes_for_ever(monkeypatch):
    gone = threading.Event()
    monkeypatch.setattr(addresses, "resolve", lambda host, port: gone.wait(60) and [])
    with pytest.raises(InvalidInputError, match=r"not fetched within 0\.1 s"):
        fetch("http://example.com/", timeout=0.1)
    gone.set()


@pytest.mark.parametrize("reply", [b"", b"rubbish\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_servers_that_speak_something_else(internet, reply):
    with (
        raw_server(lambda connection, gone: connection.sendall(reply)) as address,
        pytest.raises(InvalidInputError, match="could not be fetched"),
    ):
        fetch(address)


def test_nobody_there(internet):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(InvalidInputError, match=r"could not be fetched \(ConnectionRefusedError"):
        fetch(f"http://www.example.com:{port}/")


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """A certificate for www.example.com that is trusted for this test."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command")
    key, path = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", key, "-out", path, "-days", "2", "-subj", "/CN=www.example.com"]
    subprocess.run([*command, "-addext", "subjectAltName=DNS:www.example.com"], check=True, capture_output=True)
    trusting = ssl.create_default_context(cafile=path)
    monkeypatch.setattr(ssl, "create_default_context", lambda: trusting)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    return context


def test_https_speaks_to_the_address_by_the_name(site, internet, certificate):
    site.socket = certificate.wrap_socket(site.socket, server_side=True)
    site.handle_error = lambda *_: None  # of the handshake that fails
    secure = url(site).replace("http:", "https:")
    assert fetch(secure) == PNG
    assert site.seen[0][1]["Host"] == f"www.example.com:{site.server_address[1]}"
    with pytest.raises(InvalidInputError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(secure.replace("www.", "other."))
    assert len(site.seen) == 1


def test_https_checks_the_certificate(site, internet):
    with pytest.raises(InvalidInputError, match="could not be fetched"):
        fetch(url(site).replace("http:", "https:"))
    assert not site.seen
