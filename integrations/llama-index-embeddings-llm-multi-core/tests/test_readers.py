"""Folders of mixed files as documents and nodes."""

from __future__ import annotations

import pickle

import pytest
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.readers.base import BaseReader, ReaderConfig
from llama_index.core.schema import Document, ImageNode, MetadataMode, Node, TextNode
from PIL import Image as Pillow

from llama_index.embeddings.llm_multi_core import MultiCoreReader, nodes_of_file
from llm_multi_core.embedder import InvalidInputError
from llm_multi_core.embedder.media import MediaLibrary, MediaRecord, UnreadableFileWarning

READERS = "llama_index.embeddings.llm_multi_core.readers"

KEYS = ["end_ms", "mime_type", "modality", "page", "sha256", "source", "start_ms"]


def pdf(path, pages=2):
    first, *others = [Pillow.new("RGB", (60, 80), (40 * page, 90, 200)) for page in range(pages)]
    first.save(path, save_all=True, append_images=others)
    return path


@pytest.fixture
def folder(media):
    media.picture("b.png")
    media.sound("c.wav", seconds=0.3)
    media.sound("long.wav", seconds=1.0)
    media.text("a.md", "# A title\n\nwords")
    pdf(media.folder / "report.pdf")
    (media.folder / "inner").mkdir()
    (media.folder / "inner" / "d.txt").write_text("more words", encoding="utf-8")
    (media.folder / ".hidden").write_text("hidden", encoding="utf-8")
    return media.folder


@pytest.fixture
def reader(folder):
    return MultiCoreReader(folder, library=MediaLibrary(window_seconds=0.5, overlap_seconds=0.1))


def shown(entries):
    return [entry.get_content(MetadataMode.NONE).partition(" sha256:")[0] for entry in entries]


EXPECTED = [
    "# A title\n\nwords",
    "[image b.png]",
    "[audio c.wav]",
    "more words",
    "[audio long.wav 0:00-0:00]",
    "[audio long.wav 0:00-0:01]",
    "[audio long.wav 0:00-0:01]",
    "[page 1 of report.pdf]",
    "[page 2 of report.pdf]",
]


def test_it_is_a_reader_of_documents(reader):
    assert isinstance(reader, BaseReader)
    documents = reader.load_data()
    assert all(isinstance(document, Document) for document in documents)
    assert shown(documents) == EXPECTED
    assert list(reader.lazy_load_data()) == documents


def test_a_pipeline_may_read_it(reader, embedding):
    pipeline = IngestionPipeline(transformations=[embedding], readers=[ReaderConfig(reader=reader)])
    assert shown(pipeline.run()) == EXPECTED


def test_nodes_hold_the_same(reader):
    nodes, documents = reader.load_nodes(), reader.load_data()
    assert shown(nodes) == EXPECTED
    assert [node.node_id for node in nodes] == [document.node_id for document in documents]
    assert [node.metadata for node in nodes] == [document.metadata for document in documents]
    kinds = [type(node) for node in nodes]
    assert kinds == [TextNode, Node, Node, TextNode, Node, Node, Node, TextNode, TextNode]
    assert not any(isinstance(node, ImageNode) for node in nodes)
    assert list(reader.lazy_load_nodes()) == nodes


def test_media_are_held_by_path_and_never_inline(reader, folder):
    nodes = {node.metadata["source"]: node for node in reader.load_nodes()}
    picture, sound = nodes[str(folder / "b.png")], nodes[str(folder / "c.wav")]
    assert picture.image_resource.path == folder / "b.png"
    assert picture.image_resource.mimetype == "image/png"
    assert sound.audio_resource.path == folder / "c.wav"
    assert sound.audio_resource.data is None


def test_metadata_say_where_it_lies_and_are_not_embedded(reader):
    for entry in [*reader.load_nodes(), *reader.load_data()]:
        assert sorted(entry.metadata) == KEYS, "the same keys in all, as LanceDB wants"
        assert all(isinstance(value, str | int) for value in entry.metadata.values())
        for mode in (MetadataMode.EMBED, MetadataMode.LLM):
            assert entry.get_content(mode) == entry.get_content(MetadataMode.NONE)
    spans = [
        (node.metadata["page"], node.metadata["start_ms"], node.metadata["end_ms"]) for node in reader.load_nodes()
    ]
    assert spans == [(-1, -1, -1)] * 4 + [(-1, 0, 500), (-1, 400, 900), (-1, 500, 1000), (1, -1, -1), (2, -1, -1)]


def test_every_entry_of_media_leads_back_to_its_record(reader):
    for entry in [*reader.load_nodes(), *reader.load_data()]:
        record = MediaRecord.from_metadata(entry.metadata)
        if entry.metadata["modality"] == "text":
            assert record is None
            continue
        assert entry.get_content(MetadataMode.NONE) == record.reference
        assert reader.library.find(record.reference) == record
        assert reader.library.item(record).span == record.span or record.span is None


def test_ids_follow_from_paths_and_parts(reader, folder, media, monkeypatch):
    before = {node.node_id: node.hash for node in reader.load_nodes()}
    assert len(before) == len(EXPECTED)
    again = MultiCoreReader(folder, library=MediaLibrary(window_seconds=0.5, overlap_seconds=0.1))
    assert {node.node_id: node.hash for node in again.load_nodes()} == before
    monkeypatch.chdir(folder.parent)
    relative = MultiCoreReader(folder.name, library=MediaLibrary(window_seconds=0.5, overlap_seconds=0.1))
    assert {node.node_id: node.hash for node in relative.load_nodes()} == before
    media.picture("b.png", seed=9)
    media.text("a.md", "other words")
    after = {node.node_id: node.hash for node in reader.load_nodes()}
    assert after.keys() == before.keys()
    assert sum(after[key] != before[key] for key in before) == 2


def test_each_entry_becomes_its_own_source_when_it_is_embedded(reader, embedding):
    """By which stores delete it; a document store could not delete what was its own source before."""
    for entries in (reader.load_nodes(), reader.load_data()):
        assert {entry.ref_doc_id for entry in entries} == {None}
        assert [entry.ref_doc_id for entry in embedding(entries)] == [entry.node_id for entry in entries]


def test_a_file_that_cannot_be_read(folder, media):
    media.text("broken.png", "no picture")
    with pytest.raises(InvalidInputError, match=r"broken\.png"):
        MultiCoreReader(folder).load_data()
    reader = MultiCoreReader(folder, on_error="collect")
    assert len(reader.load_nodes()) == 7
    ((failure),) = reader.failures
    assert failure.path == folder / "broken.png"
    with pytest.warns(UnreadableFileWarning, match=r"broken\.png"):
        MultiCoreReader(folder, on_error="warn").load_data()


def test_what_it_does_not_read_is_told(folder, media, shown_logs):
    shown_logs(READERS)
    media.text("program.exe", "binary")
    media.text("empty.txt", " ")
    reader = MultiCoreReader(folder)
    reader.load_data()
    assert [path.name for path in reader.skipped] == ["empty.txt", "program.exe"]
    assert "2 files" in shown_logs(READERS)
    assert "program.exe" in shown_logs(READERS)


def test_a_pattern_and_an_encoding(folder, media):
    (media.folder / "inner" / "e.txt").write_bytes("Grüße".encode("latin-1"))
    reader = MultiCoreReader(folder, pattern="inner/*.txt", encoding="latin-1")
    assert shown(reader.load_data()) == ["more words", "Grüße"]


def test_progress_may_be_shown(reader, capsys):
    reader.load_data(show_progress=True)
    assert "file" in capsys.readouterr().err


def test_there_is_no_such_folder(tmp_path):
    with pytest.raises(InvalidInputError, match="no such folder"):
        MultiCoreReader(tmp_path / "nothing").load_data()


def test_it_can_be_serialised(reader, folder):
    data = reader.to_dict()
    assert data["class_name"] == "MultiCoreReader"
    assert MultiCoreReader.from_dict(data).load_data()[0].text == EXPECTED[0]
    again = pickle.loads(pickle.dumps(reader))
    assert shown(again.load_nodes()) == EXPECTED


def test_the_nodes_of_one_file(folder, reader):
    by_folder = {node.node_id: node for node in reader.load_nodes()}
    for path in folder.glob("*.*"):
        if path.name == ".hidden":
            with pytest.raises(InvalidInputError, match="holds nothing"):
                nodes_of_file(path)
            continue
        for node in nodes_of_file(path, MediaLibrary(window_seconds=0.5, overlap_seconds=0.1)):
            assert by_folder[node.node_id] == node
