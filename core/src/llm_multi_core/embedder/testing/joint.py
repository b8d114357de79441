"""A joint space without a model: the fakes of images and sound, carried into that of a text framework at random.

Random projections keep what is near near (Johnson and Lindenstrauss, 1984), so that a picture still
finds itself among many. Nothing is known of what a picture and a text have in common.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from llm_multi_core.embedder.analysis.alignment import Alignment
from llm_multi_core.embedder.api import create_audio_embedder, create_image_embedder, create_text_embedder
from llm_multi_core.embedder.multimodal import MultiModalEmbedder
from llm_multi_core.embedder.multimodal_api import create_multimodal_embedder
from llm_multi_core.embedder.spaces import Space


def random_alignment(source: Space, target: Space, seed: int = 0) -> Alignment:
    """A map whose matrix is drawn from a normal distribution."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(source.dimension, target.dimension)) / np.sqrt(source.dimension)
    return Alignment(
        source=source,
        target=target,
        matrix=matrix.astype(np.float32),
        source_offset=np.zeros(source.dimension, np.float32),
        target_offset=np.zeros(target.dimension, np.float32),
        method="ridge",
        pairs=2,
    )


def random_joint_embedder(
    text_framework: str = "fake",
    image_framework: str = "fake-image",
    audio_framework: str = "fake-audio",
    *,
    seed: int = 0,
    **settings: Any,
) -> MultiModalEmbedder:
    """A multimodal embedder whose images and sounds come into the space of its texts by random maps.

    Args:
        text_framework: a framework for texts.
        image_framework: one for images.
        audio_framework: one for sound.
        seed: of the maps.
        **settings: of `create_multimodal_embedder`.
    """
    with (
        create_text_embedder(text_framework, **dict(settings.get("text") or {})) as text,
        create_image_embedder(image_framework, **dict(settings.get("image") or {})) as image,
        create_audio_embedder(audio_framework, **dict(settings.get("audio") or {})) as audio,
    ):
        alignment = [random_alignment(media.space, text.space, seed) for media in (image, audio)]
    return create_multimodal_embedder(text_framework, image_framework, audio_framework, alignment=alignment, **settings)
