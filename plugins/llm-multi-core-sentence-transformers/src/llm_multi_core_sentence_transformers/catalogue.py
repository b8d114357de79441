"""What model cards say and the models' own configuration does not. Data with its source, no behaviour.

A prompt here is used only where the model's configuration has none and the user gives none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of some models beyond their configuration.

    Attributes:
        names: their names on the hub.
        source: where that is said.
        matryoshka: whether the first components of a vector are a good vector.
        query: the prompt that queries need.
        document: the prompt that documents need.
        symmetric: the prompt when texts of one kind are compared with each other.
        excludes_prompt: whether the tokens of the prompt are left out of the pooling.
        instruction: the prompt that an instruction of the user's is put into, at `{}`.
        tasks: what the model's own code is told for a role, where that is not the role's name.
        written_for: the version of transformers that the model's own code runs with, where a newer one is known to
            break it.
    """

    names: tuple[str, ...]
    source: str
    matryoshka: bool = False
    query: str = ""
    document: str = ""
    symmetric: str = ""
    excludes_prompt: bool = False
    instruction: str = "{}"
    tasks: Mapping[str, str] = field(default_factory=dict)
    written_for: str = ""


CATALOGUE = (
    ModelFacts(
        names=(
            "intfloat/e5-small",
            "intfloat/e5-base",
            "intfloat/e5-large",
            "intfloat/e5-small-v2",
            "intfloat/e5-base-v2",
            "intfloat/e5-large-v2",
            "intfloat/multilingual-e5-small",
            "intfloat/multilingual-e5-base",
            "intfloat/multilingual-e5-large",
        ),
        source="https://huggingface.co/intfloat/e5-base-v2",
        query="query: ",
        document="passage: ",
        symmetric="query: ",
    ),
    ModelFacts(
        names=("nomic-ai/nomic-embed-text-v1",),
        source="https://huggingface.co/nomic-ai/nomic-embed-text-v1",
        query="search_query: ",
        document="search_document: ",
        symmetric="clustering: ",
    ),
    ModelFacts(
        names=("nomic-ai/nomic-embed-text-v1.5",),
        source="https://huggingface.co/nomic-ai/nomic-embed-text-v1.5",
        matryoshka=True,
        query="search_query: ",
        document="search_document: ",
        symmetric="clustering: ",
    ),
    ModelFacts(
        # The card demands one of the two prefixes; texts that are compared are documents to it.
        names=("nomic-ai/modernbert-embed-base",),
        source="https://huggingface.co/nomic-ai/modernbert-embed-base",
        matryoshka=True,
        query="search_query: ",
        document="search_document: ",
        symmetric="search_document: ",
    ),
    ModelFacts(
        names=("mixedbread-ai/mxbai-embed-large-v1",),
        source="https://huggingface.co/mixedbread-ai/mxbai-embed-large-v1",
        matryoshka=True,
        query="Represent this sentence for searching relevant passages: ",
    ),
    ModelFacts(
        names=(
            "sentence-transformers/static-retrieval-mrl-en-v1",
            "sentence-transformers/static-similarity-mrl-multilingual-v1",
        ),
        source="https://huggingface.co/blog/static-embeddings",
        matryoshka=True,
    ),
    ModelFacts(
        names=("Qwen/Qwen3-Embedding-0.6B", "Qwen/Qwen3-Embedding-4B", "Qwen/Qwen3-Embedding-8B"),
        source="https://huggingface.co/Qwen/Qwen3-Embedding-0.6B",
        matryoshka=True,
    ),
    ModelFacts(
        names=("google/embeddinggemma-300m",),
        source="https://huggingface.co/google/embeddinggemma-300m",
        matryoshka=True,
    ),
    ModelFacts(
        names=("hkunlp/instructor-base", "hkunlp/instructor-large", "hkunlp/instructor-xl"),
        source="https://sbert.net/docs/sentence_transformer/pretrained_models.html#instructor-models",
        excludes_prompt=True,
    ),
    ModelFacts(
        # Its code imports names that transformers 5 no longer has.
        names=("nvidia/NV-Embed-v2",),
        source="https://huggingface.co/nvidia/NV-Embed-v2",
        query="Instruct: Given a question, retrieve passages that answer the question\nQuery: ",
        instruction="Instruct: {}\nQuery: ",
        written_for="4.42.4",
    ),
    ModelFacts(
        names=("jinaai/jina-embeddings-v3",),
        source="https://huggingface.co/jinaai/jina-embeddings-v3",
        matryoshka=True,
        tasks={"query": "retrieval.query", "document": "retrieval.passage", "symmetric": "text-matching"},
    ),
    ModelFacts(
        names=("jinaai/jina-embeddings-v5-text-small-retrieval",),
        source="https://huggingface.co/jinaai/jina-embeddings-v5-text-small-retrieval",
        matryoshka=True,
    ),
    ModelFacts(
        names=("google/embeddinggemma-2",),
        source="https://ai.google.dev/gemma/docs/embeddinggemma/model_card_2",
        matryoshka=True,
    ),
    ModelFacts(
        names=("Qwen/Qwen3-VL-Embedding-2B", "Qwen/Qwen3-VL-Embedding-8B"),
        source="https://huggingface.co/Qwen/Qwen3-VL-Embedding-2B",
        matryoshka=True,
    ),
)

_NOTHING_KNOWN = ModelFacts(names=(), source="")
_BY_NAME = {name.lower(): facts for facts in CATALOGUE for name in facts.names}

KNOWN_MODELS = (
    "sentence-transformers/all-MiniLM-L6-v2",
    "sentence-transformers/all-mpnet-base-v2",
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
    "sentence-transformers/multi-qa-mpnet-base-dot-v1",
    *(name for facts in CATALOGUE for name in facts.names),
)
"""Names to suggest for a misspelt one."""


def facts_about(name: str) -> ModelFacts:
    """What is known about the model of this name; without content if nothing is."""
    return _BY_NAME.get(name.lower(), _NOTHING_KNOWN)
