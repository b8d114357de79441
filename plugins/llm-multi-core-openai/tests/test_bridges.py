"""Images by caption and audio by transcript: two steps, one vector in the space of text."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

from llm_multi_core.embedder import (
    AccessDeniedError,
    InvalidInputError,
    InvalidOptionError,
    ProviderError,
    TruncationError,
)
from llm_multi_core.embedder.testing.hosted import Faults, HostedServer
from llm_multi_core.embedder.testing.hosted.openai import IMAGE_TOKENS, OpenAIWire, caption_of, media_key, transcript_of
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, encode_sound, synthesise
from llm_multi_core_openai.captions import CAPTION_PROMPT

PICTURES = [encode_picture(draw_picture(60, 40 + place, place), "PNG") for place in range(40)]
SOUNDS = [encode_sound(synthesise(0.2 + place / 50, seed=place), format="WAV") for place in range(12)]


def steps(server):
    return [record.path.rpartition("/")[2] for record in server.requests]


def chats(server):
    return [json.loads(record.body) for record in server.requests if record.path.endswith("/completions")]


class TestImages:
    def test_vectors_are_those_of_the_captions(self, make, server, expected):
        embedder = make(modality="image")
        vectors = embedder.embed_batch(PICTURES)
        captions = [caption_of(picture) for picture in PICTURES]
        np.testing.assert_allclose(vectors, expected(captions), atol=1e-6)
        assert server.violations == []
        assert steps(server).count("completions") == len(PICTURES)
        assert steps(server).count("embeddings") <= 4

    def test_they_lie_in_the_space_of_text(self, make):
        assert make(modality="image").space == make().space
        assert make(modality="audio").space == make().space
        ways = [make(modality=modality).via for modality in ("text", "image", "audio")]
        assert ways == [None, "caption", "transcript"]

    def test_captions_of_a_batch_are_asked_for_at_once_and_not_too_many(self, make, server):
        server.latency = 0.1
        make(modality="image", caption_concurrency=5).embed_batch(PICTURES[:16])
        assert 1 < server.peak <= 5

    def test_what_the_chat_request_says(self, make, server):
        make(modality="image", caption_prompt="What is it?", caption_detail="low").embed(PICTURES[0])
        (chat,) = chats(server)
        assert chat["model"] == "gpt-6-luna"
        assert chat["reasoning_effort"] == "none"
        text, picture = chat["messages"][0]["content"]
        assert text == {"type": "text", "text": "What is it?"}
        assert picture["image_url"]["detail"] == "low"
        url = picture["image_url"]["url"]
        assert base64.b64decode(url.removeprefix("data:image/png;base64,")) == PICTURES[0]

    def test_a_model_that_the_catalogue_lacks_gets_nothing_but_what_is_asked(self, make, server):
        embedder = make(modality="image", caption_model="llava", caption_options={"temperature": 0, "seed": 3})
        embedder.embed(PICTURES[0])
        assert sorted(chats(server)[0]) == ["messages", "model", "seed", "temperature"]

    def test_prompts_are_for_the_captions_too(self, make, expected):
        vector = make(modality="image", prompts={"document": "passage: "}).embed(PICTURES[0], role="document")
        np.testing.assert_allclose(vector, expected([f"passage: {caption_of(PICTURES[0])}"])[0], atol=1e-6)

    def test_usage_and_cost_are_those_of_both_steps(self, make):
        report = make(modality="image").run(PICTURES[:3]).report
        prompt = len(CAPTION_PROMPT.split()) + IMAGE_TOKENS
        words = len(caption_of(PICTURES[0]).split())
        assert report.billed_units == 3 * (prompt + words + words)
        assert report.cost == pytest.approx(3 * (prompt * 0.10 + words * 0.50 + words * 0.02) / 1e6)

    def test_cost_is_not_known_if_one_step_has_no_price(self, make):
        assert make(modality="image", caption_model="llava").run(PICTURES[:1]).report.cost is None
        prices = {"llava": {"input": 1.0, "output": 0.0}}
        report = make(modality="image", caption_model="llava", prices=prices).run(PICTURES[:1]).report
        prompt = len(CAPTION_PROMPT.split()) + IMAGE_TOKENS
        assert report.cost == pytest.approx((prompt * 1.0 + len(caption_of(PICTURES[0]).split()) * 0.02) / 1e6)

    @pytest.mark.parametrize("prices", [{"llava": 1.0}, {"llava": {"inputs": 1.0}}, {"llava": {"input": "1"}}])
    def test_prices_that_are_none(self, make, prices):
        with pytest.raises(InvalidOptionError, match="'llava'"):
            make(modality="image", caption_model="llava", prices=prices).embed(PICTURES[0])


class TestAudio:
    def test_vectors_are_those_of_the_transcripts(self, make, server, expected):
        vectors = make(modality="audio").embed_batch(SOUNDS)
        np.testing.assert_allclose(vectors, expected([transcript_of(sound) for sound in SOUNDS]), atol=1e-6)
        assert server.violations == []
        assert steps(server).count("transcriptions") == len(SOUNDS)

    def test_what_the_request_says(self, make, server):
        embedder = make(
            modality="audio", transcription_model="whisper-1", language="de", transcription_prompt="Zuse, Z3"
        )
        embedder.embed(SOUNDS[0])
        form = server.requests[0].body
        assert re.search(rb'name="file"; filename="recording.wav"\r\nContent-Type: audio/wav', form)
        for name, value in (("model", "whisper-1"), ("language", "de"), ("prompt", "Zuse, Z3")):
            assert re.search(rf'name="{name}"\r\n\r\n{value}\r\n'.encode(), form)

    def test_arrays_are_sent_as_flac(self, make, server):
        make(modality="audio").embed(np.sin(np.arange(8000) / 9).astype(np.float32))
        assert b"\r\n\r\nfLaC" in server.requests[0].body

    def test_a_file_that_is_too_large_is_sent_in_mono(self, make, server, monkeypatch):
        stereo = encode_sound(np.stack([synthesise(2.0, seed=1)] * 2, axis=1), format="WAV")
        monkeypatch.setattr("llm_multi_core_openai.transcripts.MAX_AUDIO_BYTES", len(stereo) - 1)
        make(modality="audio").embed(stereo)
        assert b"\r\n\r\nfLaC" in server.requests[0].body
        assert len(server.requests[0].body) < len(stereo) * 2 / 3

    def test_a_file_that_is_too_large_even_so_is_refused(self, make, server, monkeypatch):
        monkeypatch.setattr("llm_multi_core_openai.transcripts.MAX_AUDIO_BYTES", 100)
        with pytest.raises(InvalidInputError, match="100 are taken at most"):
            make(modality="audio").embed(SOUNDS[0])
        assert server.requests == []

    def test_cost_by_the_minute_and_by_tokens(self, make):
        report = make(modality="audio").run(SOUNDS[:1]).report
        seconds = len(SOUNDS[0]) / 32_000
        assert report.cost == pytest.approx(seconds / 60 * 0.0045 + 3 * 0.02 / 1e6)
        assert report.billed_units == 1
        report = make(modality="audio", transcription_model="gpt-4o-mini-transcribe").run(SOUNDS[:1]).report
        assert report.cost == pytest.approx((3 * 5.00 + 3 * 0.02) / 1e6)
        assert make(modality="audio", transcription_model="other").run(SOUNDS[:1]).report.cost is None

    def test_recordings_that_are_too_long_fall_under_the_truncation_policy(self, make, server):
        long = (np.sin(np.arange(400_000) / 9).astype(np.float32), 1000)
        embedder = make(modality="audio", limits={"units_per_item": 150}, truncation="error")
        with pytest.raises(TruncationError):
            embedder.embed(long)
        make(modality="audio", limits={"units_per_item": 150}, truncation="mean").embed(long)
        assert steps(server).count("transcriptions") == 3


@pytest.mark.parametrize("modality", ["image", "audio"])
class TestWhatGoesWrong:
    @pytest.fixture
    def inputs(self, modality):
        return PICTURES[:12] if modality == "image" else SOUNDS

    @pytest.fixture
    def words(self, modality, inputs):
        return [(caption_of if modality == "image" else transcript_of)(data) for data in inputs]

    @pytest.fixture
    def step(self, modality):
        return "completions" if modality == "image" else "transcriptions"

    def test_empty_words_are_an_error_of_that_input_and_cost_no_other_twice(
        self, modality, inputs, words, step, open_embedder, expected
    ):
        with HostedServer(OpenAIWire(blank=[media_key(inputs[5])])) as server:
            embedder = open_embedder("openai", modality, base_url=server.base_url, api_key="k")
            result = embedder.run(inputs, on_error="collect")
        (failure,) = result.failures
        assert failure.index == 5
        assert isinstance(failure.error, InvalidInputError)
        reason = "no caption: gpt-6-luna wrote nothing" if modality == "image" else "gpt-transcribe heard no speech"
        assert reason in str(failure.error)
        others = [place for place in range(len(inputs)) if place != 5]
        np.testing.assert_allclose(result.vectors[others], expected([words[place] for place in others]), atol=1e-6)
        assert steps(server).count(step) == len(inputs)

    def test_a_refused_input_is_found_and_no_other_is_paid_twice(self, modality, inputs, step, open_embedder):
        with HostedServer(OpenAIWire(refused=[media_key(inputs[2])])) as server:
            embedder = open_embedder("openai", modality, base_url=server.base_url, api_key="k")
            result = embedder.run(inputs, on_error="collect")
        (failure,) = result.failures
        assert failure.index == 2
        assert isinstance(failure.error, ProviderError)
        assert "safety system" in str(failure.error)
        answered = [record for record in server.requests if record.path.endswith(step) and record.status == 200]
        assert len(answered) == len(inputs) - 1

    def test_failures_on_the_way_are_made_up_for(self, make, server, modality, inputs, words, step, expected):
        failures = ("rate_limited", "unavailable", "server_error", "rate_limited")
        server.faults = Faults(retry_after=0.01, script=failures)
        vectors = make(modality=modality).embed_batch(inputs)
        np.testing.assert_allclose(vectors, expected(words), atol=1e-6)
        answered = [record for record in server.requests if record.path.endswith(step) and record.status == 200]
        assert len(answered) == len(inputs)  # none twice

    def test_a_refused_key_ends_the_call(self, make, server, modality, inputs):
        server.faults = Faults(denied_keys=frozenset({"sk-revoked-0123456789"}))
        with pytest.raises(AccessDeniedError) as caught:
            make(modality=modality, api_key="sk-revoked-0123456789").embed_batch(inputs)
        assert "sk-revoked" not in f"{caught.value!r} {caught.value.__cause__!r}"
        assert len(server.requests) <= 16
