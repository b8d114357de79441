"""Retrieved documents as content blocks for a chat model."""

import base64
import io

import pytest
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from PIL import Image as Pillow

from langchain_llm_multi_core import MediaFolderLoader, MediaLibrary, content_blocks
from llm_multi_core.embedder import InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture

soundfile = pytest.importorskip("soundfile")


@pytest.fixture
def documents(folder, library):
    return MediaFolderLoader(folder, library).load()


def decoded(block):
    return base64.b64decode(block["base64"])


def headings(blocks):
    return [block["text"].partition("\n")[0] for block in blocks if block["type"] == "text"]


def test_every_document_has_a_heading_and_what_it_shows(documents, library):
    blocks = content_blocks(documents, library)
    assert headings(blocks) == [
        "[1] image blue.jpg",
        "[2] recipe.md",
        "[3] notes.txt",
        "[4] image red.png",
        "[5] page 1 of report.pdf",
        "[6] page 2 of report.pdf",
        "[7] page 3 of report.pdf",
        "[8] audio talk.wav 0:00-0:02",
        "[9] audio talk.wav 0:02-0:04",
        "[10] audio talk.wav 0:03-0:05",
        "[11] audio talk.wav 0:04-0:06",
        "[12] audio tone.wav",
    ]
    kinds = [block["type"] for block in blocks]
    assert kinds == ["text", "image", "text", "text", *["text", "image"] * 4, *["text", "audio"] * 5]
    assert blocks[3]["text"] == "[3] notes.txt\nThe Moon pulls on the sea."


def test_files_that_a_model_takes_are_given_as_they_are(documents, library, folder):
    blocks = content_blocks(documents, library)
    images = [block for block in blocks if block["type"] == "image"]
    assert (images[0]["mime_type"], decoded(images[0])) == ("image/jpeg", (folder / "deeper/blue.jpg").read_bytes())
    assert (images[1]["mime_type"], decoded(images[1])) == ("image/png", (folder / "red.png").read_bytes())
    assert decoded(blocks[-1]) == (folder / "tone.wav").read_bytes()


def test_pages_and_stretches_of_sound_are_cut_out(documents, library):
    blocks = content_blocks(documents, library)
    pages = [Pillow.open(io.BytesIO(decoded(block))) for block in blocks if block["type"] == "image"][2:]
    assert len({page.tobytes() for page in pages}) == 3
    assert all(page.height == 1536 for page in pages)
    sounds = [soundfile.info(io.BytesIO(decoded(block))) for block in blocks if block["type"] == "audio"]
    assert [sound.duration for sound in sounds] == [2.0, 2.0, 2.0, 2.0, 0.5]


def test_what_a_model_does_not_take_is_written_anew(tmp_path, library):
    (tmp_path / "picture.tiff").write_bytes(encode_picture(draw_picture(seed=3), "TIFF"))
    documents = MediaFolderLoader(tmp_path, library, pattern="*.tiff").load()
    _, image = content_blocks(documents, library)
    assert image["mime_type"] == "image/jpeg"
    _, image = content_blocks(documents, library, image_formats=["image/png"])
    assert image["mime_type"] == "image/png"
    assert Pillow.open(io.BytesIO(decoded(image))).tobytes() == draw_picture(seed=3).tobytes()


def test_large_pictures_are_shrunk_and_large_sounds_left_out(documents, library):
    blocks = content_blocks(documents, library, max_bytes=20_000)
    sizes = [len(decoded(block)) for block in blocks if block["type"] in ("image", "audio")]
    assert len(sizes) == 6  # five pictures, and the short sound
    assert all(size <= 20_000 for size in sizes)
    assert [line for line in headings(blocks) if "left out" in line] == [
        f"[{number}] audio talk.wav {time} (left out: it is too large)"
        for number, time in [(8, "0:00-0:02"), (9, "0:02-0:04"), (10, "0:03-0:05"), (11, "0:04-0:06")]
    ]


def test_all_media_together_stay_below_a_bound(documents, library):
    blocks = content_blocks(documents, library, max_total_bytes=100_000)
    media = [block for block in blocks if block["type"] in ("image", "audio")]
    assert 0 < sum(len(decoded(block)) for block in media) <= 100_000
    assert len(headings(blocks)) == 12
    assert sum("left out" in line for line in headings(blocks)) == 10 - len(media)


def test_what_a_model_does_not_hear_is_named(documents, library):
    blocks = content_blocks(documents, library, modalities=["text", "image"])
    assert {block["type"] for block in blocks} == {"text", "image"}
    assert "[12] audio tone.wav (left out: audio is not shown to this model)" in headings(blocks)


def test_places_in_a_text_are_told(library):
    documents = [
        Document("some words", metadata={"source": "/home/me/private/a.txt", "start_index": 10}),
        Document("other words"),
    ]
    assert headings(content_blocks(documents, library)) == ["[1] a.txt, characters 10-20", "[2] text"]


def test_no_folder_is_told(documents, library, folder):
    texts = [block["text"] for block in content_blocks(documents, library) if block["type"] == "text"]
    assert not any(str(folder) in text or "deeper" in text for text in texts)


def test_they_make_a_message(documents, library):
    blocks = content_blocks(documents[3:4], library)
    message = HumanMessage(content_blocks=[*blocks, {"type": "text", "text": "What is this?"}])
    assert [block["type"] for block in message.content_blocks] == ["text", "image", "text"]
    assert "What is this?" in message.text


def test_media_that_are_not_registered_are_not_opened(documents):
    with pytest.raises(InvalidInputError, match=r"image blue.jpg is not registered in this library"):
        content_blocks(documents, MediaLibrary())


def test_a_file_that_is_gone_or_damaged_is_an_error(documents, library, folder):
    (folder / "red.png").unlink()
    with pytest.raises(InvalidInputError, match=r"'red.png' cannot be found"):
        content_blocks(documents, library)


@pytest.mark.parametrize("name", ["max_bytes", "max_total_bytes"])
def test_bounds_are_positive(library, name):
    with pytest.raises(InvalidOptionError, match=f"{name}=0"):
        content_blocks([], library, **{name: 0})
