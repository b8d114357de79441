"""The key is in the requests and nowhere else."""

from __future__ import annotations

import logging
import traceback

import pytest

from llm_multi_core.embedder import EmbedderError
from llm_multi_core.embedder.testing.conformance import KeyConformance
from llm_multi_core.embedder.testing.conformance.keys import CANARY
from llm_multi_core.embedder.testing.hosted import Faults
from llm_multi_core.embedder.testing.hosted.openai import OpenAIWire
from llm_multi_core.embedder.testing.media import draw_picture, encode_sound, synthesise


class TestKeys(KeyConformance):
    framework, variable = "openai", "OPENAI_API_KEY"

    @pytest.fixture
    def wire(self):
        return OpenAIWire()


def test_captions_and_transcripts_do_not_show_the_key(server, make, caplog):
    caplog.set_level(logging.DEBUG)
    for modality, value in (("image", draw_picture(40, 30, 1)), ("audio", encode_sound(synthesise(), 16_000))):
        server.faults = Faults()
        embedder = make(modality=modality, api_key=CANARY)
        shown = [repr(embedder.run([value]))]
        server.faults = Faults(denied_keys=frozenset({CANARY}))
        with pytest.raises(EmbedderError) as caught:
            embedder.embed(value)
        shown += ["".join(traceback.format_exception(caught.value)), caplog.text]
        assert not [text for text in shown if CANARY in text]
