"""What the three encoders are together: one framework, three spaces, never a default."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llm_multi_core.embedder import (
    IncompatibleSpacesError,
    InvalidOptionError,
    ModelLoadError,
    UnsupportedDimensionsError,
    create_audio_embedder,
    create_image_embedder,
    create_text_embedder,
    get_available_embedders,
)

FACTORIES = {"text": create_text_embedder, "image": create_image_embedder, "audio": create_audio_embedder}
MODELS = {"text": "hashed-ngrams", "image": "hsv-hog", "audio": "mfcc-statistics"}


def test_available_for_every_modality():
    available = get_available_embedders()
    assert all(available[modality]["classic"] for modality in FACTORIES)


def test_modalities_are_not_joint():
    """Even of one dimension, their vectors are not compared."""
    text = create_text_embedder("classic", dimensions=449).space
    image, audio = create_image_embedder("classic").space, create_audio_embedder("classic").space
    assert not text.is_joint
    assert text.dimension == image.dimension
    for one, other in ((text, image), (image, audio), (text, audio)):
        with pytest.raises(IncompatibleSpacesError):
            one.require_same(other)


@pytest.mark.parametrize("modality", FACTORIES)
def test_settings_that_a_descriptor_lacks(modality):
    make = FACTORIES[modality]
    assert make("classic", MODELS[modality]).dimension == make("classic").dimension
    with pytest.raises(ModelLoadError, match=MODELS[modality]):
        make("classic", "resnet50").dimension  # noqa: B018
    with pytest.raises(InvalidOptionError, match="CPU"):
        make("classic", device="cuda").dimension  # noqa: B018
    with pytest.raises(InvalidOptionError, match="float32"):
        make("classic", precision="bfloat16").dimension  # noqa: B018


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_other_dimensions(modality):
    with pytest.raises(UnsupportedDimensionsError):
        FACTORIES[modality]("classic", dimensions=16).dimension  # noqa: B018


def test_needs_no_torch():
    code = """if True:
        import sys
        import numpy as np
        from llm_multi_core.embedder import create_audio_embedder, create_image_embedder, create_text_embedder
        create_image_embedder("classic").embed(np.zeros((9, 9, 3), np.uint8))
        create_audio_embedder("classic").embed(np.ones(999, np.float32))
        create_text_embedder("classic").embed("a text")
        assert not {"torch", "transformers", "timm"} & set(sys.modules)
    """
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
