"""Text embeddings with sentence-transformers, as a plugin of llm-multi-core."""
