"""What an entry of an index says of the media that it stands for."""

from __future__ import annotations

import uuid

import pytest

from llm_multi_core.embedder import Modality, Span
from llm_multi_core.embedder.media import MediaRecord, entry_id, looks_like_reference, text_metadata, uniform_metadata

SHA = "ab" * 32
PICTURE = MediaRecord(Modality.IMAGE, "image/png", "/pictures/cat [1].png", SHA)
WINDOW = MediaRecord(Modality.AUDIO, "audio/wav", "talk.wav", SHA, start_ms=0, end_ms=30_000)
PAGE = MediaRecord(Modality.IMAGE, "application/pdf", "report.pdf", SHA, page=3)
RECORDS = [PICTURE, WINDOW, PAGE, MediaRecord(Modality.AUDIO, "audio/ogg", "a\nb.ogg", SHA)]


@pytest.mark.parametrize("record", RECORDS)
def test_metadata_bring_a_record_back(record):
    assert MediaRecord.from_metadata(record.to_metadata()) == record
    assert MediaRecord.from_metadata({**record.to_metadata(), "other": [1, 2]}) == record


@pytest.mark.parametrize("record", RECORDS)
def test_metadata_are_flat_and_complete(record):
    metadata = record.to_metadata()
    assert {"modality", "mime_type", "source", "sha256"} <= metadata.keys()
    assert all(type(value) in (str, int) for value in metadata.values())


@pytest.mark.parametrize("none", [None, -1, -1.0, float("nan"), ""])
def test_numbers_that_a_store_made_up_are_none(none):
    metadata = {**PICTURE.to_metadata(), "page": none, "start_ms": none, "end_ms": none}
    assert MediaRecord.from_metadata(metadata) == PICTURE


def test_whole_numbers_may_come_back_as_floats():
    metadata = {name: float(value) if isinstance(value, int) else value for name, value in WINDOW.to_metadata().items()}
    assert MediaRecord.from_metadata(metadata) == WINDOW


@pytest.mark.parametrize("metadata", [{}, {"modality": "text", "source": "a", "sha256": SHA}, {"modality": "image"}])
def test_other_metadata_are_no_record(metadata):
    assert MediaRecord.from_metadata(metadata) is None


def test_references_of_different_media_differ():
    others = [
        MediaRecord(Modality.IMAGE, "image/png", "/pictures/cat [1].png", "cd" * 32),
        MediaRecord(Modality.AUDIO, "audio/wav", "talk.wav", SHA, start_ms=25_000, end_ms=55_000),
        MediaRecord(Modality.IMAGE, "application/pdf", "report.pdf", SHA, page=4),
    ]
    references = [record.reference for record in [*RECORDS, *others]]
    assert len(set(references)) == len(references)


@pytest.mark.parametrize("record", RECORDS)
def test_a_reference_is_known_by_its_form(record):
    assert looks_like_reference(record.reference)
    assert not looks_like_reference(record.reference + " and more")
    assert not looks_like_reference("see " + record.reference)


@pytest.mark.parametrize(
    "text", ["", "[image cat.png]", "/etc/passwd", "file:///a.png", f"[cat] sha256:{SHA}", "[" * 9]
)
def test_other_texts_are_no_references(text):
    assert not looks_like_reference(text)


def test_titles_and_spans_say_where_it_is():
    assert (PICTURE.title, PICTURE.span) == ("image cat [1].png", None)
    assert (WINDOW.title, WINDOW.span) == ("audio talk.wav 0:00-0:30", Span("time", 0, 30_000, "talk.wav"))
    assert (PAGE.title, PAGE.span) == ("page 3 of report.pdf", Span("page", 3, 3, "report.pdf"))


def test_a_text_is_told_apart_by_itself_and_not_by_its_file():
    one = text_metadata("a paragraph", "notes.md", "text/markdown")
    assert one == {**text_metadata("a paragraph", "notes.md"), "mime_type": "text/markdown"}
    assert one["sha256"] != text_metadata("another", "notes.md")["sha256"]
    assert MediaRecord.from_metadata(one) is None
    assert len(text_metadata("\ud800", "broken.txt")["sha256"]) == 64


def test_ids_follow_from_what_an_entry_is():
    ids = [entry_id(*parts) for parts in [("a", "b"), ("ab",), ("a", "b", None), ("a", "b", 0), ("a", "b", "0")]]
    assert len(set(ids)) == len(ids)
    assert entry_id("a", "b") == ids[0]
    assert [str(uuid.UUID(name)) for name in ids] == ids


def test_uniform_metadata_have_every_number():
    assert uniform_metadata(PAGE.to_metadata()) == {**PAGE.to_metadata(), "start_ms": -1, "end_ms": -1}
    assert MediaRecord.from_metadata(uniform_metadata(PAGE.to_metadata())) == PAGE
    text = text_metadata("words", "a.txt")
    assert uniform_metadata(text) == {**text, "start_ms": -1, "end_ms": -1, "page": -1}
