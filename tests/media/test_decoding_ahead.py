"""Media is decoded in threads of its own, beside the model, and never too much of it at once."""

import os
import threading
from dataclasses import replace

import numpy as np
import pytest

from llm_multi_core.embedder import AudioEmbedder, EncoderMemoryError, EncodingError, InvalidInputError, Item
from llm_multi_core.embedder.inputs.audio import AudioSource
from llm_multi_core.embedder.inputs.image import ImageSource, image_item
from llm_multi_core.embedder.pipeline import local_engine
from llm_multi_core.embedder.pipeline.decode import decode_items
from llm_multi_core.embedder.testing.media import (
    FakeAudioEncoder,
    FakeImageEncoder,
    draw_picture,
    encode_picture,
    encode_sound,
    synthesise,
)

PICTURES = [encode_picture(draw_picture(30, 20, seed)) for seed in range(24)]
PATIENCE = 30.0  # seconds until a test gives up; nothing waits that long


@pytest.fixture
def decoding(monkeypatch):
    """Calls a function of the source before each is decoded."""

    def watch(kind, listener):
        decode = kind.decode

        def watched(self, *arguments):
            listener(self)
            return decode(self, *arguments)

        monkeypatch.setattr(kind, "decode", watched)

    return watch


class Waiting(FakeImageEncoder):
    """Goes on with its first batch only once a picture of the next one is being decoded."""

    next_is_decoded: threading.Event
    threads: set[str]
    overlapped: list[bool]

    def forward(self, batch):
        type(self).threads.add(threading.current_thread().name)
        if not type(self).overlapped:
            type(self).overlapped.append(type(self).next_is_decoded.wait(PATIENCE))
        return super().forward(batch)


def test_the_next_batch_is_decoded_while_the_model_computes(over, decoding):
    Waiting.next_is_decoded, Waiting.threads, Waiting.overlapped = threading.Event(), set(), []
    threads = set()

    def listener(source):
        threads.add(threading.current_thread().name.rpartition("_")[0])
        if source.source.data == PICTURES[10]:  # of the second batch of eight
            Waiting.next_is_decoded.set()

    decoding(ImageSource, listener)
    vectors = over(Waiting).embed_batch(PICTURES)
    assert Waiting.overlapped == [True]
    assert threads == {"llm-multi-core-decode"}
    assert len(Waiting.threads) == 1
    np.testing.assert_array_equal(vectors, over(FakeImageEncoder).embed_batch(PICTURES))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2 if hasattr(os, "sched_getaffinity") else False, reason="one core")
def test_several_are_decoded_at_the_same_time(over, decoding):
    barrier = threading.Barrier(2, timeout=PATIENCE)
    decoding(ImageSource, lambda source: barrier.wait())
    over(FakeImageEncoder).embed_batch(PICTURES)
    assert not barrier.broken


def test_files_behind_paths_are_looked_into_in_threads_and_bytes_are_not(over, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(PICTURES[0])
    (tmp_path / "b.png").write_bytes(PICTURES[1])
    threads = {}

    def listener(value, policy):
        threads[str(value)[-20:]] = threading.current_thread().name
        return image_item(value, policy)

    monkeypatch.setattr("llm_multi_core.embedder.modalities.image_item", listener)
    over(FakeImageEncoder).embed_batch([tmp_path / "a.png", PICTURES[2], str(tmp_path / "b.png")])
    places = sorted(name.startswith("llm-multi-core-decode") for name in threads.values())
    assert places == [False, True, True]


class Counting(FakeImageEncoder):
    sizes: list[int]

    def forward(self, batch):
        type(self).sizes.append(len(batch))
        return super().forward(batch)


def test_batches_of_large_pictures_are_halved(over, monkeypatch):
    Counting.sizes = []
    monkeypatch.setattr(local_engine, "MAX_DECODED_BYTES", 3 * 30 * 20 * 4)
    vectors = over(Counting).embed_batch(PICTURES)
    assert set(Counting.sizes) == {2}
    monkeypatch.setattr(local_engine, "MAX_DECODED_BYTES", 1)
    np.testing.assert_array_equal(over(Counting).embed_batch(PICTURES), vectors)
    assert Counting.sizes[-24:] == [1] * 24


def test_batches_that_do_not_fit_into_memory_while_they_are_decoded_are_halved(over, monkeypatch):
    Counting.sizes = []
    expected = over(FakeImageEncoder).embed_batch(PICTURES)

    def decode(items, intake):
        if len(items) > 3:
            raise MemoryError("no room for another picture")
        return decode_items(items, intake)

    monkeypatch.setattr(local_engine, "decode_items", decode)
    np.testing.assert_array_equal(over(Counting).embed_batch(PICTURES), expected)
    assert set(Counting.sizes) == {2}


def test_a_picture_for_which_there_is_no_memory_at_all(over, decoding):
    def listener(source):
        if source.source.data == PICTURES[3]:
            raise MemoryError("no room")

    decoding(ImageSource, listener)
    with pytest.raises(EncoderMemoryError, match="input 3 alone"):
        over(FakeImageEncoder).embed_batch(PICTURES)
    result = over(FakeImageEncoder).run(PICTURES, on_error="collect")
    assert [failure.index for failure in result.failures] == [3]


class Poisoned(FakeImageEncoder):
    """Stumbles over pictures of one pixel while it prepares them."""

    def prepare(self, items, task, state=None):
        if any(item.parts[0].payload.size == (1, 1) for item in items):
            raise ZeroDivisionError("cannot digest this")
        return super().prepare(items, task, state)


def test_unreadable_pictures_and_unpreparable_ones_in_one_batch(over):
    xs = list(PICTURES)
    xs[2] = PICTURES[2][:500]
    xs[5] = encode_picture(draw_picture(1, 1))
    result = over(Poisoned).run(xs, on_error="collect")
    assert [failure.index for failure in result.failures] == [2, 5]
    assert [type(failure.error) for failure in result.failures] == [InvalidInputError, EncodingError]
    good = [place for place in range(24) if place not in {2, 5}]
    np.testing.assert_array_equal(
        result.vectors[good], over(FakeImageEncoder).embed_batch([PICTURES[place] for place in good])
    )
    with pytest.raises(InvalidInputError, match="input 2"):
        over(Poisoned).embed_batch(xs)


class InContext(FakeImageEncoder):
    def describe(self):
        return replace(super().describe(), contextual=True)


def test_a_group_with_an_unreadable_part_fails_together(over):
    group = [Item(image_item(data).parts, group="page") for data in (PICTURES[0], PICTURES[1][:500], PICTURES[2])]
    result = over(InContext).run([PICTURES[3], *group, PICTURES[4]], on_error="collect")
    assert [failure.index for failure in result.failures] == [1, 2, 3]
    assert result.ok.tolist() == [True, False, False, False, True]


class Raw(FakeImageEncoder):
    """Takes media as it was given, as a client of a provider does."""

    kinds: list[str]

    def describe(self):
        return replace(super().describe(), intake=None)

    def prepare(self, items, task, state=None):
        payloads = [item.parts[0].payload for item in items]
        type(self).kinds = [type(payload).__name__ for payload in payloads]
        assert payloads[0].read() == PICTURES[0]
        return np.ones((len(items), 8, 8, 3))


def test_an_encoder_without_intake_gets_what_was_given(over, tmp_path):
    Raw.kinds = []
    over(Raw).embed_batch([PICTURES[0], draw_picture()])
    assert Raw.kinds == ["ImageSource", "Image"]
    (tmp_path / "a.jpg").write_bytes(b"Dear diary, this is text.")
    with pytest.raises(InvalidInputError, match="not an image in a known format"):
        over(Raw).embed(tmp_path / "a.jpg")  # and nothing is sent


class Threads(FakeAudioEncoder):
    pass


def test_sound_is_decoded_and_resampled_in_threads(over, decoding):
    threads = set()
    decoding(AudioSource, lambda source: threads.add(threading.current_thread().name.rpartition("_")[0]))
    sounds = [encode_sound(synthesise(0.1, 44_100, seed=seed), 44_100) for seed in range(10)]
    assert over(Threads, AudioEmbedder).embed_batch(sounds).shape == (10, 48)
    assert threads == {"llm-multi-core-decode"}


def test_a_file_that_changes_between_its_digest_and_its_decoding(over, tmp_path):
    class Late:
        """Inputs of which the first is written anew once the last was taken."""

        def __iter__(self):
            yield tmp_path / "a.png"
            (tmp_path / "a.png").write_bytes(PICTURES[1] + b"more")
            yield PICTURES[2]

    (tmp_path / "a.png").write_bytes(PICTURES[0])
    result = over(FakeImageEncoder).run(Late(), on_error="collect")
    assert [str(failure.error) for failure in result.failures] == [
        "input 0: 'a.png' was changed while it was being embedded"
    ]
