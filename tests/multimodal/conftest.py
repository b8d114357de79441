"""Frameworks whose vectors follow from content alone, of every constellation, and media in every form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_multi_core.embedder import MultiModalEmbedder, create_multimodal_embedder
from llm_multi_core.embedder.testing.media import draw_picture, encode_sound, synthesise

HERE = Path(__file__).parent


@pytest.fixture
def here() -> Path:
    """This folder, where the fakes are."""
    return HERE


@pytest.fixture(autouse=True)
def frameworks(install_plugin: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs the fakes; the module in which they keep what they were asked."""
    monkeypatch.setenv("LLM_MULTI_CORE_PLUGINS", "digests,llm-multi-core-sentence-transformers,llm-multi-core-classic")
    modules = {name: (HERE / f"{name}.py").read_text() for name in ("digests", "digests_plugin")}
    install_plugin("digests", entry_points={"digests": "digests_plugin"}, modules=modules)
    return import_module("digests")


@pytest.fixture
def make() -> Iterator[Callable[..., MultiModalEmbedder]]:
    """Makes multimodal embedders, and closes them."""
    made = []

    def build(*frameworks: Any, **settings: Any) -> MultiModalEmbedder:
        made.append(create_multimodal_embedder(*frameworks, **settings))
        return made[-1]

    yield build
    for embedder in made:
        embedder.close()


@pytest.fixture
def picture() -> Callable[..., Any]:
    """A small picture by its seed."""
    return lambda seed=0: draw_picture(20 + seed, 16, seed)


@pytest.fixture
def sound() -> Callable[..., np.ndarray]:
    """A recording at 16 kHz, of 0.1 s and more, by its seed."""
    return lambda seed=0: synthesise(0.1 + 0.01 * seed, pitch=200.0 + 50 * seed, seed=seed)


@pytest.fixture
def media(tmp_path: Path, picture: Callable[..., Any], sound: Callable[..., np.ndarray]) -> dict[str, Path]:
    """A picture and a recording as files."""
    files = {"image": tmp_path / "cat.png", "audio": tmp_path / "meow.wav"}
    picture(1).save(files["image"])
    files["audio"].write_bytes(encode_sound(sound(1)))
    return files
