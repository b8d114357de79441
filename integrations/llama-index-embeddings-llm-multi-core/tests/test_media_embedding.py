"""Images and sound to vectors, synchronously and not, with all that LlamaIndex does for texts."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path

import numpy as np
import pytest
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.instrumentation.events.span import SpanDropEvent
from llama_index.core.rate_limiter import BaseRateLimiter
from PIL import Image as Pillow

from llama_index.embeddings.llm_multi_core import MultiCoreMultiModalEmbedding, media_batches
from llm_multi_core.embedder import IncompatibleSpacesError, InvalidInputError
from llm_multi_core.embedder.testing.media import synthesise


@pytest.fixture
def pictures(media):
    return [str(media.picture(f"{number}.png", number)) for number in range(5)]


@pytest.fixture
def sounds(media):
    return [str(media.sound(f"{number}.wav", 200.0 + 90 * number)) for number in range(5)]


def test_it_is_a_multimodal_embedding(embedding):
    assert isinstance(embedding, MultiModalEmbedding)
    assert embedding.embedder.joint_modalities == ("text", "image", "audio")
    assert embedding.embed_batch_size == 2048


async def test_every_form_gives_the_same_vector(embedding, pictures, sounds):
    images, audio = embedding.get_image_embedding_batch(pictures), embedding.get_audio_embedding_batch(sounds)
    expected = embedding.embedder.embed_joint([Path(name) for name in [*pictures, *sounds]], "document")
    np.testing.assert_allclose([*images, *audio], expected, atol=1e-6)
    assert [embedding.get_image_embedding(name) for name in pictures] == images
    assert [await embedding.aget_image_embedding(name) for name in pictures] == images
    assert await embedding.aget_image_embedding_batch(pictures) == images
    assert embedding._get_image_embedding(pictures[0]) == images[0]
    assert await embedding._aget_image_embedding(pictures[0]) == images[0]
    assert embedding._get_image_embeddings(pictures) == images
    assert await embedding._aget_image_embeddings(pictures) == images
    assert [embedding.get_audio_embedding(name) for name in sounds] == audio
    assert [await embedding.aget_audio_embedding(name) for name in sounds] == audio
    assert await embedding.aget_audio_embedding_batch(sounds) == audio
    for vector in [*images, *audio]:
        assert {type(number) for number in vector} == {float}


async def test_queries_have_a_role_of_their_own(joint, pictures, sounds, monkeypatch):
    embedding = joint()
    roles = []
    embed = type(embedding.embedder).embed_joint
    monkeypatch.setattr(
        type(embedding.embedder), "embed_joint", lambda self, xs, role: roles.append(role) or embed(self, xs, role)
    )
    embedding.get_image_query_embedding(pictures[0])
    embedding.get_audio_query_embedding(sounds[0])
    embedding.get_image_embedding(pictures[0])
    embedding.get_query_embedding("a")
    embedding.get_text_embedding("a")
    assert roles == ["query", "query", "document", "query", "document"]
    assert await embedding.aget_image_query_embedding(pictures[0]) == embedding.get_image_query_embedding(pictures[0])
    assert await embedding.aget_audio_query_embedding(sounds[0]) == embedding.get_audio_query_embedding(sounds[0])


def test_texts_are_embedded_as_texts(embedding, pictures):
    text = embedding.get_text_embedding(pictures[0])
    assert text != embedding.get_image_embedding(pictures[0])
    assert text == embedding.get_text_embedding_batch([pictures[0], "b"])[0]
    assert embedding.get_query_embedding(pictures[0]) != text, "the fake has roles"


def test_media_come_in_many_forms(embedding, pictures, sounds):
    path, data = pictures[0], Path(pictures[0]).read_bytes()
    expected = embedding.get_image_embedding(path)
    with Pillow.open(path) as picture:
        forms = [Path(path), data, io.BytesIO(data), picture.copy(), np.asarray(picture), Path(path).as_uri()]
    for form in forms:
        assert embedding.get_image_embedding(form) == pytest.approx(expected, abs=1e-6)
    expected = embedding.get_audio_embedding(sounds[0])
    forms = [Path(sounds[0]), Path(sounds[0]).read_bytes(), (synthesise(0.3, pitch=200.0), 16_000)]
    for form in forms:
        assert embedding.get_audio_embedding(form) == pytest.approx(expected, abs=0.02)


async def test_nothing_in_nothing_out(embedding):
    assert embedding.get_image_embedding_batch([]) == []
    assert await embedding.aget_audio_embedding_batch([]) == []
    assert embedding([]) == []
    assert await embedding.acall([]) == []


@pytest.mark.parametrize("embed_batch_size", [1, 2, 2048])
@pytest.mark.parametrize("num_workers", [None, 1, 3])
async def test_order_holds_whatever_the_slices(joint, pictures, sounds, embed_batch_size, num_workers):
    embedding = joint(embed_batch_size=embed_batch_size, num_workers=num_workers)
    expected = joint().get_image_embedding_batch(pictures)
    assert embedding.get_image_embedding_batch(pictures) == pytest.approx(np.asarray(expected), abs=1e-6)
    assert await embedding.aget_image_embedding_batch(pictures) == pytest.approx(np.asarray(expected), abs=1e-6)
    expected = joint().get_audio_embedding_batch(sounds)
    assert await embedding.aget_audio_embedding_batch(sounds) == pytest.approx(np.asarray(expected), abs=1e-6)


# Bad inputs.


def test_a_bad_input_is_named(embedding, pictures, media, tmp_path):
    broken = media.text("broken.png", "no picture")
    with pytest.raises(InvalidInputError, match=r"^'.*broken\.png' is not an image"):
        embedding.get_image_embedding(broken)
    with pytest.raises(InvalidInputError, match=r"^input 2: .*broken\.png") as caught:
        embedding.get_image_embedding_batch([*pictures[:2], str(broken), pictures[2]])
    assert caught.value.index == 2
    with pytest.raises(InvalidInputError, match="no such file"):
        embedding.get_audio_embedding(tmp_path / "nothing.wav")


async def test_a_bad_input_is_named_across_slices(joint, pictures, media):
    broken = str(media.text("broken.png", "no picture"))
    embedding = joint(embed_batch_size=2)
    with pytest.raises(InvalidInputError, match=r"^input 3: "):
        embedding.get_image_embedding_batch([*pictures[:3], broken])
    with pytest.raises(InvalidInputError, match=r"^input 3: "):
        await embedding.aget_image_embedding_batch([*pictures[:3], broken, *pictures])


async def test_urls_are_not_fetched(embedding, on_this_machine):
    for url in ("http://169.254.169.254/latest", "https://example.org/a.png"):
        for embed in (embedding.get_image_embedding, embedding.get_audio_embedding):
            with pytest.raises(InvalidInputError, match="allow_urls"):
                embed(url)
        with pytest.raises(InvalidInputError, match="allow_urls"):
            await embedding.aget_image_embedding(url)
    assert on_this_machine == []


def test_addresses_that_are_not_public_are_never_fetched(joint):
    with pytest.raises(InvalidInputError, match="not a public address"):
        joint(allow_urls=True).get_image_embedding("http://127.0.0.1/a.png")


def test_modalities_that_share_no_space_are_refused(joint, pictures):
    joint()
    apart = MultiCoreMultiModalEmbedding("fake", "fake-image")
    with pytest.raises(IncompatibleSpacesError, match="joint_framework="):
        apart.get_image_embedding(pictures[0])
    assert apart.to_dict()["fingerprint"] is None


# Events, limits, workers.


class NaiveEmbedding(MultiModalEmbedding):
    """The adapter that one would write first: the control that shows the traps."""

    def _get_query_embedding(self, query):
        return [0.0]

    _get_text_embedding = _get_query_embedding

    async def _aget_query_embedding(self, query):
        return [0.0]

    def _get_image_embedding(self, img_file_path):
        if img_file_path == "broken":
            raise InvalidInputError("broken")
        return [1.0]

    async def _aget_image_embedding(self, img_file_path):
        return self._get_image_embedding(img_file_path)


class Counter(BaseRateLimiter):
    asked = 0

    def acquire(self, num_tokens=0):
        self.asked += 1

    async def async_acquire(self, num_tokens=0):
        self.asked += 1


async def test_the_trap_images_pass_by_events_and_limits(recorded):
    limiter = Counter()
    naive = NaiveEmbedding(rate_limiter=limiter)
    naive.get_image_embedding("a")
    await naive.aget_image_embedding_batch(["a", "b"])
    assert recorded.events == []
    assert limiter.asked == 0


async def test_events_and_spans_for_every_modality(joint, pictures, sounds, recorded, outcome):
    embedding = joint(embed_batch_size=2)
    calls = [
        (embedding.get_image_embedding, pictures[0], "get_image_embedding", [pictures[:1]]),
        (embedding.get_image_embedding_batch, pictures[:3], "get_image_embedding_batch", [pictures[:2], pictures[2:3]]),
        (embedding.get_audio_embedding_batch, sounds[:1], "get_audio_embedding_batch", [sounds[:1]]),
        (embedding.get_audio_query_embedding, sounds[0], "get_audio_query_embedding", [sounds[:1]]),
        (embedding.aget_image_embedding_batch, pictures[:1], "aget_image_embedding_batch", [pictures[:1]]),
        (embedding.aget_audio_embedding, sounds[0], "aget_audio_embedding", [sounds[:1]]),
        (embedding.get_text_embedding_batch, ["a"], "get_text_embedding_batch", [["a"]]),
    ]
    for call, argument, name, chunks in calls:
        recorded.events.clear()
        recorded.spans.completed_spans.clear()
        result = await outcome(call, argument)
        kinds = [type(event) for event in recorded.events]
        assert kinds == [EmbeddingStartEvent, EmbeddingEndEvent] * len(chunks)
        assert [event.chunks for event in recorded.events if isinstance(event, EmbeddingEndEvent)] == chunks
        vectors = [result] if isinstance(result[0], float) else result
        ends = [event for event in recorded.events if isinstance(event, EmbeddingEndEvent)]
        assert [vector for event in ends for vector in event.embeddings] == vectors
        spans = recorded.names(recorded.spans.completed_spans)
        assert spans.count(f"MultiCoreMultiModalEmbedding.{name}") == 1


async def test_a_failure_drops_the_span_and_shows_in_callbacks(joint, media, recorded, outcome):
    handler = LlamaDebugHandler(print_trace_on_end=False)
    embedding = joint(callback_manager=CallbackManager([handler]))
    broken = str(media.text("broken.png", "no picture"))
    calls = [
        (embedding.get_image_embedding, broken, "get_image_embedding"),
        (embedding.get_image_embedding_batch, [broken], "get_image_embedding_batch"),
        (embedding.get_audio_embedding, broken, "get_audio_embedding"),
        (embedding.aget_image_embedding, broken, "aget_image_embedding"),
        (embedding.aget_audio_embedding_batch, [broken], "aget_audio_embedding_batch"),
        (embedding.get_text_embedding, "\ud800", "get_text_embedding"),
        (embedding.aget_text_embedding_batch, ["\ud800"], "aget_text_embedding_batch"),
    ]
    for call, argument, name in calls:
        recorded.events.clear()
        recorded.spans.dropped_spans.clear()
        handler.flush_event_logs()
        with pytest.raises(InvalidInputError):
            await outcome(call, argument)
        assert [type(event) for event in recorded.events if not isinstance(event, SpanDropEvent)] == [
            EmbeddingStartEvent
        ], name
        assert f"MultiCoreMultiModalEmbedding.{name}" in recorded.names(recorded.spans.dropped_spans)
        ((_, end),) = handler.get_event_pairs(CBEventType.EMBEDDING)
        assert isinstance(end.payload[EventPayload.EXCEPTION], InvalidInputError)
    drops = [event for event in recorded.events if isinstance(event, SpanDropEvent)]
    assert drops
    assert all("surrogate" in event.err_str for event in drops)


async def test_callbacks_see_all_media(joint, pictures, sounds):
    handler = LlamaDebugHandler(print_trace_on_end=False)
    embedding = joint(callback_manager=CallbackManager([handler]), embed_batch_size=3)
    embedding.get_image_embedding_batch(pictures)
    await embedding.aget_audio_embedding_batch(sounds)
    chunks = [end.payload["chunks"] for _, end in handler.get_event_pairs(CBEventType.EMBEDDING)]
    assert chunks == [pictures[:3], pictures[3:], sounds[:3], sounds[3:]]


def test_events_hold_no_large_names(joint, pictures, recorded):
    embedding = joint()
    embedding.get_image_embedding(Path(pictures[0]).read_bytes())
    embedding.get_image_embedding(
        "data:image/png;base64," + __import__("base64").b64encode(Path(pictures[0]).read_bytes()).decode()
    )
    chunks = [event.chunks[0] for event in recorded.events if isinstance(event, EmbeddingEndEvent)]
    assert chunks[0] == "image as bytes"
    assert len(chunks[1]) == 500


async def test_the_rate_limiter_is_asked_once_a_slice(joint, pictures, sounds):
    limiter = Counter()
    embedding = joint(rate_limiter=limiter, embed_batch_size=2)
    embedding.get_image_embedding_batch(pictures)
    assert limiter.asked == 3
    await embedding.aget_audio_embedding_batch(sounds)
    assert limiter.asked == 6
    embedding.get_image_embedding(pictures[0])
    await embedding.aget_audio_query_embedding(sounds[0])
    assert limiter.asked == 8


@pytest.mark.parametrize(("num_workers", "most"), [(None, 2), (1, 1), (4, 4)])
async def test_num_workers_bound_what_is_under_way(joint, pictures, monkeypatch, num_workers, most):
    embedding = joint(embed_batch_size=1, num_workers=num_workers)
    under_way, highest, everyone = 0, 0, asyncio.Event()
    embed = MultiCoreMultiModalEmbedding._avectors

    async def counting(self, inputs, role):
        nonlocal under_way, highest
        under_way += 1
        highest = max(highest, under_way)
        if under_way == most:
            everyone.set()
        await everyone.wait()
        vectors = await embed(self, inputs, role)
        under_way -= 1
        return vectors

    monkeypatch.setattr(MultiCoreMultiModalEmbedding, "_avectors", counting)
    await embedding.aget_image_embedding_batch(pictures)
    assert highest == most


async def test_where_one_slice_fails_the_others_end(joint, pictures, media):
    embedding = joint(embed_batch_size=1, num_workers=2)
    broken = str(media.text("broken.png", "no picture"))
    before = asyncio.all_tasks()
    with pytest.raises(InvalidInputError, match="input 0"):
        await embedding.aget_image_embedding_batch([broken, *pictures])
    assert asyncio.all_tasks() == before


async def test_progress_may_be_shown(embedding, pictures, capsys):
    embedding.get_image_embedding_batch(pictures, show_progress=True)
    await embedding.aget_image_embedding_batch(pictures, show_progress=True)
    shown = capsys.readouterr().err
    assert shown.count("5/5") >= 2
    embedding.get_image_embedding_batch(pictures)
    assert capsys.readouterr().err == ""


async def test_media_are_read_off_the_loop(embedding, pictures, monkeypatch):
    threads = []
    read = media_batches.payloads
    monkeypatch.setattr(
        media_batches, "payloads", lambda inputs: threads.append(threading.current_thread()) or read(inputs)
    )
    await embedding.aget_image_embedding_batch(pictures)
    assert threads
    assert threading.main_thread() not in threads
