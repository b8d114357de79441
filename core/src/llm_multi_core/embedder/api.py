"""The functions that users call first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder.embedders import TextEmbedder
from llm_multi_core.embedder.items import Modality
from llm_multi_core.embedder.settings import EmbedderSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_multi_core.embedder.host import Host
    from llm_multi_core.embedder.pipeline.cache import VectorCache
    from llm_multi_core.embedder.pipeline.window import TruncationPolicy


def create_text_embedder(
    framework: str | None = None,
    model: str | None = None,
    *,
    device: str | None = None,
    precision: str = "auto",
    dimensions: int | None = None,
    force_dimensions: bool = False,
    normalize: bool = True,
    truncation: TruncationPolicy = "warn",
    batch_size: int | None = None,
    cache: VectorCache | None = None,
    api_key: str | Callable[[], str] | Any = None,
    host: Host | None = None,
    **options: Any,
) -> TextEmbedder:
    """An embedder for text. Nothing is loaded or sent before its first use.

    Args:
        framework: a framework's name, or `distribution/name`; `None` is `"sentence-transformers"`.
        model: a model name or a local folder; `None` is the framework's default.
        device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`; `None` picks the best one.
        precision: `"auto"` computes in half precision where the hardware is made for it;
            `"float32"` reproduces the framework's own vectors; `"bfloat16"`, `"float16"`.
        dimensions: fewer components than the model's own, where the model allows it.
        force_dimensions: cut to `dimensions` even if the model is not known to allow it.
        normalize: bring vectors to length 1.
        truncation: what to do with texts beyond the model's limit: `"warn"` cuts and warns,
            `"error"`, `"truncate"` cuts silently (the report still tells), `"mean"` embeds the pieces
            and takes their length-weighted mean.
        batch_size: at most this many texts in one batch; by default the planner decides.
        cache: where vectors are kept between calls, such as `MemoryCache()`.
        api_key: a hosted framework's key: a string, a `SecretStr`, or a callable. By default the
            provider's environment variable is read.
        host: where plugins are looked up; by default all that are installed.
        **options: the framework's own options; `llm-multi-core frameworks` lists the frameworks.

    Raises:
        UnknownFrameworkError: no such framework for text; names the nearest.
        AmbiguousFrameworkError: two distributions offer it; names both.
        FrameworkUnavailableError: not installed; with the `pip install` line.
        PluginError: its plugin is broken.
        InvalidOptionError: a setting that the framework does not take.
        MissingCredentialsError: a hosted framework without a key.
    """
    if host is None:
        from llm_multi_core.embedder.host import default_host

        host = default_host()
    offer = host.find(framework, Modality.TEXT)
    settings = EmbedderSettings.check(
        offer,
        Modality.TEXT,
        model=model,
        device=device,
        precision=precision,
        dimensions=dimensions,
        force_dimensions=force_dimensions,
        normalize=normalize,
        truncation=truncation,
        batch_size=batch_size,
        cache=cache,
        api_key=api_key,
        options=options,
    )
    return TextEmbedder(settings)


def get_available_embedders() -> dict[str, dict[str, bool]]:
    """Whether each framework can be used here: `{"text": {name: bool}, "image": ..., "audio": ...}`.

    Decided from package metadata; nothing is imported.
    """
    from llm_multi_core.embedder.host import default_host

    return default_host().available()
