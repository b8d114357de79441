"""Mixed calls: every input gets its own vector, in its place; failures are named by their place."""

from __future__ import annotations

import contextvars
import random
import threading

import numpy as np
import pytest

from llm_multi_core.embedder import (
    Audio,
    EncodingError,
    Image,
    IncompatibleSpacesError,
    InvalidInputError,
    InvalidOptionError,
    Item,
    MemoryCache,
    Modality,
    Part,
    Text,
    interleaved,
)
from llm_multi_core.embedder.pipeline.call import CallGroup


@pytest.fixture
def inputs(picture, sound, media):
    """Texts, pictures and recordings in several forms, some twice, in no order."""
    mixed = [f"text {number}" for number in range(9)]
    mixed += [picture(seed) for seed in range(5)] + [str(media["image"]), media["image"]]
    mixed += [sound(seed) for seed in range(5)] + [str(media["audio"]), (sound(1), 16_000)]
    mixed += ["text 3", picture(2), sound(4), Text("cat.png"), Image(np.asarray(picture(3))), Audio(sound(0), 8_000)]
    random.Random(3).shuffle(mixed)
    return mixed


@pytest.fixture
def apart(make):
    return make("words", "pictures", "sounds")


class TestOrder:
    def test_each_vector_is_that_of_its_input_alone(self, apart, inputs):
        vectors = apart.embed_batch(inputs)
        assert [vector.shape for vector in vectors] == [apart.embed(x).shape for x in inputs]
        assert all(np.array_equal(vector, apart.embed(x)) for vector, x in zip(vectors, inputs, strict=True))

    def test_they_are_those_of_the_embedders_of_one_modality(self, apart, inputs):
        result = apart.run(inputs)
        for modality, embedder in apart.embedders.items():
            places = [place for place, found in enumerate(result.modalities) if found is modality]
            own = [
                inputs[place].value if isinstance(inputs[place], Text | Image) else inputs[place] for place in places
            ]
            own = [(x.value, x.sample_rate) if isinstance(x, Audio) else x for x in own]
            assert np.array_equal(np.stack([result.vectors[place] for place in places]), embedder.embed_batch(own))

    def test_any_order_and_any_neighbours_give_the_same(self, apart, inputs):
        vectors = apart.embed_batch(inputs)
        places = list(range(len(inputs)))
        random.Random(5).shuffle(places)
        for kept in (places, places[::3], places[1::2]):
            shuffled = apart.embed_batch(inputs[place] for place in kept)
            assert all(np.array_equal(vectors[place], v) for place, v in zip(kept, shuffled, strict=True))

    def test_spaces_modalities_and_reports_say_what_was_done(self, apart, inputs):
        result = apart.run(inputs)
        assert len(result) == len(inputs)
        assert result.ok.all()
        assert result.via == [None] * len(inputs)
        assert [space.fingerprint for space in result.spaces] == [
            apart.space_of(m).fingerprint for m in result.modalities
        ]
        assert {name: report.items for name, report in result.reports.items()} == {"text": 11, "image": 9, "audio": 9}
        assert {name: report.duplicates for name, report in result.reports.items()} == {
            "text": 1,
            "image": 3,
            "audio": 2,
        }

    def test_equal_content_is_encoded_once(self, apart, frameworks, picture):
        apart.embed_batch([picture(1), "a", picture(1), "a", picture(1)])
        assert sorted(frameworks.CALLS) == [("pictures", 1), ("words", 1)]

    def test_no_inputs(self, apart, make):
        assert apart.embed_batch([]) == []
        assert apart.run([]).joined().shape == (0, 0)
        assert make(framework="trio").embed_joint([]).shape == (0, 9)

    def test_vectors_of_several_spaces_make_no_array(self, apart, inputs):
        assert apart.run(["a", "b"]).joined().shape == (2, 8)
        with pytest.raises(IncompatibleSpacesError, match=r"several spaces do not make one array: .*embed_joint"):
            apart.run(inputs).joined()


class TestJoint:
    def test_all_lie_in_one_space_in_order(self, make, inputs):
        embedder = make(framework="trio")
        result = embedder.run_joint(inputs, role="document")
        joined = embedder.embed_joint(inputs)
        assert joined.shape == (len(inputs), embedder.dimension)
        assert np.array_equal(joined, result.joined())
        assert np.array_equal(joined, np.stack([embedder.embed_joint([x])[0] for x in inputs]))
        assert {space.fingerprint for space in result.spaces} == {embedder.space.fingerprint}
        assert result.space == embedder.space

    def test_streams_give_the_same_in_blocks(self, make, inputs):
        embedder = make(framework="trio")
        blocks = list(embedder.embed_joint_stream(iter(inputs), window=7))
        assert [len(block) for block in blocks] == [7, 7, 7, 7, 1]
        assert np.array_equal(np.concatenate(blocks), embedder.embed_joint(inputs))

    def test_streams_take_no_more_than_a_window_ahead(self, make):
        taken = []
        texts = (taken.append(number) or f"text {number}" for number in range(1000))
        stream = make(framework="trio").embed_joint_stream(texts, window=5)
        next(stream)
        assert taken == [0, 1, 2, 3, 4]

    def test_failures_in_streams_have_the_index_in_the_stream(self, make):
        stream = make(framework="trio").embed_joint_stream(["a"] * 7 + [None], window=3)
        assert [len(next(stream)) for _ in range(2)] == [3, 3]
        with pytest.raises(InvalidInputError, match="input 7: NoneType is no text"):
            next(stream)

    @pytest.mark.parametrize("window", [0, -1, 2.5, True])
    def test_windows_are_counts(self, make, window):
        with pytest.raises(InvalidOptionError, match="is not a positive whole number of inputs"):
            next(make(framework="trio").embed_joint_stream(["a"], window=window))

    def test_one_input_is_no_stream(self, make):
        with pytest.raises(InvalidInputError, match="one input was given where several are due"):
            next(make(framework="trio").embed_joint_stream("a text"))


class TestRoles:
    def test_roles_and_instructions_reach_every_modality(self, make, picture):
        embedder = make(framework="trio", model="roles")
        inputs = ["a", picture()]
        plain, query = embedder.embed_joint(inputs), embedder.embed_joint(inputs, role="query")
        told = embedder.embed_joint(inputs, instruction="find it")
        assert (plain != query).any(axis=1).all()
        assert (plain != told).any(axis=1).all()
        assert np.array_equal(plain, embedder.embed_joint(inputs, role="document"))
        assert np.array_equal(np.stack(embedder.embed_batch(inputs, role="query")), query)

    @pytest.mark.parametrize("settings", [{"role": "answer"}, {"instruction": 3}])
    def test_those_that_do_not_exist_are_refused(self, apart, picture, settings):
        with pytest.raises(InvalidOptionError):
            apart.run(["a", picture()], **settings)

    def test_an_instruction_to_a_model_that_follows_none(self, apart, picture):
        with pytest.raises(InvalidOptionError, match="follows no instruction"):
            apart.run(["a", picture()], instruction="find it")

    def test_how_failures_are_treated_is_one_of_two_ways(self, apart):
        with pytest.raises(InvalidOptionError, match="on_error='ignore' is neither 'raise' nor 'collect'"):
            apart.run([], on_error="ignore")


class TestFailures:
    @pytest.fixture
    def bad(self, picture, sound, tmp_path):
        """Six inputs, of which four are bad: by type, by file, by content, by model."""
        damaged = tmp_path / "damaged.png"
        picture().save(damaged)
        damaged.write_bytes(damaged.read_bytes()[:150])
        return [sound(), b"bytes", "a text", damaged, np.zeros((4, 4)), "a poison"]

    def test_raising_names_the_first_that_cannot_be_told(self, apart, bad):
        with pytest.raises(InvalidInputError, match=r"^input 1: bytes and files do not say") as caught:
            apart.run(bad)
        assert caught.value.index == 1

    @pytest.mark.parametrize("call", ["run", "run_joint"])
    def test_collecting_embeds_the_others(self, make, bad, call):
        embedder = make(framework="trio")
        result = getattr(embedder, call)(bad, on_error="collect")
        assert result.ok.tolist() == [True, False, True, False, False, False]
        assert [failure.index for failure in result.failures] == [1, 3, 4, 5]
        assert [type(failure.error) for failure in result.failures][:3] == [InvalidInputError] * 3
        assert "input 1: " in str(result.failures[0].error)
        assert "'damaged.png'" in str(result.failures[1].error)
        assert isinstance(result.failures[3].error, EncodingError)
        assert result.failures[3].error.indices == (5,)
        assert [modality is None for modality in result.modalities] == [False, True, False, False, True, False]
        assert [space is None for space in result.spaces] == [not ok for ok in result.ok]
        assert np.isnan(result.joined()[~result.ok]).all()
        assert np.array_equal(result.joined()[[0, 2]], embedder.embed_joint([bad[0], bad[2]]))

    def test_collecting_where_each_modality_has_its_space(self, apart, bad):
        result = apart.run(bad, on_error="collect")
        assert result.ok.tolist() == [True, False, True, False, False, False]
        assert [failure.index for failure in result.failures] == [1, 3, 4, 5]
        assert [vector.shape for vector in result.vectors] == [(5,), (0,), (8,), (6,), (0,), (8,)]

    def test_all_may_fail(self, make):
        result = make(framework="trio").run_joint([None, b"", 3], on_error="collect")
        assert not result.ok.any()
        assert result.joined().shape == (3, 9)
        assert len(result.failures) == 3

    def test_an_error_of_the_model_names_its_inputs(self, apart, picture):
        with pytest.raises(EncodingError, match="poisonous") as caught:
            apart.run([picture(), "a", "a poison", picture(), "a poison"])
        assert caught.value.indices == (2, 4)

    def test_of_several_errors_one_is_raised_as_it_is(self, apart, bad):
        """Which one depends on which share is faster; its own inputs are named."""
        _, _, _, damaged, _, poison = bad
        with pytest.raises((InvalidInputError, EncodingError)) as caught:
            apart.run([poison, "a text", damaged])
        if isinstance(caught.value, InvalidInputError):
            assert caught.value.index == 2
            assert "'damaged.png'" in str(caught.value)
        else:
            assert caught.value.indices == (0,)
            assert "poisonous" in str(caught.value)

    def test_modalities_without_a_framework(self, make, picture, sound):
        embedder = make("words", "pictures")
        with pytest.raises(InvalidInputError, match=r"^input 1: no framework for audio was configured; pass audio_fra"):
            embedder.embed_batch(["a", sound(), picture()])
        result = embedder.run(["a", (sound(), 8_000), picture()], on_error="collect")
        assert [failure.index for failure in result.failures] == [1]
        with pytest.raises(InvalidInputError, match="no framework for audio"):
            embedder.space_of("audio")

    def test_modalities_that_do_not_reach_the_joint_space(self, make, picture, sound):
        embedder = make(audio_framework="sounds", joint_framework="pair")
        with pytest.raises(IncompatibleSpacesError, match=r"^input 1: text and image and audio share no space"):
            embedder.embed_joint(["a", sound(), picture()])
        result = embedder.run_joint(["a", sound(), picture()], on_error="collect")
        assert result.ok.tolist() == [True, False, True]
        assert [failure.index for failure in result.failures] == [1]
        assert result.joined().shape == (3, 7)

    def test_items_that_are_none(self, make):
        embedder = make(framework="trio")
        video = Item((Part(Modality.VIDEO, b"", b"0" * 16),))
        for item, message in ((Item(()), "the item has no parts"), (video, "no framework for video was configured")):
            with pytest.raises(InvalidInputError, match=f"input 1: {message}"):
                embedder.embed_batch(["a", item])


class TestSeveralParts:
    def test_they_become_one_vector_where_a_framework_takes_them(self, make, picture, frameworks):
        embedder = make(framework="pair")
        figure, swapped = interleaved("a figure", picture()), interleaved(picture(), "a figure")
        result = embedder.run_joint(["a figure", figure, picture(), swapped, figure])
        joined = result.joined()
        assert len(np.unique(joined, axis=0)) == 4
        assert np.array_equal(joined[1], joined[4])
        assert result.modalities == ["text", None, "image", None, None]
        assert {name: report.items for name, report in result.reports.items()} == {
            "text": 1,
            "text + image": 2,
            "image": 1,
            "image + text": 1,
        }
        assert np.array_equal(np.stack(embedder.embed_batch([figure, "a"])), embedder.embed_joint([figure, "a"]))

    def test_several_texts_are_several_parts(self, make):
        embedder = make(framework="pair")
        one, two = embedder.embed_batch([interleaved("a", "b"), interleaved("b", "a")])
        assert (one != two).any()

    def test_otherwise_they_are_refused_by_name(self, make, picture, apart):
        figure = interleaved("a figure", picture())
        for embedder in (apart, make(framework="trio")):
            with pytest.raises(InvalidInputError, match=r"^input 1: no framework .* takes text and image in one item$"):
                embedder.embed_batch(["a", figure])

    def test_and_where_their_framework_does_not_reach_the_space(self, make, picture):
        embedder = make(framework="trio")
        lone = make("words", joint_framework="pair", alignment=None)
        assert lone.embed_joint([interleaved("a figure", picture())]).shape == (1, 7)
        with pytest.raises(InvalidInputError, match="takes text and image in one item into trio small"):
            embedder.embed_joint([interleaved("a figure", picture())])

    def test_they_are_not_compared_by_inputs(self, make, picture):
        embedder = make(framework="pair")
        with pytest.raises(InvalidInputError, match="input 1: an item of 2 parts has no one modality; compare vectors"):
            embedder.similarity("a", interleaved("a figure", picture()))


class TestSideBySide:
    def test_shares_run_at_the_same_time(self, make, frameworks, sound):
        """Each share waits for the other to have begun: one after the other, they would wait for ever."""
        both = threading.Barrier(2, timeout=30)
        frameworks.GATES.update(words=both.wait, blue=both.wait)
        embedder = make("words", None, "blue", api_key="a key of a test")
        assert len(embedder.embed_batch(["a text", sound()])) == 2

    def test_once_one_has_failed_the_others_begin_no_more_batches(self, make, frameworks, picture, monkeypatch):
        begun, ended, end = threading.Event(), threading.Event(), CallGroup.end
        monkeypatch.setattr(CallGroup, "end", lambda group: (end(group), ended.set()))
        frameworks.GATES["words"] = lambda: (begun.set(), ended.wait(30))
        frameworks.GATES["red"] = lambda: begun.wait(30)
        embedder = make("words", "red", api_key="a key of a test")
        with pytest.raises(EncodingError, match="it is poisonous"):
            embedder.embed_batch([interleaved(picture(), "poison"), *(f"text {number}" for number in range(400))])
        # The one batch that was underway may be cancelled before it is counted; no other follows it.
        assert [count for framework, count in frameworks.CALLS if framework == "words"] in ([], [4])

    def test_context_variables_reach_them(self, make, picture):
        who, seen = contextvars.ContextVar("who", default="nobody"), []

        class Cache(MemoryCache):
            def get_many(self, keys):
                seen.append(who.get())
                return super().get_many(keys)

        who.set("the caller")
        make("words", "pictures", cache=Cache()).embed_batch(["a", picture()])
        assert set(seen) == {"the caller"}
        assert len(seen) >= 2

    def test_threads_that_share_an_embedder_get_the_serial_result(self, make, inputs, frameworks):
        embedder = make(framework="trio")
        expected = embedder.embed_joint(inputs)
        found = [None] * 8

        def work(number):
            order = random.Random(number).sample(range(len(inputs)), len(inputs))
            joined = embedder.embed_joint([inputs[place] for place in order])
            found[number] = joined[np.argsort(order)]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(len(found))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert all(np.array_equal(result, expected) for result in found)
