"""Where media comes from: every form of reference, and what is refused by name."""

import base64
import io
import os
import tempfile
from pathlib import Path, PurePath

import pytest

from llm_multi_core.embedder import InvalidInputError
from llm_multi_core.embedder.inputs.sources import Source, SourcePolicy, find_source

CONTENT = bytes(range(256)) * 20
POLICY = SourcePolicy()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a file ü%20#.bin"
    path.write_bytes(CONTENT)
    return path


def content(value, policy=POLICY, media="image"):
    return find_source(value, policy, media).read()


def test_every_form_gives_the_bytes(path):
    encoded = base64.b64encode(CONTENT).decode()
    forms = [
        path,
        str(path),
        path.as_uri(),
        path.as_uri().replace("file://", "FILE://localhost"),
        path.as_uri().replace("file://", "file:"),
        CONTENT,
        bytearray(CONTENT),
        memoryview(CONTENT)[::1],
        io.BytesIO(CONTENT),
        f"data:image/png;base64,{encoded}",
        f"data:;base64,{encoded}",
        f"DATA:application/octet-stream;base64,{encoded.rstrip('=')}",
        "data:image/png;base64,\n" + "\n".join(encoded[i : i + 76] for i in range(0, len(encoded), 76)) + "\n",
        "data:image/svg;x=y," + "".join(f"%{byte:02x}" for byte in CONTENT),
    ]
    for form in forms:
        assert content(form) == CONTENT, str(form)[:60]
        assert find_source(form, POLICY, "image").digest(b"image", POLICY) == find_source(
            CONTENT, POLICY, "image"
        ).digest(b"image", POLICY)


def test_directory_entries_and_the_home_folder(path, monkeypatch):
    (entry,) = os.scandir(path.parent)
    assert content(entry) == CONTENT
    (entry,) = os.scandir(os.fsencode(path.parent))
    assert content(entry) == CONTENT
    monkeypatch.setenv("HOME", str(path.parent))
    monkeypatch.setenv("USERPROFILE", str(path.parent))
    assert content(f"~/{path.name}") == CONTENT


@pytest.mark.parametrize("place", [0, 7, len(CONTENT)])
def test_a_file_object_is_read_from_its_beginning_and_left_where_it_was(path, place):
    with path.open("rb") as buffered, path.open("rb", buffering=0) as raw, tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(CONTENT)
        for file in (io.BytesIO(CONTENT), buffered, raw, spooled):
            file.seek(place)
            assert content(file) == CONTENT
            assert file.tell() == place


class Trickle:
    """A stream that cannot be rewound and gives less than asked for."""

    def __init__(self):
        self.file = io.BytesIO(CONTENT)

    def read(self, size):
        return self.file.read(min(size, 7))


def test_streams_that_give_a_little_at_a_time():
    assert content(Trickle()) == CONTENT


class Asynchronous:
    async def read(self, size):
        return CONTENT


class Strings:
    def read(self, size):
        return "text"


class Broken:
    def read(self, size):
        raise OSError("the disk is gone")


def test_file_objects_that_cannot_be_read(path):
    closed = io.BytesIO(CONTENT)
    closed.close()
    with path.open(encoding="utf-8") as text:
        for file, words in [
            (closed, "closed"),
            (text, "mode 'rb'"),
            (io.StringIO("x"), "mode 'rb'"),
            (Strings(), "mode 'rb'"),
            (Asynchronous(), r"await file.read\(\)"),
            (Broken(), "the disk is gone"),
            (io.BytesIO(), "the image is empty"),
        ]:
            with pytest.raises(InvalidInputError, match=words):
                find_source(file, POLICY, "image")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("no/such/file.png", "no such file: 'no/such/file.png'"),
        (PurePath("no-such"), "no such file"),
        ("", "a folder"),
        (b"", "the image is empty"),
        ("nul\0character", "not the path"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("~nobody-of-that-name/a.png", "not the path|no such file"),
        ("/dev/null", "not a regular file"),
        ("http://example.com/a.png", "allow_urls=True"),
        (" HTTPS://example.com/a.png", "allow_urls=True"),
        ("s3://bucket/a.png", "a s3: URL is not read"),
        ("file://server/share/a.png", "names a host"),
        ("file://[", "malformed"),
        ("data:image/png", "no comma"),
        ("data:text/html;base64,AAAA", "holds text/html, not image data"),
        ("data:image/png;base64,A*A", "not valid base64"),
        ("data:image/png;base64,AAAAA", "not valid base64"),
        ("data:image/png;base64,", "the image is empty"),
    ],
)
def test_what_is_refused(value, words):
    with pytest.raises(InvalidInputError, match=words):
        find_source(value, POLICY, "image")


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@example.com/a.png?token=hunter2",
        " https://user:hunter2@example.com/",
        "ftp://user:hunter2@example.com/a.png",
        "s3://user:hunter2@bucket/a.png",
        "file://user:hunter2@host/a.png",
    ],
)
def test_no_message_repeats_what_a_url_holds(url):
    with pytest.raises(InvalidInputError) as caught:
        find_source(url, POLICY, "image")
    assert "hunter2" not in str(caught.value)


def test_folders_and_empty_files(tmp_path):
    (tmp_path / "empty.wav").touch()
    with pytest.raises(InvalidInputError, match=r"^'empty\.wav' is empty$"):
        find_source(tmp_path / "empty.wav", POLICY, "audio")
    with pytest.raises(InvalidInputError, match="a folder"):
        find_source(tmp_path, POLICY, "audio")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything may be read")
def test_a_file_that_may_not_be_read(path):
    path.chmod(0)
    with pytest.raises(InvalidInputError, match="Permission denied"):
        content(path)


def test_sizes_are_bounded(path):
    small = SourcePolicy(max_bytes=100, max_file_bytes=200)
    for value in (CONTENT, io.BytesIO(CONTENT), Trickle(), path):
        bound = 200 if value is path else 100
        with pytest.raises(InvalidInputError, match=f"larger than {bound} bytes"):
            find_source(value, small, "image").digest(b"image", small)


def test_the_digest_survives_a_rename_and_tells_content_and_kind_apart(path, tmp_path):
    def digest(value, kind=b"image"):
        return find_source(value, POLICY, "image").digest(kind, POLICY)

    before = digest(path)
    moved = path.rename(tmp_path / "other.jpg")
    assert digest(moved) == before
    assert digest(moved, b"audio") != before
    moved.write_bytes(CONTENT[:-1])
    assert digest(moved) != before


def test_a_file_that_changes_after_its_digest_was_taken_is_not_read(path):
    source = find_source(path, POLICY, "image")
    path.write_bytes(CONTENT + b"more")
    with pytest.raises(InvalidInputError, match="was changed"):
        source.open()
    path.unlink()
    with pytest.raises(InvalidInputError, match="cannot be read: No such file"):
        source.open()
    Source("free", path=Path(__file__)).open().close()


def test_other_values_are_no_reference():
    assert find_source(3, POLICY, "image") is None
    assert find_source(None, POLICY, "image") is None
