"""OpenVINO as the engine of sentence-transformers models."""

from __future__ import annotations

import importlib.util
from contextlib import closing

import pytest

from llm_multi_core.embedder import create_text_embedder
from llm_multi_core_sentence_transformers.plugin import SENTENCE_TRANSFORMERS, STELLA
from llm_multi_core_torch import ENGINE_OPTION

pytestmark = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")


def embedder_for(folder, engine):
    settings = {"device": "cpu", "precision": "float32", "truncation": "truncate", "engine": engine}
    return closing(create_text_embedder("sentence-transformers", str(folder), **settings))


@pytest.mark.parametrize("name", ["mean", "router"])
def test_vectors_equal_those_of_torch(name, model_folder, texts, same_vectors):
    chosen = [text for text in texts if any(word in text for word in ("river", "engine", "python"))][:60]
    folder = model_folder(name)
    with embedder_for(folder, "openvino") as fast, embedder_for(folder, "torch") as exact:
        same_vectors(fast.embed_batch(chosen, role="document"), exact.embed_batch(chosen, role="document"))
        same_vectors(fast.embed_batch(chosen[:1]), exact.embed_batch(chosen[:1]))
        assert fast.encoder_id != exact.encoder_id
        assert fast.space == exact.space


def test_the_option_is_that_of_all_plugins():
    assert ENGINE_OPTION in SENTENCE_TRANSFORMERS.options
    assert ENGINE_OPTION in STELLA.options
