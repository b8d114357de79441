"""`Space` and `Canary`: which vectors may be compared."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_multi_core.embedder import Canary, IncompatibleSpacesError, MemoryCache, Modality, Space, TextEmbedder
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.spaces import PROBES
from llm_multi_core.embedder.testing.fakes import FakeTextEncoder, fake_offer

SPACE = Space(
    "sha256:ab",
    384,
    revision="1",
    options=(("pooling", "'mean'"), ("layer", "-1")),
    modalities=frozenset({Modality.TEXT, Modality.IMAGE}),
    label="MiniLM",
)
names = st.text(max_size=12)
spaces = st.builds(
    Space,
    name=names,
    dimension=st.integers(1, 4096),
    revision=st.none() | names,
    output=st.sampled_from(["dense", "multi", "sparse"]),
    score=st.sampled_from(["cosine", "dot", "maxsim"]),
    options=st.lists(st.tuples(names, names), max_size=3).map(tuple),
    modalities=st.frozensets(st.sampled_from(list(Modality)), min_size=1),
    label=names,
)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "sha256:ac"},
        {"dimension": 383},
        {"revision": "2"},
        {"revision": None},
        {"output": "sparse"},
        {"score": "dot"},
        {"options": ()},
        {"options": (("pooling", "'cls'"), ("layer", "-1"))},
    ],
)
def test_fingerprint_changes_with_what_matters(change):
    other = replace(SPACE, **change)
    assert other.fingerprint != SPACE.fingerprint
    assert other != SPACE
    with pytest.raises(IncompatibleSpacesError, match=r"cannot be compared.*re-embed the index"):
        SPACE.require_same(other)


@pytest.mark.parametrize(
    "change",
    [
        {"label": "all-MiniLM-L6-v2"},
        {"modalities": frozenset({Modality.AUDIO})},
        {"options": (("layer", "-1"), ("pooling", "'mean'"))},
    ],
)
def test_fingerprint_stays_with_what_does_not_matter(change):
    other = replace(SPACE, **change)
    assert other.fingerprint == SPACE.fingerprint
    SPACE.require_same(other)


def test_fingerprint_is_the_same_in_every_version():
    assert Space("openai/text-embedding-3-small", 1536).fingerprint == "3c8dadfbc88f23c48e637642779e9aa0"


@given(spaces, spaces)
def test_fingerprints_agree_only_for_equal_identities(a, b):
    identity = [
        (space.name, space.dimension, space.revision, space.output, space.score, sorted(space.options))
        for space in (a, b)
    ]
    assert (a.fingerprint == b.fingerprint) == (identity[0] == identity[1])


@given(spaces)
def test_spaces_survive_json_and_pickling(space):
    for same in (Space.from_dict(json.loads(json.dumps(space.to_dict()))), pickle.loads(pickle.dumps(space))):
        assert same == space
        assert (same.modalities, same.label, same.fingerprint) == (space.modalities, space.label, space.fingerprint)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "sha256:ac"},
        {"dimension": 385},
        {"revision": None},
        {"output": "multi"},
        {"score": "dot"},
        {"options": [["pooling", "'cls'"]]},
        {"fingerprint": "0" * 32},
        {"dimension": "384"},
    ],
)
def test_altered_data_is_refused(change):
    with pytest.raises(IncompatibleSpacesError, match="does not match its own fingerprint"):
        Space.from_dict({**SPACE.to_dict(), **change})


def test_cut_is_another_space():
    assert SPACE.cut(384) is SPACE
    assert SPACE.cut(128) == replace(SPACE, dimension=128)
    assert SPACE.cut(128).fingerprint != SPACE.fingerprint


def test_joint_spaces_serve_several_modalities():
    assert SPACE.is_joint
    assert not replace(SPACE, modalities=frozenset({Modality.TEXT})).is_joint


def test_spaces_are_named_for_people():
    assert str(SPACE) == f"MiniLM (384 d, {SPACE.fingerprint[:8]})"
    assert str(Space("a/b", 7, output="sparse")).startswith("a/b (7 d sparse, ")


# The canary.


@pytest.fixture
def embedder_of():
    made = []

    def make(encoder=FakeTextEncoder, model="m", normalize=True, **options):
        offer = fake_offer(encoder)
        settings = EmbedderSettings(offer, model, offer.spec.check_options(options), normalize=normalize)
        made.append(TextEmbedder(settings))
        return made[-1]

    yield make
    for embedder in made:
        embedder.close()


class OtherModel(FakeTextEncoder):
    """The same declaration, other vectors: a model that was swapped in silence."""

    def forward(self, batch):
        return super().forward(batch)[:, ::-1]


class OtherPrompt(FakeTextEncoder):
    def forward(self, batch):
        return super().forward(batch) + 0.2


class HalfPrecision(FakeTextEncoder):
    def forward(self, batch):
        return super().forward(batch).astype(np.float16)


class Scaled(FakeTextEncoder):
    scale = 1e-9

    def forward(self, batch):
        return super().forward(batch) * self.scale


class Enlarged(Scaled):
    scale = 1e25


class Blank(FakeTextEncoder):
    def forward(self, batch):
        return np.eye(8, dtype=np.float32)[[0] * len(batch[0])]


def test_canary_passes_for_the_same_embedder(embedder_of):
    canary = Canary.take(embedder_of())
    assert canary.vectors.shape == (len(PROBES), 8)
    assert canary.fingerprint == embedder_of().space.fingerprint
    assert canary.check(embedder_of()) == pytest.approx(1)
    assert canary.check(embedder_of(HalfPrecision)) > 0.999


@pytest.mark.parametrize("other", [OtherModel, OtherPrompt, Blank])
def test_canary_catches_other_vectors_of_the_same_declaration(embedder_of, other):
    assert embedder_of(other).space == embedder_of().space
    with pytest.raises(IncompatibleSpacesError, match=r"agree only to a cosine of 0\.\d{4}|of -0\.\d{4}"):
        Canary.take(embedder_of()).check(embedder_of(other))


def test_canary_catches_another_dimension(embedder_of):
    with pytest.raises(IncompatibleSpacesError, match=r"a cosine of 0\.0000"):
        Canary.take(embedder_of()).check(embedder_of(dimension=9))


def test_canary_is_taken_of_documents(embedder_of):
    embedder = embedder_of(roles=True)
    expected = embedder.embed_batch(PROBES, role="document")
    np.testing.assert_array_equal(Canary.take(embedder).vectors, expected)


@pytest.mark.parametrize("encoder", [FakeTextEncoder, Scaled, Enlarged])
@pytest.mark.parametrize("normalize", [True, False])
def test_canary_survives_json(embedder_of, encoder, normalize):
    embedder = embedder_of(encoder, normalize=normalize)
    canary = Canary.take(embedder)
    again = Canary.from_dict(json.loads(json.dumps(canary.to_dict())))
    assert again.fingerprint == canary.fingerprint
    assert again.vectors.dtype == np.float32
    np.testing.assert_allclose(again.vectors, canary.vectors, rtol=1e-6)
    assert again.check(embedder) == pytest.approx(1)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_canary_without_a_direction_is_refused(embedder_of, value):
    canary = Canary("f", np.full((len(PROBES), 8), value, np.float32))
    with pytest.raises(IncompatibleSpacesError):
        canary.check(embedder_of())


def test_a_canary_does_not_ask_the_cache():
    """A cache may be older than the model: a silent change behind a name would never be seen."""
    settings = EmbedderSettings(fake_offer(FakeTextEncoder), "m", {"dimension": 8}, cache=MemoryCache())
    with TextEmbedder(settings) as embedder:
        embedder.embed_batch(PROBES, role="document")
        kept = len(settings.cache)
        canary = Canary.take(embedder)
        for rows in settings.cache._entries.values():  # vectors of another version of the model
            rows.values[:] = 1.0
        assert kept == len(PROBES)
        assert canary.check(embedder) == pytest.approx(1.0)
