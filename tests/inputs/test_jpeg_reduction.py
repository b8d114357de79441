"""Large JPEGs are decoded at reduced scale: never too small, and with a small effect on the vector."""

import io

import numpy as np
import pytest
from PIL import Image

from llm_multi_core.embedder.inputs.image import image_item
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, picture_of, thumbnail

SIDE = 64


def jpeg(width, height, **settings):
    return encode_picture(draw_picture(width, height), "JPEG", quality=90, **settings)


@pytest.mark.parametrize("shortest", [*range(1, 20), 127, 128, 129, 254, 255, 256, 257, 511, 512, 513, 895, 1024, 1031])
def test_never_below_twice_the_wanted_side(shortest):
    data = encode_picture(Image.new("RGB", (shortest + 40, shortest)), "JPEG")
    payload = image_item(data).parts[0].payload
    for side in (1, 2, 7, 32, SIDE, 100, 224):
        picture = payload.decode(side)
        assert picture.size == payload.decoded_size(side)
        assert min(picture.size) == shortest or min(picture.size) >= 2 * side
        if shortest >= 16 * side:
            assert min(picture.size) <= -(-shortest // 8)


def test_orders_of_reduction():
    payload = image_item(jpeg(1600, 1100)).parts[0].payload
    sizes = {side: payload.decode(side).size for side in (550, 551, 275, 137, 68, 10)}
    assert sizes == {
        550: (1600, 1100),
        551: (1600, 1100),
        275: (800, 550),
        137: (400, 275),
        68: (200, 138),
        10: (200, 138),
    }
    assert payload.decode().size == (1600, 1100)


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_every_kind_of_jpeg_is_reduced(mode):
    picture = draw_picture(320, 256).convert(mode)
    for settings in ({}, {"progressive": True}):
        reduced = picture_of(image_item(encode_picture(picture, "JPEG", **settings)), 32)
        assert (reduced.size, reduced.mode) == ((80, 64), "RGB")


def test_files_of_several_pictures_from_cameras_are_reduced():
    buffer = io.BytesIO()
    draw_picture(320, 256).save(buffer, "MPO", save_all=True, append_images=[draw_picture(320, 256, seed=1)])
    item = image_item(buffer.getvalue())
    assert item.parts[0].payload.format == "MPO"
    assert picture_of(item, 32).size == (80, 64)


def test_turned_and_reduced():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert picture_of(image_item(jpeg(320, 256, exif=exif)), 32).size == (64, 80)


def test_other_formats_are_not_reduced():
    picture = draw_picture(320, 256)
    for container in ("PNG", "WEBP", "GIF"):
        assert picture_of(image_item(encode_picture(picture, container)), 8).size == (320, 256)


@pytest.mark.parametrize(("width", "height"), [(600, 400), (1032, 1025), (1999, 1111)])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_effect_on_pixels_and_vectors_is_small(width, height, seed):
    data = encode_picture(draw_picture(width, height, seed), "JPEG", quality=90)
    payload = image_item(data).parts[0].payload
    full, reduced = payload.decode(), payload.decode(SIDE)
    assert reduced.size != full.size
    shrunk = [np.asarray(p.resize((SIDE, SIDE), Image.Resampling.BICUBIC), float) for p in (full, reduced)]
    difference = np.abs(shrunk[0] - shrunk[1])
    vectors = [thumbnail(p).ravel() - 0.5 for p in (full, reduced)]
    cosine = vectors[0] @ vectors[1] / np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1])
    assert difference.mean() < 0.7  # of 255
    assert difference.max() < 20  # at the hardest edges
    assert cosine > 0.9999
