"""Text, image and audio embeddings with transformers models, as a plugin of llm-multi-core."""
