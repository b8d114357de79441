"""One interface for text, image, audio and mixed embeddings over many frameworks.

The public names. Importing this loads no plugin, no model library and no SDK.
"""

from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder.api import (
    create_audio_embedder,
    create_image_embedder,
    create_text_embedder,
    get_available_embedders,
)
from llm_multi_core.embedder.bridges import Bridge
from llm_multi_core.embedder.credentials import Credentials, Secret
from llm_multi_core.embedder.describers import Describer
from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.encoders import (
    Description,
    Encoder,
    EncoderConfig,
    HostedEncoder,
    Intake,
    Limits,
    LocalEncoder,
    Measure,
    Pace,
    Reply,
    Usage,
    Verdict,
)
from llm_multi_core.embedder.errors import (
    AccessDeniedError,
    AmbiguousFrameworkError,
    BatchError,
    ClosedError,
    EmbedderError,
    EmbedderWarning,
    EncoderMemoryError,
    EncodingError,
    FrameworkError,
    FrameworkUnavailableError,
    IncompatibleSpacesError,
    InvalidInputError,
    InvalidOptionError,
    InvalidOutputError,
    MissingCredentialsError,
    ModelLoadError,
    PluginError,
    PluginWarning,
    ProviderError,
    TruncationError,
    TruncationWarning,
    UnknownFrameworkError,
    UnsupportedDimensionsError,
    UntrustedCodeError,
)
from llm_multi_core.embedder.frameworks import FrameworkSpec, ModelSpec, OptionSpec
from llm_multi_core.embedder.inputs.compound import audio_windows, interleaved
from llm_multi_core.embedder.inputs.mixed import Audio, Image, Text
from llm_multi_core.embedder.inputs.pdf import pdf_pages
from llm_multi_core.embedder.inputs.text import document_chunks
from llm_multi_core.embedder.items import Item, Modality, Part, Role, Span, Task
from llm_multi_core.embedder.mixed_result import MixedResult, Similarity
from llm_multi_core.embedder.modalities import AudioEmbedder, ImageEmbedder, TextEmbedder
from llm_multi_core.embedder.multimodal import MultiModalEmbedder
from llm_multi_core.embedder.multimodal_api import create_multimodal_embedder
from llm_multi_core.embedder.pipeline.cache import MemoryCache, VectorCache
from llm_multi_core.embedder.pipeline.report import EmbeddingResult, Failure, Plan, Report, Truncation
from llm_multi_core.embedder.rows import Rows
from llm_multi_core.embedder.spaces import Canary, Space
from llm_multi_core.embedder.stamps import Stamp

if TYPE_CHECKING:
    from llm_multi_core.embedder.host import Host
    from llm_multi_core.embedder.host.hookspecs import hookimpl

__all__ = [
    "AccessDeniedError",
    "AmbiguousFrameworkError",
    "Audio",
    "AudioEmbedder",
    "BaseEmbedder",
    "BatchError",
    "Bridge",
    "Canary",
    "ClosedError",
    "Credentials",
    "Describer",
    "Description",
    "EmbedderError",
    "EmbedderWarning",
    "EmbeddingResult",
    "Encoder",
    "EncoderConfig",
    "EncoderMemoryError",
    "EncodingError",
    "Failure",
    "FrameworkError",
    "FrameworkSpec",
    "FrameworkUnavailableError",
    "Host",
    "HostedEncoder",
    "Image",
    "ImageEmbedder",
    "IncompatibleSpacesError",
    "Intake",
    "InvalidInputError",
    "InvalidOptionError",
    "InvalidOutputError",
    "Item",
    "Limits",
    "LocalEncoder",
    "Measure",
    "MemoryCache",
    "MissingCredentialsError",
    "MixedResult",
    "Modality",
    "ModelLoadError",
    "ModelSpec",
    "MultiModalEmbedder",
    "OptionSpec",
    "Pace",
    "Part",
    "Plan",
    "PluginError",
    "PluginWarning",
    "ProviderError",
    "Reply",
    "Report",
    "Role",
    "Rows",
    "Secret",
    "Similarity",
    "Space",
    "Span",
    "Stamp",
    "Task",
    "Text",
    "TextEmbedder",
    "Truncation",
    "TruncationError",
    "TruncationWarning",
    "UnknownFrameworkError",
    "UnsupportedDimensionsError",
    "UntrustedCodeError",
    "Usage",
    "VectorCache",
    "Verdict",
    "audio_windows",
    "create_audio_embedder",
    "create_image_embedder",
    "create_multimodal_embedder",
    "create_text_embedder",
    "document_chunks",
    "get_available_embedders",
    "hookimpl",
    "interleaved",
    "pdf_pages",
]


def __getattr__(name: str) -> Any:
    # pluggy is needed by plugins and by the host only, so it is imported when one of them asks.
    if name == "hookimpl":
        from llm_multi_core.embedder.host.hookspecs import hookimpl

        return hookimpl
    if name == "Host":
        from llm_multi_core.embedder.host import Host

        return Host
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
