"""The package that holds the embedding layer; see `llm_multi_core.embedder`."""
