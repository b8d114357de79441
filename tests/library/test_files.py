"""What a file holds, by its name and by its first bytes."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder.media import is_text_type, mime_type_of, mime_type_of_bytes
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, encode_sound, synthesise


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        ("a.PNG", "image/png"),
        ("a.jfif", "image/jpeg"),
        ("a.opus", "audio/ogg"),
        ("a.pdf", "application/pdf"),
        ("a.md", "text/markdown"),
        ("a.yml", "application/yaml"),
        ("a", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ],
)
def test_by_its_name(name, mime_type):
    assert mime_type_of(name) == mime_type


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_pictures_by_their_bytes(kind):
    assert mime_type_of_bytes(encode_picture(draw_picture(), kind)) == f"image/{kind.lower()}"


@pytest.mark.parametrize(
    ("kind", "mime_type"),
    [("WAV", "audio/wav"), ("FLAC", "audio/flac"), ("OGG", "audio/ogg"), ("AIFF", "audio/aiff"), ("MP3", "audio/mpeg")],
)
def test_recordings_by_their_bytes(kind, mime_type):
    assert mime_type_of_bytes(encode_sound(synthesise(), format=kind)) == mime_type


@pytest.mark.parametrize("data", [b"", b"RIFF", b"plain text", b"\0" * 20])
def test_other_bytes_are_unknown(data):
    assert mime_type_of_bytes(data) is None


def test_a_pdf_by_its_bytes():
    assert mime_type_of_bytes(b"%PDF-1.7\n") == "application/pdf"


@pytest.mark.parametrize(
    ("mime_type", "text"),
    [
        ("text/plain", True),
        ("text/x-python", True),
        ("application/json", True),
        ("application/yaml", True),
        ("application/zip", False),
        ("image/svg+xml", False),
        ("application/octet-stream", False),
    ],
)
def test_which_media_types_are_texts(mime_type, text):
    assert is_text_type(mime_type) is text
