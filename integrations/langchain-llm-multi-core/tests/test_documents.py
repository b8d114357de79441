"""Blobs and folders as documents: every modality, metadata, ids, bad files."""

import subprocess
import sys
import uuid
import warnings

import pytest
from langchain_core.document_loaders.base import BaseLoader
from langchain_core.documents import BaseDocumentTransformer, Document
from langchain_core.documents.base import Blob

from langchain_llm_multi_core import (
    MediaBlobParser,
    MediaFolderLoader,
    MediaLibrary,
    UnreadableFileWarning,
    document_key,
    media_document,
    media_records,
)
from llm_multi_core.embedder import InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, encode_sound, synthesise


class Lines(BaseDocumentTransformer):
    """Cuts texts into lines, with the place of each."""

    def transform_documents(self, documents, **kwargs):
        for document in documents:
            start = 0
            for line in document.page_content.split("\n"):
                yield Document(line, metadata={"start_index": start})
                start += len(line) + 1


def load(folder, library, **settings):
    return MediaFolderLoader(folder, library, **settings).load()


# Folders.


def test_every_file_becomes_documents_in_the_order_of_the_paths(folder, library):
    documents = load(folder, library)
    modalities = [document.metadata["modality"] for document in documents]
    assert modalities == ["image", "text", "text", "image", "image", "image", "image", *["audio"] * 5]
    assert [document.page_content for document in documents if document.metadata["modality"] == "text"] == [
        "# Bread\n\nFlour, water, salt.",
        "The Moon pulls on the sea.",
    ]


def test_documents_say_what_they_show(folder, library):
    documents = load(folder, library)
    for document in documents:
        metadata = document.metadata
        assert {"modality", "mime_type", "source", "sha256"} <= metadata.keys()
        assert len(metadata["sha256"]) == 64
        assert all(type(value) in (str, int) for value in metadata.values())
        assert document.page_content.strip()
    by_name = {}
    for document in documents:
        by_name.setdefault(document.metadata["source"].rpartition("/")[2], []).append(document.metadata)
    assert [metadata["page"] for metadata in by_name["report.pdf"]] == [1, 2, 3]
    assert [(each["start_ms"], each["end_ms"]) for each in by_name["talk.wav"]] == [
        (0, 2000), (1500, 3500), (3000, 5000), (4000, 6000)
    ]  # fmt: skip
    assert by_name["blue.jpg"][0]["mime_type"] == "image/jpeg"
    assert "page" not in by_name["red.png"][0]


def test_media_are_known_to_the_library_and_stay_out_of_the_documents(folder, library):
    for document in load(folder, library):
        if document.metadata["modality"] == "text":
            assert document.page_content not in library
            continue
        record = library.find(document.page_content)
        assert record.to_metadata() == document.metadata
        assert len(document.page_content) < 300
        assert sum(len(str(value)) for value in document.metadata.values()) < 600


def test_ids_are_the_same_each_time_and_differ_from_one_another(folder, library):
    first, again = load(folder, library), load(folder, MediaLibrary(window_seconds=2.0, overlap_seconds=0.5))
    assert first == again
    ids = [document.id for document in first]
    assert len(set(ids)) == len(ids)
    assert [str(uuid.UUID(name)) for name in ids] == ids
    assert [document_key(document) for document in first] == ids


def test_ids_are_the_same_in_another_process(folder, library):
    program = (
        "import sys; from langchain_llm_multi_core import *; "
        "print(*[d.id for d in MediaFolderLoader(sys.argv[1], MediaLibrary(), pattern='**/*.*[gt]').load()])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [document.id for document in load(folder, library, pattern="**/*.*[gt]")]


def test_a_changed_picture_has_another_id_and_reference(folder, library):
    before = {document.metadata["source"]: document for document in load(folder, library)}
    (folder / "red.png").write_bytes(encode_picture(draw_picture(seed=9)))
    after = {document.metadata["source"]: document for document in load(folder, library)}
    source = str(folder / "red.png")
    assert before[source].id != after[source].id
    assert before[source].page_content != after[source].page_content
    assert {key: before[key].id for key in before if key != source} == {
        key: after[key].id for key in after if key != source
    }


def test_equal_files_in_two_folders_are_two_documents(tmp_path, library):
    for name in ("one", "two"):
        (tmp_path / "all" / name).mkdir(parents=True)
        (tmp_path / "all" / name / "scan.png").write_bytes(encode_picture(draw_picture(seed=1)))
        (tmp_path / "all" / name / "note.txt").write_text("the same")
    documents = load(tmp_path / "all", library)
    assert len({document.id for document in documents}) == 4


def test_texts_are_split_and_each_piece_is_told_apart_by_itself(folder, library):
    (folder / "lines.txt").write_text("one\ntwo\n\nthree\ntwo")
    settings = {"pattern": "lines.txt", "text_splitter": Lines()}
    before = load(folder, library, **settings)
    assert [document.page_content for document in before] == ["one", "two", "three", "two"]
    assert [document.metadata["start_index"] for document in before] == [0, 4, 9, 15]
    assert len({document.id for document in before}) == 4
    (folder / "lines.txt").write_text("zero\none\ntwo\n\nthree\ntwo")
    after = load(folder, library, **settings)
    assert [document.id for document in after[1:]] == [document.id for document in before]


def test_langchains_splitters_will_do(folder, library):
    splitters = pytest.importorskip("langchain_text_splitters")
    (folder / "long.txt").write_text("A sentence of some length. " * 40)
    splitter = splitters.RecursiveCharacterTextSplitter(chunk_size=100, chunk_overlap=0, add_start_index=True)
    documents = load(folder, library, pattern="long.txt", text_splitter=splitter)
    assert len(documents) > 5
    assert all(len(document.page_content) <= 100 for document in documents)
    assert len({document.id for document in documents}) == len(documents)


def test_a_bad_file_is_reported_and_not_fatal(folder, library):
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "archive.zip").write_bytes(b"PK")
    with pytest.raises(InvalidInputError, match=r"broken\.png"):
        load(folder, library)
    loader = MediaFolderLoader(folder, library, on_error="collect")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(loader.load()) == 12
    assert [failure.path.name for failure in loader.failures] == ["broken.png"]
    assert [path.name for path in loader.skipped] == ["archive.zip"]
    with pytest.warns(UnreadableFileWarning, match=r"'broken.png' was left out: .*not an image"):
        assert len(load(folder, library, on_error="warn")) == 12


async def test_it_is_a_lazy_loader_with_progress(folder, library, capfd):
    loader = MediaFolderLoader(folder, library)
    assert isinstance(loader, BaseLoader)
    first = next(iter(loader.lazy_load()))
    assert first.metadata["source"].endswith("blue.jpg")
    assert len(library) == 1
    assert [document async for document in loader.alazy_load()] == loader.load() == await loader.aload()
    assert capfd.readouterr().err == ""
    load(folder, library, show_progress=True)
    assert "7/7" in capfd.readouterr().err


def test_what_cannot_be_is_refused_when_it_is_made(folder, library):
    with pytest.raises(InvalidInputError, match="no such folder"):
        MediaFolderLoader(folder / "nowhere", library)
    with pytest.raises(InvalidOptionError, match="on_error='shrug'"):
        MediaFolderLoader(folder, library, on_error="shrug")


def test_uniform_metadata_have_the_keys_of_all_modalities(folder, library):
    documents = load(folder, library, uniform_metadata=True)
    assert len({frozenset(document.metadata) for document in documents}) == 1
    types = [{name: type(value) for name, value in document.metadata.items()} for document in documents]
    assert all(each == types[0] for each in types)
    plain = load(folder, library)
    assert media_records(documents) == media_records(plain)
    assert [document.id for document in documents] == [document.id for document in plain]


# Blobs.


def test_a_blob_with_a_path_stays_where_it_is(folder, library, tmp_path):
    parser = MediaBlobParser(library)
    for name, count in [("red.png", 1), ("talk.wav", 4), ("report.pdf", 3), ("notes.txt", 1)]:
        documents = parser.parse(Blob.from_path(folder / name, metadata={"owner": "me"}))
        assert len(documents) == count
        expected = load(folder, library, pattern=name)
        assert [document.id for document in documents] == [document.id for document in expected]
        assert all(document.metadata == {**other.metadata, "owner": "me"}
                   for document, other in zip(documents, expected, strict=True))  # fmt: skip
    assert not (tmp_path / "blobs").exists()


def test_bytes_are_kept_in_the_librarys_folder(library, tmp_path):
    parser = MediaBlobParser(library)
    data = encode_picture(draw_picture(seed=5))
    for blob in (Blob(data=data), Blob.from_data(data, mime_type="image/png"), Blob(data=data, path="cat.png")):
        (document,) = parser.parse(blob)
        assert library.find(document.page_content) is not None
        assert document.metadata["source"].startswith(str(tmp_path / "blobs"))
    assert len(parser.parse(Blob(data=encode_sound(synthesise(6.0))))) == 4
    assert {path.suffix for path in (tmp_path / "blobs").iterdir()} == {".png", ".wav"}


def test_texts_come_as_strings_or_bytes(library):
    parser = MediaBlobParser(library, text_splitter=Lines())
    for blob in (
        Blob.from_data("one\ntwo"),
        Blob.from_data(b"one\ntwo", mime_type="text/markdown"),
        Blob.from_data("one\ntwo".encode("utf-16"), mime_type="text/plain", encoding="utf-16"),
    ):
        documents = parser.parse(blob)
        assert [document.page_content for document in documents] == ["one", "two"]
        assert {document.metadata["modality"] for document in documents} == {"text"}


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (Blob(data=b"PK\3\4"), "a blob of an unknown kind is neither"),
        (Blob(data=b"PK", mimetype="application/zip"), "a blob of application/zip is neither"),
        (Blob(data="text", mimetype="image/png"), "holds bytes or has a path"),
        (Blob(data=b"\xff\xfe", mimetype="text/plain"), "is not in utf-8"),
        (Blob(data=b"no picture", mimetype="image/png"), "not an image"),
        (Blob(path="nowhere.png"), "no such file"),
        (Blob(path="nowhere.txt"), "'nowhere.txt' cannot be read"),
    ],
)
def test_blobs_that_cannot_be_read_are_refused(library, blob, message):
    with pytest.raises(InvalidInputError, match=message):
        MediaBlobParser(library).parse(blob)


# Documents.


def test_documents_give_their_records_back(folder, library):
    documents = load(folder, library)
    records = media_records(documents)
    assert len(records) == 10
    other = MediaLibrary()
    other.register(records)
    assert [other.find(record.reference) for record in records] == records
    assert [media_document(record) for record in records] == [
        document for document in documents if document.metadata["modality"] != "text"
    ]


def test_a_document_without_an_id_has_no_key():
    with pytest.raises(InvalidInputError, match="has no id"):
        document_key(Document("a"))
