"""Every framework of llm-multi-core as a LlamaIndex embedding."""

from llama_index.embeddings.llm_multi_core.base import MultiCoreEmbedding

__all__ = ["MultiCoreEmbedding"]
