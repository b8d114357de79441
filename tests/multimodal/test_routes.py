"""Which way an input goes follows from what was configured, never from the inputs of a call."""

from __future__ import annotations

import pickle
from itertools import combinations, permutations

import numpy as np
import pytest

from llm_multi_core.embedder import IncompatibleSpacesError, Modality, Similarity, Space
from llm_multi_core.embedder.analysis.alignment import Alignment, fit_alignment
from llm_multi_core.embedder.analysis.similarity import cosine_similarity

TEXT, IMAGE, AUDIO = Modality.TEXT, Modality.IMAGE, Modality.AUDIO


@pytest.fixture
def align():
    """Fits a map from one space into another, on pairs that mean nothing."""

    def fit(source: Space, target: Space, seed: int = 0) -> Alignment:
        draw = np.random.default_rng(seed)
        pairs = (draw.normal(size=(40, space.dimension)).astype(np.float32) for space in (source, target))
        return fit_alignment(*pairs, source=source, target=target)

    return fit


@pytest.fixture
def spaces(make):
    """The space of each fake of one modality, and of joint ones."""
    apart = make("words", "pictures", "sounds")
    found = {modality: apart.space_of(modality) for modality in apart.modalities}
    return found | {name: make(framework=name).space for name in ("pair", "other-pair", "trio")}


class TestCommonSpace:
    def test_of_one_framework(self, make, spaces):
        embedder = make(framework="trio")
        assert embedder.space == spaces["trio"]
        assert embedder.joint_modalities == (TEXT, IMAGE, AUDIO)
        assert embedder.dimension == 9

    def test_of_a_framework_for_two(self, make, spaces):
        embedder = make(framework="pair")
        assert embedder.modalities == embedder.joint_modalities == (TEXT, IMAGE)
        assert embedder.space == spaces["pair"]

    def test_by_a_joint_framework_beside_others(self, make, spaces):
        embedder = make("words", "pictures", "sounds", joint_framework="pair")
        assert embedder.space == spaces["pair"]
        assert embedder.joint_modalities == (TEXT, IMAGE)
        assert embedder.space_of("text") == spaces[TEXT]

    def test_by_an_alignment(self, make, spaces, align):
        embedder = make("words", "pictures", alignment=align(spaces[IMAGE], spaces[TEXT]))
        assert embedder.space.fingerprint == spaces[TEXT].fingerprint
        assert embedder.joint_modalities == (TEXT, IMAGE)

    def test_by_alignments_into_a_third_space(self, make, spaces, align):
        third = Space("third", 3)
        maps = [align(spaces[modality], third) for modality in (TEXT, AUDIO)]
        embedder = make("words", "pictures", "sounds", alignment=maps)
        assert embedder.space == third
        assert embedder.joint_modalities == (TEXT, AUDIO)

    def test_over_words(self, make, spaces):
        embedder = make("words", bridge={"image": "caption", "audio": "transcript"})
        assert embedder.space == spaces[TEXT]
        assert embedder.joint_modalities == (TEXT, IMAGE, AUDIO)

    def test_of_a_single_modality_it_is_its_own(self, make, spaces):
        assert make("words").space == spaces[TEXT]
        assert make(None, "pictures").space == spaces[IMAGE]

    def test_is_the_one_that_most_modalities_reach(self, make, spaces, align):
        """The joint framework serves two; the space of text is reached by three."""
        maps = [align(spaces[modality], spaces[TEXT]) for modality in (IMAGE, AUDIO)]
        embedder = make("words", "pictures", "sounds", joint_framework="pair", alignment=maps)
        assert embedder.space.fingerprint == spaces[TEXT].fingerprint
        assert embedder.joint_modalities == (TEXT, IMAGE, AUDIO)

    def test_of_equals_the_joint_frameworks_comes_before_texts(self, make, spaces, align):
        embedder = make("words", "pictures", joint_framework="pair", alignment=align(spaces[IMAGE], spaces[TEXT]))
        assert embedder.space == spaces["pair"]
        embedder = make("words", "pictures", joint_framework="other-pair", bridge={"image": "caption"})
        assert embedder.space == spaces["other-pair"]  # text, audio, and images over words

    def test_texts_comes_before_images(self, make, spaces, align):
        there_and_back = [align(spaces[IMAGE], spaces[TEXT]), align(spaces[TEXT], spaces[IMAGE])]
        for maps in permutations(there_and_back):
            embedder = make("words", "pictures", alignment=maps)
            assert embedder.space.fingerprint == spaces[TEXT].fingerprint

    def test_does_not_depend_on_the_inputs(self, make, spaces, align, picture, sound):
        settings = {"alignment": align(spaces[AUDIO], spaces["pair"])}
        embedder = make("words", "pictures", "sounds", joint_framework="pair", **settings)
        inputs = {TEXT: "a text", IMAGE: picture(), AUDIO: sound()}
        expected = {modality: embedder.embed_joint([x])[0] for modality, x in inputs.items()}
        for count in (2, 3):
            for chosen in permutations(inputs, count):
                result = embedder.run_joint([inputs[modality] for modality in chosen])
                assert {space.fingerprint for space in result.spaces} == {embedder.space.fingerprint}
                for modality, vector in zip(chosen, result.vectors, strict=True):
                    assert np.array_equal(vector, expected[modality])

    def test_there_may_be_none(self, make):
        embedder = make("words", "pictures", "sounds")
        assert embedder.joint_modalities == ()
        assert embedder.ways() == {}
        for ask in (lambda: embedder.space, lambda: embedder.dimension, lambda: embedder.embed_joint(["a"])):
            with pytest.raises(IncompatibleSpacesError, match="text and image and audio share no space"):
                ask()


class TestWays:
    def test_direct_ones_come_first(self, make, spaces, align, picture):
        """Whatever else was configured, what an embedder puts into the space by itself is not taken round about."""
        embedder = make(
            framework="trio",
            bridge={"image": "caption"},
            alignment=align(spaces["trio"], spaces["trio"], seed=4),
        )
        result = embedder.run_joint(["a", picture()])
        assert result.via == [None, None]
        assert np.array_equal(result.joined(), make(framework="trio").embed_joint(["a", picture()]))

    def test_alignments_come_before_words(self, make, spaces, align, picture):
        mapped = align(spaces[IMAGE], spaces[TEXT])
        embedder = make("words", "pictures", alignment=mapped, bridge={"image": "caption"})
        result = embedder.run_joint([picture(), "a"])
        assert result.via == ["alignment", None]
        own = embedder.embedders[IMAGE].embed_batch([picture()])
        assert np.array_equal(result.vectors[0], mapped.apply(own)[0])

    def test_chains_of_words_and_alignment(self, make, spaces, align, picture):
        mapped = align(spaces[TEXT], spaces["pair"])
        embedder = make("words", bridge={"image": "caption"}, alignment=mapped)
        assert embedder.space == spaces[TEXT]
        maps = [mapped, align(spaces[AUDIO], spaces["pair"])]
        embedder = make("words", None, "sounds", bridge={"image": "caption"}, alignment=maps)
        assert embedder.space == spaces["pair"]
        result = embedder.run_joint([picture(3), "plain picture of 23 by 16"])
        assert result.via == ["caption + alignment", "alignment"]
        assert np.array_equal(*result.vectors)
        assert embedder.ways() == {
            "text": f"words model 'small', aligned to {spaces['pair']}",
            "image": f"words model 'small' over caption model 'small', aligned to {spaces['pair']}",
            "audio": f"sounds model 'small', aligned to {spaces['pair']}",
        }

    def test_media_that_only_a_bridge_knows_go_over_words_natively_as_well(self, make, spaces, picture, sound):
        embedder = make("words", bridge={"image": "caption", "audio": "transcript"})
        assert embedder.modalities == (TEXT, IMAGE, AUDIO)
        result = embedder.run([picture(4), sound(5), "plain picture of 24 by 16", "plain sound of 0.15 s"])
        assert np.array_equal(result.vectors[0], result.vectors[2])
        assert np.array_equal(result.vectors[1], result.vectors[3])
        assert result.via == ["caption", "transcript", None, None]
        assert set(result.spaces) == {spaces[TEXT]}

    def test_a_joint_framework_serves_what_no_other_does(self, make, spaces, sound):
        embedder = make("words", joint_framework="other-pair")
        assert embedder.space_of("audio") == spaces["other-pair"]
        assert embedder.space_of("text") == spaces[TEXT]
        assert embedder.embed(sound()).shape == (7,)

    def test_the_first_of_several_alignments_is_taken(self, make, spaces, align, picture):
        first, second = (align(spaces[IMAGE], spaces[TEXT], seed) for seed in (1, 2))
        embedder = make("words", "pictures", alignment=[first, second])
        own = embedder.embedders[IMAGE].embed_batch([picture()])
        assert np.array_equal(embedder.embed_joint([picture()]), first.apply(own))

    def test_an_alignment_of_other_spaces_leads_nowhere(self, make, spaces, align):
        embedder = make("words", "pictures", alignment=align(spaces["trio"], spaces[TEXT]))
        assert embedder.joint_modalities == ()

    def test_what_an_alignment_cannot_carry_is_named(self, make, spaces, picture):
        source = spaces[IMAGE]
        lost = np.zeros((source.dimension, 8), np.float32)
        nothing = Alignment(source, spaces[TEXT], lost, lost[:, 0], np.zeros(8, np.float32), "ridge", 2)
        embedder = make("words", "pictures", alignment=nothing)
        with pytest.raises(ValueError, match="input 1: the source vector is mapped to zero"):
            embedder.embed_joint(["a", picture()])


class TestSimilarity:
    def test_of_one_modality_is_that_of_its_own_space(self, make, spaces, picture):
        embedder = make("words", "pictures", joint_framework="pair")
        found = embedder.similarity(picture(1), picture(2))
        assert found == pytest.approx(embedder.embedders[IMAGE].similarity(picture(1), picture(2)))
        assert (found.space, found.via) == (spaces[IMAGE], None)
        assert embedder.similarity("a", "a") == pytest.approx(1)

    def test_of_two_is_that_of_a_space_that_both_reach(self, make, spaces, align, picture, sound):
        inputs = {TEXT: "a", IMAGE: picture(), AUDIO: sound()}
        for settings, via in (
            ({"framework": "trio"}, None),
            ({"text_framework": "words", "bridge": {"image": "caption", "audio": "transcript"}}, "words"),
            (
                {
                    "text_framework": "words",
                    "image_framework": "pictures",
                    "audio_framework": "sounds",
                    "alignment": [align(spaces[IMAGE], spaces[TEXT]), align(spaces[AUDIO], spaces[TEXT])],
                },
                "alignment",
            ),
        ):
            embedder = make(**settings)
            for one, other in combinations(inputs, 2):
                found = embedder.similarity(inputs[one], inputs[other])
                joined = embedder.embed_joint([inputs[one], inputs[other]])
                assert isinstance(found, float)
                assert found == pytest.approx(cosine_similarity(*joined), abs=1e-6)
                assert found == embedder.similarity(inputs[other], inputs[one])
                assert found.space.fingerprint == embedder.space.fingerprint
                labels = {IMAGE: "caption", AUDIO: "transcript"}
                expected = " + ".join(labels[m] for m in (one, other) if m in labels) if via == "words" else via
                assert found.via == expected

    def test_the_space_does_not_depend_on_the_order_of_the_two(self, make, spaces, align, picture, sound):
        """Images and audio share two spaces, neither of which is the one that most modalities reach."""
        maps = [align(spaces[IMAGE], spaces[AUDIO]), align(spaces[AUDIO], spaces[IMAGE])]
        embedder = make("words", "pictures", "sounds", alignment=maps, joint_framework="pair")
        one, other = embedder.similarity(picture(), sound()), embedder.similarity(sound(), picture())
        assert one.space == other.space
        assert one == pytest.approx(other)

    def test_without_a_common_space_it_names_the_ways_to_get_one(self, make, spaces, picture, sound):
        embedder = make("words", "pictures", joint_framework="other-pair")
        with pytest.raises(IncompatibleSpacesError) as caught:
            embedder.similarity("a", picture())
        message = str(caught.value)
        assert message.startswith("text and image share no space: text goes to words small (8 d, ")
        for way in (
            str(spaces[IMAGE]),
            "joint_framework=",
            "alignment=",
            "Alignment.fit",
            "bridge={'image': 'caption'",
        ):
            assert way in message
        assert embedder.similarity("a", sound()).space == spaces["other-pair"]

    def test_failures_have_the_place_among_the_two(self, make, picture):
        embedder = make(framework="trio")
        with pytest.raises(ValueError, match=r"^input 1: NoneType is no text"):
            embedder.similarity("a", None)
        with pytest.raises(ValueError, match=r"^input 0: bytes and files"):
            embedder.similarity(b"", picture())

    def test_it_survives_pickling_and_is_a_float(self, make, picture):
        found = make("words", bridge={"image": "caption"}).similarity("a", picture())
        copy = pickle.loads(pickle.dumps(found))
        assert (copy, copy.space, copy.via) == (found, found.space, "caption")
        assert isinstance(copy, Similarity)
        assert f"{found:.3f}" == f"{float(found):.3f}"
        assert found + 0.0 == float(found)


def test_encoder_ids_say_whether_vectors_are_the_same_to_the_last_bit(make, spaces, align):
    mapped, other = (align(spaces[IMAGE], spaces[TEXT], seed) for seed in (1, 2))
    made = [
        make("words", "pictures", alignment=mapped),
        make("words", "pictures", alignment=other),
        make("words", "pictures", alignment=mapped, text={"weights": 1}),
        make("words", bridge={"image": "caption"}),
        make("words", bridge={"image": {"framework": "caption", "tone": "warm"}}),
        make("words", bridge={"image": "caption"}, truncation="mean"),
        make(framework="pair"),
    ]
    assert len({embedder.encoder_id for embedder in made}) == len(made)
    assert make("words", "pictures", alignment=mapped).encoder_id == made[0].encoder_id
    assert make("words", bridge={"image": "caption"}, truncation="truncate").encoder_id == made[3].encoder_id
