"""The functions that users call first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.errors import InvalidOptionError
from llm_multi_core.embedder.modalities import AudioEmbedder, ImageEmbedder, TextEmbedder
from llm_multi_core.embedder.settings import EmbedderSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_multi_core.embedder.host import Host
    from llm_multi_core.embedder.pipeline.cache import VectorCache
    from llm_multi_core.embedder.pipeline.call import TruncationPolicy

EmbedderT = TypeVar("EmbedderT", bound="BaseEmbedder[Any]")


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
        truncation: what to do with text beyond the model's limit: `"warn"` cuts and warns,
            `"error"`, `"truncate"` cuts silently (the report still tells), `"mean"` embeds the pieces
            and takes their length-weighted mean.
        batch_size: at most this many inputs in one batch; by default the planner decides.
        cache: where vectors are kept between calls, such as `MemoryCache()`.
        api_key: a hosted framework's key: a string, a `SecretStr`, or a callable. By default the
            provider's environment variable is read.
        host: where plugins are looked up; by default all that are installed.
        **options: the framework's own options; `llm-multi-core models FRAMEWORK` lists them.

    Raises:
        UnknownFrameworkError: no such framework for text; names the nearest.
        AmbiguousFrameworkError: two distributions offer it; names both.
        FrameworkUnavailableError: not installed; with the `pip install` line.
        PluginError: its plugin is broken.
        InvalidOptionError: a setting that the framework does not take.
        MissingCredentialsError: a hosted framework without a key.
    """
    return _create(
        TextEmbedder,
        host,
        framework,
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


def create_image_embedder(
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
    allow_urls: bool = False,
    host: Host | None = None,
    **options: Any,
) -> ImageEmbedder:
    """An embedder for images. Nothing is loaded or sent before its first use.

    Takes PIL images, paths, URLs, bytes, binary files and arrays `(height, width[, channels])`.

    Args:
        framework: a framework's name, or `distribution/name`; `None` is `"clip"`.
        model: a model name or a local folder; `None` is the framework's default.
        device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`; `None` picks the best one.
        precision: `"auto"` computes in half precision where the hardware is made for it;
            `"float32"` reproduces the framework's own vectors; `"bfloat16"`, `"float16"`.
        dimensions: fewer components than the model's own, where the model allows it.
        force_dimensions: cut to `dimensions` even if the model is not known to allow it.
        normalize: bring vectors to length 1.
        truncation: what to do with images beyond the model's limit: `"warn"` cuts and warns,
            `"error"`, `"truncate"` cuts silently (the report still tells), `"mean"` embeds the pieces
            and takes their length-weighted mean.
        batch_size: at most this many inputs in one batch; by default the planner decides.
        cache: where vectors are kept between calls, such as `MemoryCache()`.
        api_key: a hosted framework's key: a string, a `SecretStr`, or a callable. By default the
            provider's environment variable is read.
        allow_urls: fetch http(s) URLs, though never from addresses that are not public; by default
            URLs are refused.
        host: where plugins are looked up; by default all that are installed.
        **options: the framework's own options; `llm-multi-core models FRAMEWORK` lists them.

    Raises:
        UnknownFrameworkError: no such framework for images; names the nearest.
        AmbiguousFrameworkError: two distributions offer it; names both.
        FrameworkUnavailableError: not installed; with the `pip install` line.
        PluginError: its plugin is broken.
        InvalidOptionError: a setting that the framework does not take.
        MissingCredentialsError: a hosted framework without a key.
    """
    return _create(
        ImageEmbedder,
        host,
        framework,
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
        allow_urls=allow_urls,
    )


def create_audio_embedder(
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
    allow_urls: bool = False,
    host: Host | None = None,
    **options: Any,
) -> AudioEmbedder:
    """An embedder for audio. Nothing is loaded or sent before its first use.

    Takes paths, URLs, bytes, binary files, arrays `(frames[, channels])` and pairs of an array and its
    sample rate.

    Args:
        framework: a framework's name, or `distribution/name`; `None` is `"wav2vec2"`.
        model: a model name or a local folder; `None` is the framework's default.
        device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`; `None` picks the best one.
        precision: `"auto"` computes in half precision where the hardware is made for it;
            `"float32"` reproduces the framework's own vectors; `"bfloat16"`, `"float16"`.
        dimensions: fewer components than the model's own, where the model allows it.
        force_dimensions: cut to `dimensions` even if the model is not known to allow it.
        normalize: bring vectors to length 1.
        truncation: what to do with audio beyond the model's limit: `"warn"` cuts and warns,
            `"error"`, `"truncate"` cuts silently (the report still tells), `"mean"` embeds the pieces
            and takes their length-weighted mean.
        batch_size: at most this many inputs in one batch; by default the planner decides.
        cache: where vectors are kept between calls, such as `MemoryCache()`.
        api_key: a hosted framework's key: a string, a `SecretStr`, or a callable. By default the
            provider's environment variable is read.
        allow_urls: fetch http(s) URLs, though never from addresses that are not public; by default
            URLs are refused.
        host: where plugins are looked up; by default all that are installed.
        **options: the framework's own options; `llm-multi-core models FRAMEWORK` lists them.

    Raises:
        UnknownFrameworkError: no such framework for audio; names the nearest.
        AmbiguousFrameworkError: two distributions offer it; names both.
        FrameworkUnavailableError: not installed; with the `pip install` line.
        PluginError: its plugin is broken.
        InvalidOptionError: a setting that the framework does not take.
        MissingCredentialsError: a hosted framework without a key.
    """
    return _create(
        AudioEmbedder,
        host,
        framework,
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
        allow_urls=allow_urls,
    )


def get_available_embedders() -> dict[str, dict[str, bool]]:
    """Whether each framework can be used here: `{"text": {name: bool}, "image": ..., "audio": ...}`.

    Decided from package metadata; nothing is imported.
    """
    from llm_multi_core.embedder.host import default_host

    return default_host().available()


def _create(kind: type[EmbedderT], host: Host | None, framework: str | None, **settings: Any) -> EmbedderT:
    from llm_multi_core.embedder.host import Host, default_host

    if host is None:
        host = default_host()
    if not isinstance(host, Host):
        raise InvalidOptionError(f"host={host!r} is not a Host")
    offer = host.find(framework, kind.modality)
    if not offer.spec.target:
        raise InvalidOptionError(
            f"framework {offer.spec.name!r} turns {kind.modality} into text and embeds nothing by itself: pass "
            f"bridge={{{str(kind.modality)!r}: {offer.spec.name!r}}} to create_multimodal_embedder"
        )
    return kind(EmbedderSettings.check(offer, kind.modality, **settings))
