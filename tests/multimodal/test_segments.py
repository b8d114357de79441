"""Long recordings become windows with their times; whatever else is one input stays one; items of several parts."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from llm_multi_core.embedder import (
    Audio,
    Image,
    InvalidInputError,
    Item,
    Modality,
    Span,
    Text,
    audio_windows,
    interleaved,
)
from llm_multi_core.embedder.testing.media import encode_sound, synthesise, waveform_of

RATE = 16_000


@pytest.fixture(scope="module")
def recording():
    """Seven seconds."""
    return synthesise(7.0)


@pytest.fixture
def file(recording, tmp_path):
    path = tmp_path / "talk.wav"
    path.write_bytes(encode_sound(recording, subtype="FLOAT"))
    return path


def spans(items):
    return [(item.span.start, item.span.end) for item in items]


class TestWindows:
    def test_they_overlap_and_the_last_ends_with_the_recording(self, recording):
        windows = audio_windows(recording, seconds=3, overlap=1, sample_rate=RATE)
        assert spans(windows) == [(0, 3000), (2000, 5000), (4000, 7000)]
        windows = audio_windows(recording, seconds=3, overlap=0.5, sample_rate=RATE)
        assert spans(windows) == [(0, 3000), (2500, 5500), (4000, 7000)]
        assert spans(audio_windows(recording, seconds=2, overlap=0, sample_rate=RATE)) == [
            (0, 2000),
            (2000, 4000),
            (4000, 6000),
            (5000, 7000),
        ]

    def test_they_hold_what_their_times_say(self, recording, file):
        for source, rate in ((recording, RATE), (file, None)):
            for window in audio_windows(source, seconds=3, overlap=1, sample_rate=rate):
                first, last = (round(end * RATE / 1000) for end in (window.span.start, window.span.end))
                assert np.array_equal(waveform_of(window).samples, recording[first:last])

    def test_together_they_leave_nothing_out(self, recording):
        for seconds in (0.7, 1.0, 2.9, 6.9):
            for overlap in (0.0, 0.3, 0.65):
                found = spans(audio_windows(recording, seconds=seconds, overlap=overlap, sample_rate=RATE))
                assert found[0][0] == 0
                assert found[-1][1] == 7000
                assert all(later[0] <= earlier[1] for earlier, later in pairwise(found))
                assert all(end - start == round(seconds * 1000) for start, end in found)

    @pytest.mark.parametrize("seconds", [7, 8, 30, float("inf"), 6.9999])
    def test_one_that_is_no_longer_than_a_window_stays_whole(self, recording, seconds):
        (only,) = audio_windows(recording, seconds=seconds, overlap=1, sample_rate=RATE)
        assert only.span == Span("time", 0, 7000)
        assert len(waveform_of(only).samples) == len(recording)

    def test_the_default_is_half_a_minute(self):
        silence = np.zeros(70 * 1000, np.float32)
        assert spans(audio_windows(silence, sample_rate=1000)) == [(0, 30_000), (25_000, 55_000), (40_000, 70_000)]

    def test_their_source_is_cited(self, file, recording):
        for name in (str(file), file):
            assert {window.span.source for window in audio_windows(name, seconds=3)} == {str(file)}
        assert {window.span.source for window in audio_windows(recording, seconds=3, sample_rate=RATE)} == {None}
        assert audio_windows(file.read_bytes())[0].span.source is None

    def test_each_has_a_digest_of_its_own_that_follows_from_the_content(self, file):
        windows = audio_windows(file, seconds=3, overlap=1)
        assert len({window.digest for window in windows}) == 3
        assert [window.digest for window in audio_windows(file.read_bytes(), seconds=3, overlap=1)] == [
            window.digest for window in windows
        ]

    @pytest.mark.parametrize(
        ("seconds", "overlap"), [(3, 3), (3, 4), (3, -1), (0, 0), (-1, 0), (float("nan"), 0), (3, float("nan"))]
    )
    def test_windows_that_do_not_advance(self, recording, seconds, overlap):
        with pytest.raises(InvalidInputError, match="cannot overlap by"):
            audio_windows(recording, seconds=seconds, overlap=overlap, sample_rate=RATE)

    def test_a_bare_array_needs_its_rate(self, recording):
        with pytest.raises(InvalidInputError, match="a bare array needs its sample rate"):
            audio_windows(recording)


class TestSegments:
    @pytest.fixture
    def embedder(self, make):
        return make("words", "pictures", "sounds")

    def test_of_a_long_recording_in_any_form(self, embedder, file, recording):
        forms = [file, str(file), (recording, RATE), recording, Audio(recording), Audio(recording, RATE), Audio(file)]
        forms += [Audio(file.read_bytes()), audio_windows(file, seconds=9)[0]]
        for form in forms:
            found = embedder.segments(form, seconds=3, overlap=1)
            assert spans(found) == [(0, 3000), (2000, 5000), (4000, 7000)]
            assert all(item.signature == (Modality.AUDIO,) for item in found)
        assert {item.span.source for item in embedder.segments(Audio(file), seconds=3)} == {str(file)}

    def test_windows_of_a_window_keep_the_times_of_the_recording(self, embedder, file):
        _, _, last = embedder.segments(file, seconds=3, overlap=1)
        assert spans(embedder.segments(last, seconds=2, overlap=1)) == [(4000, 6000), (5000, 7000)]
        assert {item.span.source for item in embedder.segments(last, seconds=2)} == {str(file)}

    def test_of_a_short_one_is_the_whole_with_its_times(self, embedder, file):
        (only,) = embedder.segments(file)
        assert only.span == Span("time", 0, 7000, str(file))

    def test_of_anything_else_is_itself(self, embedder, picture, media):
        for form in ("a text", Text("cat.png"), picture(), Image(media["image"]), media["image"]):
            (only,) = embedder.segments(form)
            assert isinstance(only, Item)
            assert only.span is None

    def test_what_is_no_input_is_refused(self, embedder):
        with pytest.raises(InvalidInputError, match="bytes and files do not say"):
            embedder.segments(b"bytes")
        with pytest.raises(InvalidInputError, match="no suffix of an image or a recording"):
            embedder.segments(Path("notes.txt"))

    @pytest.mark.parametrize("name", ["a" * 300 + ".pdf", "no such.pdf", "null\0.pdf", "~nobody-of-that-name/a.pdf"])
    def test_strings_that_look_like_a_pdf_are_texts(self, embedder, name):
        (only,) = embedder.segments(name)
        assert only.text == name

    def test_a_bare_array_is_taken_at_the_models_rate(self, embedder, make, recording):
        assert len(embedder.segments(recording, seconds=3)) == 3
        with pytest.raises(InvalidInputError, match="no framework for audio was configured"):
            make("words").segments(recording)
        assert len(make("words").segments((recording, RATE), seconds=3)) == 3

    def test_they_are_embedded_with_their_spans(self, embedder, file):
        items = embedder.segments(file, seconds=3, overlap=1)
        vectors = embedder.embed_batch(items)
        alone = [embedder.embed(item) for item in items]
        assert all(np.array_equal(a, b) for a, b in zip(vectors, alone, strict=True))
        assert len({vector.tobytes() for vector in vectors}) == 3

    def test_they_keep_their_spans_over_words(self, make, file):
        embedder = make("words", bridge={"audio": "transcript"})
        items = embedder.segments(file, seconds=3, overlap=1)
        whole = embedder.embed_joint(items)
        assert np.array_equal(whole, np.repeat(whole[:1], 3, axis=0))  # of equal length, so of equal words
        assert np.array_equal(whole[0], embedder.embed("plain sound of 3.00 s"))


class TestInterleaved:
    def test_parts_stay_in_order(self, picture, media, sound):
        item = interleaved("a", picture(), str(media["image"]), Text("cat.png"), (sound(), RATE))
        assert item.signature == ("text", "image", "image", "text", "audio")
        assert item.parts[0].payload == "a"
        assert item.digest != interleaved(picture(), "a", str(media["image"]), "cat.png", (sound(), RATE)).digest

    def test_items_are_taken_apart(self, picture):
        inner = interleaved("a", picture())
        assert interleaved(inner, "b").signature == ("text", "image", "text")

    @pytest.mark.parametrize("parts", [(), ("a",)])
    def test_fewer_than_two(self, parts):
        with pytest.raises(InvalidInputError, match="has at least two parts"):
            interleaved(*parts)

    def test_a_part_that_cannot_be_told(self, sound):
        with pytest.raises(InvalidInputError, match="bytes and files do not say"):
            interleaved("a", b"bytes")
        with pytest.raises(InvalidInputError, match="a bare array needs its sample rate"):
            interleaved("a", sound())
