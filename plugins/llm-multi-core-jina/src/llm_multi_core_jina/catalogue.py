"""What is known of Jina's models, as data. Everything that depends on the model comes from here.

Fields, tasks and dimensions are those of https://api.jina.ai/openapi.json, context lengths those of
the models' pages, rates those of the dashboard's table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from llm_multi_core.embedder import Modality

TEXT, IMAGE, AUDIO = Modality.TEXT, Modality.IMAGE, Modality.AUDIO
_RETRIEVAL = ("retrieval.query", "retrieval.passage", "text-matching")
_CODE_TASKS = tuple(
    f"{kind}.{side}"
    for kind in ("nl2code", "qa", "code2code", "code2nl", "code2completion")
    for side in ("query", "passage")
)


@dataclass(frozen=True, slots=True)
class ImageTokens:
    """How an image is counted: so many tokens for each begun square of `side` pixels."""

    side: int
    tokens: int


@dataclass(frozen=True, slots=True)
class JinaModel:
    """One model.

    Attributes:
        name: what Jina calls it.
        modalities: what it embeds, into one space.
        dimension: components of a vector; 0 if unknown.
        dimensions: well-known smaller sizes; where there are some, any size up to `dimension` is given.
        context: the longest input, in tokens.
        tasks: the values that its `task` field takes.
        default_task: the family of tasks that roles choose from.
        late_chunking: whether it embeds chunks in the context of their document.
        normalized: whether it takes the field of this name; the others always normalise.
        image_tokens: how images are counted; `None` if it takes none.
        space: the name of its vector space, if another model shares it.
        note: what else to know.
        source: where this is written.
    """

    name: str
    dimension: int
    context: int
    modalities: tuple[Modality, ...] = (TEXT,)
    dimensions: tuple[int, ...] = ()
    tasks: tuple[str, ...] = ()
    default_task: str = "retrieval"
    late_chunking: bool = False
    normalized: bool = True
    image_tokens: ImageTokens | None = None
    space: str = ""
    note: str = ""
    source: str = ""

    @property
    def takes_dimensions(self) -> bool:
        """Whether it gives vectors of fewer components."""
        return bool(self.dimensions)


_V5_SMALL_SPACE, _V5_NANO_SPACE = "jina-embeddings-v5-small", "jina-embeddings-v5-nano"
"""Text vectors of the omni models are those of the text models of the same size (arXiv 2605.08384)."""
_V5_TASKS = (*_RETRIEVAL, "clustering", "classification")
_OMNI_TOKENS = ImageTokens(32, 1)
_NON_COMMERCIAL = "weights CC-BY-NC"
_PAGES = "https://jina.ai/models/"

MODELS: tuple[JinaModel, ...] = (
    JinaModel(
        "jina-embeddings-v3",
        1024,
        8192,
        dimensions=(32, 64, 128, 256, 512, 768),
        tasks=(*_RETRIEVAL, "classification", "separation"),
        late_chunking=True,
        note="late chunking",
    ),
    JinaModel(
        "jina-embeddings-v4",
        2048,
        32768,
        (TEXT, IMAGE),
        dimensions=(128, 256, 512, 1024),
        tasks=(*_RETRIEVAL, "code.query", "code.passage"),
        late_chunking=True,
        normalized=False,
        image_tokens=ImageTokens(28, 10),
        note="late chunking of text; tasks for code",
    ),
    JinaModel(
        "jina-embeddings-v5-text-small",
        1024,
        32768,
        dimensions=(32, 64, 128, 256, 512, 768),
        tasks=_V5_TASKS,
        space=_V5_SMALL_SPACE,
        note=f"one space with omni-small; {_NON_COMMERCIAL}",
    ),
    JinaModel(
        "jina-embeddings-v5-text-nano",
        768,
        8192,
        dimensions=(32, 64, 128, 256, 512),
        tasks=_V5_TASKS,
        space=_V5_NANO_SPACE,
        note=f"one space with omni-nano; {_NON_COMMERCIAL}",
    ),
    JinaModel(
        "jina-embeddings-v5-omni-small",
        1024,
        32768,
        (TEXT, IMAGE, AUDIO),
        dimensions=(32, 64, 128, 256, 512, 768),
        tasks=_V5_TASKS,
        image_tokens=_OMNI_TOKENS,
        space=_V5_SMALL_SPACE,
        note=f"one space with text-small; {_NON_COMMERCIAL}",
    ),
    JinaModel(
        "jina-embeddings-v5-omni-nano",
        768,
        8192,
        (TEXT, IMAGE, AUDIO),
        dimensions=(32, 64, 128, 256, 512),
        tasks=_V5_TASKS,
        image_tokens=_OMNI_TOKENS,
        space=_V5_NANO_SPACE,
        note=f"one space with text-nano; {_NON_COMMERCIAL}",
    ),
    JinaModel(
        "jina-clip-v2",
        1024,
        8192,
        (TEXT, IMAGE),
        dimensions=(64, 128, 256, 512, 768),
        tasks=("retrieval.query",),
        image_tokens=ImageTokens(512, 4000),
        note=_NON_COMMERCIAL,
    ),
    JinaModel("jina-clip-v1", 768, 8192, (TEXT, IMAGE), image_tokens=ImageTokens(224, 1000)),
    JinaModel(
        "jina-code-embeddings-1.5b",
        1536,
        32768,
        dimensions=(128, 256, 512, 1024),
        tasks=_CODE_TASKS,
        default_task="nl2code",
        normalized=False,
        note=f"code; {_NON_COMMERCIAL}",
    ),
    JinaModel(
        "jina-code-embeddings-0.5b",
        896,
        32768,
        dimensions=(64, 128, 256, 512),
        tasks=_CODE_TASKS,
        default_task="nl2code",
        normalized=False,
        note=f"code; {_NON_COMMERCIAL}",
    ),
    *(JinaModel(f"jina-embeddings-v2-base-{kind}", 768, 8192) for kind in ("en", "de", "es", "zh", "code")),
)
"""The models of the catalogue; others work as well."""

_UNKNOWN = JinaModel("", 0, 8192, dimensions=(1,), tasks=_RETRIEVAL)


def find_model(name: str) -> JinaModel:
    """What is known of a model: its own entry, or, for a new one, that of the latest text models without a dimension.

    An organisation before the name (`"jinaai/jina-embeddings-v3"`) makes no difference.
    """
    bare = name.rpartition("/")[2]
    return next((model for model in MODELS if model.name == bare), replace(_UNKNOWN, name=name))


def page_of(model: JinaModel) -> str:
    """Where a model is documented."""
    return f"{_PAGES}{model.name}"


@dataclass(frozen=True, slots=True)
class Rates:
    """What a kind of key may do: requests and tokens a minute, and requests at the same time."""

    requests: int | None
    tokens: int | None
    concurrency: int


TIERS: Mapping[str, Rates] = {
    "free": Rates(100, 100_000, 2),
    "paid": Rates(500, 2_000_000, 50),
    "premium": Rates(5_000, 50_000_000, 500),
}
"""By tier of the key; https://jina.ai/api-dashboard/rate-limit, concurrency as Jina's plans state it."""
OWN_SERVER = Rates(None, None, 8)

BASE_URL = "https://api.jina.ai/v1"


def is_cloud(base_url: str | None) -> bool:
    """Whether a base URL, `None` for the usual one, leads to Jina's cloud."""
    host = urlsplit(base_url or BASE_URL).hostname or ""
    return host == "jina.ai" or host.endswith(".jina.ai")


ITEMS_PER_REQUEST = 2048
TOKENS_PER_REQUEST = 65_536
"""Ours: a request of more takes longer than its answer is worth waiting for. No limit is documented."""
MEDIA_BYTES_PER_REQUEST = 16_000_000
"""Ours, since none is documented."""
MEDIA_BYTES = 6_000_000
"""The largest file: 8 MB are documented for images, and base64 makes eight of six."""
IMAGE_FORMATS = ("image/jpeg", "image/png", "image/webp")
AUDIO_FORMATS = ("audio/wav", "audio/mpeg", "audio/flac", "audio/ogg")
SAMPLE_RATE = 16_000
AUDIO_TOKENS_PER_SECOND = 25
"""One for 40 ms, as the omni models' audio encoder gives (Qwen2.5-Omni)."""
