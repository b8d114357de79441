"""The host's conformance kit."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance, PluginConformance


class TestPlugin(PluginConformance):
    distribution = "llm-multi-core-sentence-transformers"


SAMPLES = (
    "river",
    "mountain of copper",
    "the whale in the harbour",
    "payment of the invoice",
    "python vector database",
    "glacier and volcano and orchard",
    "relativity of the kitchen",
    "a violin",
    "protein",
    "semaphore committee",
)
"""Of words that the tiny tokenizers know, so that they are short."""


@pytest.fixture
def tiny(model_folder):
    def case(name, **settings):
        settings = {"device": "cpu", "samples": SAMPLES, "instruction": "copper "} | settings
        return EncoderCase("sentence-transformers", model=str(model_folder(name)), **settings)

    return case


class TestTransformer(EncoderConformance):
    @pytest.fixture
    def case(self, tiny):
        variations = [{"max_length": 20}, {"prompts": {"query": "other "}}, {"precision": "bfloat16"}]
        return tiny("prompted", variations=variations)


class TestDecoder(EncoderConformance):
    @pytest.fixture
    def case(self, tiny):
        return tiny("last-token")


class TestRoutes(EncoderConformance):
    @pytest.fixture
    def case(self, tiny):
        return tiny("router")


class TestStaticEmbeddings(EncoderConformance):
    @pytest.fixture
    def case(self, tiny):
        return tiny("static")
