"""Every kind of recording becomes one mono waveform at the rate that is wanted."""

import io

import numpy as np
import pytest
import soundfile
import soxr

from llm_multi_core.embedder import InvalidInputError, Modality
from llm_multi_core.embedder.inputs.audio import AudioSource, audio_item, split_audio
from llm_multi_core.embedder.inputs.encoded import encode_media
from llm_multi_core.embedder.inputs.samples import Waveform
from llm_multi_core.embedder.inputs.sources import SourcePolicy
from llm_multi_core.embedder.testing.media import encode_sound, synthesise, waveform_of

RATE = 16_000
SOUND = synthesise(0.5)
WAV = encode_sound(SOUND, subtype="FLOAT")


def samples(value, rate=RATE):
    sound = waveform_of(audio_item(value, rate), rate)
    assert sound.sample_rate == rate
    assert sound.samples.dtype == np.float32
    assert sound.samples.ndim == 1
    return sound.samples


def correlation(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_every_form_of_one_recording_gives_the_same_samples(tmp_path):
    import base64

    path = tmp_path / "a.wav"
    path.write_bytes(WAV)
    url = "data:audio/wav;base64," + base64.b64encode(WAV).decode()
    files = [path, str(path), path.as_uri(), WAV, io.BytesIO(WAV), url]
    arrays = [SOUND, (SOUND, RATE), (SOUND, float(RATE)), (SOUND, np.int64(RATE)), SOUND[:, None]]
    arrays += [(SOUND.tolist(), RATE), SOUND.astype(np.float64), SOUND.astype(">f4")]
    for value in files + arrays:
        np.testing.assert_array_equal(samples(value), SOUND)
    assert len({audio_item(value, RATE).digest for value in files}) == 1
    assert len({audio_item(value, RATE).digest for value in arrays}) == 1
    item = audio_item(path, RATE)
    assert item.signature == (Modality.AUDIO,)
    assert item.parts[0].payload.seconds == 0.5
    assert item.parts[0].payload.source.read() == WAV


@pytest.mark.parametrize(
    ("container", "subtype", "error"),
    [
        ("WAV", "PCM_U8", 0.008),
        ("WAV", "PCM_16", 3.1e-5),
        ("WAV", "PCM_24", 1e-6),
        ("WAV", "PCM_32", 1e-6),
        ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0),
        ("FLAC", "PCM_16", 3.1e-5),
        ("AIFF", "PCM_16", 3.1e-5),
    ],
)
def test_formats_without_loss(tmp_path, container, subtype, error):
    path = tmp_path / "sound.raw"  # the content counts, not the suffix
    path.write_bytes(encode_sound(SOUND, format=container, subtype=subtype))
    assert np.abs(samples(path) - SOUND).max() <= error
    assert np.abs(samples(path.read_bytes()) - SOUND).max() <= error


@pytest.mark.parametrize(("container", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")])
def test_formats_with_loss(tmp_path, container, subtype):
    long = synthesise(3.0)
    path = tmp_path / "sound"
    path.write_bytes(encode_sound(long, format=container, subtype=subtype))
    for value in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        found = samples(value)
        assert abs(len(found) - len(long)) < 2500  # frames of padding
        shared = min(len(found), len(long))
        delays = [correlation(found[d : shared - 4000 + d], long[: shared - 4000]) for d in range(2500)]
        assert max(delays) > 0.99


# Samples of every kind.


def test_integers_by_their_range():
    expected = np.array([-1, -0.5, 0, 0.5], np.float32)
    for kind in (np.int16, np.int32, ">i2", "<i4"):
        scale = 2 ** (8 * np.dtype(kind).itemsize - 1)
        np.testing.assert_array_equal(samples((expected.astype(float) * scale).astype(kind)), expected)
    np.testing.assert_array_equal(samples(np.array([0, 64, 128, 192], np.uint8)), expected)
    np.testing.assert_array_equal(samples(expected.astype(np.float16)), expected)
    as_integers, as_floats = np.array([0, 8192], np.int16), np.array([0, 0.25])
    assert audio_item(as_integers, RATE).digest == audio_item(as_floats, RATE).digest


def test_channels_are_averaged():
    left, right = SOUND, np.flip(SOUND)
    stereo = np.stack([left, right], 1)
    np.testing.assert_allclose(samples(stereo), (left + right) / 2, atol=1e-7)
    np.testing.assert_allclose(samples(encode_sound(stereo, subtype="FLOAT")), (left + right) / 2, atol=1e-7)
    six = np.tile(SOUND[:, None], (1, 6))
    np.testing.assert_allclose(samples(encode_sound(six, subtype="FLOAT")), SOUND, atol=1e-6)


def test_what_the_caller_does_later_changes_nothing():
    array = SOUND.copy()
    item = audio_item(array, RATE)
    array[:] = 0
    np.testing.assert_array_equal(waveform_of(item).samples, SOUND)


def test_digests_tell_rates_and_content_apart():
    items = [audio_item(v, RATE) for v in (SOUND, (SOUND, 8000), SOUND[:-1], np.flip(SOUND), WAV)]
    assert len({item.digest for item in items}) == 5


# Resampling.


@pytest.mark.parametrize(("rate", "wanted"), [(44_100, 16_000), (48_000, 16_000), (8_000, 16_000), (22_050, 48_000)])
def test_resampling_gives_the_tone_that_it_was(rate, wanted):
    seconds, pitch = 1.0, 440.0
    tone = 0.5 * np.sin(2 * np.pi * pitch * np.arange(rate) / rate).astype(np.float32)
    expected = 0.5 * np.sin(2 * np.pi * pitch * np.arange(wanted) / wanted)
    for value in ((tone, rate), encode_sound(tone, rate, subtype="FLOAT")):
        found = samples(value, wanted)
        assert abs(len(found) - wanted * seconds) <= 1
        middle = slice(wanted // 10, -wanted // 10)
        assert np.abs(found - expected[: len(found)])[middle].max() < 1e-4


def test_resampling_in_blocks_equals_soxr_in_one_go():
    sound = synthesise(20.0, 44_100)  # several blocks
    reference = soxr.resample(sound, 44_100, RATE)
    for value in ((sound, 44_100), encode_sound(sound, 44_100, subtype="FLOAT")):
        found = samples(value)
        np.testing.assert_array_equal(found, reference)


def test_what_lies_above_the_new_band_is_taken_away():
    whistle = np.sin(2 * np.pi * 12_000 * np.arange(44_100) / 44_100).astype(np.float32)
    assert np.abs(samples((whistle, 44_100))[2000:-2000]).max() < 1e-3


def test_rates_are_left_alone_if_none_is_wanted():
    sound = waveform_of(audio_item((SOUND, 22_050), RATE))
    assert sound.sample_rate == 22_050
    assert sound.resample(22_050) is sound
    assert waveform_of(audio_item(WAV, None)).sample_rate == RATE


def test_too_short_to_be_left_over():
    with pytest.raises(InvalidInputError, match="too short: nothing is left of it at 16000 Hz"):
        samples((np.ones(1), 48_000))


# Stretches.


@pytest.mark.parametrize("form", ["file", "array"])
def test_stretches(form):
    source = audio_item(WAV if form == "file" else SOUND, RATE).parts[0].payload
    assert source.seconds == 0.5
    middle = source.stretch(0.1, 0.3)
    np.testing.assert_array_equal(middle.decode().samples, SOUND[1600:4800])
    inner = middle.stretch(0.1, 9.0)
    assert (inner.start, inner.end) == (pytest.approx(0.2), pytest.approx(0.3))
    np.testing.assert_array_equal(inner.decode().samples, SOUND[3200:4800])
    assert source.stretch(0, 0.5) == source
    for empty in (source.stretch(0.2, 0.2), source.stretch(5, 6), middle.stretch(-2, -1)):
        assert empty.seconds == 0
        with pytest.raises(InvalidInputError, match="stretch of sound is empty"):
            empty.decode()


@pytest.mark.parametrize("form", ["file", "array"])
def test_a_provider_gets_the_stretch_and_not_the_whole(form):
    source = audio_item(WAV if form == "file" else SOUND, RATE).parts[0].payload.stretch(0.1, 0.3)
    found, rate = soundfile.read(io.BytesIO(encode_media(source, ("audio/wav",)).data), dtype="float32")
    assert rate == RATE
    assert np.abs(found - SOUND[1600:4800]).max() < 1e-4


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.13, 1 / 3, 0.5, 7.0])
@pytest.mark.parametrize("rate", [16_000, 44_100, 8_000])
def test_pieces_joined_are_the_recording(seconds, rate):
    item = audio_item(encode_sound(SOUND, rate, subtype="FLOAT"), RATE)
    pieces = split_audio(item, seconds)
    assert all(piece.parts[0].payload.seconds <= seconds + 1e-9 for piece in pieces)
    np.testing.assert_array_equal(np.concatenate([waveform_of(piece).samples for piece in pieces]), SOUND)
    assert len({piece.digest for piece in pieces} | {item.digest}) == len(pieces) + 1
    assert [piece.digest for piece in split_audio(item, seconds)] == [piece.digest for piece in pieces]


def test_a_long_recording_is_cut_without_reading_it_all(tmp_path):
    path = tmp_path / "long.flac"
    soundfile.write(path, np.tile(SOUND, 60), RATE)
    pieces = split_audio(audio_item(path, RATE), 10.0)
    assert [piece.parts[0].payload.seconds for piece in pieces] == [10.0, 10.0, 10.0]
    assert np.abs(waveform_of(pieces[2]).samples - np.tile(SOUND, 20)).max() < 1e-4


# What is refused.


def with_header(data, place, value, size=4):
    return data[:place] + value.to_bytes(size, "little") + data[place + size :]


PCM = encode_sound(SOUND, subtype="PCM_16")
NAN = SOUND.copy()
NAN[100] = np.nan


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"", "the audio is empty"),
        (b"this is no sound, it is a text", "the audio is no sound file in a known format"),
        (PCM[:100], "the audio is truncated: 15944 of 16000 bytes"),
        (PCM[: len(PCM) // 2], "the audio is truncated"),
        (PCM[:30], "the audio is no sound file|truncated"),
        (with_header(PCM, 24, 3), "sample rate of 3 Hz; 1000 to 768000"),
        (with_header(PCM, 24, 2_000_000_000), "sample rate of 2000000000 Hz"),
        (encode_sound(np.zeros((50, 8))), "8 channels; 1 to 6 are mixed down"),
        (encode_sound(np.zeros((0, 1))), "holds no samples"),
        (encode_sound(NAN, subtype="FLOAT"), "the audio holds samples that are not finite"),
        (encode_sound(np.full((2000, 2), np.inf), subtype="FLOAT"), "not finite"),
        (NAN, "the array holds samples that are not finite"),
        (np.array([1e300, 0]), "these reach 1e\\+300"),
        (np.array([0.0, 20_000.0]), "samples from -1 to 1, and these reach 2e\\+04"),
        (np.zeros(0), "the array holds no samples"),
        (np.zeros((10, 0)), "0 channels"),
        (np.zeros((2, 16_000)), r"channels first, \(2, 16000\); pass array.T"),
        (np.zeros((1, 16_000)), "channels first"),
        (np.zeros((16_000, 8)), "8 channels"),
        (np.zeros((2, 3, 4)), r"not \(2, 3, 4\)"),
        (np.array(3.0), r"not \(\)"),
        (np.zeros(5, np.int64), "not of int64"),
        (np.zeros(5, bool), "not of bool"),
        (np.array(["a.wav"]), "not of <U5"),
        ((SOUND, 0), "whole, positive number of Hz, not 0"),
        ((SOUND, -16_000), "positive"),
        ((SOUND, float("nan")), "positive"),
        ((SOUND, float("inf")), "positive"),
        ((SOUND, 11_025.5), "whole"),
        ((SOUND, True), "positive"),
        ((SOUND, "16000"), "positive"),
        ((SOUND, 3), "sample rate of 3 Hz"),
        ((RATE, SOUND), r"\(samples, rate\), not \(rate, samples\)"),
        (("a.wav", RATE), "files know their own rate"),
        ((SOUND, RATE, 1), "not tuple"),
        ([0.1, 0.2], r"not list; samples come as an array: numpy.asarray\(x\)"),
        (None, "not NoneType"),
        (3.5, "not float"),
        ((np.broadcast_to(np.float32(0), (1000 * 14_401,)), 1000), "lasts 14401 s; at most 14400"),
    ],
)
def test_bad_input_is_named(value, words):
    with pytest.raises(InvalidInputError, match=words):
        samples(value)


@pytest.mark.parametrize("container", ["FLAC", "OGG", "MP3"])
def test_truncated_compressed_files_are_named_or_just_shorter(container):
    data = encode_sound(synthesise(3.0), format=container)
    for share in (0.9, 0.5, 0.1):
        part = data[: int(len(data) * share)]
        try:
            found = samples(part)
        except InvalidInputError as error:
            assert str(error).startswith("the audio ")  # noqa: PT017 - either outcome is right
        else:
            assert container != "FLAC"  # whose header says how long it is
            assert 0 < len(found) < 3.0 * RATE


@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64", "AIFF"])
def test_truncated_files_without_compression(container):
    data = encode_sound(SOUND, format=container, subtype="PCM_16")
    assert len(samples(data)) == len(SOUND)
    with pytest.raises(InvalidInputError, match=r"the audio is truncated: [0-9]+ of 1600[08] bytes"):
        samples(data[:-500])


def test_flac_without_a_length():
    data = bytearray(encode_sound(SOUND, format="FLAC"))
    data[21] &= 0xF0  # the 36 bits of the number of frames
    data[22:26] = bytes(4)
    with pytest.raises(InvalidInputError, match="does not say how long it is"):
        samples(bytes(data))


def test_messages_name_no_objects():
    with pytest.raises(InvalidInputError) as caught:
        samples(b"this is no sound, it is a text")
    assert "object at" not in str(caught.value)


def test_wav_into_a_pipe_knows_no_length():
    data = with_header(with_header(PCM, 4, 0xFFFFFFFF), 40, 0xFFFFFFFF)
    assert len(samples(data)) == len(SOUND)


def test_a_bare_array_needs_a_rate_where_the_model_has_none():
    with pytest.raises(InvalidInputError, match=r"pass \(array, rate\) or sample_rate="):
        audio_item(SOUND, None)


def test_length_of_a_file_is_bounded_by_its_header(tmp_path):
    path = tmp_path / "day.flac"
    with soundfile.SoundFile(path, "w", 1000, 1, "PCM_16", format="FLAC") as file:
        for _ in range(15):
            file.write(np.zeros(1_000_000, np.int16))
    with pytest.raises(InvalidInputError, match="lasts 15000 s"):
        audio_item(path, RATE)


def test_sizes_are_bounded(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(WAV)
    with pytest.raises(InvalidInputError, match="larger than 500 bytes"):
        audio_item(path, RATE, SourcePolicy(max_file_bytes=500))
    with pytest.raises(InvalidInputError, match="larger than 400 bytes"):
        audio_item(WAV, RATE, SourcePolicy(max_bytes=400))


def test_sources_may_be_made_by_hand():
    assert AudioSource(Waveform(SOUND, RATE), 0.0, 0.25).decode(8000).sample_rate == 8000
