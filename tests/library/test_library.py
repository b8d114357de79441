"""References lead to the media that were registered, and to nothing else."""

from __future__ import annotations

import json
import pickle
import socket

import pytest

from llm_multi_core.embedder import InvalidInputError, Modality
from llm_multi_core.embedder.inputs import audio
from llm_multi_core.embedder.media import MediaLibrary, MediaRecord
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, encode_sound, synthesise, waveform_of


def test_a_picture_is_one_record(folder, library):
    (record,) = library.add(folder / "red.png")
    assert record.modality is Modality.IMAGE
    assert record.mime_type == "image/png"
    assert record.source == str(folder / "red.png")
    assert library.find(record.reference) == record
    assert library.item(record).signature == (Modality.IMAGE,)


def test_a_long_recording_is_windows_that_cover_it(folder, library):
    records = library.add(folder / "talk.wav")
    assert [(record.start_ms, record.end_ms) for record in records] == [
        (0, 2000),
        (1500, 3500),
        (3000, 5000),
        (4000, 6000),
    ]
    for record in records:
        item = library.item(record)
        assert item.span == record.span
        assert len(waveform_of(item).samples) == 32_000
    assert len({library.item(record).digest for record in records}) == 4


def test_a_short_recording_is_one_record(folder, library):
    (record,) = library.add(folder / "tone.wav")
    assert (record.start_ms, record.end_ms) == (None, None)
    assert len(waveform_of(library.item(record)).samples) == 8_000


def test_windows_of_another_length_are_found_all_the_same(folder, tmp_path):
    records = MediaLibrary(window_seconds=3.0, overlap_seconds=1.0).add(folder / "talk.wav")
    other = MediaLibrary(window_seconds=2.0, overlap_seconds=0.5)
    whole = MediaRecord(Modality.AUDIO, "audio/wav", records[0].source, records[0].sha256)
    other.register([*records, whole])
    for record in records:
        item = other.item(record)
        assert len(waveform_of(item).samples) == 48_000
        assert item.span == record.span
    assert len(waveform_of(other.item(whole)).samples) == 96_000


def test_a_long_recording_is_read_once_for_all_its_windows(folder, library, monkeypatch):
    opened = []
    of = audio._opened
    monkeypatch.setattr(audio, "_opened", lambda source: opened.append(source.name) or of(source))
    records = library.add(folder / "talk.wav")
    for record in records:
        library.item(record)
    assert len(opened) == 1


def test_a_pdf_is_a_picture_a_page(folder, library):
    records = library.add(folder / "report.pdf")
    assert [record.page for record in records] == [1, 2, 3]
    assert all(record.modality is Modality.IMAGE for record in records)
    assert len({library.item(record).digest for record in records}) == 3
    assert library.item(records[1]).span == records[1].span


def test_only_what_was_registered_is_known(folder, library):
    record = MediaRecord(Modality.IMAGE, "image/png", str(folder / "red.png"), "ab" * 32)
    for text in (record.reference, str(folder / "red.png"), f"file://{folder}/red.png", "red.png"):
        assert library.find(text) is None
        assert text not in library


def test_looking_for_a_text_opens_nothing(folder, library, monkeypatch):
    library.add(folder / "red.png")

    def refuse(*args, **kwargs):
        raise AssertionError(f"opened {args}")

    for owner, name in (("builtins", "open"), ("io", "open"), ("os", "open"), ("os", "stat")):
        monkeypatch.setattr(f"{owner}.{name}", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for text in ("file:///etc/passwd", "http://169.254.169.254/", str(folder / "red.png"), "\0", "x" * 10_000):
        assert library.find(text) is None


def test_a_file_that_was_changed_or_is_gone_is_an_error(folder, library):
    (record,) = library.add(folder / "red.png")
    (folder / "red.png").write_bytes(encode_picture(draw_picture(seed=9)))
    with pytest.raises(InvalidInputError, match=r"image red.png: 'red.png' was changed since it was registered"):
        library.item(record)
    (folder / "red.png").unlink()
    with pytest.raises(InvalidInputError, match=r"image red.png: 'red.png' cannot be found"):
        library.item(record)


@pytest.mark.parametrize("persisted", [False, True])
def test_adding_a_changed_file_forgets_what_it_held(folder, tmp_path, persisted):
    library = MediaLibrary(tmp_path / "records.jsonl" if persisted else None)
    (other,) = library.add(folder / "deeper" / "blue.jpg")
    (old,) = library.add(folder / "red.png")
    (folder / "red.png").write_bytes(encode_picture(draw_picture(seed=9)))
    (new,) = library.add(folder / "red.png")
    for known in [library, *([MediaLibrary(tmp_path / "records.jsonl")] if persisted else [])]:
        assert set(known) == {other, new}
        assert old.reference not in known


def test_records_are_there_in_another_process(folder, tmp_path):
    path = tmp_path / "deep" / "records.jsonl"
    library = MediaLibrary(path)
    records = [record for name in ("red.png", "report.pdf", "talk.wav") for record in library.add(folder / name)]
    library.add(folder / "red.png")  # which adds nothing
    assert len(path.read_text().splitlines()) == len(records)
    again = MediaLibrary(path)
    assert list(again) == records
    assert again.item(records[0]).digest == library.item(records[0]).digest
    again.remove(records[0])
    assert list(MediaLibrary(path)) == records[1:]


@pytest.mark.parametrize("line", ["no json", "[]", '{"modality": "text"}', json.dumps({"modality": "image"})])
def test_another_file_is_not_taken_for_a_librarys(tmp_path, line):
    (tmp_path / "records.jsonl").write_text(line + "\n")
    with pytest.raises(InvalidInputError, match=r"'records.jsonl' is not the file of a media library \(line 1\)"):
        MediaLibrary(tmp_path / "records.jsonl")


def test_bytes_are_kept_under_their_hash(library, tmp_path):
    data = encode_picture(draw_picture(seed=4))
    (record,) = library.add_bytes(data, "image/png")
    assert library.add_bytes(data, "image/png") == [record]
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == [f"{record.sha256}.png"]
    assert library.file(record).read_bytes() == data
    sound = library.add_bytes(encode_sound(synthesise(6.0)), "audio/wav", "talk.wav")
    assert len(sound) == 4


def test_bytes_that_are_no_media_are_refused(library):
    with pytest.raises(InvalidInputError, match="neither an image, a recording nor a PDF"):
        library.add_bytes(b"text", "text/plain")
    with pytest.raises(InvalidInputError, match="blobs="):
        MediaLibrary().add_bytes(b"", "image/png")


@pytest.mark.parametrize(("name", "message"), [("nothing.png", "no such file"), ("notes.txt", "neither an image")])
def test_files_that_are_no_media_are_refused(folder, library, name, message):
    with pytest.raises(InvalidInputError, match=message):
        library.add(folder / name)
    assert len(library) == 0


def test_a_pickled_copy_knows_the_same(folder, library):
    records = library.add(folder / "talk.wav")
    copy = pickle.loads(pickle.dumps(library))
    assert list(copy) == records
    assert copy.item(records[1]).digest == library.item(records[1]).digest
    assert repr(copy) == "MediaLibrary(4 records)"


def test_two_pictures_without_words_never_collide(tmp_path, library):
    records = []
    for number in range(20):
        (tmp_path / f"{number}").mkdir()
        path = tmp_path / f"{number}" / "scan.png"
        path.write_bytes(encode_picture(draw_picture(seed=number)))
        records += library.add(path)
    assert len({record.reference for record in records}) == len(library) == 20
