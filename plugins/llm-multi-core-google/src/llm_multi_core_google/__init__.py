"""Google's Gemini embedding models for text, images and sound, as a plugin of llm-multi-core."""
