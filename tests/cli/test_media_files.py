"""`embed` and `similarity` of images and audio: which files are meant, and what is said of bad ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from PIL import Image

from llm_multi_core.embedder import create_audio_embedder, create_image_embedder

MEDIA_PLUGIN = '''
from dataclasses import replace

import numpy as np

from llm_multi_core.embedder import FrameworkSpec, Intake, LocalEncoder, Measure, hookimpl
from llm_multi_core.embedder.testing.fakes import FakeTextEncoder


class Colours(FakeTextEncoder):
    """Mean and spread of the colours of an image, or of the samples of a recording, in eighths of it."""

    def describe(self):
        base = super().describe()
        modalities = frozenset({self.modality})
        space = replace(base.space, dimension=8, modalities=modalities)
        return replace(base, space=space, native_dimension=8, intake=Intake(sample_rate=8000))

    def measure(self, items, task):
        return Measure([1] * len(items))

    def vectors(self, items, task):
        arrays = [np.asarray(getattr(item.parts[0].payload, "samples", item.parts[0].payload)) for item in items]
        return np.stack([
            [part.mean() + 0.1 * place for place, part in enumerate(np.array_split(array.ravel(), 8))]
            for array in arrays
        ]).astype(np.float32)


class Pictures(Colours):
    modality = "image"


class Sounds(Colours):
    modality = "audio"


@hookimpl
def llm_multi_core_frameworks():
    for encoder, name in ((Pictures, "pictures"), (Sounds, "sounds")):
        yield FrameworkSpec(
            name, (encoder.modality,), f"{__name__}:{encoder.__name__}", default_model={encoder.modality: "m"}
        )
'''
PICTURES = ("embed", "--modality", "image", "--framework", "pictures", "--no-progress")
SOUNDS = ("embed", "--modality", "audio", "--framework", "sounds", "--no-progress")


@pytest.fixture(autouse=True)
def media_frameworks(install_plugin):
    install_plugin("media", entry_points={"media": "media_plugin"}, modules={"media_plugin": MEDIA_PLUGIN})


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of images with what else lies about in such folders."""
    folder = tmp_path / "photos"
    draw = np.random.default_rng(1)
    for name in ("b.png", "a.JPG", "deeper/c.webp", "deeper/.thumbnails/t.png", "._b.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (12, 16, 3), np.uint8)).save(path.with_suffix(".png"))
        path.with_suffix(".png").rename(path)
    (folder / "notes.txt").write_text("no image")
    monkeypatch.chdir(tmp_path)
    return folder


IN_ORDER = ["photos/a.JPG", "photos/b.png", "photos/deeper/c.webp"]


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def sources(result):
    assert result.exit_code == 0, result.stderr
    return [line["source"] for line in lines(result.stdout)]


def test_paths_in_their_order(run, photos):
    result = run(*PICTURES, "photos/b.png", "photos/a.JPG")
    assert sources(result) == ["photos/b.png", "photos/a.JPG"]
    with create_image_embedder("pictures") as embedder:
        expected = embedder.embed_batch(["photos/b.png", "photos/a.JPG"])
    found = np.asarray([line["embedding"] for line in lines(result.stdout)], np.float32)
    np.testing.assert_array_equal(found, expected)
    assert all("text" not in line for line in lines(result.stdout))


def test_a_folder_is_searched_by_suffix_and_sorted(run, photos):
    assert sources(run(*PICTURES, "photos")) == IN_ORDER


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("photos/*.png", ["photos/b.png"]),
        ("photos/**/*.[jw]*", ["photos/deeper/c.webp"]),
        ("photos/*/*", ["photos/deeper/c.webp"]),
    ],
)
def test_patterns(run, photos, pattern, expected):
    assert sources(run(*PICTURES, pattern)) == expected


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(run, photos):
    (photos / "b.png").rename(photos / "b[1].png")
    assert sources(run(*PICTURES, "photos/b[1].png")) == ["photos/b[1].png"]


def test_references_in_a_file_and_a_pipe(run, photos, tmp_path):
    (tmp_path / "list.txt").write_text("photos/b.png\n\nphotos\n")
    result = run(*PICTURES, "photos/a.JPG", "-f", "list.txt", "-f", "-", stdin="photos/deeper/*\n")
    assert sources(result) == ["photos/a.JPG", "photos/b.png", *IN_ORDER, "photos/deeper/c.webp"]
    assert "empty lines: 1; left out" in result.stderr


def test_recordings(run, tmp_path):
    for name, pitch in (("two.wav", 300), ("one.flac", 500)):
        soundfile.write(tmp_path / name, np.sin(np.arange(4000) * pitch / 8000), 8000)
    result = run(*SOUNDS, tmp_path, "-o", tmp_path / "out.npy")
    assert result.exit_code == 0, result.stderr
    with create_audio_embedder("sounds") as embedder:
        expected = embedder.embed_batch([tmp_path / "one.flac", tmp_path / "two.wav"])
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("photos/deeper/.thumbnails/none", "no such file: 'photos/deeper/.thumbnails/none'"),
        ("photos/*.tiff", "no file matches photos/*.tiff"),
        ("empty", "no image files in empty (looked for .avif, "),
        ("https://example.org/cat.png", "allow_urls=True"),
        ("photos/notes.txt", "'notes.txt' is not an image in a known format (photos/notes.txt)"),
    ],
)
def test_what_is_no_image_is_named(run, photos, tmp_path, reference, message):
    (tmp_path / "empty").mkdir()
    result = run(*PICTURES, "photos/b.png", reference)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_bad_file_among_good_ones_is_collected_and_named(run, photos):
    (photos / "aa.png").write_bytes((photos / "b.png").read_bytes()[:50])
    result = run(*PICTURES, "photos", "--on-error", "collect")
    assert result.exit_code == 1
    found = lines(result.stdout)
    assert [line["source"] for line in found] == ["photos/a.JPG", "photos/aa.png", *IN_ORDER[1:]]
    assert [line["embedding"] is None for line in found] == [False, True, False, False]
    assert "aa.png" in found[1]["error"]
    assert "1 of 4 inputs failed" in result.stderr
    assert "(photos/aa.png)" in result.stderr


def test_urls_are_asked_for_only_where_allowed(run):
    result = run(*PICTURES, "--allow-urls", "http://127.0.0.1:9/cat.png")
    assert result.exit_code == 2
    assert "allow_urls" not in result.stderr
    assert "127.0.0.1" in result.stderr


@pytest.mark.parametrize("command", [("embed", "a"), ("similarity", "a", "b")])
def test_texts_are_never_fetched(run, fake_framework, command):
    result = run(*command, "--framework", "fake", "--allow-urls")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--allow-urls is for --modality image and audio" in result.stderr


def test_a_path_is_a_text_unless_said_otherwise(run, fake_framework, photos):
    result = run("embed", "--framework", "fake", "photos/b.png")
    assert [line["text"] for line in lines(result.stdout)] == ["photos/b.png"]


def test_a_modality_that_does_not_exist(run):
    result = run("embed", "--modality", "video", "a.mp4")
    assert result.exit_code == 2
    assert "'video' is not one of text, image, audio" in result.stderr


def test_similarity(run, photos):
    result = run("similarity", "--modality", "image", "--framework", "pictures", *IN_ORDER[:2])
    with create_image_embedder("pictures") as embedder:
        assert result.stdout == f"{embedder.similarity(*IN_ORDER[:2]):.6f}\n"


def test_similarity_names_the_bad_file(run, photos):
    result = run("similarity", "--modality", "image", "--framework", "pictures", IN_ORDER[0], "photos/notes.txt")
    assert result.exit_code == 2
    assert "(photos/notes.txt)" in result.stderr
    assert result.stderr.count("\n") == 1
