"""What the tests of the adapter share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler

from llama_index.embeddings.llm_multi_core import MultiCoreMultiModalEmbedding
from llm_multi_core.embedder import (
    MultiModalEmbedder,
    create_audio_embedder,
    create_image_embedder,
    create_text_embedder,
)
from llm_multi_core.embedder.testing.joint import random_alignment
from llm_multi_core.embedder.testing.media import (
    draw_picture,
    encode_picture,
    encode_sound,
    media_plugin,
    synthesise,
)

KEYED_PLUGIN = """
from llm_multi_core.embedder import Credentials, FrameworkSpec, hookimpl
from llm_multi_core.embedder.testing.fakes import FAKE_OPTIONS, FakeHostedEncoder

CREDENTIALS = Credentials(("KEYED_API_KEY",))


class KeyedEncoder(FakeHostedEncoder):
    def load(self):
        CREDENTIALS.require(self.config.secret, "keyed")


@hookimpl
def llm_multi_core_frameworks():
    return [
        FrameworkSpec(
            name="keyed",
            modalities=("text",),
            target="llm_multi_core_keyed:KeyedEncoder",
            default_model={"text": "keyed-small"},
            options=FAKE_OPTIONS,
            hosted=True,
            credentials=CREDENTIALS,
        )
    ]
"""

BY_MODEL_PLUGIN = """
from llm_multi_core.embedder import FrameworkSpec, hookimpl
from llm_multi_core.embedder.testing.fakes import FAKE_OPTIONS, FakeTextEncoder, fake_vector


class ByModelEncoder(FakeTextEncoder):
    def vectors(self, items, task):
        return super().vectors(items, task) + fake_vector(self.config.model, self.describe().space.dimension)


@hookimpl
def llm_multi_core_frameworks():
    target = "llm_multi_core_by_model:ByModelEncoder"
    return [FrameworkSpec("by-model", ("text",), target, options=FAKE_OPTIONS, default_model={"text": "small"})]
"""


@pytest.fixture
def framework_by_model(install_plugin: Callable[..., None]) -> str:
    """Installs a fake whose vectors depend on the model's name, too."""
    install_plugin(
        "llm-multi-core-by-model",
        entry_points={"by-model": "llm_multi_core_by_model"},
        modules={"llm_multi_core_by_model": BY_MODEL_PLUGIN},
    )
    return "by-model"


@pytest.fixture
def keyed_framework(install_plugin: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> str:
    """Installs a hosted fake that needs a key, and takes the key out of the environment."""
    monkeypatch.delenv("KEYED_API_KEY", raising=False)
    install_plugin(
        "llm-multi-core-keyed",
        entry_points={"keyed": "llm_multi_core_keyed"},
        modules={"llm_multi_core_keyed": KEYED_PLUGIN},
    )
    return "keyed"


@pytest.fixture(autouse=True)
def on_this_machine(only_loopback: list[str]) -> list[str]:
    """No test of the adapter reaches beyond this machine."""
    return only_loopback


class MakeMedia:
    """Makes pictures and recordings in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def picture(self, name: str = "picture.png", seed: int = 0) -> Path:
        path = self.folder / name
        path.write_bytes(encode_picture(draw_picture(seed=seed), "PNG" if name.endswith("png") else "JPEG"))
        return path

    def sound(self, name: str = "sound.wav", pitch: float = 440.0, seconds: float = 0.3) -> Path:
        path = self.folder / name
        path.write_bytes(encode_sound(synthesise(seconds, pitch=pitch)))
        return path

    def text(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        return path


@pytest.fixture
def media(tmp_path: Path) -> MakeMedia:
    return MakeMedia(tmp_path / "media")


@pytest.fixture
def joint(fake_framework: str, install_plugin: Callable[..., None]) -> Callable[..., MultiCoreMultiModalEmbedding]:
    """Makes embeddings whose images and sounds come into the space of the fake texts by random maps."""
    install_plugin(
        "llm-multi-core-fake-media",
        entry_points={"media": "llm_multi_core_fake_media"},
        modules={"llm_multi_core_fake_media": media_plugin()},
    )

    def make(seed: int = 0, **settings: Any) -> MultiCoreMultiModalEmbedding:
        text = {"dimension": 32, "roles": True, **settings.pop("text", {})}
        with (
            create_text_embedder("fake", **text) as texts,
            create_image_embedder("fake-image") as images,
            create_audio_embedder("fake-audio") as sounds,
        ):
            maps = [random_alignment(one.space, texts.space, seed) for one in (images, sounds)]
        settings = {"alignment": maps, **settings}
        return MultiCoreMultiModalEmbedding("fake", "fake-image", "fake-audio", text=text, **settings)

    return make


@pytest.fixture
def embedding(joint: Callable[..., MultiCoreMultiModalEmbedding]) -> MultiCoreMultiModalEmbedding:
    return joint()


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """What multimodal embedders were given, call by call."""
    calls: list[list[Any]] = []
    embed, aembed = MultiModalEmbedder.embed_joint, MultiModalEmbedder.aembed_joint

    def counting(self: MultiModalEmbedder, xs: Any, *arguments: Any, **keywords: Any) -> Any:
        calls.append(list(xs))
        return embed(self, calls[-1], *arguments, **keywords)

    async def acounting(self: MultiModalEmbedder, xs: Any, *arguments: Any, **keywords: Any) -> Any:
        calls.append(list(xs))
        return await aembed(self, calls[-1], *arguments, **keywords)

    monkeypatch.setattr(MultiModalEmbedder, "embed_joint", counting)
    monkeypatch.setattr(MultiModalEmbedder, "aembed_joint", acounting)
    return calls


@pytest.fixture
def outcome() -> Callable[..., Any]:
    """Calls a method of either kind, and gives its result when that is awaited."""

    async def call(method: Callable[..., Any], *arguments: Any) -> Any:
        result = method(*arguments)
        return await result if inspect.isawaitable(result) else result

    return call


class Recorded(BaseEventHandler):
    """The events and spans of instrumentation."""

    events: list[Any] = []
    spans: SimpleSpanHandler = SimpleSpanHandler()

    def handle(self, event: Any, **_: Any) -> None:
        self.events.append(event)

    def names(self, spans: list[Any]) -> list[str]:
        return [span.id_.partition("-")[0] for span in spans]


@pytest.fixture
def recorded():
    recorder = Recorded(events=[], spans=SimpleSpanHandler())
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(recorder)
    dispatcher.add_span_handler(recorder.spans)
    yield recorder
    dispatcher.event_handlers.remove(recorder)
    dispatcher.span_handlers.remove(recorder.spans)
