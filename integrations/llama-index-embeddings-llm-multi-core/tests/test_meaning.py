"""A real model, all-MiniLM-L6-v2 from its package: near meanings are found."""

from __future__ import annotations

import numpy as np
import pytest
from llama_index.core import Document, VectorStoreIndex

from llama_index.embeddings.llm_multi_core import MultiCoreEmbedding

pytest.importorskip("llm_multi_core_sentence_transformers")

QUESTIONS = {
    "Which pet is resting?": "A cat sleeps on the warm windowsill.",
    "How do I borrow money for a house?": "The bank explains its mortgage rates.",
    "What is the weather like?": "Heavy rain is expected over the coast tonight.",
    "Which planet is the largest?": "Jupiter has more mass than all other planets together.",
}


@pytest.fixture(scope="module")
def embedding() -> MultiCoreEmbedding:
    return MultiCoreEmbedding("sentence-transformers", precision="float32")


def test_questions_find_their_answers(embedding):
    documents = [Document(text=text) for text in QUESTIONS.values()]
    retriever = VectorStoreIndex.from_documents(documents, embed_model=embedding).as_retriever(similarity_top_k=1)
    assert {question: retriever.retrieve(question)[0].text for question in QUESTIONS} == QUESTIONS


async def test_batches_and_lengths_do_not_change_a_vector(embedding):
    texts = [*QUESTIONS, "short", "a rather long text " * 8, *QUESTIONS.values()]
    single = [embedding.get_text_embedding(text) for text in texts]
    np.testing.assert_allclose(embedding.get_text_embedding_batch(texts), single, atol=1e-5)
    np.testing.assert_allclose(await embedding.aget_text_embedding_batch(texts), single, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(single, axis=1), 1, atol=1e-5)
    assert max(np.dot(single[0], other) for other in single[1:]) < 0.99


def test_a_copy_in_another_space_is_noticed(embedding):
    cut = MultiCoreEmbedding("sentence-transformers", dimensions=64, force_dimensions=True)
    assert cut.to_dict()["fingerprint"] != embedding.to_dict()["fingerprint"]
    assert len(cut.get_query_embedding("a")) == 64
