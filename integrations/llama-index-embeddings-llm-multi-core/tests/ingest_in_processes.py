"""Run by the tests in a process of its own: ingests with worker processes, prints JSON.

Usage: python ingest_in_processes.py FRAMEWORK run|arun
"""

import asyncio
import json
import sys

from llama_index.core import Document
from llama_index.core.ingestion import IngestionPipeline

from llama_index.embeddings.llm_multi_core import MultiCoreEmbedding


def main(framework: str, how: str) -> None:
    """Embed here first, so that workers which fork find a parent with threads and a loaded model."""
    embedding = MultiCoreEmbedding(framework)
    texts = [f"text number {number}" for number in range(6)]
    here = embedding.get_text_embedding_batch([f"before {number}" for number in range(32)] + texts)[32:]
    asyncio.run(embedding.aget_text_embedding("starts the threads of asynchronous calls, too"))
    pipeline = IngestionPipeline(transformations=[embedding])
    documents = [Document(text=text) for text in texts]
    if how == "arun":
        nodes = asyncio.run(pipeline.arun(documents=documents, num_workers=2))
    else:
        nodes = pipeline.run(documents=documents, num_workers=2)
    after = embedding.get_text_embedding_batch(texts)
    assert after == here, "the parent goes on as before"
    json.dump({"texts": [node.text for node in nodes], "here": here, "there": [n.embedding for n in nodes]}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
