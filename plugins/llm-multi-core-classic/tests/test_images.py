"""What the image descriptor says is alike."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from llm_multi_core.embedder import InvalidOptionError, create_image_embedder


def drawn(shape, colour, background="white", size=(200, 160)):
    picture = Image.new("RGB", size, background)
    getattr(ImageDraw.Draw(picture), shape)((50, 40, 150, 120), fill=colour)
    return picture


@pytest.fixture
def embedder():
    with create_image_embedder("classic") as made:
        yield made


def test_colours(embedder):
    """A red square is nearer to a red circle than to a blue one, and than to a blue square where colours count more."""
    shapes = [
        drawn("rectangle", "red"),
        drawn("ellipse", "red"),
        drawn("ellipse", "blue"),
        drawn("rectangle", "blue"),
    ]
    square, red_circle, blue_circle, _ = embedder.embed_batch(shapes)
    assert square @ red_circle > square @ blue_circle + 0.1
    with create_image_embedder("classic", colour_weight=0.8) as colourful:
        square, red_circle, blue_circle, blue_square = colourful.embed_batch(shapes)
    assert square @ red_circle > square @ blue_square + 0.05 > square @ blue_circle + 0.1


def test_outlines():
    """With little weight on colours, squares of two colours are nearer than a square and a circle of one."""
    with create_image_embedder("classic", colour_weight=0.05) as embedder:
        square, circle, blue = embedder.embed_batch(
            [drawn("rectangle", "red"), drawn("ellipse", "red"), drawn("rectangle", "orange")]
        )
    assert square @ blue > square @ circle


def test_a_small_change_of_colour_is_a_small_change(embedder):
    plain = [Image.new("RGB", (50, 50), (200, shade, 30)) for shade in (100, 104, 160)]
    one, near, far = embedder.embed_batch(plain)
    assert one @ near > 0.99
    assert one @ near > one @ far + 0.05


def test_grey_has_no_hue(embedder):
    """The faint tint of a grey image does not put it among the colours of that hue."""
    warm, cold, red = embedder.embed_batch(
        [Image.new("RGB", (50, 50), rgb) for rgb in ((128, 126, 126), (126, 126, 128), (200, 0, 0))]
    )
    assert warm @ cold > 0.97
    assert warm @ red < 0.5


def test_black_and_white_and_one_pixel_have_vectors(embedder):
    vectors = embedder.embed_batch(
        [Image.new("RGB", size, rgb) for size in ((1, 1), (90, 30)) for rgb in ("black", "white")]
    )
    assert np.isfinite(vectors).all()
    assert vectors[0] @ vectors[1] < 0.1
    assert np.allclose(vectors[:2], vectors[2:])


def test_size_hardly_matters(embedder, tmp_path):
    """A large JPEG, decoded at reduced scale, stays near its small copy."""
    picture = drawn("ellipse", "green", "orange")
    large = picture.resize((2000, 1600), Image.Resampling.BICUBIC)
    large.save(tmp_path / "large.jpg", quality=95)
    assert embedder.similarity(tmp_path / "large.jpg", picture) > 0.98


def test_cosine_is_the_weighted_sum_of_both():
    from llm_multi_core_classic.image import colours, outlines

    one, two = drawn("rectangle", "red"), drawn("ellipse", "purple", "grey")
    small = [picture.resize((128, 128), Image.Resampling.BILINEAR, reducing_gap=3.0) for picture in (one, two)]
    with create_image_embedder("classic", colour_weight=0.3) as embedder:
        expected = 0.3 * colours(small[0]) @ colours(small[1]) + 0.7 * outlines(small[0]) @ outlines(small[1])
        assert embedder.similarity(one, two) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("weight", [0, -1.0, 1.5, float("nan")])
def test_weights_out_of_range(weight):
    with pytest.raises(InvalidOptionError, match="colour_weight"):
        create_image_embedder("classic", colour_weight=weight).dimension  # noqa: B018
