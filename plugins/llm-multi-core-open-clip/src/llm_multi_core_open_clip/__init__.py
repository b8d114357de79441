"""Image and text embeddings with open_clip, as a plugin of llm-multi-core."""
