"""The public surface: a name that is added, renamed or lost shows up here."""

from __future__ import annotations

import inspect

import pytest

from llm_multi_core import embedder

PUBLIC = [
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


def test_the_public_names():
    assert embedder.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_can_be_imported_and_is_documented(name):
    member = getattr(embedder, name)
    assert member is getattr(embedder, name)
    assert name == "hookimpl" or inspect.getdoc(member)


def test_dir_lists_the_public_names():
    assert dir(embedder) == sorted(PUBLIC)


def test_star_import_gives_the_public_names():
    namespace: dict[str, object] = {}
    exec("from llm_multi_core.embedder import *", namespace)
    assert set(PUBLIC) <= set(namespace)


def test_other_names_do_not_exist():
    with pytest.raises(AttributeError, match="has no attribute 'create_smell_embedder'"):
        _ = embedder.create_smell_embedder


PARAMETERS = [
    "framework",
    "model",
    "device",
    "precision",
    "dimensions",
    "force_dimensions",
    "normalize",
    "truncation",
    "batch_size",
    "cache",
    "api_key",
    "host",
    "options",
]


@pytest.mark.parametrize("name", ["create_text_embedder", "create_image_embedder", "create_audio_embedder"])
def test_factories_take_the_same_settings(name):
    parameters = dict(inspect.signature(getattr(embedder, name)).parameters)
    if name != "create_text_embedder":
        assert parameters.pop("allow_urls").default is False
    assert list(parameters) == PARAMETERS
    positional = [
        key for key, parameter in parameters.items() if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    assert positional == ["framework", "model"]


@pytest.mark.parametrize(
    ("name", "leading"),
    [
        ("embed", ["x", "role"]),
        ("embed_batch", ["xs", "role", "show_progress"]),
        ("run", ["xs", "role"]),
        ("embed_stream", ["iterable", "role", "window"]),
        ("plan", ["xs", "role"]),
        ("similarity", ["a", "b"]),
    ],
)
def test_embedders_are_called_as_documented(name, leading):
    parameters = inspect.signature(getattr(embedder.BaseEmbedder, name)).parameters.values()
    positional = [
        parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    assert positional == ["self", *leading]
    twin = getattr(embedder.BaseEmbedder, f"a{name}", None)
    if twin is not None:
        assert list(inspect.signature(twin).parameters) == [parameter.name for parameter in parameters]
