"""The key is in the requests and nowhere else."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder.testing.conformance import KeyConformance
from llm_multi_core.embedder.testing.hosted.nvidia import NvidiaWire


class TestKeys(KeyConformance):
    framework, variable = "nemo", "NVIDIA_API_KEY"

    @pytest.fixture
    def wire(self):
        return NvidiaWire()
