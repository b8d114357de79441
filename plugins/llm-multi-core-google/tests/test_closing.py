"""The SDK's clients leave nothing open behind them."""

from __future__ import annotations

import gc
import sys
import warnings

from llm_multi_core.embedder.credentials import Credentials, Secret
from llm_multi_core.embedder.encoders import EncoderConfig
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.items import Task
from llm_multi_core.embedder.pipeline.runtime import runtime
from llm_multi_core_google.encoder import GeminiTextEncoder


def test_closing_closes_every_connection(server, monkeypatch):
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", lambda about: complaints.append(about.exc_value))
    config = EncoderConfig(
        framework="gemini",
        distribution="llm-multi-core-google",
        model="gemini-embedding-001",
        options={"base_url": server.base_url},
        secret=Secret("k"),
        credentials=Credentials(("GEMINI_API_KEY",)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = GeminiTextEncoder(config)
        encoder.load()
        for _ in range(2):  # a closed encoder may be used again, with a new client
            reply = runtime.submit_io(encoder.request([text_item("a")], Task())).result()
            assert len(reply.rows) == 1
            runtime.submit_io(encoder.aclose()).result()
        del encoder
        gc.collect()
    assert complaints == []
