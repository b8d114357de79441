"""Pictures and recordings for a provider that decodes them itself."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from llm_multi_core.embedder import (
    AudioEmbedder,
    Description,
    HostedEncoder,
    ImageEmbedder,
    InvalidInputError,
    Limits,
    Measure,
    Modality,
    Reply,
    Space,
    Usage,
    Verdict,
)
from llm_multi_core.embedder.encoders import Intake
from llm_multi_core.embedder.inputs.audio import split_audio
from llm_multi_core.embedder.testing.media import (
    BANDS,
    draw_picture,
    encode_picture,
    encode_sound,
    spectrum,
    synthesise,
    thumbnail,
)

DIMENSION = 8 * 8 * 3


class Receiving(HostedEncoder):
    """Keeps the files that it is sent; subclasses make vectors of them."""

    intake: Intake
    limits: Limits
    requests: list[list]
    refusals: list[Exception]

    @classmethod
    def fresh(cls, intake, **limits):
        cls.intake, cls.requests, cls.refusals = intake, [], []
        cls.limits = Limits(**{"items_per_batch": 10, "padded": False, "concurrency": 1, **limits})
        return cls

    def describe(self):
        cls = type(self)
        space = Space("receiving", cls.dimension, modalities=frozenset({cls.modality}))
        return Description(space, cls.limits, cls.dimension, intake=cls.intake)

    def measure(self, items, task):
        return Measure([1] * len(items))

    def split(self, item, max_units, task):
        return [item]

    async def request(self, items, task):
        cls = type(self)
        files = [item.parts[0].payload for item in items]
        cls.requests.append(files)
        if cls.refusals:
            raise cls.refusals.pop()
        return Reply(np.stack([cls.vector(file.data) for file in files]), Usage(len(files)))

    def classify(self, error):
        return Verdict("retry", after=0.0) if isinstance(error, ConnectionError) else Verdict("split")

    @classmethod
    def files(cls):
        return [file for files in cls.requests for file in files]


class Seeing(Receiving):
    """Sees a thumbnail."""

    modality, dimension = Modality.IMAGE, DIMENSION

    @staticmethod
    def vector(data):
        with Image.open(io.BytesIO(data)) as image:
            assert image.mode in ("RGB", "L")
            return thumbnail(image).reshape(-1) - 0.4


class Hearing(Receiving):
    """Hears a mean spectrum. A unit is a second."""

    modality, dimension = Modality.AUDIO, BANDS

    def measure(self, items, task):
        return Measure([max(1, round(item.parts[0].payload.seconds)) for item in items])

    def split(self, item, max_units, task):
        return split_audio(item, max_units)

    @staticmethod
    def vector(data):
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
        assert rate in (8000, 16_000)
        return spectrum(samples.mean(axis=1))


PHOTO = draw_picture(120, 90, 1)
JPEG_FIRST = Intake(formats=("image/jpeg", "image/png", "image/webp"))


@pytest.fixture
def seeing(make_wire):
    def make(intake=JPEG_FIRST, settings=None, **limits):
        return make_wire(encoder=Seeing.fresh(intake, **limits), kind=ImageEmbedder, **(settings or {}))

    return make


def cosine(u, v):
    return float(u @ v / np.linalg.norm(u) / np.linalg.norm(v))


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "L"), ("WEBP", "RGB")]
)
def test_a_plain_file_is_sent_as_it_is(seeing, kind, mode):
    data = encode_picture(PHOTO.convert(mode), kind)
    seeing().embed(data)
    (sent,) = Seeing.files()
    assert sent.data == data
    assert sent.media_type == f"image/{kind.lower()}"


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode_picture(PHOTO.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)


def transparent():
    picture = PHOTO.convert("RGBA")
    picture.putalpha(255)
    return encode_picture(picture)


def animated():
    return encode_picture(PHOTO, "WEBP", save_all=True, append_images=[PHOTO.rotate(90)], lossless=True)


def sixteen_bits():
    grey = np.asarray(PHOTO.convert("L"), np.uint16) * 257
    return encode_picture(Image.fromarray(grey))


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (turned(), PHOTO),
        (transparent(), PHOTO),
        (animated(), PHOTO),
        (encode_picture(PHOTO.quantize(256)), PHOTO),
        (encode_picture(PHOTO.convert("CMYK"), "JPEG", quality=95), PHOTO),
        (sixteen_bits(), PHOTO.convert("L").convert("RGB")),
        (encode_picture(PHOTO, "BMP"), PHOTO),
        (encode_picture(PHOTO, "TIFF"), PHOTO),
        (encode_picture(PHOTO, "GIF"), PHOTO),
        (PHOTO, PHOTO),
        (np.asarray(PHOTO), PHOTO),
    ],
    ids=["turned", "transparent", "animated", "palette", "cmyk", "sixteen bits", "bmp", "tiff", "gif", "pil", "array"],
)
def test_what_decoders_may_show_in_several_ways_is_written_anew(seeing, data, want):
    vector = seeing().embed(data)
    (sent,) = Seeing.files()
    assert sent.media_type == "image/jpeg"
    assert sent.data != data if isinstance(data, bytes) else True
    with Image.open(io.BytesIO(sent.data)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", PHOTO.size)
    assert cosine(vector, thumbnail(want).reshape(-1) - 0.4) > 0.995


def test_a_format_that_is_not_taken_is_written_as_the_first_that_is(seeing):
    seeing(Intake(formats=("image/png", "image/jpeg"))).embed(encode_picture(PHOTO, "WEBP"))
    assert Seeing.files()[0].media_type == "image/png"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_that_is_too_large_is_shrunk(seeing, kind):
    large = draw_picture(800, 600, 2)
    data = encode_picture(large, kind, **({"quality": 95} if kind == "JPEG" else {}))
    vector = seeing(Intake(formats=("image/jpeg", "image/png"), max_bytes=20_000)).embed(data)
    (sent,) = Seeing.files()
    assert len(data) > 20_000 >= sent.nbytes > 5_000
    with Image.open(io.BytesIO(sent.data)) as image:
        assert image.width / image.height == pytest.approx(800 / 600, rel=0.02)
    assert cosine(vector, thumbnail(large).reshape(-1) - 0.4) > 0.99


def test_a_narrow_picture_may_be_shrunk_as_well(seeing):
    seeing(Intake(formats=("image/png",), max_bytes=30_000)).embed(draw_picture(2000, 30, 2))
    with Image.open(io.BytesIO(Seeing.files()[0].data)) as image:
        assert image.width / image.height == pytest.approx(2000 / 30, rel=0.1)


def test_a_bound_that_no_picture_keeps(seeing):
    with pytest.raises(InvalidInputError, match="input 0: the image takes more than 100 bytes however it is shrunk"):
        seeing(Intake(formats=("image/png",), max_bytes=100)).embed(PHOTO)


def test_formats_of_which_none_can_be_written(seeing):
    with pytest.raises(InvalidInputError, match=r"input 0: the image cannot be written as image/gif"):
        seeing(Intake(formats=("image/gif",))).embed(PHOTO)


def damaged(kind="PNG"):
    data = encode_picture(draw_picture(100, 80, 9), kind)
    return data[: len(data) // 2]


def test_one_damaged_picture_of_ten_leaves_nine_in_their_batch(seeing, tmp_path):
    pictures = [encode_picture(draw_picture(40, 30, seed)) for seed in range(10)]
    pictures[4] = damaged()
    result = seeing().run(pictures, on_error="collect")
    assert [len(files) for files in Seeing.requests] == [9]
    assert [failure.index for failure in result.failures] == [4]
    assert isinstance(result.failures[0].error, InvalidInputError)
    assert str(result.failures[0].error).startswith("input 4: ")
    pictures.pop(4)
    np.testing.assert_array_equal(result.vectors[result.ok], seeing().embed_batch(pictures))


def test_only_damaged_pictures_send_nothing_and_end_nothing(seeing):
    result = seeing().run([damaged(), damaged("JPEG")] * 10, on_error="collect")
    assert Seeing.requests == []
    assert len(result.failures) == 20
    assert result.report.requests == 0


def test_a_damaged_picture_is_raised_at_once_where_that_is_asked_for(seeing):
    with pytest.raises(InvalidInputError, match=r"^input 1: "):
        seeing().embed_batch([encode_picture(PHOTO), damaged()])
    assert Seeing.requests == []


def test_retries_and_halves_send_what_is_left(seeing):
    """The damaged one is not looked at again as if it were new."""
    pictures = [encode_picture(draw_picture(40, 30, seed)) for seed in range(6)]
    pictures[2] = damaged()
    embedder = seeing()
    Seeing.refusals = [ValueError("no"), ConnectionError("cut")]
    result = embedder.run(pictures, on_error="collect")
    assert sorted(len(files) for files in Seeing.requests) == [2, 3, 5, 5]
    assert [failure.index for failure in result.failures] == [2]


def test_bytes_of_a_request_are_bounded_once_more_when_they_are_known(seeing):
    """A flat picture is small as a file and as an estimate; written anew as PNG it is larger than was planned for."""
    pictures = [encode_picture(draw_picture(100, 80, seed), "WEBP", quality=20) for seed in range(8)]
    assert sum(map(len, pictures)) < 60_000
    result = seeing(Intake(formats=("image/png",)), bytes_per_batch=60_000).run(pictures)
    assert result.ok.all()
    sizes = [sum(file.nbytes for file in files) for files in Seeing.requests]
    assert max(sizes) <= 60_000
    assert len(sizes) > 1
    assert sum(len(files) for files in Seeing.requests) == 8


def test_one_picture_beyond_the_bytes_of_a_request_is_named(seeing):
    small = encode_picture(draw_picture(20, 20, 1))
    result = seeing(Intake(formats=("image/png",)), bytes_per_batch=5_000).run([small, PHOTO], on_error="collect")
    assert [failure.index for failure in result.failures] == [1]
    assert "bytes together, and 5000 are taken at most" in str(result.failures[0].error)
    assert len(Seeing.requests) == 1


def test_pictures_of_many_sizes_in_many_requests_keep_their_order(seeing):
    pictures = [draw_picture(30 + seed % 7, 20 + seed % 5, seed) for seed in range(60)]
    vectors = seeing(concurrency=4).embed_batch(pictures)
    want = np.stack([thumbnail(picture).reshape(-1) - 0.4 for picture in pictures])
    cosines = (vectors * want).sum(axis=1) / np.linalg.norm(want, axis=1)
    assert cosines.min() > 0.97


# Sound.

WAV_FIRST = Intake(formats=("audio/wav", "audio/flac"), sample_rate=16_000)
SOUND = synthesise(2.0, 16_000)


@pytest.fixture
def hearing(make_wire):
    def make(intake=WAV_FIRST, settings=None, **limits):
        return make_wire(encoder=Hearing.fresh(intake, **limits), kind=AudioEmbedder, **(settings or {}))

    return make


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_a_recording_is_sent_as_it_is(hearing, kind):
    data = encode_sound(SOUND, 16_000, kind)
    hearing().embed(data)
    (sent,) = Hearing.files()
    assert (sent.data, sent.media_type) == (data, f"audio/{kind.lower()}")


@pytest.mark.parametrize("value", [encode_sound(SOUND, 16_000, "OGG"), SOUND, (SOUND, 16_000)])
def test_other_sound_is_written_anew(hearing, value):
    vector = hearing().embed(value)
    (sent,) = Hearing.files()
    assert sent.media_type == "audio/wav"
    assert cosine(vector, spectrum(SOUND)) > (0.98 if isinstance(value, bytes) else 0.9999)  # Vorbis loses something


def test_a_bare_array_has_the_rate_that_the_encoder_wants(hearing):
    hearing(Intake(formats=("audio/wav",), sample_rate=8000)).embed(SOUND)
    with soundfile.SoundFile(io.BytesIO(Hearing.files()[0].data)) as file:
        assert (file.samplerate, file.frames, file.channels) == (8000, len(SOUND), 1)


@pytest.mark.parametrize("form", ["file", "array"])
def test_stretches_of_long_sound(hearing, form):
    long = np.concatenate([synthesise(3.0, 16_000, pitch, seed) for seed, pitch in enumerate((300, 900, 2000))])
    value = encode_sound(long, 16_000) if form == "file" else long
    embedder = hearing(settings={"truncation": "mean"}, units_per_item=3)
    vector = embedder.embed(value)
    pieces = Hearing.files()
    assert [piece.media_type for piece in pieces] == ["audio/wav"] * 3
    lengths = []
    for piece in pieces:
        with soundfile.SoundFile(io.BytesIO(piece.data)) as file:
            lengths.append(file.frames)
    assert lengths == [48_000] * 3
    spectra = np.stack([spectrum(long[i : i + 48_000]) for i in range(0, len(long), 48_000)])
    mean = (spectra / np.linalg.norm(spectra, axis=1, keepdims=True)).mean(axis=0)
    assert cosine(vector, mean) > 0.999
    Hearing.requests.clear()
    result = hearing(settings={"truncation": "truncate"}, units_per_item=3).run([value])
    assert len(Hearing.files()) == 1
    assert [(cut.units, cut.kept) for cut in result.report.truncations] == [(9, 3)]


def test_a_damaged_recording_leaves_the_others_in_their_batch(hearing):
    whole = [encode_sound(synthesise(0.5, 16_000, 200 + 50 * seed, seed), 16_000, "FLAC") for seed in range(5)]
    whole[3] = whole[3][: len(whole[3]) // 2]
    result = hearing().run(whole, on_error="collect")
    assert [len(files) for files in Hearing.requests] == [4]
    assert [failure.index for failure in result.failures] == [3]


def test_a_recording_beyond_the_bound_is_refused_by_name(hearing):
    with pytest.raises(InvalidInputError, match=r"input 0: the recording takes 64\d{3} bytes, and 10000 are taken at"):
        hearing(Intake(formats=("audio/wav",), sample_rate=16_000, max_bytes=10_000)).embed(SOUND)
