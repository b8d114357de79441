"""Indexes a few dozen short documents with LangChain and with LlamaIndex, and asks both the same questions."""

from __future__ import annotations

from documents import DOCUMENTS, QUESTIONS
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode

from langchain_llm_multi_core import MultiCoreEmbeddings
from llama_index.embeddings.llm_multi_core import MultiCoreEmbedding

FRAMEWORK = "sentence-transformers"
TOP = 3

Answers = dict[str, list[tuple[str, float]]]
"""By question the names of the best documents, with their scores."""


def search_with_langchain() -> Answers:
    """The answers of a LangChain store."""
    store = InMemoryVectorStore(MultiCoreEmbeddings(framework=FRAMEWORK))
    store.add_documents([Document(text, metadata={"name": name}) for name, text in DOCUMENTS.items()])
    return {
        question: [
            (document.metadata["name"], score)
            for document, score in store.similarity_search_with_score(question, k=TOP)
        ]
        for question in QUESTIONS
    }


def search_with_llama_index() -> Answers:
    """The answers of a LlamaIndex index."""
    nodes = [TextNode(text=text, id_=name) for name, text in DOCUMENTS.items()]
    index = VectorStoreIndex(nodes, embed_model=MultiCoreEmbedding(framework=FRAMEWORK))
    retriever = index.as_retriever(similarity_top_k=TOP)
    return {
        question: [(found.node.node_id, float(found.score or 0)) for found in retriever.retrieve(question)]
        for question in QUESTIONS
    }
