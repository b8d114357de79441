"""The key is in the requests and nowhere else."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder.testing.conformance import KeyConformance
from llm_multi_core.embedder.testing.hosted.google import GeminiWire


class TestKeys(KeyConformance):
    framework, variable = "gemini", "GEMINI_API_KEY"
    header = "x-goog-api-key"

    @pytest.fixture
    def wire(self):
        return GeminiWire()
