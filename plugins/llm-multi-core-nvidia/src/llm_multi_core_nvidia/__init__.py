"""NVIDIA NIM embeddings, in the cloud or on machines of one's own, as a plugin of llm-multi-core."""
