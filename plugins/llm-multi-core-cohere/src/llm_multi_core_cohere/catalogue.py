"""What is known of Cohere's embedding models: sizes, limits, prices. Data only.

A model that is not listed here works as well; what is assumed of it is in `unlisted`.
"""

from __future__ import annotations

from dataclasses import dataclass

from llm_multi_core.embedder import Modality, ModelSpec

MODELS_PAGE = "https://docs.cohere.com/docs/cohere-embed"

ITEMS_PER_REQUEST = 96
"""Texts or inputs a request (https://docs.cohere.com/reference/embed)."""
REQUESTS_PER_MINUTE = 2000
"""Of a production key; a trial key's lower limit is read from its replies (https://docs.cohere.com/docs/rate-limits)."""
IMAGE_FORMATS = ("image/jpeg", "image/png", "image/webp", "image/gif")
MAX_IMAGE_BYTES = 5_000_000
BYTES_PER_REQUEST = 14_500_000
"""Of pictures as files. A request may have 20 MB (https://docs.cohere.com/docs/embeddings), and base64 adds a third."""

TOKENS_PER_PIXEL = 1610 / 512**2
"""About: "a 512 x 512 image is converted to about 1,610 tokens"
(https://docs.oracle.com/iaas/Content/generative-ai/cohere-embed-4.htm)."""
FEWEST_PIXELS, MOST_PIXELS = 56 * 56, 1568 * 1568
"""To which a smaller or larger picture is scaled (https://docs.cohere.com/docs/embeddings)."""


@dataclass(frozen=True, slots=True)
class CohereModel:
    """One embedding model.

    Attributes:
        name: what the API calls it.
        dimension: components of a vector, if known.
        dimensions: sizes beside `dimension` that can be asked for.
        max_tokens: the longest input.
        tokens_per_request: most tokens that the inputs of a request may have together, if bounded.
        mixed: whether it takes `inputs`: several pictures a request, with a role, or together with text.
            Otherwise a request holds one picture.
        family: what models whose vectors may be compared with one another have in common; the name
            itself if there are none.
        price: US dollars per million tokens of text (https://cohere.com/pricing, as are the other two).
        image_token_price: the same for tokens of pictures, where those are billed apart.
        image_price: US dollars a picture, where those are counted.
        note: one line of what else to know.
    """

    name: str
    dimension: int | None
    dimensions: tuple[int, ...] = ()
    max_tokens: int = 128_000
    tokens_per_request: int | None = 128_000
    mixed: bool = True
    family: str = ""
    price: float | None = None
    image_token_price: float | None = None
    image_price: float | None = None
    note: str = ""

    def spec(self) -> ModelSpec:
        """Its entry in listings."""
        return ModelSpec(
            self.name,
            (Modality.TEXT, Modality.IMAGE),
            self.dimension,
            dimensions=self.dimensions,
            max_units=self.max_tokens,
            note=self.note,
            source=MODELS_PAGE,
            price=self.price,
        )

    def image_tokens(self, width: int, height: int) -> int:
        """About how many tokens a picture has; 1 where pictures are counted."""
        if not self.mixed:
            return 1
        return round(min(max(width * height, FEWEST_PIXELS), MOST_PIXELS) * TOKENS_PER_PIXEL)

    def cost(self, text_tokens: int, image_tokens: int, images: int) -> float | None:
        """US dollars for what a reply says was billed; `None` where it is text only or a price is unknown."""
        if image_tokens and self.image_token_price is not None and self.price is not None:
            return (text_tokens * self.price + image_tokens * self.image_token_price) / 1e6
        if images and not image_tokens and self.image_price is not None and self.price is not None:
            return text_tokens * self.price / 1e6 + images * self.image_price
        return None


def _third(name: str, dimension: int, note: str) -> CohereModel:
    """A model of the third generation."""
    return CohereModel(
        name,
        dimension,
        max_tokens=512,
        tokens_per_request=None,
        mixed=False,
        price=0.1,
        image_price=0.0001,
        note=f"{note}; one picture a request, without a role",
    )


DEFAULT_MODEL = "embed-v4.0"

MODELS = (
    CohereModel(
        DEFAULT_MODEL,
        1536,
        dimensions=(256, 512, 1024),
        price=0.12,
        image_token_price=0.47,
        note="over 100 languages; text, pictures, and both in one input",
    ),
    CohereModel(
        "embed-v5.0-pro",
        2048,
        dimensions=(256, 512, 768, 1024, 1536),
        family="embed-v5.0",
        price=0.12,
        note="over 100 languages; shares its space with embed-v5.0-fast",
    ),
    CohereModel(
        "embed-v5.0-fast",
        2048,
        dimensions=(256, 512, 768, 1024, 1536),
        family="embed-v5.0",
        price=0.08,
        note="over 100 languages; shares its space with embed-v5.0-pro",
    ),
    _third("embed-multilingual-v3.0", 1024, "over 100 languages"),
    _third("embed-english-v3.0", 1024, "English"),
    _third("embed-multilingual-light-v3.0", 384, "over 100 languages, small"),
    _third("embed-english-light-v3.0", 384, "English, small"),
)

_BY_NAME = {model.name: model for model in MODELS}


def find(name: str) -> CohereModel:
    """The model of that name; one that is not listed is taken to be like the newest, of unknown dimension."""
    return _BY_NAME.get(name) or CohereModel(name, None)
