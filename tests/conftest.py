"""What the host's tests share."""

from __future__ import annotations

from typing import Any

import pytest

from llm_multi_core.embedder import Modality, TextEmbedder
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.testing.fakes import FakeTextEncoder, fake_offer

SETTINGS: dict[str, Any] = {
    "model": None,
    "device": None,
    "precision": "auto",
    "dimensions": None,
    "force_dimensions": False,
    "normalize": True,
    "truncation": "warn",
    "batch_size": None,
    "cache": None,
    "api_key": None,
}


@pytest.fixture
def make_embedder():
    """Makes a text embedder over an encoder class; keywords are settings or options of the fakes."""
    made = []

    def make(encoder=FakeTextEncoder, **keywords) -> TextEmbedder:
        modalities = keywords.pop("modalities", (Modality.TEXT,))
        settings = {name: keywords.pop(name, default) for name, default in SETTINGS.items()}
        offer = fake_offer(encoder, modalities=modalities)
        embedder = TextEmbedder(EmbedderSettings.check(offer, Modality.TEXT, options=keywords, **settings))
        made.append(embedder)
        return embedder

    yield make
    for embedder in made:
        embedder.close()
