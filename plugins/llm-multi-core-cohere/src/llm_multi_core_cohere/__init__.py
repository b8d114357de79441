"""Cohere's Embed models for text, images and both in one, as a plugin of llm-multi-core."""
