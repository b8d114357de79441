"""The image embedder from files to vectors."""

import asyncio
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from llm_multi_core.embedder import InvalidInputError, MemoryCache
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, png_header, thumbnail


def expected(paths):
    rows = []
    for path in paths:
        with Image.open(path) as picture:
            rows.append(np.append(thumbnail(picture).ravel() - 0.5, 0.1))
    return np.stack([row / np.linalg.norm(row) for row in rows])


def test_files_come_back_as_vectors_in_their_order(images, image_files):
    embedder = images()
    reference = expected(image_files)
    vectors = embedder.embed_batch(image_files)
    assert vectors.shape == (12, embedder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, reference, atol=1e-6)
    for place in (0, 7):
        np.testing.assert_allclose(embedder.embed(image_files[place]), reference[place], atol=1e-6)
    order = np.random.default_rng(0).permutation(12)
    np.testing.assert_allclose(embedder.embed_batch([image_files[i] for i in order]), reference[order], atol=1e-6)
    np.testing.assert_allclose(embedder.embed_batch(iter(map(str, image_files))), reference, atol=1e-6)
    np.testing.assert_allclose(np.concatenate(list(embedder.embed_stream(image_files, window=5))), reference, atol=1e-6)
    np.testing.assert_allclose(images(batch_size=1).embed_batch(image_files), reference, atol=1e-6)
    assert (vectors @ vectors.T)[~np.eye(12, dtype=bool)].max() < 0.99


def test_similarity(images, image_files):
    embedder = images()
    a, b = (str(path) for path in image_files[:2])
    assert embedder.similarity(a, a) == pytest.approx(1)
    u, v = expected(image_files[:2])
    assert embedder.similarity(a, b) == pytest.approx(float(u @ v), abs=1e-6)


def test_forms_of_one_file_in_one_batch_are_embedded_once(images, image_files):
    path = image_files[1]
    data = path.read_bytes()
    with Image.open(path) as opened:
        forms = [path, str(path), path.as_uri(), data, bytearray(data), io.BytesIO(data), opened]
        with Image.open(path) as loaded:
            loaded.load()
            result = images().run([*forms, loaded, np.asarray(loaded)])
    assert result.report.duplicates == 7  # of the file, and of the pixels
    np.testing.assert_allclose(result.vectors, np.repeat(expected([path]), 9, 0), atol=1e-6)


def test_a_renamed_file_is_found_in_the_cache(images, image_files):
    cache = MemoryCache()
    embedder = images(cache=cache)
    first = embedder.embed_batch(image_files)
    moved = [path.rename(path.with_name(f"moved-{path.name}")) for path in image_files]
    result = images(cache=cache).run(moved)
    assert result.report.cache_hits == 12
    assert result.report.requests == 0
    np.testing.assert_array_equal(result.vectors, first)


def test_one_input_is_no_batch_and_a_batch_is_not_one_input(images, image_files):
    embedder = images()
    with Image.open(image_files[1]) as picture:
        singles = [str(image_files[0]), image_files[0], b"bytes", io.BytesIO(b"x"), picture, np.zeros((4, 4, 3))]
        for single in singles:
            with pytest.raises(InvalidInputError, match="one image was given where several are due"):
                embedder.embed_batch(single)
    with pytest.raises(InvalidInputError, match="use embed_batch"):
        embedder.embed([image_files[0]])
    for bad in ({image_files[0]: 1}, set(image_files), 3):
        with pytest.raises(InvalidInputError):
            embedder.embed_batch(bad)
    stack = np.random.default_rng(0).random((3, 9, 9, 3))
    assert embedder.embed_batch(stack).shape == (3, embedder.dimension)
    assert embedder.embed_batch(np.array([str(path) for path in image_files])).shape[0] == 12
    assert embedder.embed_batch([]).shape == (0, embedder.dimension)


@pytest.fixture
def bad_corpus(tmp_path):
    """The bad images of the issue, with what is said about each."""
    whole = encode_picture(draw_picture())
    bad = {
        "truncated.png": (whole[: len(whole) // 2], "is a damaged image"),
        "bomb.png": (png_header(50_000, 50_000), "pixels"),
        "text.jpg": (b"Dear diary, this is a text file.", "is not an image in a known format"),
        "empty.png": (b"", "is empty"),
    }
    cases = []
    for name, (data, words) in bad.items():
        (tmp_path / name).write_bytes(data)
        cases.append((tmp_path / name, words))
    cases += [
        (tmp_path, "a folder"),
        (tmp_path / "missing.png", "no such file"),
        ("http://127.0.0.1/a.png", "allow_urls=True"),
        (np.zeros((3, 40, 50), np.uint8), "channels first"),
        (np.full((4, 4), np.nan), "not finite"),
        (None, "not NoneType"),
    ]
    return cases


def test_the_bad_corpus_is_named_line_by_line_and_the_rest_is_unharmed(images, image_files, bad_corpus):
    embedder = images()
    mixed, places = [], []
    for number, path in enumerate(image_files):
        mixed.append(path)
        if number < len(bad_corpus):
            places.append(len(mixed))
            mixed.append(bad_corpus[number][0])
    result = embedder.run(mixed, on_error="collect")
    assert [failure.index for failure in result.failures] == places
    for failure, (_, words) in zip(result.failures, bad_corpus, strict=True):
        assert isinstance(failure.error, InvalidInputError)
        assert words in str(failure.error)
        assert str(failure.error).startswith(f"input {failure.index}: ")
    assert np.isnan(result.vectors[~result.ok]).all()
    np.testing.assert_allclose(result.vectors[result.ok], expected(image_files), atol=1e-6)
    for place, (value, words) in zip(places, bad_corpus, strict=True):
        with pytest.raises(InvalidInputError, match=words) as caught:
            embedder.embed_batch([*image_files[:9], value, *image_files[9:]])
        assert caught.value.index == 9, place


def test_urls_to_this_machine_are_refused_even_where_urls_are_allowed(images, image_files):
    result = images(allow_urls=True).run(
        [image_files[0], "http://127.0.0.1:9/a.png", image_files[1], "http://localhost/x"], on_error="collect"
    )
    assert [failure.index for failure in result.failures] == [1, 3]
    assert all("not a public address" in str(failure.error) for failure in result.failures)
    np.testing.assert_allclose(result.vectors[result.ok], expected(image_files[:2]), atol=1e-6)


def test_one_bad_file_in_a_thousand(images, tmp_path):
    whole = [encode_picture(draw_picture(24, 16, seed), "JPEG") for seed in range(40)]
    paths = []
    for number in range(1000):
        paths.append(tmp_path / f"{number}.jpg")
        paths[-1].write_bytes(whole[number % 40] + bytes([number % 256, number // 256]))  # no two the same
    paths[613].write_bytes(whole[13][:600])
    embedder = images()
    result = embedder.run(paths, on_error="collect")
    assert [failure.index for failure in result.failures] == [613]
    assert "'613.jpg' is a damaged image" in str(result.failures[0].error)
    assert result.ok.sum() == 999
    np.testing.assert_array_equal(result.vectors[612], result.vectors[12])
    with pytest.raises(InvalidInputError, match=r"^input 613: '613\.jpg' is a damaged image"):
        embedder.embed_batch(paths)
    with pytest.raises(InvalidInputError, match=r"^input 613: "):
        list(embedder.embed_stream(iter(paths), window=100))


def test_all_uses_of_a_bad_file_fail_and_the_first_is_raised(images, image_files, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(image_files[0].read_bytes()[:900])
    xs = [image_files[1], tmp_path / "bad.jpg", image_files[2], tmp_path / "bad.jpg"]
    assert [failure.index for failure in images().run(xs, on_error="collect").failures] == [1, 3]
    with pytest.raises(InvalidInputError) as caught:
        images().embed_batch(xs)
    assert caught.value.index == 1


def test_only_bad_files(images, bad_corpus):
    result = images().run([value for value, _ in bad_corpus[:3]], on_error="collect")
    assert not result.ok.any()


async def test_asynchronous_calls(images, image_files):
    embedder = images()
    reference = expected(image_files)
    one, many = await asyncio.gather(embedder.aembed(image_files[3]), embedder.aembed_batch(image_files))
    np.testing.assert_allclose(one, reference[3], atol=1e-6)
    np.testing.assert_allclose(many, reference, atol=1e-6)

    async def arriving():
        for path in image_files:
            await asyncio.sleep(0)
            yield path

    blocks = [block async for block in embedder.aembed_stream(arriving(), window=5)]
    assert [len(block) for block in blocks] == [5, 5, 2]
    np.testing.assert_allclose(np.concatenate(blocks), reference, atol=1e-6)


def test_pickles(images, image_files):
    embedder = images()
    before = embedder.embed_batch(image_files)
    with pickle.loads(pickle.dumps(embedder)) as copy:
        np.testing.assert_array_equal(copy.embed_batch(image_files), before)


def test_large_jpegs_are_reduced_and_the_vectors_stay(images, tmp_path):
    paths = []
    for seed in range(3):
        paths.append(tmp_path / f"{seed}.jpg")
        draw_picture(900, 620, seed).save(paths[-1], quality=90)
    whole, reduced = images().embed_batch(paths), images(image_side=64).embed_batch(paths)
    cosines = (whole * reduced).sum(1)
    assert (cosines > 0.9999).all()
    assert (cosines < 1 - 1e-9).any()  # it was done


def test_a_stream_takes_no_more_than_its_window(images):
    taken = []

    def pictures():
        for number in range(20):
            taken.append(number)
            yield draw_picture(20, 20, number)

    stream = images().embed_stream(pictures(), window=4)
    next(stream)
    assert len(taken) <= 5
    stream.close()


def test_a_generator_may_reuse_its_memory(images):
    def frames():
        frame = np.zeros((16, 16, 3), np.uint8)
        for number in range(10):
            frame[:] = 0
            frame[number : number + 3] = 255
            yield frame

    separate = [frame.copy() for frame in frames()]
    np.testing.assert_array_equal(images().embed_batch(frames()), images().embed_batch(separate))


MEMORY_SCRIPT = """
import resource, sys
from llm_multi_core.embedder import ImageEmbedder
from llm_multi_core.embedder.frameworks import Offer
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.testing.media import fake_image_spec

path, count = sys.argv[1], int(sys.argv[2])
settings = EmbedderSettings(Offer(fake_image_spec(), "d", "0"), "m", {"items_per_batch": 4})
data = open(path, "rb").read()
files = []
for number in range(count):
    name = f"{path}.{count}.{number}"
    with open(name, "wb") as file:
        file.write(data + number.to_bytes(2, "little"))
    files.append(name)
for block in ImageEmbedder(settings).embed_stream(iter(files), window=count):
    assert len(block) == count
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not tell a process's peak memory")
def test_a_window_of_large_pictures_is_never_decoded_as_a_whole(tmp_path):
    path = tmp_path / "large.jpg"
    Image.new("RGB", (1600, 1200)).save(path)  # 7.3 MiB decoded

    def peak(count):
        script = [sys.executable, "-c", MEMORY_SCRIPT, str(path), str(count)]
        return int(subprocess.run(script, check=True, capture_output=True, text=True).stdout) / 1024

    assert peak(80) - peak(20) < 60  # MiB, where the pictures would be 440 more
