"""What this distribution offers. Imports the host and the standard library only.

Two frameworks, each in three specifications, since what an image or a recording needs is no matter of
texts: `openai` is OpenAI and whatever speaks its API, `azure-openai` is Azure's client.
"""

from __future__ import annotations

from collections.abc import Mapping

from llm_multi_core.embedder import Credentials, FrameworkSpec, Modality, ModelSpec, OptionSpec, hookimpl
from llm_multi_core.embedder.hosted import HOSTED_OPTIONS
from llm_multi_core_openai.catalogue import (
    DEFAULT_CAPTION_MODEL,
    DEFAULT_MODEL,
    DEFAULT_TRANSCRIPTION_MODEL,
    EMBEDDING_MODELS,
    EMBEDDINGS_PAGE,
    TEXT_LIMITS,
)

REQUIRES = {
    Modality.TEXT: ("openai>=3.57,<4",),
    Modality.IMAGE: ("openai>=3.57,<4", "pillow>=10.1,<14"),
    Modality.AUDIO: ("openai>=3.57,<4", "soundfile>=0.12,<1", "soxr>=0.3,<2"),
}

_MODEL_OPTIONS = (
    OptionSpec("native_dimension", int, summary="dimension of a model that the catalogue does not know"),
    OptionSpec("prompts", dict, summary='what is put before texts, by role: {"query": "query: "}'),
    OptionSpec(
        "encoding_format",
        str,
        "base64",
        choices=("base64", "float"),
        summary="how vectors come; float for servers without base64",
    ),
    OptionSpec("extra_body", dict, summary="further fields of the embeddings request"),
    OptionSpec("space_name", str, affects_space=False, summary="name of the space, to say which servers agree"),
)
_AZURE_OPTIONS = (
    OptionSpec("azure_endpoint", str, summary="the resource's address; by default AZURE_OPENAI_ENDPOINT"),
    OptionSpec("api_version", str, summary="Azure's API version; by default OPENAI_API_VERSION"),
    OptionSpec("azure_deployment", str, summary="the embedding deployment; by default it is called like the model"),
    OptionSpec(
        "azure_auth", str, "key", choices=("key", "entra"), summary="whether api_key= is a key or an Entra ID token"
    ),
)
_PRICES = OptionSpec("prices", dict, summary='US dollars by model: {"gpt-6-luna": {"input": 0.1, "output": 0.5}}')
_BY_MODALITY: Mapping[Modality, tuple[OptionSpec, ...]] = {
    Modality.TEXT: (
        OptionSpec(
            "tokenizer",
            str,
            "estimate",
            choices=("estimate", "tiktoken"),
            summary="how tokens are counted: by a rule of thumb, or exactly",
        ),
    ),
    Modality.IMAGE: (
        OptionSpec("caption_model", str, DEFAULT_CAPTION_MODEL, summary="the chat model that describes images"),
        OptionSpec("caption_prompt", str, summary="what it is asked for"),
        OptionSpec(
            "caption_detail", str, "auto", choices=("auto", "low", "high"), summary="how closely it looks at an image"
        ),
        OptionSpec("caption_options", dict, summary="further fields of the chat request"),
        OptionSpec("caption_concurrency", int, 16, summary="most captions that are asked for at the same time"),
        _PRICES,
    ),
    Modality.AUDIO: (
        OptionSpec(
            "transcription_model", str, DEFAULT_TRANSCRIPTION_MODEL, summary="the model that writes down speech"
        ),
        OptionSpec("transcription_prompt", str, summary="what the recordings are about, names and terms"),
        OptionSpec("language", str, summary="language of the recordings (ISO 639-1), where it is known"),
        OptionSpec("transcription_concurrency", int, 16, summary="most transcripts asked for at the same time"),
        _PRICES,
    ),
}
_TARGETS = {
    Modality.TEXT: "llm_multi_core_openai.text:TextEncoder",
    Modality.IMAGE: "llm_multi_core_openai.captions:CaptionEncoder",
    Modality.AUDIO: "llm_multi_core_openai.transcripts:TranscriptEncoder",
}
_BRIDGES = {Modality.IMAGE: "caption", Modality.AUDIO: "transcript"}
_SUMMARIES = {
    Modality.TEXT: "text-embedding-3",
    Modality.IMAGE: "images by their captions, in the space of text",
    Modality.AUDIO: "recordings by their transcripts, in the space of text",
}


def _models(modality: Modality) -> tuple[ModelSpec, ...]:
    """The catalogue. Bridges cost more than the embedding, so that they have no price of their own."""
    bridge = _BRIDGES.get(modality)
    return tuple(
        ModelSpec(
            model.name,
            (modality,),
            model.dimension,
            max_units=None if bridge else TEXT_LIMITS.units_per_item,
            note=f"of the {bridge}; {model.note}" if bridge else model.note,
            source=EMBEDDINGS_PAGE,
            price=None if bridge else model.price,
        )
        for model in EMBEDDING_MODELS.values()
    )


def _spec(
    name: str, whose: str, modality: Modality, credentials: Credentials, own: tuple[OptionSpec, ...]
) -> FrameworkSpec:
    without = {"base_url"} if own else set()
    if modality in _BRIDGES:
        without.add("price")  # several models are paid: prices=
    return FrameworkSpec(
        name=name,
        modalities=(modality,),
        target=_TARGETS[modality],
        requires=REQUIRES[modality],
        default_model={modality: DEFAULT_MODEL},
        options=(
            *(option for option in HOSTED_OPTIONS if option.name not in without),
            *own,
            *_MODEL_OPTIONS,
            *_BY_MODALITY[modality],
        ),
        hosted=True,
        credentials=credentials,
        summary=f"{whose}: {_SUMMARIES[modality]}",
        models=_models(modality),
        bridge={modality: _BRIDGES[modality]} if modality in _BRIDGES else {},
    )


OPENAI = tuple(
    _spec(
        "openai",
        "OpenAI and compatible servers",
        modality,
        Credentials(("OPENAI_API_KEY",), optional_with=("base_url",)),
        (),
    )
    for modality in _TARGETS
)
AZURE = tuple(
    _spec(
        "azure-openai",
        "Azure OpenAI",
        modality,
        Credentials(("AZURE_OPENAI_API_KEY",), chain="azure"),
        _AZURE_OPTIONS,
    )
    for modality in _TARGETS
)


@hookimpl
def llm_multi_core_frameworks() -> list[FrameworkSpec]:
    """The frameworks of this distribution, once for each modality."""
    return [*OPENAI, *AZURE]
