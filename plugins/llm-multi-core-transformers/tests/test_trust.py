"""Nothing of a model runs unasked: neither code in its folder nor a pickle, nor code within a pickle at any time."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from llm_multi_core.embedder import ModelLoadError, UntrustedCodeError, create_image_embedder, create_text_embedder

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
TOKENS = {"vocab_size": 400, "max_position_embeddings": 48}
SPECIAL = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
VISION = SIZES | {"image_size": 32, "patch_size": 8}
SIDE = {"height": 32, "width": 32}

TEXTS = ["river", "the whale in the harbour", "payment of the invoice"]
CASES = [
    ("huggingface", create_text_embedder, "Bert"),
    ("modernbert", create_text_embedder, "ModernBert"),
    ("vit", create_image_embedder, "ViT"),
    ("clip-transformers", create_text_embedder, "CLIP"),
    ("clip-transformers", create_image_embedder, "CLIP"),
]


@pytest.fixture
def pictures():
    draw = np.random.default_rng(5)
    return [Image.fromarray(draw.integers(0, 256, (20 * n, 30, 3), np.uint8)) for n in (1, 2, 3)]


@pytest.fixture
def build(tmp_path, save_backbone, save_tokenizer, widen):
    """The folder of a tiny model by the name of its kind."""

    def make(kind):
        import torch
        import transformers as t

        if kind == "Bert":
            return save_backbone(tmp_path, "BertConfig", "BertModel", "wordpiece", **SIZES, **TOKENS)
        if kind == "ModernBert":
            own = {"local_attention": 8, "pad_token_id": 1, "cls_token_id": 0, "sep_token_id": 2}
            return save_backbone(tmp_path, "ModernBertConfig", "ModernBertModel", "roberta", **SIZES, **TOKENS, **own)
        torch.manual_seed(31)
        if kind == "ViT":
            model, processor = t.ViTModel(t.ViTConfig(**VISION)), t.ViTImageProcessorPil(size=SIDE)
        else:
            text = SIZES | TOKENS | SPECIAL | {"projection_dim": 24}
            model = t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=24))
            processor = t.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SIDE)
            save_tokenizer(tmp_path, "roberta")
        widen(model).save_pretrained(tmp_path)
        processor.save_pretrained(tmp_path)
        return tmp_path

    return make


def embed(framework, create, folder, pictures, **options):
    with closing(create(framework, str(folder), device="cpu", precision="float32", **options)) as embedder:
        return embedder.embed_batch(TEXTS if create is create_text_embedder else pictures)


@pytest.mark.parametrize(("framework", "create", "kind"), CASES)
def test_code_in_the_folder(framework, create, kind, build, pictures):
    folder = build(kind)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "odd", "auto_map": {"AutoConfig": "odd.Config", "AutoModel": "odd.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "odd.py").write_text(f"open({str(folder / 'sprung')!r}, 'w')\n")
    of_its_kind_only = framework == "modernbert"
    with pytest.raises(
        ModelLoadError if of_its_kind_only else UntrustedCodeError,
        match="not ModernBERT" if of_its_kind_only else "trust_remote_code",
    ):
        embed(framework, create, folder, pictures)
    assert not (folder / "sprung").exists()


@pytest.mark.parametrize(("framework", "create", "kind"), CASES)
def test_pickled_weights(framework, create, kind, build, pictures, same_vectors):
    import torch
    from safetensors.torch import load_file

    folder = build(kind)
    expected = embed(framework, create, folder, pictures)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelLoadError, match=r"pytorch_model\.bin.*allow_pickle=True"):
        embed(framework, create, folder, pictures)
    same_vectors(embed(framework, create, folder, pictures, allow_pickle=True), expected)


@pytest.mark.parametrize(("framework", "create", "kind"), CASES)
def test_code_in_a_pickle(framework, create, kind, build, pictures):
    import torch

    class Trap:
        def __reduce__(self):
            return Path.touch, (folder / "sprung",)

    folder = build(kind)
    (folder / "model.safetensors").unlink()
    torch.save({"embeddings.weight": Trap()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelLoadError):
        embed(framework, create, folder, pictures, allow_pickle=True)
    assert not (folder / "sprung").exists()
