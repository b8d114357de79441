"""The key is in the requests and nowhere else."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder.testing.conformance import KeyConformance
from llm_multi_core.embedder.testing.hosted.jina import JinaWire


class TestKeys(KeyConformance):
    framework, variable = "jina", "JINA_API_KEY"

    @pytest.fixture
    def wire(self):
        return JinaWire()
