"""A folder of files of several kinds, and one damaged file of each."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder.media import MediaLibrary
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, encode_sound, synthesise


def write_pdf(path, texts):
    """A PDF with a page for each text, as pictures of another size for each page."""
    pages = [draw_picture(200, 260, seed=place) for place, _ in enumerate(texts)]
    pages[0].save(path, "PDF", save_all=True, append_images=pages[1:])


@pytest.fixture
def folder(tmp_path):
    """Two texts, two pictures, a short and a long recording, and a PDF of three pages."""
    root = tmp_path / "things"
    (root / "deeper").mkdir(parents=True)
    (root / "notes.txt").write_text("The Moon pulls on the sea.", encoding="utf-8")
    (root / "deeper" / "recipe.md").write_text("# Bread\n\nFlour, water, salt.", encoding="utf-8")
    (root / "red.png").write_bytes(encode_picture(draw_picture(seed=1)))
    (root / "deeper" / "blue.jpg").write_bytes(encode_picture(draw_picture(seed=2), "JPEG"))
    (root / "tone.wav").write_bytes(encode_sound(synthesise(0.5, seed=1)))
    (root / "talk.wav").write_bytes(encode_sound(synthesise(6.0, seed=2)))
    write_pdf(root / "report.pdf", ["one", "two", "three"])
    return root


@pytest.fixture
def library(tmp_path):
    """One with windows of two seconds, so that a recording of six becomes four."""
    return MediaLibrary(blobs=tmp_path / "blobs", window_seconds=2.0, overlap_seconds=0.5)
