"""A stamp is there again when its index is opened anew, and never among the results."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder import InvalidInputError
from llm_multi_core.embedder.stamping import ChromaPlace, FilePlace

LONG = "stamp " * 50_000  # as long as those of wide models


def test_an_index_that_was_never_stamped_has_none(index):
    assert index.open().read() is None


@pytest.mark.parametrize("text", ["{}", LONG, "naïve 'quotes\" \n"])
def test_what_is_written_is_read_when_the_index_is_opened_anew(index, text):
    index.open().write("an earlier one")
    index.open().write(text)
    assert index.open().read() == text


def test_it_is_read_where_it_was_written(index):
    place = index.open()
    place.write("a stamp")
    assert place.read() == "a stamp"


def test_it_is_not_among_the_results_and_outlives_additions(database):
    database.open().write("a stamp")
    before = len(database.found())
    database.fill([[0.5] * 8, [1.0, 0.0] * 4])
    assert len(database.found()) == before + 2
    assert {str(found) for found in database.found()} == {"0", "1"}
    assert database.open().read() == "a stamp"


def test_a_place_in_a_database_knows_the_dimension_of_what_is_there(database):
    place = database.open()
    database.fill([[0.5] * 8])
    assert place.dimension() == 8
    assert database.open().dimension() == 8


def test_an_empty_collection_has_no_dimension_yet(tmp_path):
    chromadb = pytest.importorskip("chromadb")
    client = chromadb.PersistentClient(str(tmp_path), settings=chromadb.Settings(anonymized_telemetry=False))
    assert ChromaPlace(client.create_collection("pages", embedding_function=None)).dimension() is None


def test_a_file_does_not_know_the_dimension(tmp_path):
    assert FilePlace(tmp_path).dimension() is None


def test_a_file_next_to_an_index_is_named_after_it(tmp_path):
    (tmp_path / "faiss").mkdir()
    assert FilePlace(tmp_path / "faiss").path == tmp_path / "faiss" / "llm-multi-core.json"
    assert FilePlace(tmp_path / "store.json").path == tmp_path / "store.json.llm-multi-core.json"


def test_a_file_that_is_no_text_is_named(tmp_path):
    place = FilePlace(tmp_path)
    place.path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InvalidInputError, match=r"'llm-multi-core\.json' cannot be read"):
        place.read()
