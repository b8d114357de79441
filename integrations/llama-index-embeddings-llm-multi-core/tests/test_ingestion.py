"""Pipelines with caches and document stores: what is embedded again, and what is taken for done."""

from __future__ import annotations

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import TokenTextSplitter
from llama_index.core.schema import ImageNode, TransformComponent
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import SimpleVectorStore

from llama_index.embeddings.llm_multi_core import (
    MultiCoreReader,
    MultiCoreRetriever,
    nodes_of_file,
    query_by_image,
    undone_on_failure,
    with_media_metadata,
)
from llm_multi_core.embedder import InvalidInputError


class NaiveTransform(TransformComponent):
    """An embedding that embeds pictures by their files, and does no more about caches."""

    def __call__(self, nodes, **kwargs):
        for node in nodes:
            node.embedding = [float(len(node.image_path))]
        return nodes


# The cache of a pipeline tells nodes apart by text and metadata.


def test_the_trap_two_pictures_without_a_text(media):
    one, other = str(media.picture("a.png", 1)), str(media.picture("longer.png", 2))
    pipeline = IngestionPipeline(transformations=[NaiveTransform()])
    (first,) = pipeline.run(nodes=[ImageNode(image_path=one)])
    (second,) = pipeline.run(nodes=[ImageNode(image_path=other)])
    assert second.node_id == first.node_id, "the second picture is answered with the first"


async def test_two_pictures_without_a_text_never_collide(embedding, media, outcome):
    one, other = (
        ImageNode(image_path=str(media.picture("a.png", 1))),
        ImageNode(image_path=str(media.picture("b.png", 2))),
    )
    expected = [embedding.get_image_embedding(node.image_path) for node in (one, other)]
    pipeline = IngestionPipeline(transformations=[embedding])
    for run in (pipeline.run, pipeline.arun):
        with pytest.raises(InvalidInputError, match="with_media_metadata"):
            await outcome(lambda run=run: run(nodes=[one]))
    assert pipeline.cache.cache.get_all("llama_cache") == {}
    for node, vector in zip((one, other), expected, strict=True):
        (found,) = pipeline.run(nodes=with_media_metadata([node]))
        assert found.node_id == node.node_id
        assert found.embedding == pytest.approx(vector, abs=1e-6)
    media.picture("a.png", 3)
    (found,) = pipeline.run(nodes=with_media_metadata([one]))
    assert found.embedding != pytest.approx(expected[0], abs=1e-3), "nor one picture before and after a change"


def test_equal_texts_above_different_pictures_never_collide(embedding, media):
    nodes = [ImageNode(image_path=str(media.picture(f"{number}.png", number)), text="a photo") for number in range(2)]
    expected = [embedding.get_image_embedding(node.image_path) for node in nodes]
    pipeline = IngestionPipeline(transformations=[embedding])
    for node, vector in zip(with_media_metadata(nodes), expected, strict=True):
        assert pipeline.run(nodes=[node])[0].embedding == pytest.approx(vector, abs=1e-6)


async def test_the_cache_serves_media(joint, media, embedded):
    media.picture()
    media.sound()
    pipeline = IngestionPipeline(transformations=[joint()])
    first = pipeline.run(nodes=MultiCoreReader(media.folder).load_nodes())
    assert len(embedded) == 1
    pipeline.transformations = [joint(embed_batch_size=1, device="cpu")]
    again = await pipeline.arun(nodes=MultiCoreReader(media.folder).load_nodes())
    assert [node.embedding for node in again] == [node.embedding for node in first]
    assert [node.metadata for node in again] == [node.metadata for node in first]
    assert len(embedded) == 1
    pipeline.transformations = [joint(seed=1)]
    other = pipeline.run(nodes=MultiCoreReader(media.folder).load_nodes())
    assert other[0].embedding != first[0].embedding, "another alignment starts a new one"


# A document store knows what was embedded.


@pytest.fixture(params=["nodes", "documents", "documents and a splitter"])
def ingest(request, embedding, media):
    """Runs a pipeline over the folder; the entries that it embedded."""
    splitter = TokenTextSplitter(chunk_size=512, tokenizer=str.split)
    pipeline = IngestionPipeline(
        transformations=[splitter, embedding] if "splitter" in request.param else [embedding],
        docstore=SimpleDocumentStore(),
        vector_store=SimpleVectorStore(),
        disable_cache=True,
    )

    def run(strategy=DocstoreStrategy.UPSERTS):
        pipeline.docstore_strategy = strategy
        reader = MultiCoreReader(media.folder)
        if request.param == "nodes":
            return pipeline.run(nodes=reader.load_nodes())
        return pipeline.run(documents=reader.load_data())

    run.pipeline = pipeline
    return run


def sources(nodes):
    return sorted(node.metadata["source"].rpartition("/")[2] for node in nodes)


def test_a_rerun_embeds_nothing(ingest, media, embedded):
    media.picture()
    media.sound()
    media.text("a.txt", "words")
    assert sources(ingest()) == ["a.txt", "picture.png", "sound.wav"]
    count = len(embedded)
    assert ingest() == []
    assert len(embedded) == count


def test_what_was_changed_or_added_is_embedded_again(ingest, embedding, media):
    one = media.picture("a.png", 1)
    media.picture("b.png", 2)
    media.text("a.txt", "words")
    ingest()
    media.picture("a.png", 3)
    media.text("a.txt", "other words")
    media.sound()
    assert sources(ingest()) == ["a.png", "a.txt", "sound.wav"]
    vectors = list(ingest.pipeline.vector_store.data.embedding_dict.values())
    assert len(vectors) == 4, "what it replaces is gone"
    assert any(vector == pytest.approx(embedding.get_image_embedding(one), abs=1e-6) for vector in vectors)
    assert ingest() == []


def test_what_was_deleted_goes(ingest, media):
    gone = media.picture("a.png", 1)
    media.picture("b.png", 2)
    ingest()
    gone.unlink()
    assert ingest(DocstoreStrategy.UPSERTS_AND_DELETE) == []
    assert len(ingest.pipeline.vector_store.data.embedding_dict) == 1


def test_a_failed_run_is_not_taken_for_done(ingest, media, embedding, monkeypatch):
    media.picture("a.png", 1)
    ingest()
    media.picture("a.png", 2)
    media.picture("b.png", 3)
    with monkeypatch.context() as broken:
        broken.setattr(type(embedding), "_vectors", lambda *_: (_ for _ in ()).throw(RuntimeError("no connection")))
        with pytest.raises(RuntimeError, match="no connection"):
            ingest()
    assert sources(ingest()) == ["a.png", "b.png"]
    assert len(ingest.pipeline.vector_store.data.embedding_dict) == 2


class Broken(TransformComponent):
    """Fails once."""

    fails: bool = True

    def __call__(self, nodes, **kwargs):
        if self.fails:
            self.fails = False
            raise RuntimeError("no connection")
        return nodes


def duplicates_only(embedding, store):
    return IngestionPipeline(
        transformations=[Broken(), embedding],
        docstore=store,
        docstore_strategy=DocstoreStrategy.DUPLICATES_ONLY,
        disable_cache=True,
    )


def test_the_trap_without_upserts_a_failed_run_is_taken_for_done(embedding, media):
    nodes = nodes_of_file(media.picture())
    pipeline = duplicates_only(embedding, SimpleDocumentStore())
    with pytest.raises(RuntimeError):
        pipeline.run(nodes=nodes)
    assert pipeline.run(nodes=nodes) == [], "never embedded, and never will be"


@pytest.mark.parametrize("name", ["run", "arun"])
async def test_a_failed_run_can_be_undone(embedding, media, outcome, name):
    kept, failed = nodes_of_file(media.picture("a.png", 1)), nodes_of_file(media.picture("b.png", 2))
    pipeline = duplicates_only(embedding, SimpleDocumentStore())
    run = getattr(pipeline, name)
    pipeline.transformations[0].fails = False
    pipeline.run(nodes=kept)
    before = pipeline.docstore.get_all_document_hashes()
    pipeline.transformations[0].fails = True
    with pytest.raises(RuntimeError), undone_on_failure(pipeline.docstore):
        await outcome(lambda: run(nodes=[*kept, *failed]))
    assert pipeline.docstore.get_all_document_hashes() == before
    with undone_on_failure(pipeline.docstore):
        (node,) = pipeline.run(nodes=[*kept, *failed])
    assert node.node_id == failed[0].node_id
    assert len(pipeline.docstore.get_all_document_hashes()) == 2


def test_a_failed_change_is_undone_to_what_was(embedding, media):
    pipeline = duplicates_only(embedding, SimpleDocumentStore())
    pipeline.transformations[0].fails = False
    pipeline.run(nodes=nodes_of_file(media.picture(seed=1)))
    before = pipeline.docstore.get_all_document_hashes()
    pipeline.transformations[0].fails = True
    changed = nodes_of_file(media.picture(seed=2))
    with pytest.raises(RuntimeError), undone_on_failure(pipeline.docstore):
        pipeline.run(nodes=changed)
    assert pipeline.docstore.get_all_document_hashes() == before
    assert len(pipeline.run(nodes=changed)) == 1


# Indexes leave out what has no text, and hide what is beside images.


def test_the_trap_an_index_skips_nodes_without_text(embedding, media, capsys):
    node = ImageNode(image_path=str(media.picture()), embedding=[1.0] * 32)
    index = VectorStoreIndex([node], embed_model=embedding)
    assert index.vector_store.data.embedding_dict == {}
    assert "skipping" in capsys.readouterr().out
    index = VectorStoreIndex(with_media_metadata([node]), embed_model=embedding)
    assert len(index.vector_store.data.embedding_dict) == 1
    assert MultiCoreRetriever(index).retrieve(query_by_image(embedding, media.folder / "picture.png"))
