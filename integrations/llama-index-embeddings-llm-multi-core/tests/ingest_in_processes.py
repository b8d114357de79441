"""Run by the tests in a process of its own: ingests with worker processes, prints JSON.

Usage: python ingest_in_processes.py FRAMEWORK run|arun [MEDIA FOLDER]
"""

import asyncio
import json
import sys

from llama_index.core import Document
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion import IngestionPipeline

from llama_index.embeddings.llm_multi_core import MultiCoreEmbedding, MultiCoreMultiModalEmbedding, MultiCoreReader
from llm_multi_core.embedder import create_audio_embedder, create_image_embedder, create_text_embedder
from llm_multi_core.embedder.testing.joint import random_alignment


def multimodal(framework: str) -> BaseEmbedding:
    """Texts, images and sound of the fakes in one space."""
    text, image, audio = create_text_embedder(framework), *_media_embedders()
    maps = [random_alignment(one.space, text.space) for one in (image, audio)]
    return MultiCoreMultiModalEmbedding(framework, "fake-image", "fake-audio", alignment=maps)


def _media_embedders():
    return create_image_embedder("fake-image"), create_audio_embedder("fake-audio")


def ingest(embedding: BaseEmbedding, documents: list[Document], how: str) -> dict:
    """The vectors of documents, here and in workers."""
    here = [node.embedding for node in embedding([document.model_copy() for document in documents])]
    pipeline = IngestionPipeline(transformations=[embedding])
    if how == "arun":
        nodes = asyncio.run(pipeline.arun(documents=documents, num_workers=2))
    else:
        nodes = pipeline.run(documents=documents, num_workers=2)
    after = [node.embedding for node in embedding([document.model_copy() for document in documents])]
    assert after == here, "the parent goes on as before"
    return {"texts": [node.text for node in nodes], "here": here, "there": [node.embedding for node in nodes]}


def main(framework: str, how: str, folder: str | None = None) -> None:
    """Embed here first, so that workers which fork find a parent with threads and a loaded model."""
    embedding = MultiCoreEmbedding(framework)
    embedding.get_text_embedding_batch([f"before {number}" for number in range(32)])
    asyncio.run(embedding.aget_text_embedding("starts the threads of asynchronous calls, too"))
    documents = [Document(text=f"text number {number}") for number in range(6)]
    results = {"texts": ingest(embedding, documents, how)}
    if folder is not None:
        results["media"] = ingest(multimodal(framework), MultiCoreReader(folder).load_data(), how)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
