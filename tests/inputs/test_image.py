"""Every kind of picture becomes one upright RGB image."""

import io

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageOps

from llm_multi_core.embedder import InvalidInputError, Modality
from llm_multi_core.embedder.inputs.image import ImageSource, image_item
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, picture_of

PICTURE = draw_picture()
PNG = encode_picture(PICTURE)
WHITE, RED, BLACK = (255, 255, 255), (255, 0, 0), (0, 0, 0)


def decoded(value):
    picture = picture_of(image_item(value))
    assert picture.mode == "RGB"
    picture.load()
    return picture


def pixels(value):
    return np.asarray(decoded(value)).astype(int)


def saved(picture, container="PNG", **settings):
    return encode_picture(picture, container, **settings)


def assert_same(first, second):
    assert ImageChops.difference(first, second).getbbox() is None


def test_every_form_of_one_picture_gives_the_same_pixels_and_of_one_file_the_same_digest(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with Image.open(path) as opened, path.open("rb") as file, Image.open(path) as loaded:
        loaded.load()
        files = [path, str(path), path.as_uri(), PNG, io.BytesIO(PNG), opened, file, Image.open(io.BytesIO(PNG))]
        pictures = [PICTURE, np.asarray(PICTURE), PICTURE.copy(), loaded]
        for value in files + pictures:
            assert_same(decoded(value), PICTURE)
        assert len({image_item(value).digest for value in files}) == 1
        assert len({image_item(value).digest for value in pictures}) == 1
    item = image_item(path)
    assert item.signature == (Modality.IMAGE,)
    assert isinstance(item.parts[0].payload, ImageSource)
    assert item.parts[0].payload.size == PICTURE.size
    assert item.parts[0].payload.read() == PNG


def test_digests_survive_a_rename_and_differ_for_other_content(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    before = image_item(path).digest
    assert image_item(path.rename(tmp_path / "b.jpg")).digest == before
    assert image_item(saved(draw_picture(seed=1))).digest != before
    tall, wide = np.zeros((4, 2, 3), np.uint8), np.zeros((2, 4, 3), np.uint8)
    assert image_item(tall).digest != image_item(wide).digest


def test_what_the_caller_does_later_changes_nothing():
    array = np.zeros((4, 4, 3), np.uint8)
    grey = np.zeros((4, 4), np.uint8)
    picture = Image.new("RGB", (4, 4))
    items = [image_item(value) for value in (array, grey, picture)]
    array[:], grey[:] = 255, 255
    picture.paste(WHITE, (0, 0, 4, 4))
    assert all(np.asarray(picture_of(item)).max() == 0 for item in items)


# Pictures that were opened and not decoded yet.


def test_an_opened_file_is_left_unread_for_the_threads_that_decode(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with Image.open(path) as opened:
        payload = image_item(opened).parts[0].payload
        assert isinstance(payload, ImageSource)
        assert payload.source.path == path
    assert isinstance(image_item(Image.open(io.BytesIO(PNG))).parts[0].payload, ImageSource)


def test_an_opened_file_that_was_changed_in_memory_is_taken_as_changed(tmp_path):
    path = tmp_path / "a.jpg"
    PICTURE.save(path, quality=95)
    opened = Image.open(path)
    opened.paste(RED, (0, 0, *opened.size))
    assert np.asarray(decoded(opened)).reshape(-1, 3).tolist()[0] == list(RED)
    drafted = Image.open(io.BytesIO(path.read_bytes()))
    drafted.draft("L", (48, 32))
    assert decoded(drafted).size == (48, 32)


def test_an_opened_file_whose_path_now_leads_elsewhere(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    opened = Image.open(path)
    path.rename(tmp_path / "b.png")
    other = draw_picture(seed=1)
    other.save(path)
    assert_same(decoded(opened), PICTURE)


def test_a_picture_of_a_closed_file():
    with Image.open(io.BytesIO(PNG)) as opened:
        pass
    with pytest.raises(InvalidInputError):
        decoded(opened)


# Orientation.


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("container", ["PNG", "TIFF", "JPEG"])
def test_exif_orientations(orientation, container):
    upright = Image.new("RGB", (24, 16), WHITE)
    upright.paste(RED, (0, 0, 8, 8))
    upright.paste(BLACK, (16, 8, 24, 16))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that the viewer has to undo
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(stored, container, exif=exif, **({"quality": 100, "subsampling": 0} if container == "JPEG" else {}))
    for value in (data, Image.open(io.BytesIO(data))):
        found = decoded(value)
        assert found.size == upright.size
        assert np.abs(np.asarray(found).astype(int) - np.asarray(upright)).max() <= 3
        assert_same(ImageOps.exif_transpose(found), found)  # nobody turns it a second time


def test_damaged_exif_is_no_reason_to_refuse_a_picture():
    data = saved(PICTURE, "JPEG", exif=b"Exif\0\0rubbish that is no TIFF header")
    assert decoded(data).size == PICTURE.size


# Transparency.


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_transparency_is_composed_on_white(mode):
    clear = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    clear.putpixel((1, 0), (0, 0, 0, 255))
    if mode == "PA":  # which Pillow converts nothing to
        picture = Image.merge("PA", [Image.new("L", (2, 1)), clear.getchannel("A")])
        picture.putpalette([0, 0, 0, 255, 255, 255])
    else:
        picture = clear.convert("LA").convert(mode) if mode == "La" else clear.convert(mode)
    assert pixels(picture)[0].tolist() == [list(WHITE), list(BLACK)]


def test_half_transparency():
    assert pixels(np.array([[[255, 0, 0, 128]]], np.uint8))[0, 0].tolist() == [255, 127, 127]


def test_palettes_with_and_without_transparency():
    palette = PICTURE.quantize(16)
    assert_same(decoded(saved(palette)), palette.convert("RGB"))
    clear = Image.new("P", (2, 1))
    clear.putpalette([0, 0, 0, 255, 0, 0])
    clear.putpixel((1, 0), 1)
    for transparency in (0, b"\x00\xff"):
        for container in ("PNG", "GIF")[: 1 if isinstance(transparency, bytes) else 2]:
            data = saved(clear, container, transparency=transparency)
            assert pixels(data)[0].tolist() == [list(WHITE), list(RED)]


@pytest.mark.parametrize(("mode", "colour", "transparency"), [("L", 0, 0), ("RGB", (0, 0, 0), (0, 0, 0)), ("1", 0, 0)])
def test_one_transparent_colour_of_a_png(mode, colour, transparency):
    data = saved(Image.new(mode, (2, 2), colour), transparency=transparency)
    assert pixels(data)[0, 0].tolist() == list(WHITE)


# Depths and colour models.


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBX", "YCbCr", "HSV", "CMYK"])
def test_colour_models(mode):
    picture = PICTURE.convert(mode)
    assert_same(decoded(picture), picture.convert("RGB"))


def test_cmyk_jpeg_which_adobe_writes_inverted():
    data = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert b"Adobe" in data
    assert np.abs(pixels(data)[8, 8] - RED).max() <= 3


def test_sixteen_bits_are_scaled():
    deep = (np.arange(256).reshape(16, 16) * 257).astype(np.uint16)
    expected = np.repeat(np.arange(256).reshape(16, 16, 1), 3, 2)
    png = saved(Image.fromarray(deep))
    tiff = saved(Image.fromarray(deep), "TIFF")
    swapped = Image.frombytes("I;16B", (16, 16), deep.astype(">u2").tobytes())
    wide = Image.fromarray(deep.astype(np.int32))
    assert wide.mode == "I"
    for value in (png, tiff, swapped, wide, deep, deep.astype(">u2"), saved(wide, "TIFF")):
        assert (pixels(value) == expected).all()


def test_float_tiff():
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    data = saved(Image.fromarray(values), "TIFF")
    assert (pixels(data)[:, :, 0] == np.round(values * 255)).all()
    for bad, words in ((values * 300, "from 0 to 1, not 0 to 300"), (values * np.nan, "not finite")):
        with pytest.raises(InvalidInputError, match=words):
            decoded(saved(Image.fromarray(bad), "TIFF"))


def test_integers_beyond_sixteen_bits_are_refused():
    with pytest.raises(InvalidInputError, match="0 to 65535, not -1 to 70000"):
        image_item(Image.fromarray(np.array([[-1, 70_000]], np.int32)))


# Animations.


@pytest.mark.parametrize("container", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation(container):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, WHITE, BLACK)]
    settings = {"lossless": True} if container == "WEBP" else {}
    data = saved(frames[0], container, save_all=True, append_images=frames[1:], **settings)
    assert pixels(data)[4, 4].tolist() == list(RED)
    animation = Image.open(io.BytesIO(data))
    assert animation.n_frames == 3
    assert pixels(animation)[4, 4].tolist() == list(RED)
    animation.seek(2)
    assert pixels(animation)[4, 4].tolist() == list(BLACK)  # what the caller looks at
    assert animation.tell() == 2


# Arrays.


def test_arrays():
    grey = np.linspace(0, 255, 48).round().astype(np.uint8).reshape(6, 8)
    expected = np.repeat(grey[:, :, None], 3, 2).astype(int)
    opaque = np.concatenate([expected, np.full((6, 8, 1), 255)], 2).astype(np.uint8)
    kinds = [grey, grey[:, :, None], expected.astype(np.uint8), opaque, grey / 255, (grey / 255).astype(np.float32)]
    kinds += [(grey.astype(np.uint16) * 257), np.asfortranarray(grey), np.ma.masked_array(grey), grey[::1, ::1]]
    for array in kinds:
        assert (pixels(array) == expected).all(), array.dtype
    assert (pixels((grey / 255).astype(np.float16)) - expected).max() <= 1
    assert (pixels(grey[:, ::-1]) == expected[:, ::-1]).all()
    assert (pixels(grey > 99)[:, :, 0] == (grey > 99) * 255).all()
    assert pixels(np.array([[1.004, -0.004]]))[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((0, 4), np.uint8), "no pixels"),
        (np.zeros(4, np.uint8), r"not \(4,\)"),
        (np.zeros((2, 2, 2, 3), np.uint8), r"not \(2, 2, 2, 3\)"),
        (np.zeros((5, 4, 2), np.uint8), r"not \(5, 4, 2\)"),
        (np.zeros((3, 8, 9), np.uint8), r"channels first, \(3, 8, 9\); pass array.transpose\(1, 2, 0\)"),
        (np.array([[0.5, np.nan]]), "not finite"),
        (np.array([[0.5, np.inf]]), "not finite"),
        (np.array([[0.5, 200.0]]), "from 0 to 1, not 0.5 to 200"),
        (np.array([[0, 200]]), r"not int64; pass array.astype\(np.uint8\)"),
        (np.array([[1j]]), "not complex128"),
        (np.array([["a"]]), "not <U1"),
        (np.broadcast_to(np.uint8(0), (50_000, 50_000)), "50000 x 50000 pixels"),
    ],
)
def test_arrays_that_are_no_image(array, words):
    with pytest.raises(InvalidInputError, match=words):
        image_item(array)


@pytest.mark.parametrize("value", [None, 3, 2.5, object(), [[1, 2]], {"a": 1}])
def test_values_that_are_no_image(value):
    with pytest.raises(InvalidInputError, match=f"not {type(value).__name__}"):
        image_item(value)
