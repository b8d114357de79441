"""One joint framework over its own model: a tiny CLIP with random weights."""

from __future__ import annotations

import json

import numpy as np
import pytest

from llm_multi_core.embedder import Stamp, create_image_embedder, create_multimodal_embedder, create_text_embedder
from llm_multi_core.embedder.errors import IncompatibleSpacesError
from llm_multi_core.embedder.pipeline.pool import pool
from llm_multi_core.embedder.testing.media import synthesise

CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Writes the folder of a tiny model, as open_clip's `push_to_hf_hub` would leave it."""
    import torch
    from open_clip import create_model
    from safetensors.torch import save_file

    def write(seed):
        folder = tmp_path_factory.mktemp("clip")
        content = {"model_cfg": CONFIG, "preprocess_cfg": {}}
        (folder / "open_clip_config.json").write_text(json.dumps(content))
        torch.manual_seed(seed)
        model = create_model(f"local-dir:{folder}", load_weights=False)
        for weights in model.parameters():
            if weights.ndim > 1:
                torch.nn.init.normal_(weights, std=0.2)
        save_file(
            {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
            folder / "open_clip_model.safetensors",
        )
        return str(folder)

    return write(0), write(1)


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path, frameworks):
    from llm_multi_core.embedder.host import default_host

    monkeypatch.setenv(
        "LLM_MULTI_CORE_PLUGINS", "llm-multi-core-open-clip,llm-multi-core-sentence-transformers,digests"
    )
    monkeypatch.setenv("LLM_MULTI_CORE_CACHE_DIR", str(tmp_path / "cache"))
    default_host().refresh()


EXACT = {"device": "cpu", "precision": "float32"}


def held(folder):
    """How many loaded models of a folder there are."""
    return sum(handle.config.model == folder for handle in pool._handles.values())


def joined_apart(folder, inputs):
    """What an embedder of each modality makes of the same."""
    settings = EXACT | {"model": folder}
    with create_text_embedder("clip", **settings) as texts, create_image_embedder("clip", **settings) as images:
        assert texts.space.fingerprint == images.space.fingerprint
        assert held(folder) == 1
        return np.stack([(texts if isinstance(x, str) else images).embed(x, role="document") for x in inputs])


def test_texts_and_pictures_in_one_space_and_one_loaded_model(clip, picture):
    folder, _ = clip
    inputs = ["a dog", picture(1), "a cat", picture(2), "a dog"]
    with create_multimodal_embedder(framework="clip", model=folder, **EXACT) as embedder:
        assert embedder.modalities == embedder.joint_modalities == ("text", "image")
        joined = embedder.embed_joint(inputs, role="document")
        assert joined.shape == (5, 24)
        assert np.allclose(joined, joined_apart(folder, inputs), atol=1e-6)
        similarity = embedder.similarity("a dog", picture(1))
        assert similarity == pytest.approx(float(joined[0] @ joined[1]), abs=1e-5)
        assert (similarity.space, similarity.via) == (embedder.space, None)
    assert held(folder) == 0


def test_an_index_of_one_is_closed_to_another_of_the_same_shape(clip):
    with create_multimodal_embedder(framework="clip", model=clip[0], **EXACT) as embedder:
        stamp = Stamp.take(embedder)
        assert stamp.check(embedder) > 0.9999
    with (
        create_multimodal_embedder(framework="clip", model=clip[1], **EXACT) as other,
        pytest.raises(IncompatibleSpacesError, match="the probes for text agree only"),
    ):
        stamp.check(other)


def test_sounds_beside_it(clip, picture):
    """Audio has a framework of its own, and reaches no space of the two."""
    settings = {"audio_framework": "sounds", "joint_framework": "clip", "joint_model": clip[0]}
    with create_multimodal_embedder(**settings, **EXACT) as embedder:
        vectors = embedder.embed_batch(["a dog", picture(), synthesise(0.2)])
        assert [vector.shape for vector in vectors] == [(24,), (24,), (5,)]
        assert embedder.joint_modalities == ("text", "image")
        with pytest.raises(IncompatibleSpacesError, match="image and audio share no space"):
            embedder.similarity(picture(), synthesise(0.2))
