"""What model cards say and the models' own configuration does not. Data with its source, no behaviour.

A prompt here is used only where the model's configuration has none and the user gives none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of some models beyond their configuration.

    Attributes:
        names: their names on the hub.
        source: where that is said.
        matryoshka: whether the first components of a vector are a good vector.
        query: the prompt that queries need.
        document: the prompt that documents need.
        symmetric: the prompt when texts of one kind are compared with each other.
        excludes_prompt: whether the tokens of the prompt are left out of the pooling.
        instruction: the prompt that an instruction of the user's is put into, at `{}`. By default it is the prompt.
        tasks: what the model's own code is told for a role, where that is not the role's name.
        written_for: the version of transformers that the model's own code runs with, where a newer one is known to
            break it.
    """

    names: tuple[str, ...] = ()
    source: str = ""
    matryoshka: bool = False
    query: str = ""
    document: str = ""
    symmetric: str = ""
    excludes_prompt: bool = False
    instruction: str = "{}"
    tasks: Mapping[str, str] = field(default_factory=dict)
    written_for: str = ""


MODEL_CARDS = (
    ModelCard(
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
    ModelCard(
        names=("nomic-ai/nomic-embed-text-v1",),
        source="https://huggingface.co/nomic-ai/nomic-embed-text-v1",
        query="search_query: ",
        document="search_document: ",
        symmetric="clustering: ",
    ),
    ModelCard(
        names=("nomic-ai/nomic-embed-text-v1.5",),
        source="https://huggingface.co/nomic-ai/nomic-embed-text-v1.5",
        matryoshka=True,
        query="search_query: ",
        document="search_document: ",
        symmetric="clustering: ",
    ),
    ModelCard(
        # The cards demand one of the two prefixes; texts that are compared are documents to them.
        names=("nomic-ai/modernbert-embed-base", "lightonai/modernbert-embed-large"),
        source="https://huggingface.co/nomic-ai/modernbert-embed-base",
        matryoshka=True,
        query="search_query: ",
        document="search_document: ",
        symmetric="search_document: ",
    ),
    ModelCard(  # without prefixes, unlike most ModernBERT models for retrieval
        names=("Alibaba-NLP/gte-modernbert-base",),
        source="https://huggingface.co/Alibaba-NLP/gte-modernbert-base",
    ),
    ModelCard(  # not trained for retrieval
        names=("answerdotai/ModernBERT-base", "answerdotai/ModernBERT-large"),
        source="https://huggingface.co/answerdotai/ModernBERT-base",
    ),
    ModelCard(
        names=("mixedbread-ai/mxbai-embed-large-v1",),
        source="https://huggingface.co/mixedbread-ai/mxbai-embed-large-v1",
        matryoshka=True,
        query="Represent this sentence for searching relevant passages: ",
    ),
    ModelCard(
        names=(
            "sentence-transformers/static-retrieval-mrl-en-v1",
            "sentence-transformers/static-similarity-mrl-multilingual-v1",
        ),
        source="https://huggingface.co/blog/static-embeddings",
        matryoshka=True,
    ),
    ModelCard(
        names=("Qwen/Qwen3-Embedding-0.6B", "Qwen/Qwen3-Embedding-4B", "Qwen/Qwen3-Embedding-8B"),
        source="https://huggingface.co/Qwen/Qwen3-Embedding-0.6B",
        matryoshka=True,
        instruction="Instruct: {}\nQuery:",
    ),
    ModelCard(
        names=("google/embeddinggemma-300m",),
        source="https://ai.google.dev/gemma/docs/embeddinggemma/model_card",
        matryoshka=True,
        instruction="task: {} | query: ",
    ),
    ModelCard(
        names=("hkunlp/instructor-base", "hkunlp/instructor-large", "hkunlp/instructor-xl"),
        source="https://sbert.net/docs/sentence_transformer/pretrained_models.html#instructor-models",
        excludes_prompt=True,
    ),
    ModelCard(
        # Its code imports names that transformers 5 no longer has.
        names=("nvidia/NV-Embed-v2",),
        source="https://huggingface.co/nvidia/NV-Embed-v2",
        query="Instruct: Given a question, retrieve passages that answer the question\nQuery: ",
        instruction="Instruct: {}\nQuery: ",
        written_for="4.42.4",
    ),
    ModelCard(
        names=("jinaai/jina-embeddings-v3",),
        source="https://huggingface.co/jinaai/jina-embeddings-v3",
        matryoshka=True,
        tasks={"query": "retrieval.query", "document": "retrieval.passage", "symmetric": "text-matching"},
    ),
    ModelCard(
        names=("jinaai/jina-embeddings-v5-text-small-retrieval",),
        source="https://huggingface.co/jinaai/jina-embeddings-v5-text-small-retrieval",
        matryoshka=True,
    ),
    ModelCard(
        names=("google/embeddinggemma-2",),
        source="https://ai.google.dev/gemma/docs/embeddinggemma/model_card_2",
        matryoshka=True,
        instruction="task: {} | query: ",
    ),
    ModelCard(
        names=("Qwen/Qwen3-VL-Embedding-2B", "Qwen/Qwen3-VL-Embedding-8B"),
        source="https://huggingface.co/Qwen/Qwen3-VL-Embedding-2B",
        matryoshka=True,
    ),
)

_BY_NAME = {name.lower(): card for card in MODEL_CARDS for name in card.names}


def model_card(name: str) -> ModelCard:
    """What is known about the model of this name, in any case; without content if nothing is."""
    return _BY_NAME.get(name.lower(), ModelCard())
