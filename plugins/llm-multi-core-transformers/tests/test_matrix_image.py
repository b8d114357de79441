"""Image parity, architecture by architecture and extraction by extraction, against transformers itself.

One case per code path runs by default, all of them with `-m "matrix or not matrix"`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image

from llm_multi_core.embedder import create_image_embedder

WIDTH, SIDE, LAYERS = 32, 32, 5

_VIT = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": SIDE,
    "patch_size": 8,
}
_DINO = {key: value for key, value in _VIT.items() if key != "intermediate_size"} | {"mlp_ratio": 2}
_MAE = _VIT | {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
_SWIN = {
    "image_size": SIDE,
    "patch_size": 2,
    "embed_dim": 8,
    "depths": [1, 1, 1],
    "num_heads": [2, 2, 4],
    "window_size": 4,
}
_CVT = {"embed_dim": [8, 16, 32], "depth": [1, 2, 3], "num_heads": [1, 2, 4]}
_CONVNEXT = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "image_size": SIDE}


@dataclass(frozen=True)
class Architecture:
    """One row of the matrix: an architecture and what is extracted from it."""

    name: str
    config: str
    model: str
    processor: str
    settings: dict
    extraction: str
    prefix: int = 1
    call: dict = field(default_factory=dict)
    always: bool = False

    @property
    def id(self):
        return f"{self.name}, {self.extraction}"


def _rows(name, config, model, processor, settings, extractions, *, always=(), **rest):
    return [
        Architecture(name, config, model, processor, settings, extraction, always=extraction in always, **rest)
        for extraction in extractions
    ]


_ALL = ("cls", "mean", "attention", "multi-layer")
ARCHITECTURES = (
    *_rows("ViT", "ViTConfig", "ViTModel", "ViTImageProcessorPil", _VIT, _ALL, always=_ALL),
    *_rows("DeiT", "DeiTConfig", "DeiTModel", "DeiTImageProcessorPil", _VIT, _ALL, prefix=2, always=("mean",)),
    *_rows("DINO", "ViTConfig", "ViTModel", "ViTImageProcessorPil", _VIT | {"qkv_bias": False}, ("cls",)),
    *_rows("DINOv2", "Dinov2Config", "Dinov2Model", "BitImageProcessorPil", _DINO, _ALL),
    *_rows(
        "DINOv2 with registers",
        "Dinov2WithRegistersConfig",
        "Dinov2WithRegistersModel",
        "BitImageProcessorPil",
        _DINO | {"num_register_tokens": 3},
        ("mean", "attention"),
        prefix=4,
    ),
    *_rows(
        "BEiT",
        "BeitConfig",
        "BeitModel",
        "BeitImageProcessorPil",
        _VIT | {"use_absolute_position_embeddings": True, "use_mean_pooling": False},
        _ALL,
    ),
    *_rows(
        "MAE", "ViTMAEConfig", "ViTMAEModel", "ViTImageProcessorPil", _MAE, _ALL, call={"mae": True}, always=("cls",)
    ),
    *_rows(
        "Swin",
        "SwinConfig",
        "SwinModel",
        "ViTImageProcessorPil",
        _SWIN,
        ("mean", "multi-layer"),
        prefix=0,
        always=("multi-layer",),
    ),
    *_rows("Swin v2", "Swinv2Config", "Swinv2Model", "ViTImageProcessorPil", _SWIN, ("mean", "multi-layer"), prefix=0),
    *_rows(
        "CvT",
        "CvtConfig",
        "CvtModel",
        "ConvNextImageProcessorPil",
        _CVT,
        ("cls", "mean", "multi-layer"),
        prefix=0,
        always=("cls",),
    ),
    *_rows(
        "ConvNeXt",
        "ConvNextConfig",
        "ConvNextModel",
        "ConvNextImageProcessorPil",
        _CONVNEXT,
        ("mean",),
        prefix=0,
        always=("mean",),
    ),
)


def cases():
    return [pytest.param(row, id=row.id, marks=() if row.always else pytest.mark.matrix) for row in ARCHITECTURES]


@pytest.fixture(scope="session")
def images():
    """Images of all sizes and shapes, some of one colour, some of noise, with a duplicate."""
    draw = np.random.default_rng(5)
    sizes = [(32, 32), (64, 48), (31, 77), (200, 33), (120, 120), (9, 9), (3, 40), (1, 1)]
    made = [Image.fromarray(draw.integers(0, 256, (height, width, 3), np.uint8)) for width, height in sizes]
    made += [Image.new("RGB", (50, 40), colour) for colour in ("red", "navy", "white")]
    return [*made, made[2].copy()]


def save(folder, row, widen):
    import torch
    import transformers

    torch.manual_seed(21)
    widen(getattr(transformers, row.model)(getattr(transformers, row.config)(**row.settings))).save_pretrained(folder)
    size = {"shortest_edge": SIDE} if row.processor.startswith(("Bit", "ConvNext")) else {"height": SIDE, "width": SIDE}
    settings = {"size": size, "do_center_crop": row.processor.startswith("Bit")}
    settings["crop_size"] = {"height": SIDE, "width": SIDE}
    getattr(transformers, row.processor)(**settings).save_pretrained(folder)
    return folder


def reference(folder, row, images):
    """One image at a time, extracted by the textbook; the states of layers are taken by hooks."""
    import torch
    from transformers import AutoImageProcessor, AutoModel

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    mae = {"mask_ratio": 0.0} if row.call else {}
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", **mae).eval()
    rows = []
    for image in images:
        pixels = processor(images=image, return_tensors="pt")["pixel_values"]
        arguments = {"output_attentions": True} if row.extraction == "attention" else {}
        if row.call:
            arguments["noise"] = torch.arange((SIDE // 8) ** 2).float()[None]
        with torch.inference_mode(), states_of_layers(model, row) as layers:
            output = model(pixels, **arguments)
            rows.append(textbook(row, model, output, layers).numpy())
    return np.stack(rows)


class states_of_layers:  # noqa: N801 - reads as a function
    """What comes out of each layer or stage, in a list."""

    def __init__(self, model, row):
        inner = getattr(model, "encoder", model)
        layers = getattr(inner, "layers", None) or getattr(inner, "layer", None) or inner.stages
        self.states = []
        self.handles = [layer.register_forward_hook(self.keep) for layer in layers]

    def keep(self, module, arguments, output):
        self.states.append(output[0] if isinstance(output, tuple) else output)

    def __enter__(self):
        return self.states

    def __exit__(self, *exception):
        for handle in self.handles:
            handle.remove()


def textbook(row, model, output, layers):
    import torch

    last = output.last_hidden_state[0]
    if row.extraction == "cls":
        return output.cls_token_value[0, 0] if row.name == "CvT" else last[0]
    if row.extraction == "mean":
        if row.name == "ConvNeXt":
            return output.pooler_output[0]
        return last.mean((1, 2)) if last.ndim == 3 else last[row.prefix :].mean(0)
    if row.extraction == "attention":
        weights = output.attentions[-1][0].mean(0)[0, row.prefix :]
        return (weights / weights.sum()) @ last[row.prefix :]
    if row.name == "CvT":
        return torch.cat([*(state[0].mean((1, 2)) for state in layers[:-1]), last.mean((1, 2))])
    if row.name.startswith("Swin"):
        return torch.cat([*(state[0].mean(0) for state in layers[:-1]), last.mean(0)])
    return torch.cat([model.layernorm(state)[0, 0] for state in layers[-4:]])


@pytest.mark.parametrize("row", cases())
def test_vectors_equal_those_of_transformers(row, tmp_path, widen, images, parity):
    folder = save(tmp_path, row, widen)
    settings = {"device": "cpu", "precision": "float32", "extraction": row.extraction}
    with closing(create_image_embedder("vit", str(folder), **settings)) as embedder:
        expected = reference(folder, row, images)
        parity.check(embedder, images, expected, architecture=row.name, variant=row.extraction)
