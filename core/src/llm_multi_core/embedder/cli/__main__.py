"""`python -m llm_multi_core.embedder.cli` is the `llm-multi-core` command."""

from llm_multi_core.embedder.cli.app import main

main()
