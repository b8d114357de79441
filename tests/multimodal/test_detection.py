"""Which modality an input is: its wrapper says, else its type, and of a string whether it names media that exist."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llm_multi_core.embedder import Audio, Image, InvalidInputError, Modality, Text, interleaved
from llm_multi_core.embedder.inputs.mixed import is_one_input, mixed_item
from llm_multi_core.embedder.inputs.sources import SourcePolicy
from llm_multi_core.embedder.testing.media import encode_picture, encode_sound, waveform_of

TEXT, IMAGE, AUDIO = Modality.TEXT, Modality.IMAGE, Modality.AUDIO


def item(value, rate=16_000):
    return mixed_item(value, SourcePolicy(), lambda: rate)


def modality(value):
    (found,) = item(value).signature
    return found


@pytest.fixture
def here(media, monkeypatch, tmp_path):
    """The folder of the media files, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestStrings:
    def test_of_files_that_exist_are_media(self, here):
        assert modality("cat.png") is IMAGE
        assert modality("meow.wav") is AUDIO
        assert modality(str(here / "cat.png")) is IMAGE
        (here / "CAT.PNG").write_bytes((here / "cat.png").read_bytes())
        assert modality("CAT.PNG") is IMAGE

    def test_of_the_home_folder(self, here, monkeypatch):
        monkeypatch.setenv("HOME", str(here))
        assert modality("~/cat.png") is IMAGE
        assert modality("~nobody-of-that-name/cat.png") is TEXT

    @pytest.mark.parametrize(
        "text",
        [
            "dog.png",
            "the file is cat.png!",
            "cat.png ",
            "",
            " ",
            ".png",
            "folder/cat.png",
            "/etc/passwd",
            "file:///etc/passwd",
            "http://169.254.169.254/latest/meta-data/cat.png",
            "https://example.org/cat.png",
            "data:image/png;base64,iVBORw0KGgo=",
            "cat.png\0",
            "a" * 5000 + ".png",
            "a" * 300 + ".png",
            "line\nbreak.wav",
            "notes.txt",
            "paper.pdf",
        ],
    )
    def test_of_no_media_file_are_texts(self, text, here):
        (here / "notes.txt").write_text("a text")
        made = item(text)
        assert made.signature == (TEXT,)
        assert made.text == text

    def test_of_folders_are_texts(self, here):
        (here / "album.png").mkdir()
        assert modality("album.png") is TEXT

    def test_of_a_pdf_that_exists_are_refused_with_the_way_to_its_pages(self, here):
        (here / "paper.pdf").write_bytes(b"%PDF-1.4")
        with pytest.raises(InvalidInputError, match=r"'paper\.pdf' is a PDF, which is many inputs: pass segments\("):
            item("paper.pdf")
        assert modality(Text("paper.pdf")) is TEXT

    @pytest.mark.parametrize("name", ["photo.heic", "voice.m4a"])
    def test_of_formats_that_are_not_read_are_refused_by_name(self, name, here):
        (here / name).write_bytes(b"\0\0\0\x18ftypheic")
        with pytest.raises(InvalidInputError, match=f"'{name}' is no"):
            item(name)

    def test_of_damaged_files_are_refused_and_not_taken_for_texts(self, here):
        (here / "cat.png").write_bytes(b"no picture")
        with pytest.raises(InvalidInputError, match=r"'cat\.png' is not an image in a known format"):
            item("cat.png")

    def test_of_numpy_are_strings(self, here):
        assert modality(np.array(["cat.png"])[0]) is IMAGE
        assert item(np.array(["a text"])[0]).text == "a text"


class TestWrappers:
    def test_text_is_text(self, here):
        assert item(Text("cat.png")).text == "cat.png"

    def test_image_takes_every_form(self, here, picture):
        data = encode_picture(picture(1))
        url = "data:image/png;base64," + __import__("base64").b64encode(data).decode()
        pixels = np.asarray(picture(1))
        forms = ["cat.png", here / "cat.png", (here / "cat.png").as_uri(), data, bytearray(data), io.BytesIO(data), url]
        assert len({item(Image(form)).digest for form in forms}) == 1
        assert [modality(Image(form)) for form in (pixels, pixels[:, :, 0], picture(1))] == [IMAGE] * 3

    def test_audio_takes_every_form(self, here, sound):
        data = encode_sound(sound(1))
        forms = ["meow.wav", here / "meow.wav", data, io.BytesIO(data)]
        assert len({item(Audio(form)).digest for form in forms}) == 1
        stereo = np.stack([sound(1), sound(1)], axis=1)
        assert [modality(Audio(form)) for form in (stereo, (sound(1), 8_000))] == [AUDIO] * 2

    def test_audio_has_a_rate_of_its_own(self, sound):
        assert waveform_of(item(Audio(sound(), 8_000))).sample_rate == 8_000
        assert waveform_of(item(Audio(sound()))).sample_rate == 16_000
        with pytest.raises(InvalidInputError, match="a bare array needs its sample rate"):
            mixed_item(Audio(sound()), SourcePolicy())

    def test_what_does_not_fit_is_refused(self, here):
        with pytest.raises(InvalidInputError, match="a text must be str, not bytes"):
            item(Text(b"bytes"))
        with pytest.raises(InvalidInputError, match=r"no such file: 'dog\.png'"):
            item(Image("dog.png"))
        with pytest.raises(InvalidInputError, match="URLs are not fetched"):
            item(Image("https://example.org/cat.png"))


class TestOtherTypes:
    def test_paths_go_by_their_suffix(self, here):
        assert modality(Path("cat.png")) is IMAGE
        assert modality(here / "meow.wav") is AUDIO
        with pytest.raises(InvalidInputError, match="no such file"):
            item(Path("dog.png"))
        with pytest.raises(InvalidInputError, match=r"no suffix of an image or a recording; wrap it: Image\(path\)"):
            item(Path("notes.txt"))
        with pytest.raises(InvalidInputError, match=r"segments\(path\) of the embedder gives its pages"):
            item(Path("paper.pdf"))

    def test_pictures_and_samples(self, picture, sound):
        assert modality(picture()) is IMAGE
        assert modality(np.asarray(picture())) is IMAGE
        assert modality(sound()) is AUDIO
        assert modality((sound(), 8_000)) is AUDIO
        assert modality((sound().reshape(-1, 1), 8_000.0)) is AUDIO

    @pytest.mark.parametrize("shape", [(16, 16), (2, 16_000), (), (2, 16, 16, 3)])
    def test_arrays_that_may_be_either_are_refused(self, shape):
        with pytest.raises(InvalidInputError, match=r"may be pixels or samples; wrap it: Image\(array\) or Audio\("):
            item(np.zeros(shape, np.float32))

    @pytest.mark.parametrize("value", [b"bytes", bytearray(b"bytes"), memoryview(b"bytes"), io.BytesIO(b"bytes")])
    def test_bytes_are_refused_with_the_way_out(self, value):
        with pytest.raises(InvalidInputError, match=r"do not say what they hold; wrap them: Image\(data\) or Audio\("):
            item(value)

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (None, "NoneType is no text, image or recording"),
            (3.5, "float is no text, image or recording"),
            ([0.1, 0.2], "a list is no one input; pass samples as an array, several parts as interleaved"),
            (("a", "b"), "a tuple is no one input"),
            ({"text": "a"}, "dict is no text, image or recording"),
        ],
    )
    def test_others_are_refused(self, value, message):
        with pytest.raises(InvalidInputError, match=message):
            item(value)

    def test_a_pair_the_wrong_way_round(self, sound):
        with pytest.raises(InvalidInputError, match=r"a pair is \(samples, rate\), not \(rate, samples\)"):
            item((16_000, sound()))

    def test_items_are_taken_as_they_are(self, picture):
        made = interleaved("a cat", picture())
        assert item(made) is made
        assert item(replace(made, parts=made.parts[:1])).text == "a cat"


def test_the_rate_is_asked_for_bare_arrays_only(here, sound, picture):
    def asked():
        raise AssertionError("the rate was asked for")

    for value in (
        "a text",
        "cat.png",
        "meow.wav",
        here / "meow.wav",
        picture(),
        (sound(), 8_000),
        Audio(sound(), 8_000),
    ):
        mixed_item(value, SourcePolicy(), asked)
    with pytest.raises(AssertionError, match="asked for"):
        mixed_item(sound(), SourcePolicy(), asked)


@pytest.mark.parametrize(
    "value",
    ["a text", b"bytes", Path("a.png"), Text("a"), Image("a"), Audio("a"), io.BytesIO(), (np.zeros(3), 8_000)],
    ids=lambda value: type(value).__name__,
)
def test_one_input_is_not_many(value, make, picture):
    embedder = make("words")
    assert is_one_input(value)
    with pytest.raises(InvalidInputError, match=r"one input was given where several are due; use embed, or \[x\]"):
        embedder.embed_batch(value)
    for array in (np.zeros(16), np.zeros((4, 4)), np.zeros((4, 4, 3))):
        with pytest.raises(InvalidInputError, match="one input was given"):
            embedder.embed_batch(array)
    with pytest.raises(InvalidInputError, match="has no order of inputs"):
        embedder.embed_batch({"a", "b"})
    with pytest.raises(InvalidInputError, match="inputs come as a list"):
        embedder.embed_batch(3)
    assert len(embedder.embed_batch(np.array(["a", "b"]))) == 2
    assert len(embedder.embed_batch(iter(("a", "b", "c")))) == 3
