"""Jina's hosted embeddings of text, images and audio, as a plugin of llm-multi-core."""
