"""A framework may embed more than the model at hand does; that is said before anything is loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llm_multi_core.embedder import ImageEmbedder, InvalidOptionError, Modality, ModelSpec
from llm_multi_core.embedder.pipeline.pool import pool
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.testing.fakes import FakeTextEncoder, fake_offer


class NeverLoaded(FakeTextEncoder):
    def load(self):
        raise AssertionError("a model that embeds something else was loaded")


class OfImages(FakeTextEncoder):
    def describe(self):
        base = super().describe()
        return replace(base, space=replace(base.space, modalities=frozenset({Modality.IMAGE})))


@pytest.fixture
def common():
    nothing = dict.fromkeys(("model", "device", "dimensions", "batch_size", "cache", "api_key"))
    return nothing | {
        "precision": "auto",
        "force_dimensions": False,
        "normalize": True,
        "truncation": "warn",
        "options": {},
    }


def of_framework(encoder, common, modality, models=()):
    offer = fake_offer(encoder, modalities=(Modality.TEXT, Modality.IMAGE))
    offer = replace(offer, spec=replace(offer.spec, models=models))
    return EmbedderSettings.check(offer, modality, **common)


def test_a_model_of_text_is_no_model_of_images(common):
    models = (
        ModelSpec("words", (Modality.TEXT,)),
        *(ModelSpec(name, (Modality.TEXT, Modality.IMAGE)) for name in ("a", "b", "c", "d")),
    )
    held = len(pool)
    with (
        ImageEmbedder(of_framework(NeverLoaded, common, Modality.IMAGE, models)) as embedder,
        pytest.raises(
            InvalidOptionError,
            match=r"fake model 'fake-small' embeds text, not image; choose one that does, such as 'a' or 'b' or 'c'$",
        ),
    ):
        _ = embedder.space
    assert len(pool) == held


def test_nor_the_other_way_round(make_embedder):
    embedder = make_embedder(OfImages, modalities=(Modality.TEXT, Modality.IMAGE))
    with pytest.raises(InvalidOptionError, match=r"'fake-small' embeds image, not text; choose one that does$"):
        embedder.embed("words")


def test_a_model_of_what_is_asked_for_is_taken(common):
    with ImageEmbedder(of_framework(OfImages, common, Modality.IMAGE)) as embedder:
        assert embedder.space.modalities == {Modality.IMAGE}
