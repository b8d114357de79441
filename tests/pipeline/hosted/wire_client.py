"""The least client of the OpenAI wire there could be, over bare httpx; for these tests and for their processes.

`make(base_url)` gives an embedder of it. Tokens are words, as the provider's double counts them.
"""

from __future__ import annotations

import httpx

from llm_multi_core.embedder import (
    Credentials,
    Description,
    FrameworkSpec,
    HostedEncoder,
    Limits,
    Measure,
    Modality,
    ModelSpec,
    Reply,
    Space,
    TextEmbedder,
    Usage,
    Verdict,
)
from llm_multi_core.embedder.frameworks import Offer
from llm_multi_core.embedder.hosted import HOSTED_OPTIONS, read_pace, read_vectors
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.testing.hosted.openai import OpenAIWire, ServedModel

DIMENSION = 16
MODELS = {"wire-small": ServedModel(DIMENSION)}
KEY = "sk-of-these-tests"
LIMITS = Limits(units_per_item=8192, items_per_batch=2048, padded=False, concurrency=8, accepts_empty=False)


def wire():
    """The server's side."""
    return OpenAIWire(MODELS)


class WireEncoder(HostedEncoder):
    """Texts by POST /embeddings."""

    def __init__(self, config):
        super().__init__(config)
        self._client = None

    def describe(self):
        return Description(Space(f"wire/{self.config.model}", DIMENSION), LIMITS, DIMENSION)

    def measure(self, items, task):
        return Measure([max(1, len(item.text.split())) for item in items])

    def split(self, item, max_units, task):
        words = item.text.split()
        return [text_item(" ".join(words[i : i + max_units])) for i in range(0, len(words), max_units)]

    async def request(self, items, task):
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=self.config.options["timeout"])
        reply = await self._client.post(
            f"{self.config.options['base_url']}/embeddings",
            json={"input": [item.text for item in items], "model": self.config.model, "encoding_format": "base64"},
            headers={"authorization": f"Bearer {self.key()}"},
        )
        if reply.is_error:
            await reply.aread()
            raise httpx.HTTPStatusError(
                f"{reply.status_code} for {reply.url}: {reply.text}", request=reply.request, response=reply
            )
        vectors = read_vectors(reply.content, len(items))
        return Reply(vectors.rows, Usage(vectors.tokens), read_pace(reply.headers))

    def classify(self, error):
        if "maximum context length" in str(error):
            return Verdict("shorten", status=400)
        return super().classify(error)

    async def aclose(self):
        if self._client is not None:
            await self._client.aclose()


def offer(encoder=WireEncoder, modality=Modality.TEXT, price=None):
    """The framework "wire"; its model costs `price` US dollars per million tokens."""
    spec = FrameworkSpec(
        name="wire",
        modalities=(modality,),
        target=f"{encoder.__module__}:{encoder.__qualname__}",
        default_model={modality: "wire-small"},
        options=HOSTED_OPTIONS,
        hosted=True,
        credentials=Credentials(("WIRE_API_KEY",)),
        models=(ModelSpec("wire-small", (modality,), DIMENSION, price=price),),
    )
    return Offer(spec, "llm-multi-core-wire", "0")


def make(base_url=None, encoder=WireEncoder, *, kind=TextEmbedder, price_in_catalogue=None, **keywords):
    """An embedder; keywords are settings, or options that every hosted framework takes."""
    settings = {
        "model": None, "device": None, "precision": "auto", "dimensions": None, "force_dimensions": False,
        "normalize": True, "truncation": "warn", "batch_size": None, "cache": None, "api_key": KEY,
    }  # fmt: skip
    settings = {name: keywords.pop(name, default) for name, default in settings.items()}
    keywords["base_url"] = base_url
    found = offer(encoder, kind.modality, price_in_catalogue)
    return kind(EmbedderSettings.check(found, kind.modality, options=keywords, **settings))
