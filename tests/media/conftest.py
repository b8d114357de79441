"""Embedders of images and sound over the fakes, and files for them."""

from __future__ import annotations

from typing import Any

import pytest

from llm_multi_core.embedder import (
    AudioEmbedder,
    ImageEmbedder,
    create_audio_embedder,
    create_image_embedder,
)
from llm_multi_core.embedder.frameworks import Offer
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.testing.media import (
    draw_picture,
    encode_sound,
    fake_audio_spec,
    fake_image_spec,
    media_plugin,
    synthesise,
)

SETTINGS: dict[str, Any] = {
    "model": None,
    "device": None,
    "precision": "auto",
    "dimensions": None,
    "force_dimensions": False,
    "normalize": True,
    "truncation": "warn",
    "batch_size": None,
    "cache": None,
    "api_key": None,
    "allow_urls": False,
}


@pytest.fixture
def media_frameworks(install_plugin):
    """Installs the frameworks `fake-image` and `fake-audio`."""
    install_plugin(
        "llm-multi-core-fake-media",
        entry_points={"fake-media": "fake_media_plugin"},
        modules={"fake_media_plugin": media_plugin()},
    )


@pytest.fixture
def images(media_frameworks):
    """Makes image embedders through the public factory."""
    made = []

    def make(**keywords) -> ImageEmbedder:
        made.append(create_image_embedder("fake-image", **keywords))
        return made[-1]

    yield make
    for embedder in made:
        embedder.close()


@pytest.fixture
def sounds(media_frameworks):
    """Makes audio embedders through the public factory."""
    made = []

    def make(**keywords) -> AudioEmbedder:
        made.append(create_audio_embedder("fake-audio", **keywords))
        return made[-1]

    yield make
    for embedder in made:
        embedder.close()


@pytest.fixture
def over():
    """Makes an embedder over an encoder class of a test."""
    made = []

    def make(encoder, kind=ImageEmbedder, **keywords):
        spec = (fake_image_spec if kind is ImageEmbedder else fake_audio_spec)(encoder)
        settings = {name: keywords.pop(name, default) for name, default in SETTINGS.items()}
        offer = Offer(spec, "llm-multi-core-fake-media", "0")
        made.append(kind(EmbedderSettings.check(offer, kind.modality, options=keywords, **settings)))
        return made[-1]

    yield make
    for embedder in made:
        embedder.close()


@pytest.fixture
def image_files(tmp_path):
    """Twelve pictures in files of several formats."""
    paths = []
    for seed in range(12):
        path = tmp_path / f"image_{seed}.{('jpg', 'png', 'webp', 'tiff')[seed % 4]}"
        draw_picture(60 + 9 * seed, 50 + 5 * seed, seed).save(path)
        paths.append(path)
    return paths


@pytest.fixture
def sound_files(tmp_path):
    """Eight recordings in files of several formats, rates and lengths."""
    paths = []
    for seed in range(8):
        rate = (16_000, 44_100, 8_000, 48_000)[seed % 4]
        container = ("WAV", "FLAC", "OGG", "WAV")[seed % 4]
        path = tmp_path / f"audio_{seed}.{container.lower()}"
        path.write_bytes(encode_sound(synthesise(0.2 + 0.1 * seed, rate, 300 + 90 * seed, seed), rate, container))
        paths.append(path)
    return paths
