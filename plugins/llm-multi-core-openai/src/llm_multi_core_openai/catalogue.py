"""What is known of OpenAI's models: dimensions, limits, prices. Data only; other models work as well.

Prices are those of November 2026, in US dollars; `price=` and `prices=` say others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from llm_multi_core.embedder import InvalidOptionError, Limits

MODELS_PAGE = "https://developers.openai.com/api/docs/models/"
EMBEDDINGS_PAGE = "https://developers.openai.com/api/docs/guides/embeddings"

DEFAULT_MODEL = "text-embedding-3-small"
DEFAULT_CAPTION_MODEL = "gpt-6-luna"
DEFAULT_TRANSCRIPTION_MODEL = "gpt-transcribe"

TEXT_LIMITS = Limits(
    units_per_item=8192,
    items_per_batch=2048,
    units_per_batch=300_000,
    padded=False,
    accepts_empty=False,
    slack=1.5,  # sizes are estimates, and what is too long is refused and not cut
    concurrency=32,
)
"""Of the embeddings endpoint, for all of OpenAI's models (https://developers.openai.com/api/reference)."""

OTHER_TEXT_LIMITS = Limits(
    units_per_item=8192, items_per_batch=32, units_per_batch=300_000, padded=False, accepts_empty=False, slack=1.5
)
"""Of models that are not listed here, behind other servers: 32 inputs is what text-embeddings-inference takes."""

IMAGE_LIMITS = Limits(items_per_batch=16, padded=False, concurrency=4, spread=16)
"""Images are captioned in requests of their own; these are the images whose captions are embedded together."""

AUDIO_LIMITS = Limits(unit="second", items_per_batch=16, padded=False, concurrency=4, spread=16)
"""As for images. The longest recording is the transcription model's."""

IMAGE_FORMATS = ("image/jpeg", "image/png", "image/webp", "image/gif")
MAX_IMAGE_BYTES = 20 * 1024 * 1024
AUDIO_FORMATS = ("audio/flac", "audio/wav", "audio/mpeg", "audio/ogg")
"""What transcription takes, of what soundfile reads; FLAC first, for what has to be written."""
MAX_AUDIO_BYTES = 25 * 1024 * 1024
AUDIO_RATE = 16_000
"""Hz of bare arrays, the rate at which speech models listen."""
TOKENS_PER_IMAGE: Mapping[str, int] = {"low": 500, "high": 1800, "auto": 1800}
"""About what an image costs by the detail asked for, with prompt and caption; the reply says what it really was."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars: per million tokens read and written, and per minute of sound; `None` where none applies."""

    input: float | None = None
    output: float | None = None
    minute: float | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """An embedding model.

    Attributes:
        name: what the API calls it.
        dimension: components of a vector.
        shortens: whether `dimensions` may ask for fewer.
        price: per million tokens.
        encoding: its tokenizer, as tiktoken calls it.
        note: one line for listings.
    """

    name: str
    dimension: int
    shortens: bool
    price: float
    encoding: str = "cl100k_base"
    note: str = ""


@dataclass(frozen=True, slots=True)
class CaptionModel:
    """A chat model that sees.

    Attributes:
        name: what the API calls it.
        price: what it costs.
        body: what a request needs besides model, prompt and picture.
    """

    name: str
    price: Price
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TranscriptionModel:
    """A model that writes down speech.

    Attributes:
        name: what the API calls it.
        price: what it costs.
        seconds: the longest recording that it takes.
    """

    name: str
    price: Price
    seconds: int


EMBEDDING_MODELS = {
    model.name: model
    for model in (
        EmbeddingModel("text-embedding-3-small", 1536, True, 0.02, note="Matryoshka, by dimensions="),
        EmbeddingModel("text-embedding-3-large", 3072, True, 0.13, note="Matryoshka, by dimensions="),
        EmbeddingModel("text-embedding-ada-002", 1536, False, 0.10, note="of 2022; 1536 dimensions and no others"),
    )
}

_BRIEFLY = {"reasoning_effort": "none", "max_completion_tokens": 600}

CAPTION_MODELS = {
    model.name: model
    for model in (
        CaptionModel("gpt-6-luna", Price(0.10, 0.50), _BRIEFLY),
        CaptionModel("gpt-5.6-luna", Price(0.20, 1.20), _BRIEFLY),
        CaptionModel("gpt-5.6-terra", Price(2.00, 12.00), _BRIEFLY),
        CaptionModel("gpt-5.4-mini", Price(0.75, 4.50), _BRIEFLY),
        CaptionModel("gpt-4.1-mini", Price(0.40, 1.60), {"max_completion_tokens": 600}),
        CaptionModel("gpt-4o-mini", Price(0.15, 0.60), {"max_completion_tokens": 600}),
    )
}

LONGEST_RECORDING = 1400
"""Seconds; what the gpt-4o transcription models refuse to exceed, and for others a cautious figure."""

TRANSCRIPTION_MODELS = {
    model.name: model
    for model in (
        TranscriptionModel("gpt-transcribe", Price(minute=0.0045), LONGEST_RECORDING),
        TranscriptionModel("gpt-4o-transcribe", Price(6.00, 10.00), LONGEST_RECORDING),
        TranscriptionModel("gpt-4o-mini-transcribe", Price(3.00, 5.00), LONGEST_RECORDING),
        TranscriptionModel("whisper-1", Price(minute=0.006), LONGEST_RECORDING),
    )
}


def price_of(model: str, own: Mapping[str, Any] | None) -> Price:
    """What a model costs: by the user's figures (the option `prices`), else the catalogue's, else unknown.

    Raises:
        InvalidOptionError: if the user's figures are not `{model: {"input": 0.1, ...}}`.
    """
    given = (own or {}).get(model)
    if given is not None:
        names = [price.name for price in fields(Price)]
        if not isinstance(given, Mapping) or not set(given) <= set(names) or not all(map(_is_amount, given.values())):
            raise InvalidOptionError(
                f"prices= takes US dollars by model and {', '.join(names)}, as in "
                f'{{"gpt-6-luna": {{"input": 0.1, "output": 0.5}}}}; for {model!r} it has {given!r}'
            )
        return Price(**given)
    if model in EMBEDDING_MODELS:
        return Price(input=EMBEDDING_MODELS[model].price)
    known: CaptionModel | TranscriptionModel | None = CAPTION_MODELS.get(model) or TRANSCRIPTION_MODELS.get(model)
    return known.price if known else Price()


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
