"""`embeddings_cache` for media, which LlamaIndex's own methods pass by."""

from __future__ import annotations

import numpy as np
import pytest
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.schema import TextNode
from llama_index.core.storage.kvstore import SimpleKVStore

from llama_index.embeddings.llm_multi_core import nodes_of_file
from llm_multi_core.embedder import InvalidInputError


class NaiveEmbedding(MultiModalEmbedding):
    """The adapter that one would write first."""

    calls: int = 0

    def _get_query_embedding(self, query):
        return [0.0]

    _get_text_embedding = _get_query_embedding

    async def _aget_query_embedding(self, query):
        return [0.0]

    def _get_image_embedding(self, img_file_path):
        self.calls += 1
        return [1.0]

    async def _aget_image_embedding(self, img_file_path):
        return self._get_image_embedding(img_file_path)


def test_the_trap():
    naive = NaiveEmbedding(embeddings_cache=SimpleKVStore())
    naive.get_image_embedding("a.png")
    naive.get_image_embedding("a.png")
    assert naive.calls == 2, "images pass by the cache"
    assert naive.embeddings_cache.get_all("embeddings") == {}


async def test_each_picture_and_sound_is_embedded_once(joint, media, embedded):
    store = SimpleKVStore()
    picture, sound = media.picture(), media.sound()
    first = joint(embeddings_cache=store)
    image, audio = first.get_image_embedding(picture), first.get_audio_embedding(sound)
    assert len(embedded) == 2
    again = joint(embeddings_cache=store, embed_batch_size=1)
    assert again.get_image_embedding_batch([str(picture)]) == [image]
    assert await again.aget_image_embedding(picture.read_bytes()) == image, "by what it holds, not by its name"
    assert await again.aget_audio_embedding_batch([sound]) == [audio]
    assert len(embedded) == 2


async def test_what_is_not_there_is_embedded_and_kept(joint, media, embedded):
    embedding = joint(embeddings_cache=SimpleKVStore())
    pictures = [media.picture(f"{number}.png", number) for number in range(4)]
    embedding.get_image_embedding_batch(pictures[1:3])
    vectors = embedding.get_image_embedding_batch(pictures)
    assert [len(call) for call in embedded] == [2, 2]
    assert vectors == pytest.approx(np.asarray(joint().get_image_embedding_batch(pictures)), abs=1e-6)
    assert await embedding.aget_image_embedding_batch(pictures) == vectors
    assert len(embedded) == 3


def test_roles_and_modalities_and_models_are_told_apart(joint, media, embedded):
    store = SimpleKVStore()
    one = joint(embeddings_cache=store)
    picture, sound = media.picture(), media.sound()
    one.get_image_embedding(picture)
    one.get_image_query_embedding(picture)
    one.get_audio_embedding(sound)
    one.get_text_embedding(str(picture))
    assert len(embedded) == 4
    assert len(store.get_all("embeddings")) == 4
    other_alignment = joint(seed=1, embeddings_cache=store)
    assert other_alignment.get_image_embedding(picture) != one.get_image_embedding(picture)
    joint(text={"dimension": 16}, embeddings_cache=store).get_image_embedding(picture)
    joint(truncation="mean", embeddings_cache=store).get_image_embedding(picture)
    joint(image={"normalize": False}, embeddings_cache=store).get_image_embedding(picture)
    assert len(embedded) == 8


async def test_a_changed_picture_is_embedded_again(joint, media):
    embedding = joint(embeddings_cache=SimpleKVStore())
    before = embedding.get_image_embedding(media.picture(seed=1))
    after = embedding.get_image_embedding(media.picture(seed=2))
    assert before != after
    assert await embedding.aget_image_embedding(media.picture(seed=1)) == before


def test_nodes_are_looked_up_without_opening_their_files(joint, media, embedded):
    embedding = joint(embeddings_cache=SimpleKVStore())
    nodes = [*nodes_of_file(media.picture()), *nodes_of_file(media.sound()), TextNode(text="words")]
    embedding(nodes)
    vectors = [node.embedding for node in nodes]
    (media.folder / "picture.png").unlink()
    embedding(nodes)
    assert [node.embedding for node in nodes] == vectors
    assert len(embedded) == 1
    assert embedding.get_text_embedding("words") == vectors[2], "texts have one entry, whichever way they came"
    assert len(embedded) == 1


async def test_a_bad_file_is_named_before_anything_is_embedded(joint, media, embedded):
    embedding = joint(embeddings_cache=SimpleKVStore(), embed_batch_size=2)
    pictures = [media.picture(), media.folder / "missing.png"]
    with pytest.raises(InvalidInputError, match="input 1: no such file"):
        embedding.get_image_embedding_batch(pictures)
    with pytest.raises(InvalidInputError, match="input 3: no such file"):
        await embedding.aget_image_embedding_batch([pictures[0], pictures[0], *pictures])
    assert all(pictures[1] not in call for call in embedded)


def test_an_entry_of_a_text_is_never_that_of_a_picture(joint, media):
    embedding = joint(embeddings_cache=SimpleKVStore())
    image = embedding.get_image_embedding(media.picture())
    (key,) = embedding.embeddings_cache.get_all("embeddings")
    for text in (key, f":image\0{key}", f"image\0{key}"):
        assert embedding.get_text_embedding(text) != image
