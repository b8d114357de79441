"""The audio embedder from files to vectors."""

import io
import pickle

import numpy as np
import pytest
import soundfile
import soxr

from llm_multi_core.embedder import (
    InvalidInputError,
    MemoryCache,
    TruncationError,
    TruncationWarning,
    create_audio_embedder,
)
from llm_multi_core.embedder.testing.media import encode_sound, spectrum, synthesise

RATE = 16_000


def expected(paths):
    rows = []
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32")
        rows.append(spectrum(samples if rate == RATE else soxr.resample(samples, rate, RATE)))
    return np.stack([row / np.linalg.norm(row) for row in rows])


def test_files_come_back_as_vectors_in_their_order(sounds, sound_files):
    embedder = sounds()
    reference = expected(sound_files)
    vectors = embedder.embed_batch(sound_files)
    np.testing.assert_allclose(vectors, reference, atol=1e-5)
    np.testing.assert_allclose(embedder.embed(sound_files[5]), reference[5], atol=1e-5)
    np.testing.assert_allclose(np.concatenate(list(embedder.embed_stream(sound_files, window=3))), reference, atol=1e-5)
    np.testing.assert_allclose(embedder.embed_batch(sound_files[::-1]), reference[::-1], atol=1e-5)
    assert (vectors @ vectors.T)[~np.eye(8, dtype=bool)].max() < 0.99


def test_similarity(sounds, sound_files):
    a, b = (str(path) for path in sound_files[:2])
    u, v = expected(sound_files[:2])
    assert sounds().similarity(a, a) == pytest.approx(1)
    assert sounds().similarity(a, b) == pytest.approx(float(u @ v), abs=1e-5)


def test_a_bare_array_is_at_the_models_own_rate(sounds):
    sound = synthesise(0.4)
    embedder = sounds()
    vector = embedder.embed(sound)
    np.testing.assert_array_equal(embedder.embed((sound, RATE)), vector)
    np.testing.assert_array_equal(embedder.embed(sound, sample_rate=RATE), vector)
    assert np.abs(embedder.embed(sound, sample_rate=8000) - vector).max() > 0.01
    np.testing.assert_array_equal(
        sounds(sample_rate=8000).embed_batch([sound], sample_rate=RATE),
        sounds(sample_rate=8000).embed_batch([(sound, RATE)]),
    )


async def test_rates_of_arrays_in_every_call(sounds, sound_files):
    sound = synthesise(0.4, 44_100)
    embedder = sounds()
    vector = embedder.embed((sound, 44_100))
    file = embedder.embed(sound_files[0])
    mixed = [sound, sound_files[0], (sound, 44_100)]
    for batch in (
        embedder.embed_batch(mixed, sample_rate=44_100),
        embedder.embed_batch(iter(mixed), sample_rate=44_100),
        await embedder.aembed_batch(mixed, sample_rate=44_100),
        embedder.run([(sound, 44_100), sound_files[0], (sound, 44_100)]).vectors,
    ):
        np.testing.assert_allclose(batch, np.stack([vector, file, vector]), atol=1e-6)
    np.testing.assert_allclose(await embedder.aembed(sound, sample_rate=44_100), vector, atol=1e-6)
    with pytest.raises(InvalidInputError, match="whole, positive"):
        embedder.embed(sound, sample_rate=-1)


def test_one_input_is_no_batch_and_a_batch_is_not_one_input(sounds, sound_files):
    embedder = sounds()
    sound = synthesise(0.2)
    singles = ["a.wav", sound_files[0], b"bytes", io.BytesIO(b"x"), sound, sound[:, None], (sound, RATE), [0.1, 0.2]]
    for single in singles:
        for keywords in ({}, {"sample_rate": RATE}):
            with pytest.raises(InvalidInputError, match="one audio was given where several are due"):
                embedder.embed_batch(single, **keywords)
    for bad in ({"a.wav": 1}, {"a.wav"}, 3):
        with pytest.raises(InvalidInputError, match=r"pass a list|not as int"):
            embedder.embed_batch(bad, sample_rate=RATE)
    with pytest.raises(InvalidInputError, match="use embed_batch"):
        embedder.embed([sound])
    with pytest.raises(InvalidInputError, match="samples come as an array"):
        embedder.embed([0.1, 0.2])
    names = np.array([str(path) for path in sound_files])
    np.testing.assert_allclose(embedder.embed_batch(names), expected(sound_files), atol=1e-5)
    assert embedder.embed_batch([sound, sound]).shape == (2, embedder.dimension)


def test_a_one_dimensional_array_is_always_sound(sounds):
    assert sounds().embed(np.zeros(3, np.float32) + 0.1).shape == (48,)


def damaged(data, place, value):
    return data[:place] + value.to_bytes(4, "little") + data[place + 4 :]


def test_the_bad_corpus_is_named_line_by_line_and_the_rest_is_unharmed(sounds, sound_files, tmp_path):
    sound = synthesise(0.3)
    wav = encode_sound(sound, subtype="PCM_16")
    nan = sound.copy()
    nan[7] = np.nan
    files = {
        "empty.wav": (b"", "'empty.wav' is empty"),
        "truncated.wav": (wav[: len(wav) // 2], "'truncated.wav' is truncated"),
        "surround.wav": (encode_sound(np.zeros((99, 8))), "8 channels"),
        "slow.wav": (damaged(wav, 24, 3), "sample rate of 3 Hz"),
        "nan.wav": (encode_sound(nan, subtype="FLOAT"), "not finite"),
        "text.wav": (b"no sound at all, but a text", "no sound file"),
    }
    bad = []
    for name, (data, words) in files.items():
        (tmp_path / name).write_bytes(data)
        bad.append((tmp_path / name, words))
    bad += [("http://127.0.0.1/a.wav", "allow_urls=True"), (nan, "not finite")]
    mixed = [value for pair in zip(sound_files, (value for value, _ in bad), strict=True) for value in pair]
    embedder = sounds()
    result = embedder.run(mixed, on_error="collect")
    assert [failure.index for failure in result.failures] == [1, 3, 5, 7, 9, 11, 13, 15]
    for failure, (_, words) in zip(result.failures, bad, strict=True):
        assert isinstance(failure.error, InvalidInputError)
        assert words in str(failure.error)
    np.testing.assert_allclose(result.vectors[result.ok], expected(sound_files), atol=1e-5)
    for value, words in bad:
        with pytest.raises(InvalidInputError, match=words) as caught:
            embedder.embed_batch([*sound_files, value, *sound_files])
        assert caught.value.index == 8


def test_the_first_bad_input_is_raised_though_longer_ones_are_decoded_before_it(sounds, tmp_path):
    xs = []
    for number, seconds in enumerate((0.1, 0.2, 0.3)):
        sound = synthesise(seconds, seed=number)
        sound[-1] = np.nan
        xs.append(tmp_path / f"{number}.wav")
        xs[-1].write_bytes(encode_sound(sound, subtype="FLOAT"))
    with pytest.raises(InvalidInputError, match=r"input 0: '0\.wav' holds samples that are not finite"):
        sounds().embed_batch(xs)


def test_a_renamed_file_is_found_in_the_cache(sounds, sound_files):
    cache = MemoryCache()
    first = sounds(cache=cache).embed_batch(sound_files)
    result = sounds(cache=cache).run([path.rename(path.with_suffix(".bin")) for path in sound_files])
    assert result.report.cache_hits == 8
    np.testing.assert_array_equal(result.vectors, first)


def test_forms_of_one_recording_are_embedded_once(sounds, sound_files):
    data = sound_files[0].read_bytes()
    sound = synthesise(0.3)
    whole = (sound * 32_768).astype(np.int16)
    result = sounds().run([sound_files[0], data, io.BytesIO(data), whole, (whole, RATE), whole / 32_768.0])
    assert result.report.duplicates == 4


def test_pickles(sounds, sound_files):
    embedder = sounds()
    before = embedder.embed_batch(sound_files)
    with pickle.loads(pickle.dumps(embedder)) as copy:
        np.testing.assert_array_equal(copy.embed_batch(sound_files), before)


# Truncation.

LONG = np.concatenate([synthesise(0.5, pitch=300), synthesise(0.5, pitch=2000), synthesise(0.25, pitch=5000)])
LIMIT = 8000  # half a second


def row(samples):
    vector = spectrum(samples)
    return vector / np.linalg.norm(vector)


@pytest.fixture(params=["array", "file"])
def long_sound(request, tmp_path):
    if request.param == "array":
        return LONG
    path = tmp_path / "long.wav"
    path.write_bytes(encode_sound(LONG, subtype="FLOAT"))
    return path


def test_sound_beyond_the_limit_is_cut_with_a_warning(sounds, long_sound):
    with pytest.warns(TruncationWarning, match="cut to the 8000 samples"):
        vector = sounds(max_samples=LIMIT).embed(long_sound)
    np.testing.assert_allclose(vector, row(LONG[:LIMIT]), atol=1e-6)
    result = sounds(max_samples=LIMIT, truncation="truncate").run([LONG[:100], long_sound])
    np.testing.assert_array_equal(result.vectors[1], vector)
    (cut,) = result.report.truncations
    assert (cut.index, cut.units, cut.kept, cut.dropped) == (1, 20_000, 8000, 12_000)


def test_sound_beyond_the_limit_is_refused(sounds, long_sound):
    with pytest.raises(TruncationError, match=r"input 0: it has 20000 samples and .* takes 8000"):
        sounds(max_samples=LIMIT, truncation="error").embed(long_sound)


def test_sound_beyond_the_limit_is_embedded_in_pieces(sounds, long_sound):
    cache = MemoryCache()
    embedder = sounds(max_samples=LIMIT, truncation="mean", cache=cache)
    vector = embedder.embed(long_sound)
    pieces = [LONG[:8000], LONG[8000:16_000], LONG[16_000:]]
    mean = sum(len(piece) * row(piece) for piece in pieces)
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    again = embedder.run([long_sound])
    assert again.report.cache_hits == 1
    np.testing.assert_allclose(again.vectors[0], vector, atol=1e-7)


def test_a_piece_that_cannot_be_decoded_fails_the_recording(sounds, tmp_path):
    sound = LONG.copy()
    sound[10_000] = np.nan
    path = tmp_path / "bad.wav"
    path.write_bytes(encode_sound(sound, subtype="FLOAT"))
    result = sounds(max_samples=LIMIT, truncation="mean").run([LONG[:50], path, LONG], on_error="collect")
    assert [failure.index for failure in result.failures] == [1]
    np.testing.assert_array_equal(result.vectors[2], sounds(max_samples=LIMIT, truncation="mean").embed(LONG))


def test_plans(sounds, sound_files):
    plan = sounds(max_samples=LIMIT).plan([*sound_files, sound_files[0], LONG])
    assert plan.items == 10
    assert plan.duplicates == 1
    assert [cut.units for cut in plan.truncations][-1] == 20_000


def test_the_framework_that_is_missing_says_what_to_install():
    with pytest.raises(LookupError, match="no framework 'fake-audio' for audio"):
        create_audio_embedder("fake-audio")
