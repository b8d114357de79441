"""Bridges: one text for each picture or recording, asked for once; failures one by one; models shared and freed."""

from __future__ import annotations

import os
import pickle
import threading
from dataclasses import replace

import numpy as np
import pytest

from llm_multi_core.embedder import Bridge, Describer, EncodingError, InvalidInputError, Modality, ModelLoadError
from llm_multi_core.embedder.host import default_host
from llm_multi_core.embedder.inputs.audio import audio_item
from llm_multi_core.embedder.inputs.image import image_item
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.pipeline import describing
from llm_multi_core.embedder.pipeline.describing import describers

IMAGE, AUDIO = Modality.IMAGE, Modality.AUDIO


@pytest.fixture
def bridge():
    """Makes bridges of the fakes."""
    made = []

    def make(framework="caption", **settings):
        modality = IMAGE if framework == "caption" else AUDIO
        made.append(Bridge.of_framework(default_host(), framework, modality, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def items(picture):
    return [image_item(picture(seed)) for seed in range(7)]


TEXTS = [f"plain picture of {20 + seed} by 16" for seed in range(7)]


class TestTexts:
    def test_one_for_each_in_order(self, bridge, items, frameworks):
        assert bridge().texts(items) == TEXTS
        assert frameworks.CALLS == [("caption", 2), ("caption", 2), ("caption", 2), ("caption", 1)]
        assert bridge().texts([]) == []

    def test_equal_media_are_described_once_and_remembered(self, bridge, items, frameworks):
        one = bridge()
        assert one.texts([items[1], items[0], items[1], items[1]]) == [TEXTS[1], TEXTS[0], TEXTS[1], TEXTS[1]]
        assert sum(count for _, count in frameworks.CALLS) == 2
        assert one.texts([items[0], items[2], items[1]]) == [TEXTS[0], TEXTS[2], TEXTS[1]]
        assert sum(count for _, count in frameworks.CALLS) == 3
        one.uncached().texts(items[:1])
        assert sum(count for _, count in frameworks.CALLS) == 4

    def test_memory_is_bounded(self, bridge, items, frameworks, monkeypatch):
        monkeypatch.setattr("llm_multi_core.embedder.bridges._KEPT", 3)
        one = bridge()
        one.texts(items)
        one.texts(items[-3:])
        assert sum(count for _, count in frameworks.CALLS) == 7
        one.texts(items[:1])
        assert sum(count for _, count in frameworks.CALLS) == 8

    def test_recordings_come_at_the_rate_that_is_wanted(self, bridge):
        high = audio_item((np.sin(np.arange(9_600)).astype(np.float32), 48_000), None)
        assert bridge("transcript").sample_rate == 16_000
        assert bridge("transcript").texts([high]) == ["plain sound of 0.20 s"]

    def test_items_of_other_kinds_are_refused(self, bridge, items):
        item = text_item("words")
        for other, held in ((item, "text"), (replace(item, parts=()), "nothing")):
            with pytest.raises(InvalidInputError, match=f"input 1: caption model 'small' takes image, not {held}"):
                bridge().texts([items[0], other])

    def test_batches_are_no_larger_than_memory_allows(self, bridge, frameworks, monkeypatch, picture, tmp_path):
        paths = [tmp_path / f"{seed}.png" for seed in range(4)]
        for seed, path in enumerate(paths):
            picture(seed).save(path)
        monkeypatch.setattr(describing, "MAX_DECODED_BYTES", 2_000)
        assert bridge().texts([image_item(path) for path in paths]) == TEXTS[:4]
        assert frameworks.CALLS == [("caption", 1)] * 4

    def test_decoding_that_runs_out_of_memory_is_tried_with_fewer(self, bridge, items, frameworks, monkeypatch):
        decode = describing.decode_items

        def short_of_memory(batch, intake):
            if len(batch) > 1 or batch[0].digest == items[3].digest:
                raise MemoryError("too much")
            return decode(batch, intake)

        monkeypatch.setattr(describing, "decode_items", short_of_memory)
        texts = bridge().texts(items)
        assert [text for place, text in enumerate(texts) if place != 3] == TEXTS[:3] + TEXTS[4:]
        assert isinstance(texts[3], MemoryError)
        assert "does not fit into memory once decoded" in str(texts[3])


class TestFailures:
    def test_media_that_cannot_be_decoded(self, bridge, picture, tmp_path):
        paths = [tmp_path / f"{seed}.png" for seed in range(3)]
        for seed, path in enumerate(paths):
            picture(seed).save(path)
        found = [image_item(path) for path in paths]
        paths[1].write_bytes(paths[1].read_bytes()[:120])
        first, second, third = bridge().texts(found)
        assert (first, third) == (TEXTS[0], TEXTS[2])
        assert isinstance(second, InvalidInputError)
        assert "'1.png' was changed" in str(second)

    def test_nothing_to_be_said(self, bridge, sound):
        silence = audio_item((np.zeros(1600, np.float32), 16_000), None)
        heard, nothing = bridge("transcript").texts([audio_item((sound(), 16_000), None), silence])
        assert heard == "plain sound of 0.10 s"
        assert isinstance(nothing, InvalidInputError)
        assert str(nothing) == "transcript model 'small' found no words for it"

    def test_failures_are_not_remembered(self, bridge, items, frameworks):
        one = bridge()
        frameworks.GATES["caption"] = _raising(ValueError("not now"))
        (failed,) = one.texts(items[:1])
        assert isinstance(failed, EncodingError)
        frameworks.GATES.clear()
        assert one.texts(items[:1]) == TEXTS[:1]

    def test_a_describer_that_fails_on_one_of_a_batch(self, items):
        def describe(media):
            if any(one.size[0] == 23 for one in media):
                raise ValueError("a picture that I do not like")
            return [f"plain picture of {one.size[0]} by {one.size[1]}" for one in media]

        texts = Bridge.of_function(describe, IMAGE).texts(items)
        assert texts[:3] + texts[4:] == TEXTS[:3] + TEXTS[4:]
        assert isinstance(texts[3], EncodingError)
        assert "ValueError: a picture that I do not like" in str(texts[3])

    @pytest.mark.parametrize(
        ("tell", "message"),
        [
            (lambda media: ["one"], "gave 1 for 7 inputs; one text for each is due"),
            (lambda media: "one text", "gave str for 7 inputs; one text for each is due"),
            (lambda media: [None] * len(media), "gave a NoneType where a text is due"),
        ],
        ids=["too few", "one", "none"],
    )
    def test_functions_that_do_not_give_a_text_for_each(self, tell, message, items):
        with pytest.raises(EncodingError, match=message):
            Bridge.of_function(tell, IMAGE).texts(items)

    def test_functions_may_give_them_one_by_one(self, items):
        assert Bridge.of_function(lambda media: (str(one.size[0]) for one in media), IMAGE).texts(items[:2]) == [
            "20",
            "21",
        ]

    def test_a_model_that_cannot_be_loaded(self, items):
        class Broken(Describer):
            modality, via = IMAGE, "caption"

            def load(self):
                raise ValueError("no weights")

            def describe(self, media):
                raise AssertionError("never")

        bridge = Bridge(IMAGE, "caption", lambda: Broken(None), "the broken one")
        with pytest.raises(ModelLoadError, match=r"the broken one could not be loaded \(ValueError: no weights\)"):
            bridge.texts(items)


def _raising(error):
    def gate():
        raise error

    return gate


class TestLife:
    def test_bridges_of_equal_settings_share_a_describer(self, bridge, items):
        one, other, warm = bridge(), bridge(), bridge(tone="warm")
        one.texts(items)
        other.texts(items)
        assert len(describers) == 1
        assert warm.texts(items[:1]) == ["warm picture of 20 by 16"]
        assert len(describers) == 2
        one.close()
        assert len(describers) == 2
        other.close()
        warm.close()
        assert len(describers) == 0
        one.close()

    def test_a_closed_one_opens_again(self, bridge, items):
        one = bridge()
        one.texts(items[:1])
        one.close()
        assert one.texts(items) == TEXTS

    def test_a_forgotten_one_gives_its_describer_back(self, items):
        one = Bridge.of_framework(default_host(), "caption", IMAGE)
        one.texts(items)
        assert len(describers) == 1
        del one
        assert len(describers) == 0

    def test_it_is_not_closed_while_it_is_at_work(self, bridge, items, frameworks):
        inside, released = threading.Event(), threading.Event()
        frameworks.GATES["caption"] = lambda: (inside.set(), released.wait(30))
        one, found = bridge(), []
        thread = threading.Thread(target=lambda: found.extend(one.texts(items)))
        thread.start()
        assert inside.wait(30)
        one.close()
        assert len(describers) == 1
        released.set()
        thread.join(30)
        assert found == TEXTS
        assert len(describers) == 0

    def test_threads_share_it(self, bridge, items):
        one, found = bridge(), {}
        threads = [threading.Thread(target=lambda n=n: found.update({n: one.texts(items)})) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [found[number] for number in range(8)] == [TEXTS] * 8

    def test_copies(self, bridge, items):
        one = bridge(tone="warm")
        one.texts(items)
        copy = pickle.loads(pickle.dumps(one))
        assert copy.texts(items) == one.texts(items)
        assert copy.identity == one.identity == {"tone": "warm"}
        assert repr(copy) == "Bridge(image, via='caption', caption model 'small')"
        copy.close()
        function = Bridge.of_function(told, IMAGE, via="headline")
        copy = pickle.loads(pickle.dumps(function))
        assert copy.texts(items) == ["told"] * 7
        assert (copy.via, copy.name) == ("headline", "function 'told'")
        assert copy.identity == {"function": f"{__name__}.told"}

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_forked_child_loads_again(self, bridge, items):
        one = bridge()
        one.texts(items)
        child = os.fork()
        if child == 0:
            os._exit(0 if one.uncached().texts(items) == TEXTS and one.texts(items) == TEXTS else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert one.uncached().texts(items[:2]) == TEXTS[:2]


def told(media):
    return ["told"] * len(media)
