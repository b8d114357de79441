"""OpenVINO against torch: the same vectors of images and texts, for other batch sizes and lengths than it was shown."""

from __future__ import annotations

import importlib.util
from contextlib import ExitStack, closing

import numpy as np
import pytest

from llm_multi_core.embedder import create_image_embedder, create_text_embedder
from llm_multi_core_open_clip.plugin import CLIP
from llm_multi_core_torch import ENGINE_OPTION, EngineWarning

needs_openvino = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")


@pytest.fixture
def embedder(model_folder):
    """Makes embedders of a tiny model on the CPU."""
    with ExitStack() as opened:

        def make(create, name, engine, **settings):
            settings = {"device": "cpu", "precision": "float32", "truncation": "truncate"} | settings
            return opened.enter_context(closing(create("clip", str(model_folder(name)), engine=engine, **settings)))

        yield make


def test_the_option_is_that_of_all_plugins():
    assert ENGINE_OPTION in CLIP.options


@needs_openvino
@pytest.mark.parametrize("name", ["vit", "resnet", "coca", "siglip", "bert"])
def test_openvino_equals_torch(name, embedder, pictures, texts):
    """Also alone; a fallback to torch would be a warning, and so fail."""
    for create, inputs in ((create_image_embedder, pictures), (create_text_embedder, texts)):
        ours, theirs = (embedder(create, name, engine) for engine in ("openvino", "torch"))
        expected = theirs.embed_batch(inputs)
        assert (expected @ expected.T).min() < 0.99
        found = np.concatenate([ours.embed_batch(inputs), ours.embed(inputs[0])[None]])
        expected = np.concatenate([expected, expected[:1]])
        assert (found * expected).sum(axis=1).min() >= 0.999
        assert np.abs(found - expected).max() < 2e-5
        assert ours.space == theirs.space
        assert ours.encoder_id != theirs.encoder_id


@needs_openvino
@pytest.mark.parametrize("settings", [{"engine": "openvino"}, {"engine": "auto", "precision": "bfloat16"}])
def test_what_cannot_be_converted_runs_in_torch(settings, embedder, pictures, texts, monkeypatch):
    from llm_multi_core_torch.openvino_engine import import_openvino

    def refuse(*args, **kwargs):
        raise RuntimeError("no rule for this operation")

    monkeypatch.setattr(import_openvino(), "convert_model", refuse)
    for create, inputs in ((create_image_embedder, pictures), (create_text_embedder, texts)):
        ours = embedder(create, "quickgelu", **settings)
        theirs = embedder(create, "quickgelu", **settings | {"engine": "torch"})
        with pytest.warns(EngineWarning, match="quickgelu' runs in torch, .* no rule for this operation"):
            found = ours.embed_batch(inputs)
        assert np.array_equal(found, theirs.embed_batch(inputs))
        ours.close()
