"""The catalogue for listings: complete, agreeing with what the encoders know, and free of pickles by default."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder import Modality
from llm_multi_core_sentence_transformers.models import SENTENCE_TRANSFORMERS_MODELS
from llm_multi_core_torch import model_card
from llm_multi_core_torch.conversions import CONVERSIONS
from llm_multi_core_transformers.plugin import llm_multi_core_frameworks
from llm_multi_core_transformers.text_specs import HUGGINGFACE, MODERNBERT

SPECS = llm_multi_core_frameworks()
SAFETENSORS_ON_MAIN = {
    "Salesforce/blip-image-captioning-large",
    "facebook/wav2vec2-base-960h",
    "google/vit-base-patch16-224",
    "nomic-ai/modernbert-embed-base",
    "openai/whisper-base",
    "sentence-transformers/all-MiniLM-L6-v2",
}
"""Seen on `https://huggingface.co/<model>/tree/main`."""


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_entry_has_its_card_and_the_defaults_are_entries(spec):
    names = [model.name for model in spec.models]
    assert len(names) == len(set(names))
    assert all(model.source == f"https://huggingface.co/{model.name}" for model in spec.models)
    assert all(bool(model.dimension) == bool(spec.target) for model in spec.models)  # words have none
    for modality, name in spec.default_model.items():
        assert modality in next(model.modalities for model in spec.models if model.name == name)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_no_default_model_needs_a_pickle(spec):
    assert set(spec.default_model.values()) <= SAFETENSORS_ON_MAIN | CONVERSIONS.keys()


def test_both_text_catalogues_say_the_same_of_a_model():
    others = {model.name: model for model in SENTENCE_TRANSFORMERS_MODELS}
    shared = [model for model in HUGGINGFACE.models if model.name in others]
    assert len(shared) >= 3
    for model in shared:
        other = others[model.name]
        assert (model.dimension, model.max_units, model.dimensions) == (
            other.dimension,
            other.max_units,
            other.dimensions,
        )


@pytest.mark.parametrize("model", {*HUGGINGFACE.models, *MODERNBERT.models}, ids=lambda model: model.name)
def test_the_notes_agree_with_the_cards(model):
    card = model_card(model.name)
    assert model.modalities == (Modality.TEXT,)
    assert bool(model.dimensions) == card.matryoshka
    for prompt in filter(None, (card.query, card.document)):
        assert prompt.strip() in model.note
    if not card.query:
        assert "prefixes" not in model.note or "no prefixes" in model.note
