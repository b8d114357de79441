"""OpenVINO against torch, and torch in another layout and precision."""

from __future__ import annotations

import numpy as np
import pytest

from llm_multi_core.embedder import create_image_embedder
from llm_multi_core_timm.plugin import OPTIONS
from llm_multi_core_torch import ENGINE_OPTION


def test_the_option_is_everywhere_the_same():
    assert ENGINE_OPTION in OPTIONS


@pytest.mark.parametrize(("name", "extraction"), [("vit", "auto"), ("resnet", "multi-level")])
def test_openvino(model_folder, pictures, name, extraction):
    pytest.importorskip("openvino")
    make = {"device": "cpu", "precision": "float32", "extraction": extraction}
    folder = str(model_folder(name))
    with (
        create_image_embedder("timm", folder, engine="openvino", **make) as converted,
        create_image_embedder("timm", folder, engine="torch", **make) as torch_itself,
    ):
        ours, theirs = converted.embed_batch(pictures), torch_itself.embed_batch(pictures)
        assert converted.space.fingerprint == torch_itself.space.fingerprint
    assert (ours * theirs).sum(axis=1).min() >= 0.999
    assert np.abs(ours - theirs).max() < 1e-3


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_bfloat16(model_folder, pictures, name):
    make = {"device": "cpu", "engine": "torch"}
    with (
        create_image_embedder("timm", str(model_folder(name)), precision="bfloat16", **make) as half,
        create_image_embedder("timm", str(model_folder(name)), precision="float32", **make) as full,
    ):
        assert (half.embed_batch(pictures) * full.embed_batch(pictures)).sum(axis=1).min() >= 0.99
