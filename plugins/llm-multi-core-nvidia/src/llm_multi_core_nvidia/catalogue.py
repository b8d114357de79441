"""What is known of the models that NVIDIA serves, as data. Everything that depends on the model comes from here.

By https://docs.nvidia.com/nim/nemo-retriever/embedding/latest/support-matrix.html and the model cards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llm_multi_core.embedder import Modality, Role

TEXT, IMAGE = Modality.TEXT, Modality.IMAGE


@dataclass(frozen=True, slots=True)
class NimModel:
    """One model.

    Attributes:
        name: what NVIDIA calls it, with its publisher.
        dimension: components of a vector; 0 if unknown.
        context: the longest text, in tokens.
        dimensions: the smaller sizes that it offers.
        modalities: what it embeds, into one space.
        retrieval: whether it takes `input_type` and `truncate`; if not, it cuts or refuses as it likes.
        modality_field: whether it is told what kind its inputs are.
        base64: whether it writes vectors in base64.
        max_image_bytes: the largest picture.
        note: what else to know.
        source: where this is written.
    """

    name: str
    dimension: int
    context: int
    dimensions: tuple[int, ...] = ()
    modalities: tuple[Modality, ...] = (TEXT,)
    retrieval: bool = True
    modality_field: bool = False
    base64: bool = True
    max_image_bytes: int | None = None
    note: str = ""
    source: str = "https://docs.nvidia.com/nim/nemo-retriever/embedding/latest/support-matrix.html"


_LLAMA_SIZES = (384, 512, 768, 1024)
_VISION = (TEXT, IMAGE)
_LARGEST_PICTURE = 10_000_000
"""Ours: none is documented."""
_INLINE_PICTURE = 135_000
"""The cloud takes 180,000 characters inline, which is base64 of so many bytes. No model of its kind sees more."""

MODELS: tuple[NimModel, ...] = (
    NimModel("nvidia/nv-embedqa-e5-v5", 1024, 512),
    NimModel("nvidia/llama-3.2-nv-embedqa-1b-v2", 2048, 8192, _LLAMA_SIZES, note="26 languages"),
    NimModel("nvidia/llama-nemotron-embed-1b-v2", 2048, 8192, _LLAMA_SIZES, note="26 languages"),
    NimModel("nvidia/llama-nemotron-embed-300m-v2", 2048, 8192, _LLAMA_SIZES),
    NimModel("nvidia/llama-3.2-nemoretriever-300m-embed-v2", 2048, 8192, _LLAMA_SIZES),
    NimModel("nvidia/llama-3.2-nemoretriever-300m-embed-v1", 2048, 8192),
    NimModel("nvidia/nemotron-3-embed-1b", 2048, 4096),
    NimModel(
        "nvidia/llama-nemotron-embed-vl-1b-v2",
        2048,
        2048,
        _LLAMA_SIZES,
        _VISION,
        modality_field=True,
        max_image_bytes=_LARGEST_PICTURE,
        note="pages and figures; pictures are passages, whatever the role",
    ),
    NimModel(
        "nvidia/llama-3.2-nemoretriever-1b-vlm-embed-v1",
        2048,
        4096,
        _LLAMA_SIZES,
        _VISION,
        modality_field=True,
        max_image_bytes=_LARGEST_PICTURE,
        note="pages and figures; pictures are passages, whatever the role",
    ),
    NimModel("nvidia/nv-embed-v1", 4096, 32768, source="https://build.nvidia.com/nvidia/nv-embed-v1"),
    NimModel("nvidia/nv-embedqa-mistral-7b-v2", 4096, 512),
    NimModel("baai/bge-m3", 1024, 8192, note="over 100 languages"),
    NimModel("baai/bge-large-zh-v1.5", 1024, 512, note="Chinese"),
    NimModel("snowflake/arctic-embed-l", 1024, 512),
    NimModel(
        "nvidia/nvclip",
        1024,
        77,
        modalities=_VISION,
        retrieval=False,
        base64=False,
        max_image_bytes=_INLINE_PICTURE,
        note="photographs and short texts",
        source="https://build.nvidia.com/nvidia/nvclip",
    ),
)
"""The models of the catalogue; others work as well."""

_UNKNOWN = NimModel("", 0, 512)
_ROLES = {"-query": Role.QUERY, "-passage": Role.DOCUMENT}

BASE_URL = "https://integrate.api.nvidia.com/v1"
INPUTS_PER_REQUEST = 64
"""No limit is documented; a request that is refused is halved."""
CONCURRENCY = 8
IMAGE_BYTES_PER_REQUEST = 20_000_000
"""Ours, since none is documented."""
IMAGE_FORMATS = ("image/jpeg", "image/png")
IMAGE_TOKENS = 1
"""What a picture is counted for; NVIDIA documents nothing of the kind, and no limit a minute counts it."""


@dataclass(frozen=True, slots=True)
class Named:
    """A model as the user names it.

    Attributes:
        model: what is known of it.
        role: the role that the name's end fixes (`"...-query"`, `"...-passage"`), if it does.
    """

    model: NimModel
    role: Role | None = None


def find_model(name: str) -> Named:
    """What is known of a model: its entry, with or without the publisher before it; else a text model's defaults."""
    if known := _entry(name):
        return Named(known)
    for end, role in _ROLES.items():
        if name.endswith(end):
            bare = name.removesuffix(end)
            return Named(_entry(bare) or replace(_UNKNOWN, name=bare), role)
    return Named(replace(_UNKNOWN, name=name))


def _entry(name: str) -> NimModel | None:
    return next((model for model in MODELS if name in (model.name, model.name.rpartition("/")[2])), None)
