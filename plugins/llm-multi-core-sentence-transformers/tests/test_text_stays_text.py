"""A string is never opened, even by a model that takes images."""

from __future__ import annotations

import numpy as np
import pytest

from llm_multi_core.embedder import Task
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core_sentence_transformers.encoder import SentenceTransformersEncoder
from llm_multi_core_sentence_transformers.prompts import Treatment
from llm_multi_core_sentence_transformers.texts import ModuleInputs

LOOK_LIKE_MEDIA = ["photo.png", "https://example.org/cat.jpg", "data:image/png;base64,AAAA", "plain words"]


@pytest.fixture
def encoder(config, model_folder, tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (16, 16), "red").save("photo.png")
    made = SentenceTransformersEncoder(config(model_folder("clip")))
    made.load()
    yield made
    made.close()


def test_the_framework_would_open_it(encoder):
    from sentence_transformers.base.modality import infer_modality

    kinds = [infer_modality(text, encoder._model.modalities) for text in LOOK_LIKE_MEDIA]
    assert kinds == ["image", "image", "image", "text"]


def test_texts_that_look_like_media_are_embedded_as_text(encoder):
    items = [text_item(text) for text in LOOK_LIKE_MEDIA]
    ours = encoder.forward(encoder.prepare(items, Task()))
    theirs = encoder._model.encode([{"text": text} for text in LOOK_LIKE_MEDIA])
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_on_the_slow_way_too(encoder):
    fast = encoder.measure([text_item(text) for text in LOOK_LIKE_MEDIA], Task()).units
    slow = ModuleInputs(encoder._model)
    assert slow.features(LOOK_LIKE_MEDIA, Treatment(), None)["modality"] == "text"
    assert list(slow.measure(LOOK_LIKE_MEDIA, Treatment()).units) == list(fast)
