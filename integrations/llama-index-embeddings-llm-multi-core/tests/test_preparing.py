"""Nodes and documents of one's own, made fit for pipelines, caches and stores."""

from __future__ import annotations

import base64

import pytest
from llama_index.core import Document
from llama_index.core.schema import ImageDocument, ImageNode, MediaResource, MetadataMode, Node, TextNode

from llama_index.embeddings.llm_multi_core import MultiCoreReader, with_media_metadata
from llm_multi_core.embedder import InvalidInputError
from llm_multi_core.embedder.media import MediaLibrary, MediaRecord


@pytest.fixture
def blobs(tmp_path):
    return MediaLibrary(blobs=tmp_path / "blobs")


def test_media_get_what_tells_them_apart(embedding, media):
    one, other, sound = media.picture("a.png", 1), media.picture("b.png", 2), media.sound()
    nodes = [
        ImageNode(image_path=str(one)),
        ImageNode(image_path=str(other), text="a photo", metadata={"author": "me"}),
        Node(audio_resource=MediaResource(path=sound)),
        ImageDocument(image_path=str(one)),
        Document(text="words", metadata={"author": "me"}),
    ]
    before = [node.model_copy(deep=True) for node in nodes]
    prepared = with_media_metadata(nodes, embedding.library)
    assert nodes == before
    assert [type(node) for node in prepared] == [type(node) for node in nodes]
    assert [node.node_id for node in prepared] == [node.node_id for node in nodes]
    records = [MediaRecord.from_metadata(node.metadata) for node in prepared]
    assert [record and record.source for record in records] == [str(one), str(other), str(sound), str(one), None]
    texts = [node.get_content(MetadataMode.NONE) for node in prepared]
    assert texts[0] == records[0].reference
    assert texts[1] == f"a photo\n{records[1].reference}"
    assert prepared[1].get_content(MetadataMode.EMBED) == f"author: me\n\n{texts[1]}"
    assert texts[4] == "words"
    assert prepared[4].metadata["modality"] == "text"
    assert prepared[4].metadata["author"] == "me"
    assert all(node.ref_doc_id is None for node in prepared)
    embedding(prepared)
    assert prepared[1].embedding == pytest.approx(embedding.get_image_embedding(other), abs=1e-6)
    by_text = embedding.get_text_embedding_batch([node.get_content(MetadataMode.EMBED) for node in prepared])
    assert by_text == [pytest.approx(node.embedding, abs=1e-6) for node in prepared], "as an index hands them over"


def test_preparing_twice_changes_nothing(embedding, media):
    nodes = with_media_metadata([ImageNode(image_path=str(media.picture()), text="a photo"), TextNode(text="words")])
    assert with_media_metadata(nodes) == nodes
    read = MultiCoreReader(media.folder).load_nodes()
    assert with_media_metadata(read) == read


def test_a_changed_picture_changes_its_hash(media):
    node = ImageNode(image_path=str(media.picture(seed=1)), text="a photo")
    before = with_media_metadata([node])[0]
    media.picture(seed=2)
    assert node.hash == with_media_metadata([node])[0].model_copy(update={"text": "a photo"}).hash, "LlamaIndex's own"
    assert with_media_metadata([node])[0].hash != before.hash


def test_bytes_are_kept_in_a_file(embedding, media, blobs):
    picture, sound = media.picture().read_bytes(), media.sound().read_bytes()
    nodes = [
        ImageNode(image=base64.b64encode(picture).decode()),
        Node(image_resource=MediaResource(data=picture)),
        Node(audio_resource=MediaResource(data=sound, mimetype="audio/wav")),
        ImageNode(image_url=f"data:image/png;base64,{base64.b64encode(picture).decode()}"),
    ]
    prepared = with_media_metadata(nodes, blobs)
    assert prepared[0].image is None
    assert prepared[1].image_resource.data is None
    assert prepared[3].image_url is None
    assert prepared[2].audio_resource.path.read_bytes() == sound
    embedding(prepared)
    image, audio = embedding.get_image_embedding(picture), embedding.get_audio_embedding(sound)
    expected = [image, image, audio, image]
    assert [node.embedding for node in prepared] == [pytest.approx(vector, abs=1e-6) for vector in expected]
    again = Node.from_json(prepared[1].to_json())
    assert again.image_resource.path.read_bytes() == picture, "what LlamaIndex stores leads back to it"


def test_bytes_without_a_folder_are_refused(media):
    node = Node(image_resource=MediaResource(data=media.picture().read_bytes()))
    assert Node.from_json(node.to_json()).image_resource.data is None, "the trap: LlamaIndex does not store them"
    with pytest.raises(InvalidInputError, match=r"input 1: .*blobs="):
        with_media_metadata([TextNode(text="a"), node])


def test_bytes_of_no_known_kind_are_refused(blobs):
    with pytest.raises(InvalidInputError, match="of no known kind"):
        with_media_metadata([Node(image_resource=MediaResource(data=b"what is this"))], blobs)
    with pytest.raises(InvalidInputError, match="not base64"):
        with_media_metadata([ImageNode(image="no base64!")], blobs)


def test_urls_are_fetched_only_when_allowed_and_public(blobs, on_this_machine):
    node = ImageNode(image_url="http://127.0.0.1:9/a.png")
    with pytest.raises(InvalidInputError, match="allow_urls"):
        with_media_metadata([node], blobs)
    with pytest.raises(InvalidInputError, match="not a public address"):
        with_media_metadata([node], blobs, allow_urls=True)
    assert on_this_machine == []


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"input 0: .*no such file: .*missing\.png"):
        with_media_metadata([ImageNode(image_path=str(tmp_path / "missing.png"))])
