"""A stamp knows again what filled an index, in each modality, and refuses all else of the same dimension."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from llm_multi_core.embedder import (
    Canary,
    IncompatibleSpacesError,
    MemoryCache,
    Modality,
    Space,
    Stamp,
    create_image_embedder,
    create_text_embedder,
)
from llm_multi_core.embedder.analysis.alignment import fit_alignment

TEXT, IMAGE, AUDIO = Modality.TEXT, Modality.IMAGE, Modality.AUDIO


@pytest.fixture
def align():
    def fit(source, target, seed=0):
        draw = np.random.default_rng(seed)
        pairs = (draw.normal(size=(40, space.dimension)).astype(np.float32) for space in (source, target))
        return fit_alignment(*pairs, source=source, target=target)

    return fit


@pytest.fixture
def aligned(make, align):
    """Makes the embedder of one index: texts, and pictures and sounds carried into their space."""
    spaces = make("words", "pictures", "sounds")
    source = {modality: spaces.space_of(modality) for modality in (TEXT, IMAGE, AUDIO)}

    def build(seed=0, **settings):
        maps = [align(source[modality], source[TEXT], seed) for modality in (IMAGE, AUDIO)]
        return make("words", "pictures", "sounds", alignment=maps, **settings)

    return build


def test_it_holds_a_canary_for_each_modality(aligned):
    embedder = aligned()
    stamp = Stamp.take(embedder)
    assert set(stamp.canaries) == {TEXT, IMAGE, AUDIO}
    assert {canary.vectors.shape for canary in stamp.canaries.values()} == {(4, 8)}
    assert all(len(np.unique(canary.vectors, axis=0)) == 4 for canary in stamp.canaries.values())
    assert stamp.space == embedder.space
    assert stamp.ways == embedder.ways()
    assert stamp.describers == {}
    assert stamp.check(aligned()) == pytest.approx(1)


def test_it_survives_json(aligned):
    stamp = Stamp.take(aligned())
    text = stamp.to_json()
    assert "\n" not in text
    copy = Stamp.from_json(text)
    assert copy.space == stamp.space
    assert copy.ways == stamp.ways
    assert all(np.array_equal(copy.canaries[m].vectors, stamp.canaries[m].vectors) for m in stamp.canaries)
    assert copy.to_json() == text
    assert copy.check(aligned()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("settings", "modality"),
    [
        ({"text": {"weights": 1}}, "text"),
        ({"image": {"weights": 1}}, "image"),
        ({"audio": {"weights": 1}}, "audio"),
        ({"seed": 1}, "image"),
    ],
    ids=["text model", "image model", "audio model", "alignment"],
)
def test_what_was_swapped_is_refused_though_all_that_is_declared_is_the_same(aligned, settings, modality):
    stamp, other = Stamp.take(aligned()), aligned(**settings)
    assert other.space == stamp.space
    with pytest.raises(IncompatibleSpacesError) as caught:
        stamp.check(other)
    message = str(caught.value)
    assert message.startswith("this index was filled by words small (8 d, ")
    assert f"the probes for {modality} agree only to a cosine of" in message
    assert "at least 0.995 is needed" in message
    assert "Open it with the model, prompts, dimensions, alignment and bridge that filled it" in message
    for entry in stamp.ways.values():
        assert entry in message


def test_the_probes_decide_and_not_what_is_declared(make):
    """The model of another name makes the same vectors here, as would the same one elsewhere."""
    stamp = Stamp.take(make(framework="trio"))
    other = make(framework="trio", model="large")
    assert other.space != stamp.space
    assert stamp.check(other) == pytest.approx(1)
    with pytest.raises(IncompatibleSpacesError, match=r"holds vectors of 9 dimensions, .* makes 7"):
        stamp.check(make(framework="pair"))


def test_one_with_a_prompt_is_another(make):
    """Probes are embedded as documents."""
    stamp = Stamp.take(make(framework="trio"))
    assert stamp.check(make(framework="trio")) == pytest.approx(1)
    with pytest.raises(IncompatibleSpacesError):
        stamp.check(make(framework="trio", model="roles"))


def test_the_cache_is_not_asked_since_it_may_be_older_than_the_model(make, frameworks):
    cache = MemoryCache()
    embedder = make(framework="trio", cache=cache)
    Stamp.take(embedder)
    assert len(cache) == 0
    before = len(frameworks.CALLS)
    Stamp.take(embedder)
    assert len(frameworks.CALLS) == before + 3


class TestPartsOfAnIndex:
    def test_only_what_both_know_is_compared(self, aligned):
        stamp = Stamp.take(aligned())
        with create_text_embedder("words") as texts:
            assert stamp.check(texts) == pytest.approx(1)
            assert Stamp.take(texts).check(aligned()) == pytest.approx(1)
        with (
            create_text_embedder("words", weights=1) as other,
            pytest.raises(IncompatibleSpacesError, match="the probes for text agree only"),
        ):
            stamp.check(other)

    def test_at_least_one_modality_has_to_be_common(self):
        with create_image_embedder("pictures") as images, create_text_embedder("words") as texts:
            stamp = Stamp.take(images)
            with pytest.raises(IncompatibleSpacesError, match=r"holds image in pictures small .* embeds none of that"):
                stamp.check(texts)

    def test_one_can_be_extended(self, make):
        with create_text_embedder("trio") as texts:
            first = Stamp.take(texts)
        whole = first.extended_by(Stamp.take(make(framework="trio")))
        assert set(whole.canaries) == {TEXT, IMAGE, AUDIO}
        assert whole.check(make(framework="trio")) == pytest.approx(1)

    def test_without_a_joint_space_there_is_none(self, make):
        with pytest.raises(IncompatibleSpacesError, match="share no space"):
            Stamp.take(make("words", "pictures"))


class TestOverWords:
    @pytest.fixture
    def bridged(self, make):
        def build(tone="plain", **settings):
            bridge = {"image": {"framework": "caption", "tone": tone}, "audio": "transcript"}
            return make("words", bridge=bridge, **settings)

        return build

    def test_what_finds_the_words_is_kept_and_not_the_words(self, bridged, frameworks):
        stamp = Stamp.take(bridged())
        assert set(stamp.describers) == {IMAGE, AUDIO}
        assert not any(framework in ("caption", "transcript") for framework, _ in frameworks.CALLS)
        assert Stamp.from_json(stamp.to_json()).describers == stamp.describers
        assert stamp.check(bridged()) == pytest.approx(1)

    def test_another_that_finds_them_is_refused(self, bridged, make):
        stamp = Stamp.take(bridged())
        with pytest.raises(
            IncompatibleSpacesError, match="what puts image into words is not the same: it is words model"
        ):
            stamp.check(bridged(tone="warm"))
        with pytest.raises(IncompatibleSpacesError, match="what puts audio into words is not the same"):
            stamp.check(make("words", bridge={"audio": lambda media: ["words"] * len(media)}))

    def test_another_text_model_is_refused(self, bridged):
        with pytest.raises(IncompatibleSpacesError, match="the probes for text agree only"):
            Stamp.take(bridged()).check(bridged(text={"weights": 1}))

    def test_pictures_that_come_there_otherwise_are_refused(self, bridged, aligned):
        """In the index are the words for pictures, not pictures that an alignment carried there."""
        with pytest.raises(IncompatibleSpacesError, match="what puts image into words is not the same"):
            Stamp.take(bridged()).check(aligned())

    def test_the_bridge_is_left_open(self, bridged, picture, frameworks):
        embedder = bridged()
        expected = embedder.embed_joint([picture()])
        Stamp.take(embedder)
        calls = len(frameworks.CALLS)
        assert np.array_equal(embedder.embed_joint([picture()]), expected)
        assert ("caption", 1) not in frameworks.CALLS[calls:]  # it is remembered


class TestFrameworksThatPutMediaIntoWordsThemselves:
    """As a provider's captions do: what it says of a picture is not asked for, since it may differ from day to day."""

    def test_of_their_media_the_stamp_has_what_finds_the_words(self, make, frameworks):
        stamp = Stamp.take(make(framework="narrator"))
        assert set(stamp.canaries) == {TEXT}
        assert set(stamp.describers) == {IMAGE}
        assert frameworks.CALLS == [("narrator", 4)]
        assert Stamp.from_json(stamp.to_json()).check(make(framework="narrator")) == pytest.approx(1)
        with pytest.raises(IncompatibleSpacesError, match="the probes for text agree only"):
            stamp.check(make(framework="narrator", weights=1))

    def test_one_for_pictures_only_has_nothing_else(self):
        with create_image_embedder("narrator") as images:
            stamp = Stamp.take(images)
            assert stamp.canaries == {}
            assert stamp.check(images) == 1
        for settings, message in (
            ({"weights": 1}, "what puts image into words is not the same"),
            ({"family": "another"}, "they are not the same, and their probes tell nothing"),
        ):
            with (
                create_image_embedder("narrator", **settings) as other,
                pytest.raises(IncompatibleSpacesError, match=message),
            ):
                stamp.check(other)

    def test_results_say_so(self, make, picture):
        assert make(framework="narrator").run(["a", picture()]).via == [None, "caption"]


class TestTampering:
    @pytest.fixture
    def data(self, aligned):
        return json.loads(Stamp.take(aligned()).to_json())

    def test_the_space(self, data):
        for change in ({"dimension": 9}, {"name": "other"}, {"revision": "2"}):
            with pytest.raises(IncompatibleSpacesError, match="does not match its own fingerprint"):
                Stamp.from_json(json.dumps(data | {"space": data["space"] | change}))

    def test_the_vectors(self, data, aligned):
        packed = data["canaries"]["image"]
        vectors = np.frombuffer(base64.b64decode(packed["float32"]), "<f4")
        changed = base64.b64encode((vectors + np.float32(0.5)).astype("<f4").tobytes()).decode()
        data["canaries"]["image"] = packed | {"float32": changed}
        with pytest.raises(IncompatibleSpacesError, match="the probes for image agree only"):
            Stamp.from_json(json.dumps(data)).check(aligned())
        blank = base64.b64encode(np.full(vectors.shape, np.nan, "<f4").tobytes()).decode()
        data["canaries"]["image"] = packed | {"float32": blank}
        with pytest.raises(IncompatibleSpacesError, match="the probes for image agree only"):
            Stamp.from_json(json.dumps(data)).check(aligned())

    @pytest.mark.parametrize(
        "broken",
        [
            lambda data: data["canaries"]["text"].update(shape=[2, 16]),
            lambda data: data["canaries"]["text"].update(shape=[3, 8]),
            lambda data: data["canaries"]["text"].update(float32="%%%"),
            lambda data: data["canaries"].update(smell=data["canaries"]["text"]),
            lambda data: data.update(canaries=[1, 2]),
            lambda data: data.pop("ways"),
            lambda data: data.pop("version"),
            lambda data: data["space"].pop("name"),
        ],
    )
    def test_what_cannot_be_read(self, broken, data):
        broken(data)
        with pytest.raises(IncompatibleSpacesError, match="holds a stamp that cannot be read"):
            Stamp.from_json(json.dumps(data))

    @pytest.mark.parametrize("text", ["", "null", "[]", "3", "{}", '"stamp"', "{"])
    def test_what_is_no_stamp(self, text):
        with pytest.raises(IncompatibleSpacesError, match="holds a stamp that cannot be read"):
            Stamp.from_json(text)

    def test_one_of_a_later_version(self, data):
        with pytest.raises(
            IncompatibleSpacesError, match=r"version 2; this library reads version 1: pip install --upgr"
        ):
            Stamp.from_json(json.dumps(data | {"version": 2}))

    def test_one_without_anything(self, data, aligned):
        stamp = Stamp.from_json(json.dumps(data | {"canaries": {}}))
        with pytest.raises(IncompatibleSpacesError, match="this index holds nothing in"):
            stamp.check(aligned())

    def test_canaries_of_blank_rows_agree_with_nothing(self):
        space = Space("a", 3)
        blank = Canary(space.fingerprint, np.full((4, 3), np.nan, np.float32))
        assert not blank.cosine(blank) >= 0.995
