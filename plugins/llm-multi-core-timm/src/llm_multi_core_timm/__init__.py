"""Image embeddings with any timm model, as a plugin of llm-multi-core."""
