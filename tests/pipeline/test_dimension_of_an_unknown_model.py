"""A model that its encoder knows nothing of has the dimension that the user says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llm_multi_core.embedder import ImageEmbedder, InvalidOptionError, Modality, TextEmbedder
from llm_multi_core.embedder.pipeline.pool import pool
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder, fake_offer


class UnknownModel(FakeHostedEncoder):
    def describe(self):
        dimension = self.config.dimensions
        if dimension is None:
            raise InvalidOptionError("pass dimensions= for a model that is not in the catalogue")
        base = super().describe()
        return replace(base, native_dimension=dimension)


def settings(dimensions, modality=Modality.TEXT):
    return EmbedderSettings.check(
        fake_offer(UnknownModel, modalities=(Modality.TEXT, Modality.IMAGE)),
        modality,
        model=None,
        device=None,
        precision="auto",
        dimensions=dimensions,
        force_dimensions=False,
        normalize=True,
        truncation="warn",
        batch_size=None,
        cache=None,
        api_key=None,
        options={},
    )


def test_dimensions_tell_it():
    held = len(pool)
    with TextEmbedder(settings(6)) as embedder:
        assert embedder.dimension == 6
        assert embedder.embed_batch(["one", "two"]).shape == (2, 6)
        assert len(pool) == held + 1
    assert len(pool) == held


def test_without_dimensions_the_encoder_says_what_to_pass():
    held = len(pool)
    with TextEmbedder(settings(None)) as embedder, pytest.raises(InvalidOptionError, match="pass dimensions="):
        _ = embedder.dimension
    assert len(pool) == held


def test_its_modality_is_checked_all_the_same():
    held = len(pool)
    with (
        ImageEmbedder(settings(6, Modality.IMAGE)) as embedder,
        pytest.raises(InvalidOptionError, match="embeds text, not image"),
    ):
        _ = embedder.space
    assert len(pool) == held
