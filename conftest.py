"""Fixtures for the tests of the whole workspace."""

pytest_plugins = ["llm_multi_core.embedder.testing.fixtures", "llm_multi_core.embedder.testing.parity.plugin"]
