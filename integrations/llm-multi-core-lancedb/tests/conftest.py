"""What the tests of the LanceDB function share: fakes of three modalities in one space, media, local databases."""

from __future__ import annotations

import lancedb
import pytest

from llm_multi_core.embedder import create_audio_embedder, create_image_embedder, create_text_embedder
from llm_multi_core.embedder.testing.joint import random_alignment
from llm_multi_core.embedder.testing.media import (
    draw_picture,
    encode_picture,
    encode_sound,
    media_plugin,
    synthesise,
)
from llm_multi_core_lancedb import MultiCoreEmbeddingFunction

TEXT = {"dimension": 32, "roles": True}


@pytest.fixture(autouse=True)
def on_this_machine(only_loopback):
    return only_loopback


@pytest.fixture
def joint(fake_framework, install_plugin, tmp_path):
    """Makes functions of fakes, with alignments that are saved and can be made again."""
    install_plugin(
        "llm-multi-core-fake-media",
        entry_points={"media": "llm_multi_core_fake_media"},
        modules={"llm_multi_core_fake_media": media_plugin()},
    )

    def make(seed=0, **settings):
        text = {**TEXT, **settings.pop("text", {})}
        with (
            create_text_embedder("fake", **text) as texts,
            create_image_embedder("fake-image") as images,
            create_audio_embedder("fake-audio") as sounds,
        ):
            paths = [str(tmp_path / f"{name}-{seed}-{texts.dimension}.safetensors") for name in ("image", "audio")]
            for path, one in zip(paths, (images, sounds), strict=True):
                random_alignment(one.space, texts.space, seed).save(path)
        named = {"text_framework": "fake", "image_framework": "fake-image", "audio_framework": "fake-audio"}
        return MultiCoreEmbeddingFunction.create(**{**named, "text": text, "alignment": paths, **settings})

    return make


@pytest.fixture
def database(tmp_path):
    """Opens the database, as another process would."""
    return lambda: lancedb.connect(tmp_path / "store")


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_bytes(encode_picture(draw_picture(seed=number)))
    return paths


@pytest.fixture
def sounds(tmp_path):
    paths = [tmp_path / f"{number}.wav" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_bytes(encode_sound(synthesise(0.3, pitch=200.0 + 120 * number)))
    return paths
