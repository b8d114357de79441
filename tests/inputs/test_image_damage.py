"""Damaged, hostile and mistaken image files: each a named error, from the header where possible."""

import io
import subprocess
import sys

import pytest
from PIL import Image

from llm_multi_core.embedder import InvalidInputError
from llm_multi_core.embedder.inputs.image import ImageSource, image_item
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, picture_of, png_header

PICTURE = draw_picture()


@pytest.mark.parametrize("container", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_truncated_files(container):
    data = encode_picture(PICTURE, container)
    for share in (0.95, 0.5, 0.2):
        with pytest.raises(InvalidInputError, match=r"^the image is (a damaged image|not an image)"):
            picture_of(image_item(data[: int(len(data) * share)]))


def test_a_truncated_picture_that_was_opened():
    data = encode_picture(PICTURE)
    with pytest.raises(InvalidInputError, match=r"^the image is a damaged image"):
        picture_of(image_item(Image.open(io.BytesIO(data[: len(data) // 2]))))


def test_a_text_file_named_jpg_is_refused_before_anything_is_encoded(tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("Dear diary, this is no picture.", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"^'notes\.jpg' is not an image in a known format$"):
        image_item(path)


@pytest.mark.parametrize("size", [(50_000, 50_000), (12_000, 9_000)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_from_its_header(tmp_path, size):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(*size))
    for value in (path, path.read_bytes()):
        with pytest.raises(InvalidInputError, match=r"pixels"):
            image_item(value)


def test_the_bound_stands_where_pillows_own_was_lifted(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    data = png_header(50_000, 50_000)
    with pytest.raises(InvalidInputError, match="50000 x 50000 pixels"):
        image_item(data)
    with pytest.raises(InvalidInputError, match="50000 x 50000 pixels"):
        image_item(Image.open(io.BytesIO(data)))


BOMB_SCRIPT = """
import resource, sys
from llm_multi_core.embedder import InvalidInputError
from llm_multi_core.embedder.inputs.image import image_item
from PIL import Image
import PIL.PngImagePlugin
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    image_item(sys.argv[1])
except InvalidInputError:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not tell a process's peak memory")
def test_a_bomb_takes_little_memory(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(50_000, 50_000))
    done = subprocess.run([sys.executable, "-c", BOMB_SCRIPT, path], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 10  # MiB, where the pixels would take 7,500


def test_postscript_is_not_run():
    data = encode_picture(PICTURE, "EPS")
    with pytest.raises(InvalidInputError, match="EPS, which is not read"):
        image_item(data)


def test_memory_that_runs_out_is_not_blamed_on_the_picture(monkeypatch):
    item = image_item(encode_picture(PICTURE))

    def no_memory(self):
        raise MemoryError

    monkeypatch.setattr(Image.Image, "load", no_memory)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", no_memory)
    with pytest.raises(MemoryError):
        picture_of(item)


def test_sources_may_be_made_by_hand():
    from llm_multi_core.embedder.inputs.sources import Source

    source = ImageSource(Source("mine", data=encode_picture(PICTURE)))
    assert source.decode().size == PICTURE.size
    with pytest.raises(InvalidInputError, match=r"^mine is not an image"):
        ImageSource(Source("mine", data=b"text")).decode()
