"""Training-free descriptors of images, sound and text, as a plugin of llm-multi-core."""
