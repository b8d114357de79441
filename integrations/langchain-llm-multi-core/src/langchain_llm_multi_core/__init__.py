"""The embedders of llm-multi-core as LangChain embeddings.

`MultiCoreEmbeddings` converts types and calls an embedder. It never batches, caches or normalises:
the embedder does.
"""

from langchain_llm_multi_core.embeddings import MultiCoreEmbeddings
from langchain_llm_multi_core.roles import OneRoleEmbeddings

__all__ = ["MultiCoreEmbeddings", "OneRoleEmbeddings"]
