"""The key is in the requests and nowhere else."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder.testing.conformance import KeyConformance
from llm_multi_core.embedder.testing.hosted.cohere import CohereWire


class TestKeys(KeyConformance):
    framework, variable = "cohere", "CO_API_KEY"

    @pytest.fixture
    def wire(self):
        return CohereWire()
