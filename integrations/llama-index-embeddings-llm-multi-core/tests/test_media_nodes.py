"""Calling the embedding with nodes, as pipelines do; and the texts that indexes hand over."""

from __future__ import annotations

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.node_parser import TokenTextSplitter
from llama_index.core.schema import ImageNode, MediaResource, Node, TextNode
from PIL import Image as Pillow

from llama_index.embeddings.llm_multi_core import MultiCoreReader, media_batches, nodes_of_file, with_media_metadata
from llama_index.embeddings.llm_multi_core.entries import media_document
from llm_multi_core.embedder import InvalidInputError
from llm_multi_core.embedder.media import MediaLibrary, MediaRecord
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture


class NaiveEmbedding(BaseEmbedding):
    """What an adapter does that leaves `__call__` to LlamaIndex."""

    seen: list[str] = []

    def _get_query_embedding(self, query):
        return [0.0]

    def _get_text_embedding(self, text):
        self.seen.append(text)
        return [0.0]

    async def _aget_query_embedding(self, query):
        return [0.0]


def by_hand(path, **metadata):
    """The node of a picture, as LlamaIndex's own documentation makes one, with the hash that tells it apart."""
    digest = MediaLibrary().add(path)[0].sha256
    return ImageNode(image_path=str(path), text="", metadata={"sha256": digest, **metadata})


def test_the_trap_an_image_gets_the_vector_of_its_metadata(media):
    naive = NaiveEmbedding(seen=[])
    naive([ImageNode(image_path=str(media.picture()), metadata={"author": "me"})])
    assert naive.seen == ["author: me"]


async def test_media_are_embedded_by_their_files(embedding, media, outcome):
    picture, sound = media.picture(), media.sound()
    nodes = [
        by_hand(picture, author="me"),
        TextNode(text="words", metadata={"author": "me"}),
        *nodes_of_file(picture),
        *nodes_of_file(sound),
        Node(
            audio_resource=MediaResource(path=sound),
            metadata={"sha256": MediaLibrary().add(sound)[0].sha256},
        ),
    ]
    expected = [
        embedding.get_image_embedding(picture),
        embedding.get_text_embedding("author: me\n\nwords"),
        embedding.get_image_embedding(picture),
        embedding.get_audio_embedding(sound),
        embedding.get_audio_embedding(sound),
    ]
    before = [node.model_copy(deep=True) for node in nodes]
    for call in (embedding, embedding.acall):
        returned = await outcome(call, nodes)
        assert [node.node_id for node in returned] == [node.node_id for node in nodes]
        for node, stored, vector in zip(nodes, returned, expected, strict=True):
            assert node.embedding == stored.embedding == pytest.approx(vector, abs=1e-6)
            node.embedding = None
        assert nodes == before, "nothing else is changed: a document store knows a node by its hash"
    assert [node.ref_doc_id for node in returned] == [None, None, returned[2].node_id, returned[3].node_id, None]


async def test_a_failure_changes_no_node(embedding, media, outcome):
    nodes = [TextNode(text="a"), *nodes_of_file(media.picture()), *nodes_of_file(media.picture("b.png", 2))]
    (media.folder / "b.png").unlink()
    for call in (embedding, embedding.acall):
        with pytest.raises(InvalidInputError, match=r"^input 2: image b\.png: .*cannot be found"):
            await outcome(call, nodes)
        assert [node.embedding for node in nodes] == [None] * 3


def test_a_file_that_no_longer_holds_what_the_node_says_is_refused(embedding, media):
    nodes = nodes_of_file(media.picture(seed=1))
    media.picture(seed=2)
    with pytest.raises(InvalidInputError, match="was changed since"):
        embedding(nodes)


def test_a_node_whose_file_was_moved_is_found_by_its_path(embedding, media):
    (node,) = nodes_of_file(media.picture())
    expected = embedding.get_image_embedding(media.folder / "picture.png")
    moved = (media.folder / "picture.png").rename(media.folder / "moved.png")
    node.image_resource = MediaResource(path=moved)
    embedding([node])
    assert node.embedding == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: ImageNode(image_path=str(path)),
        lambda path: ImageNode(image=base64.b64encode(path.read_bytes()).decode()),
        lambda path: ImageNode(image_url="http://169.254.169.254/latest"),
        lambda path: ImageNode(image_url="http://169.254.169.254/latest", metadata={"sha256": "0" * 64}),
        lambda path: Node(image_resource=MediaResource(path=path)),
        lambda path: Node(image_resource=MediaResource(data=path.read_bytes()), metadata={"sha256": "0" * 64}),
        lambda path: Node(audio_resource=MediaResource(url="https://example.org/a.wav")),
    ],
)
async def test_media_that_caches_could_not_tell_apart_are_refused(embedding, media, make, embedded, outcome):
    node = make(media.picture())
    for call in (embedding, embedding.acall):
        with pytest.raises(InvalidInputError, match="with_media_metadata") as caught:
            await outcome(call, [TextNode(text="a"), node])
        assert caught.value.index == 1
    assert embedded == []


def test_a_video_and_two_media_in_one_node_are_refused(embedding, media):
    with pytest.raises(InvalidInputError, match="video"):
        embedding([Node(video_resource=MediaResource(path=media.picture()))])
    both = Node(image_resource=MediaResource(path=media.picture()), audio_resource=MediaResource(path=media.sound()))
    with pytest.raises(InvalidInputError, match="a node of each"):
        embedding([both])


def test_an_empty_resource_is_no_media(embedding):
    node = Node(
        text_resource=MediaResource(text="words"), image_resource=MediaResource(), video_resource=MediaResource()
    )
    embedding([node, ImageNode(text="words")])
    assert node.embedding == embedding.get_text_embedding("words")


@pytest.fixture
def server():
    """Serves a picture on the loopback interface; the paths that were asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(encode_picture(draw_picture()))

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}", asked
        serving.shutdown()
        thread.join()


async def test_the_trap_urls_of_nodes_are_fetched(joint, server, outcome):
    address, asked = server
    node = ImageNode(image_url=f"{address}/naive.png", text="a photo", metadata={"sha256": "0" * 64})
    node.resolve_image()
    assert asked == ["/naive.png"], "LlamaIndex fetches whatever a node names"
    for embedding in (joint(), joint(allow_urls=True)):
        for call in (embedding, embedding.acall):
            with pytest.raises(InvalidInputError, match="with_media_metadata"):
                await outcome(call, [node])
        with pytest.raises(InvalidInputError, match=r"allow_urls|not a public address"):
            with_media_metadata([node], MediaLibrary(blobs="nowhere"), allow_urls=embedding.allow_urls)
        with pytest.raises(InvalidInputError, match=r"allow_urls|not a public address"):
            embedding.get_image_embedding(node.image_url)
    assert len(asked) == 1


def test_pages_are_embedded_some_at_a_time(embedding, media, embedded, monkeypatch):
    monkeypatch.setattr(media_batches, "_HEAVY", 2)
    colours = [(40 * page, 90, 200) for page in range(5)]
    first, *others = [Pillow.new("RGB", (60, 80), colour) for colour in colours]
    first.save(media.folder / "report.pdf", save_all=True, append_images=others)
    nodes = [*nodes_of_file(media.folder / "report.pdf"), TextNode(text="a"), TextNode(text="b")]
    embedding(nodes)
    assert [len(call) for call in embedded] == [2, 2, 3]
    for page, colour in enumerate(colours):
        alike = embedding.get_image_embedding(Pillow.new("RGB", (1152, 1536), colour))
        assert np.dot(nodes[page].embedding, alike) > 0.999


def test_texts_that_look_like_places_are_texts(embedding, media, on_this_machine):
    picture = media.picture()
    places = [str(picture), picture.as_uri(), "http://169.254.169.254/latest", "file:///etc/passwd"]
    nodes = [TextNode(text=place, metadata={}) for place in places]
    embedding(nodes)
    for node, place in zip(nodes, places, strict=True):
        assert node.embedding == pytest.approx(embedding.get_text_embedding(place), abs=1e-6)
    assert nodes[0].embedding != pytest.approx(embedding.get_image_embedding(picture), abs=1e-3)
    assert on_this_machine == []


def test_metadata_alone_opens_no_file(embedding, media, embedded):
    """Metadata may come from anywhere, such as the head of a web page."""
    record = MediaLibrary().add(media.picture())[0]
    node = TextNode(text="a page about pictures", metadata=record.to_metadata())
    for key in node.metadata:
        node.excluded_embed_metadata_keys.append(key)
    embedding([node])
    assert node.embedding == embedding.get_text_embedding("a page about pictures")


# Splitters make text nodes of media documents.


def test_a_splitter_leaves_media_known(embedding, media):
    picture, sound = media.picture(), media.sound()
    documents = [media_document(record) for path in (picture, sound) for record in MediaLibrary().add(path)]
    nodes = TokenTextSplitter(chunk_size=512, tokenizer=str.split)(documents)
    assert {type(node) for node in nodes} == {TextNode}
    embedding(nodes)
    assert nodes[0].embedding == pytest.approx(embedding.get_image_embedding(picture), abs=1e-6)
    assert nodes[1].embedding == pytest.approx(embedding.get_audio_embedding(sound), abs=1e-6)


def test_a_reference_that_was_cut_is_refused(embedding, media):
    documents = [media_document(MediaLibrary().add(media.picture())[0])]
    nodes = TokenTextSplitter(chunk_size=8, chunk_overlap=0, tokenizer=list)(documents)
    assert len(nodes) > 1
    with pytest.raises(InvalidInputError, match="a splitter cut it"):
        embedding(nodes)


# Indexes hand over texts.


async def test_a_registered_reference_is_embedded_as_what_it_stands_for(embedding, media):
    (record,) = embedding.library.add(media.picture())
    expected = embedding.get_image_embedding(media.folder / "picture.png")
    assert embedding.get_text_embedding(record.reference) == pytest.approx(expected, abs=1e-6)
    assert await embedding.aget_text_embedding(record.reference) == pytest.approx(expected, abs=1e-6)
    below_metadata = f"author: me\n\n{record.reference}"
    vectors = embedding.get_text_embedding_batch(["a", record.reference, below_metadata])
    assert vectors[1:] == [pytest.approx(expected, abs=1e-6)] * 2
    assert await embedding.aget_text_embedding_batch(["a", record.reference, below_metadata]) == vectors
    assert embedding.get_query_embedding(record.reference) != pytest.approx(expected, abs=1e-3), "a question is a text"


def test_a_name_of_two_lines_is_a_name(embedding, media):
    try:
        picture = media.picture("two\nlines.png")
    except OSError:
        pytest.skip("this file system has no such names")
    (node,) = nodes_of_file(picture, embedding.library)
    expected = embedding.get_image_embedding(picture)
    assert embedding.get_text_embedding(node.text_resource.text) == pytest.approx(expected, abs=1e-6)
    assert with_media_metadata([node]) == [node]


async def test_an_unknown_reference_is_refused(embedding, media, outcome):
    reference = MediaLibrary().add(media.picture())[0].reference
    for call in (embedding.get_text_embedding_batch, embedding.aget_text_embedding_batch):
        with pytest.raises(InvalidInputError, match=r"input 1: .*library does not know"):
            await outcome(call, ["a", reference])
    with pytest.raises(InvalidInputError, match="library does not know"):
        embedding.get_text_embedding(reference)
    assert embedding.get_text_embedding(f"see {reference} for more"), "within a text it is text"


def test_an_index_embeds_the_media_of_nodes_that_it_is_given(embedding, media):
    picture, sound = media.picture(), media.sound()
    media.text("note.txt", "words")
    reader = MultiCoreReader(media.folder, library=embedding.library)
    index = VectorStoreIndex(reader.load_nodes(), embed_model=embedding)
    vectors = index.vector_store.data.embedding_dict.values()
    expected = [
        embedding.get_text_embedding("words"),
        embedding.get_image_embedding(picture),
        embedding.get_audio_embedding(sound),
    ]
    assert list(vectors) == [pytest.approx(vector, abs=1e-6) for vector in expected]


def test_an_index_of_documents_does_too(embedding, media):
    picture = media.picture()
    reader = MultiCoreReader(media.folder, library=embedding.library)
    splitter = TokenTextSplitter(chunk_size=512, tokenizer=str.split)
    documents = [*reader.load_data(), Document(text="words")]
    index = VectorStoreIndex.from_documents(documents, embed_model=embedding, transformations=[splitter])
    vectors = list(index.vector_store.data.embedding_dict.values())
    assert vectors[0] == pytest.approx(embedding.get_image_embedding(picture), abs=1e-6)
    assert vectors[1] == pytest.approx(embedding.get_text_embedding("words"), abs=1e-6)


def test_an_index_refuses_media_that_nobody_registered(embedding, media):
    media.picture()
    with pytest.raises(InvalidInputError, match=r"library=embed_model\.library"):
        VectorStoreIndex(MultiCoreReader(media.folder).load_nodes(), embed_model=embedding)


def test_a_record_is_not_opened_unless_its_hash_fits(embedding, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_text("not a picture", encoding="utf-8")
    record = MediaRecord("image", "image/png", str(secret), "0" * 64)
    node = TextNode(text=record.reference, metadata=record.to_metadata())
    with pytest.raises(InvalidInputError, match="was changed since"):
        embedding([node])
