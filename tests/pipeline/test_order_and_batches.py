"""Whatever is batched, de-duplicated or sorted on the way, row i belongs to input i."""

import random
import threading

import numpy as np
import pytest

from llm_multi_core.embedder import InvalidInputError, InvalidOptionError, Item
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder, FakeTextEncoder, fake_vector

SEEN: list[list[str]] = []


class RecordingEncoder(FakeTextEncoder):
    def prepare(self, items, task, state=None):
        SEEN.append([item.text for item in items])
        return super().prepare(items, task, state)


@pytest.fixture(autouse=True)
def forget():
    SEEN.clear()


def sample(count, seed=0):
    chooser = random.Random(seed)
    return [" ".join(chooser.choices("abcdefg", k=chooser.randint(1, 14))) for _ in range(count)]


def expected(texts, dimension=8):
    vectors = np.stack([fake_vector(f"text:{text}", dimension) for text in texts])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("encoder", [FakeTextEncoder, FakeHostedEncoder])
@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 500, 5000])
def test_rows_come_in_the_order_of_the_inputs(make_embedder, encoder, count):
    texts = sample(count)
    vectors = make_embedder(encoder).embed_batch(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected(texts), atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_batch_size_changes_batches_and_nothing_else(make_embedder, batch_size):
    texts = sample(100)
    vectors = make_embedder(RecordingEncoder, batch_size=batch_size).embed_batch(texts)
    assert max(len(batch) for batch in SEEN) <= batch_size
    np.testing.assert_allclose(vectors, expected(texts), atol=1e-6)


def test_duplicates_are_encoded_once(make_embedder):
    texts = ["a", "b", "a", "a", "c", "b"]
    result = make_embedder(RecordingEncoder).run(texts)
    assert sorted(text for batch in SEEN for text in batch) == ["a", "b", "c"]
    assert result.report.items == 6
    assert result.report.duplicates == 3
    np.testing.assert_allclose(result.vectors, expected(texts), atol=1e-6)


def test_batches_are_sorted_by_length_and_padded_little(make_embedder):
    texts = sample(320)
    plan = make_embedder().plan(texts)
    assert plan.requests == -(-(plan.items - plan.duplicates) // 32)
    assert plan.padding < 0.1


def test_an_empty_call_gives_an_empty_array_and_loads_nothing(make_embedder):
    embedder = make_embedder(RecordingEncoder)
    assert embedder.embed_batch([]).shape == (0, 8)
    assert embedder.embed_batch(text for text in ()).shape == (0, 8)
    assert embedder.run([]).report.requests == 0
    assert not SEEN


def test_any_ordered_iterable_is_taken(make_embedder):
    embedder = make_embedder()
    texts = ["a", "b c", "d"]
    for form in (tuple(texts), (text for text in texts), np.array(texts), dict.fromkeys(texts).keys(), iter(texts)):
        np.testing.assert_allclose(embedder.embed_batch(form), expected(texts), atol=1e-6)


@pytest.mark.parametrize("wrong", ["a string", b"bytes", {"a": 1}, {"a", "b"}, None, 3, Item(())])
def test_what_has_no_order_of_inputs_is_refused(make_embedder, wrong):
    embedder = make_embedder()
    with pytest.raises(InvalidInputError):
        embedder.embed_batch(wrong)
    with pytest.raises(InvalidInputError):
        next(embedder.embed_stream(wrong))
    with pytest.raises(InvalidInputError):
        embedder.plan(wrong)


def test_a_list_handed_to_embed_is_refused(make_embedder):
    with pytest.raises(InvalidInputError, match="embed_batch"):
        make_embedder().embed(["a", "b"])


def test_embed_gives_one_vector(make_embedder):
    vector = make_embedder().embed("a b")
    assert vector.shape == (8,)
    np.testing.assert_allclose(vector, expected(["a b"])[0], atol=1e-6)


def test_a_list_that_lies_about_its_length(make_embedder):
    class Growing(list):
        def __len__(self):
            return 2

    vectors = make_embedder().embed_batch(Growing(["a", "b", "c", "d"]))
    np.testing.assert_allclose(vectors, expected(["a", "b", "c", "d"]), atol=1e-6)


def test_streams_come_in_blocks_of_the_window(make_embedder):
    texts = sample(25)
    blocks = list(make_embedder().embed_stream(iter(texts), window=10))
    assert [len(block) for block in blocks] == [10, 10, 5]
    np.testing.assert_allclose(np.concatenate(blocks), expected(texts), atol=1e-6)


def test_a_stream_takes_no_more_than_it_needs(make_embedder):
    taken = []

    def source():
        for text in sample(100):
            taken.append(text)
            yield text

    stream = make_embedder().embed_stream(source(), window=10)
    next(stream)
    assert len(taken) <= 11  # one more tells that the window is full
    stream.close()


def test_a_window_is_positive(make_embedder):
    with pytest.raises(InvalidOptionError, match="window"):
        next(make_embedder().embed_stream(["a"], window=0))


def test_vectors_that_are_not_normalised_keep_their_length(make_embedder):
    vectors = make_embedder(normalize=False).embed_batch(["a", "b"])
    np.testing.assert_allclose(vectors, [fake_vector("text:a", 8), fake_vector("text:b", 8)], atol=1e-6)


def test_results_belong_to_the_caller(make_embedder):
    embedder = make_embedder()
    first = embedder.embed_batch(["a", "a"])
    first[:] = 0
    np.testing.assert_allclose(embedder.embed_batch(["a"]), expected(["a"]), atol=1e-6)


def test_many_threads_get_the_serial_result(make_embedder):
    embedder, texts = make_embedder(), sample(200)
    serial, results = embedder.embed_batch(texts), {}

    def work(number):
        results[number] = embedder.embed_batch(texts[number:] + texts[:number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(32):
        np.testing.assert_array_equal(results[number], np.roll(serial, -number, axis=0))


def test_progress_counts_every_input_once(make_embedder, capsys):
    texts = [*sample(50), "a", "a"]
    make_embedder().embed_batch(texts, show_progress=True)
    assert "52/52" in capsys.readouterr().err


def test_similarity(make_embedder):
    embedder = make_embedder()
    a, b = expected(["a", "b"])
    assert embedder.similarity("a", "b") == pytest.approx(float(a @ b), abs=1e-6)
    assert embedder.similarity("a", "a") == pytest.approx(1.0)
    assert isinstance(embedder.similarity("a", "b"), float)
    assert embedder.similarity_of_vectors([1, 0], [0, 2]) == 0.0
    assert embedder.similarity_of_vectors([[1, 0]], np.array([1, 1])) == pytest.approx(0.5**0.5)
    for size in (1e200, 1e-200):
        assert embedder.similarity_of_vectors([size, 0], [size, size]) == pytest.approx(0.5**0.5)
    two = [[1, 0], [0, 1]]
    for u, v in (([1, 0], [1, 0, 0]), ([0, 0], [1, 1]), ([float("nan"), 1], [1, 1]), (two, two), ("ab", [1]), (1, 1)):
        with pytest.raises(InvalidInputError):
            embedder.similarity_of_vectors(u, v)
