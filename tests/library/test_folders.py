"""Folders of mixed files: everything that can be read is, and everything else is told of."""

from __future__ import annotations

import warnings

import pytest

from llm_multi_core.embedder import InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.media import MixedFolder, UnreadableFileWarning

BAD = {
    "broken.png": b"\x89PNG\r\n\x1a\n and no more",
    "broken.wav": b"RIFF\0\0\0\0WAVE",
    "broken.pdf": b"%PDF-1.7 and no more",
    "latin.txt": "caf\u00e9".encode("latin-1"),
}


def names(contents):
    return [content.path.name for content in contents]


def test_every_file_is_read_in_the_order_of_the_paths(folder, library):
    found = MixedFolder(folder, library)
    contents = list(found)
    assert names(contents) == ["blue.jpg", "recipe.md", "notes.txt", "red.png", "report.pdf", "talk.wav", "tone.wav"]
    assert [len(content.records) for content in contents] == [1, 0, 0, 1, 3, 4, 1]
    assert [content.text for content in contents if content.text] == [
        "# Bread\n\nFlour, water, salt.",
        "The Moon pulls on the sea.",
    ]
    assert all(record in list(library) for content in contents for record in content.records)
    assert (found.failures, found.skipped) == ([], [])


def test_files_are_read_when_it_is_their_turn(folder, library):
    (folder / "zzz.png").write_bytes(b"no picture")
    contents = iter(MixedFolder(folder, library))
    assert next(contents).path.name == "blue.jpg"
    assert len(library) == 1


def test_a_pattern_chooses(folder, library):
    assert names(MixedFolder(folder, library, pattern="*.txt")) == ["notes.txt"]


def test_what_is_hidden_empty_or_unknown_is_passed_over(folder, library):
    (folder / ".git").mkdir()
    (folder / ".git" / "config.txt").write_text("hidden")
    (folder / ".hidden.txt").write_text("hidden")
    (folder / "empty.txt").write_text(" \n")
    (folder / "archive.zip").write_bytes(b"PK")
    found = MixedFolder(folder, library)
    assert len(list(found)) == 7
    assert [path.name for path in found.skipped] == ["archive.zip", "empty.txt"]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_listed_and_the_others_read(folder, library, name):
    (folder / name).write_bytes(BAD[name])
    found = MixedFolder(folder, library, on_error="collect")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(found)) == 7
    ((failure),) = found.failures
    assert failure.path == folder / name
    assert name in str(failure.error)


def test_bad_files_are_warned_of_one_by_one(folder, library):
    for name, content in BAD.items():
        (folder / name).write_bytes(content)
    found = MixedFolder(folder, library, on_error="warn")
    with pytest.warns(UnreadableFileWarning) as caught:
        contents = [content.path for content in found]
    assert len(contents) == 7
    assert sorted(str(warning.message).split("'")[1] for warning in caught) == sorted(BAD)
    assert {warning.filename for warning in caught} == {__file__}


def test_a_bad_file_ends_it_unless_told_otherwise(folder, library):
    (folder / "latin.txt").write_bytes(BAD["latin.txt"])
    found = MixedFolder(folder, library)
    with pytest.raises(InvalidInputError, match=r"'latin.txt' is not a text in utf-8 \(byte 3\)"):
        list(found)
    assert len(list(MixedFolder(folder, library, encoding="latin-1"))) == 8


def test_going_through_it_again_starts_afresh(folder, library):
    (folder / "latin.txt").write_bytes(BAD["latin.txt"])
    found = MixedFolder(folder, library, on_error="collect")
    assert names(found) == names(found)
    assert len(found.failures) == 1
    assert len(library) == 10  # nothing is registered twice


def test_a_mark_of_the_byte_order_is_no_part_of_a_text(folder, library):
    (folder / "notes.txt").write_bytes("\ufeffmarked".encode())
    assert [content.text for content in MixedFolder(folder, library, pattern="notes.txt")] == ["marked"]


def test_progress_is_drawn_where_it_is_wanted(folder, library, capfd):
    list(MixedFolder(folder, library))
    assert capfd.readouterr().err == ""
    list(MixedFolder(folder, library, show_progress=True))
    assert "7/7" in capfd.readouterr().err


def test_what_cannot_be_is_refused_at_once(folder, library):
    with pytest.raises(InvalidInputError, match="no such folder"):
        MixedFolder(folder / "nowhere", library)
    with pytest.raises(InvalidOptionError, match="on_error='ignore' is not one of 'raise', 'warn', 'collect'"):
        MixedFolder(folder, library, on_error="ignore")
