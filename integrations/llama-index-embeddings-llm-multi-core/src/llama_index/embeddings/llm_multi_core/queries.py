"""Questions that are pictures or recordings, for any retriever or query engine of LlamaIndex.

A `QueryBundle` that has its vector already is not embedded again.
"""

from __future__ import annotations

from typing import Any

from llama_index.core.schema import QueryBundle

from llama_index.embeddings.llm_multi_core.media_batches import MediaBatches


def query_by_image(embed_model: MediaBatches, image: Any, question: str = "") -> QueryBundle:
    """A query that finds what is near an image.

    Args:
        embed_model: that of the index.
        image: a path, a binary file, bytes, a PIL image, an array of pixels.
        question: what a language model is asked about what was found.

    Raises:
        InvalidInputError: if it cannot be read.
        IncompatibleSpacesError: if images do not come into the space of the index.
    """
    return QueryBundle(question, embedding=embed_model.get_image_query_embedding(image))


async def aquery_by_image(embed_model: MediaBatches, image: Any, question: str = "") -> QueryBundle:
    """`query_by_image` without blocking the event loop."""
    return QueryBundle(question, embedding=await embed_model.aget_image_query_embedding(image))


def query_by_audio(embed_model: MediaBatches, audio: Any, question: str = "") -> QueryBundle:
    """A query that finds what is near a recording.

    Args:
        embed_model: that of the index.
        audio: a path, a binary file, bytes, or a pair of samples and their rate in Hz.
        question: what a language model is asked about what was found.

    Raises:
        InvalidInputError: if it cannot be read.
        IncompatibleSpacesError: if sound does not come into the space of the index.
    """
    return QueryBundle(question, embedding=embed_model.get_audio_query_embedding(audio))


async def aquery_by_audio(embed_model: MediaBatches, audio: Any, question: str = "") -> QueryBundle:
    """`query_by_audio` without blocking the event loop."""
    return QueryBundle(question, embedding=await embed_model.aget_audio_query_embedding(audio))
