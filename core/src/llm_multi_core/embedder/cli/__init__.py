"""The `llm-multi-core` command: what is installed here, and embeddings for files and pipes."""

from llm_multi_core.embedder.cli.app import main

__all__ = ["main"]
