"""Tiny CLIP models with random weights, one folder each, and inputs to try them with."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SPREADS = {"resnet": 0.6}
"""Standard deviation of random weights of the image tower, 0.2 if not named here and for the text tower: wide, so
that different inputs get different vectors."""

WORDS = (  # noqa: SIM905 - reads better than a list of quoted words
    "the a of and in is river mountain engine invoice lighthouse python vector weather kitchen violin harbour "
    "glacier notebook committee volcano protein semaphore orchard whale copper photo dog"
).split()

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
VISION = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
SIGLIP_IMAGE = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic", "resize_mode": "squash"}

CONFIGS: dict[str, dict[str, Any]] = {
    "vit": {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT},
    "quickgelu": {"embed_dim": 24, "quick_gelu": True, "vision_cfg": VISION, "text_cfg": TEXT},
    "oblong": {"embed_dim": 24, "vision_cfg": VISION | {"image_size": [24, 40]}, "text_cfg": TEXT},
    "resnet": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64, "patch_size": None},
        "text_cfg": TEXT,
    },
    "coca": {
        "embed_dim": 24,
        "custom_text": True,
        "vision_cfg": VISION
        | {"attentional_pool": True, "attn_pooler_heads": 2, "attn_pooler_queries": 8, "output_tokens": True},
        "text_cfg": TEXT | {"context_length": 30, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": TEXT | {"context_length": 30, "attn_pooler_heads": 2},
    },
    "siglip": {
        "embed_dim": 32,
        "custom_text": True,
        "init_logit_bias": -10,
        "vision_cfg": VISION | {"pool_type": "avg"},
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 256,
            "hf_tokenizer_name": "timm/nowhere",
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "width": 32,
            "heads": 2,
            "layers": 2,
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
        },
    },
    "eva": {
        "embed_dim": 24,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 224,
            "timm_model_name": "eva02_tiny_patch14_224",
            "timm_pool": "token",
            "timm_proj": None,
        },
        "text_cfg": TEXT,
    },
    "bert": {
        "embed_dim": 24,
        "vision_cfg": VISION,
        "text_cfg": {
            "context_length": 20,
            "hf_model_name": "tower",
            "hf_tokenizer_name": "nobody/nowhere",
            "hf_proj_type": "linear",
            "hf_pooler_type": "mean_pooler",
        },
    },
}
IMAGE = {"siglip": SIGLIP_IMAGE, "oblong": {"resize_mode": "longest", "fill_color": 7}}
MODELS = tuple(CONFIGS)


@pytest.fixture(autouse=True, scope="session")
def _no_hub() -> Iterator[None]:
    """Nothing here may reach the network."""
    from huggingface_hub import constants

    patch = pytest.MonkeyPatch()
    patch.setattr(constants, "HF_HUB_OFFLINE", True)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes are not to be remembered beyond the tests."""
    monkeypatch.setenv("LLM_MULTI_CORE_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model by its name; made when first asked for."""
    root = tmp_path_factory.mktemp("models")

    @cache
    def build(name: str) -> Path:
        return write_model(root / name, CONFIGS[name], IMAGE.get(name, {}), SPREADS.get(name, 0.2))

    return build


def write_model(
    folder: Path, config: dict[str, Any], image: dict[str, Any], spread: float = 0.2, seed: int = 5
) -> Path:
    """A model as open_clip's `push_to_hf_hub` would leave it, with random weights."""
    import torch
    from open_clip import create_model
    from safetensors.torch import save_file

    folder.mkdir()
    if "hf_tokenizer_name" in config["text_cfg"]:
        _write_tokenizer(folder, ends_only=config["text_cfg"].get("no_causal_mask", False))
    if "hf_model_name" in config["text_cfg"]:
        config = {**config, "text_cfg": config["text_cfg"] | {"hf_model_name": _write_bert(folder / "tower")}}
    content = {"model_cfg": config, "preprocess_cfg": image}
    (folder / "open_clip_config.json").write_text(json.dumps(content), encoding="utf-8")
    model = create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    generator = torch.Generator().manual_seed(5)
    state = {}
    for name, tensor in model.state_dict().items():
        drawn = torch.randn(tensor.shape, generator=generator) * (spread if name.startswith("visual.") else 0.2)
        if not tensor.is_floating_point():
            drawn = tensor
        elif name.endswith("running_var"):
            drawn = 1 + drawn.abs()
        elif tensor.ndim == 1 and name.endswith("weight"):  # of normalisations
            drawn = 1 + drawn
        state[name] = drawn.contiguous()
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


def _write_tokenizer(folder: Path, *, ends_only: bool) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = ["<pad>", "</s>", "<s>", "<unk>", *map(chr, range(33, 127)), *WORDS]
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>" if ends_only else "<s> $A </s>", special_tokens=[("</s>", 1), ("<s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", padding_side="right"
    ).save_pretrained(folder)


def _write_bert(folder: Path) -> str:
    from transformers import BertConfig

    BertConfig(
        vocab_size=256,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=32,
        pad_token_id=0,
    ).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def reference() -> Callable[[Path], tuple[Any, Any, Any]]:
    """The same folder, used as open_clip's own examples do: the model, its preprocessing, its tokenizer."""
    import open_clip

    @cache
    def load(folder: Path) -> tuple[Any, Any, Any]:
        name = f"local-dir:{folder}"
        model, _, preprocess = open_clip.create_model_and_transforms(name)
        return model.eval(), preprocess, open_clip.get_tokenizer(name)

    return load


@pytest.fixture(scope="session")
def pictures() -> list[Any]:
    """Pictures of many shapes: upright and oblong, smaller and larger than what models take."""
    from PIL import Image

    draw = np.random.default_rng(3)
    made = []
    for width, height in [(32, 32), (64, 48), (48, 64), (20, 20), (200, 31), (31, 200), (100, 100), (33, 32)] * 2:
        ramp = np.linspace(0, 1, width)[None, :, None] * draw.uniform(-200, 200, 3)
        ramp = ramp + np.linspace(0, 1, height)[:, None, None] * draw.uniform(-200, 200, 3) + draw.uniform(0, 255, 3)
        noise = draw.normal(0, draw.uniform(2, 60), (height, width, 3))
        made.append(Image.fromarray(np.clip(ramp + noise, 0, 255).astype(np.uint8)))
    return made


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Texts: short, long, over every tiny model's limit, empty, in other scripts, with markup."""
    draw = random.Random(7)
    made = [" ".join(draw.choices(WORDS, k=length)) for length in (1, 2, 3, 5, 8, 13, 21, 34, 90, 150) for _ in "ab"]
    made += ["photo.png", "https://example.org/cat.jpg", "data:image/png;base64,AAAA", "/etc/hostname"]
    made += ["Größe, naïve café!", "量子力学の本", "line\nbreak\tand tab", "a &amp; b &lt;i&gt;", "  padded  ", "🌱"]
    made += ["", "<end_of_text> river", "river"]
    draw.shuffle(made)
    return made
