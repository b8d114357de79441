"""What is known of Google's embedding models: sizes, limits, prices, task prompts. Data only.

Other models work as well; what is assumed of them is in `model_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from llm_multi_core.embedder import Modality, ModelSpec

GUIDE = "https://ai.google.dev/gemini-api/docs/embeddings"
PRICES = "https://ai.google.dev/gemini-api/docs/pricing"
VERTEX_TEXT = "https://docs.cloud.google.com/vertex-ai/generative-ai/docs/embeddings/get-text-embeddings"
VERTEX_GEMINI = "https://docs.cloud.google.com/vertex-ai/generative-ai/docs/models/gemini/embedding-2"

TEXT_MODEL, MEDIA_MODEL = "gemini-embedding-001", "gemini-embedding-2"
"""The default models."""

BATCH = 100
"""Contents in a batch of the Gemini API, which refuses more: "at most 100 requests can be in one batch"."""
IMAGES = 6
"""Images a request (`GUIDE`)."""
AUDIO_SECONDS = 80
"""The longest recording by `VERTEX_GEMINI`; `GUIDE` says 180 for the Gemini API."""
RECORDINGS = 1
"""Recordings a request (`VERTEX_GEMINI`)."""
TEXT_BYTES = 1_300_000
"""Of the texts of a request. Its JSON may take 4 MiB, and holds a character of two bytes in six."""
MEDIA_BYTES = 14_500_000
"""Of the media of a request, as files. Its JSON may take 20 MB, and base64 adds a third
(https://ai.google.dev/gemini-api/docs/image-understanding)."""
IMAGE_FORMATS, AUDIO_FORMATS = ("image/jpeg", "image/png"), ("audio/wav", "audio/mpeg")
"""Media types (`GUIDE`)."""
SAMPLE_RATE = 16_000
"""Hz that arrays without a rate are taken to have."""
IMAGE_TOKENS, TOKENS_PER_SECOND = 258, 25
"""About what an image and a second of sound count for; both follow from the prices (`PRICES`)."""

PROMPTS: Mapping[str, str] = {
    "RETRIEVAL_QUERY": "task: search result | query: ",
    "RETRIEVAL_DOCUMENT": "title: none | text: ",
    "SEMANTIC_SIMILARITY": "task: sentence similarity | query: ",
    "CLASSIFICATION": "task: classification | query: ",
    "CLUSTERING": "task: clustering | query: ",
    "QUESTION_ANSWERING": "task: question answering | query: ",
    "FACT_VERIFICATION": "task: fact checking | query: ",
    "CODE_RETRIEVAL_QUERY": "task: code retrieval | query: ",
}
"""What a model that knows no task types wants before a text instead (`GUIDE`)."""
SYMMETRIC_TASKS = ("CLASSIFICATION", "CLUSTERING")
"""Task types for everything, whatever the role."""
QUERY_TASKS = ("QUESTION_ANSWERING", "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY")
"""Task types for queries; their documents are those of any search (`GUIDE`)."""


@dataclass(frozen=True, slots=True)
class GeminiModel:
    """One embedding model.

    Attributes:
        name: its name, without a path.
        dimension: components of a vector, if known.
        fewest: fewest components that can be asked for.
        max_tokens: the longest input.
        multimodal: whether it embeds media too. Such a model knows no task types.
        predicted: whether Vertex AI serves it by `predict`, many texts a request. The others it serves by
            `embedContent`, one input a request.
        prices: US dollars per million tokens, by modality.
        note: one line of what else to know.
        source: where all this is written.
    """

    name: str
    dimension: int | None
    fewest: int = 1
    max_tokens: int = 2048
    multimodal: bool = False
    predicted: bool = False
    prices: Mapping[Modality, float] = field(default_factory=dict)
    note: str = ""
    source: str = f"{GUIDE} and {PRICES}"

    @property
    def modalities(self) -> frozenset[Modality]:
        """What it embeds."""
        return frozenset({Modality.TEXT, Modality.IMAGE, Modality.AUDIO} if self.multimodal else {Modality.TEXT})

    def spec(self, modality: Modality) -> ModelSpec:
        """Its entry in the listing of a modality."""
        heard = modality is Modality.AUDIO
        price = self.prices.get(modality)
        return ModelSpec(
            self.name,
            (modality,),
            self.dimension,
            dimensions=(768, 1536) if self.dimension == 3072 else (),
            max_units=AUDIO_SECONDS if heard else self.max_tokens,
            unit="second" if heard else "token",
            note=self.note,
            source=self.source,
            price=price * TOKENS_PER_SECOND if heard and price is not None else price,
        )


PREDICT_BATCH, PREDICT_TOKENS = 250, 20_000
"""Texts, and tokens of all of them, in a request by `predict` (`VERTEX_TEXT`)."""

MODELS = (
    GeminiModel(
        TEXT_MODEL,
        3072,
        fewest=128,
        prices={Modality.TEXT: 0.15},
        note="over 100 languages; dimensions= takes 128 to 3072",
    ),
    GeminiModel(
        MEDIA_MODEL,
        3072,
        fewest=128,
        max_tokens=8192,
        multimodal=True,
        prices={Modality.TEXT: 0.20, Modality.IMAGE: 0.45, Modality.AUDIO: 6.50},
        note="text, images and sound in one space, which is not gemini-embedding-001's; dimensions= takes 128 to 3072",
    ),
    GeminiModel("text-embedding-005", 768, predicted=True, note="Vertex AI only; English and code", source=VERTEX_TEXT),
    GeminiModel(
        "text-multilingual-embedding-002", 768, predicted=True, note="Vertex AI only; multilingual", source=VERTEX_TEXT
    ),
)

_BY_NAME = {model.name: model for model in MODELS}


def model_of(name: str) -> GeminiModel:
    """What is known or assumed of a model, by a name with or without its path (`models/...`).

    A version of a listed model (`gemini-embedding-2-preview`) is taken to be like it. Other Gemini models
    are taken to be like the latest one, since the SDK takes them so, and the rest to embed text only;
    their dimension is not known.
    """
    name = name.rsplit("/", 1)[-1]
    if name in _BY_NAME:
        return _BY_NAME[name]
    versions = [model for model in MODELS if name.startswith(f"{model.name}-")]
    if versions:
        return replace(versions[0], name=name)
    if "gemini" in name:
        return replace(_BY_NAME[MEDIA_MODEL], name=name, dimension=None, fewest=1, prices={})
    return GeminiModel(name, None, predicted="maas" not in name)
