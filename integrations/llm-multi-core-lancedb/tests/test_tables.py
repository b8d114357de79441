"""Inside LanceDB: tables with source and vector columns, opened again, asked by text, picture and sound."""

from __future__ import annotations

import pytest
from lancedb.pydantic import LanceModel, Vector
from PIL import Image as Pillow

from llm_multi_core.embedder import Audio, Image, IncompatibleSpacesError, InvalidOptionError
from llm_multi_core.embedder.pipeline.pool import pool
from llm_multi_core.embedder.stores import UnstampedIndexWarning, shared
from llm_multi_core.embedder.testing.media import FakeImageEncoder
from llm_multi_core_lancedb import MultiCoreEmbeddingFunction, check_table, stamp_table

TEXTS = ["the cat sleeps", "rain falls", "stocks rose today", "bread is baked"]


@pytest.fixture
def schema(joint):
    """A row has a text, the path of a picture and the bytes of a recording, each with a vector of its own."""
    of_text, of_image, of_audio = joint(), joint(source="image"), joint(source="audio")

    class Thing(LanceModel):
        name: str
        text: str = of_text.SourceField()
        text_vector: Vector(32) = of_text.VectorField()
        image_uri: str = of_image.SourceField()
        image_vector: Vector(32) = of_image.VectorField()
        audio_bytes: bytes = of_audio.SourceField()
        audio_vector: Vector(32) = of_audio.VectorField()

    return Thing


def rows(pictures, sounds):
    return [
        {"name": str(number), "text": text, "image_uri": str(picture), "audio_bytes": sound.read_bytes()}
        for number, (text, picture, sound) in enumerate(zip(TEXTS, pictures, sounds, strict=True))
    ]


@pytest.fixture
def filled(database, schema, pictures, sounds):
    table = database().create_table("things", schema=schema)
    table.add(rows(pictures, sounds))
    return table


def found(table, query, column):
    return table.search(query, vector_column_name=column).limit(1).to_list()[0]["name"]


def test_each_modality_finds_its_own(filled, database, pictures, sounds):
    for table in (filled, database().open_table("things")):
        for number in range(4):
            assert found(table, Image(str(pictures[number])), "image_vector") == str(number)
            assert found(table, Audio(str(sounds[number])), "audio_vector") == str(number)
            with Pillow.open(pictures[number]) as picture:
                assert found(table, picture.copy(), "image_vector") == str(number)
        assert table.search("cats", vector_column_name="text_vector").limit(4).to_list()


def test_texts_of_a_plain_model_find_themselves(database, fake_framework):
    function = MultiCoreEmbeddingFunction.create(text_framework=fake_framework)

    class Note(LanceModel):
        text: str = function.SourceField()
        vector: Vector(function.ndims()) = function.VectorField()

    table = database().create_table("notes", schema=Note)
    table.add([{"text": text} for text in TEXTS])
    again = database().open_table("notes")
    for text in TEXTS:
        assert again.search(text).limit(1).to_pydantic(Note)[0].text == text


async def test_tables_are_asked_asynchronously(filled, tmp_path, pictures):
    import lancedb

    table = await (await lancedb.connect_async(tmp_path / "store")).open_table("things")
    query = await table.search(Image(str(pictures[2])), vector_column_name="image_vector", query_type="vector")
    assert (await query.limit(1).to_list())[0]["name"] == "2"


def test_the_model_is_loaded_once_however_often_a_table_is_used(
    filled, database, schema, pictures, sounds, monkeypatch
):
    loaded = []
    monkeypatch.setattr(FakeImageEncoder, "load", lambda self: loaded.append(self))  # noqa: PLW0108 - a method
    table = database().open_table("things")
    for _ in range(3):
        table.add(rows(pictures, sounds))
        found(table, Image(str(pictures[0])), "image_vector")
    assert len(loaded) <= 1
    loaded.clear()
    for _ in range(3):
        shared._held.clear()  # as without holding any
        pool._handles.clear()
        found(table, Image(str(pictures[0])), "image_vector")
    assert len(loaded) == 3


def test_a_swapped_alignment_is_refused_by_the_settings(filled, database, joint, tmp_path, pictures):
    joint(seed=1)
    for path in tmp_path.glob("*-1-*.safetensors"):
        path.replace(str(path).replace("-1-", "-0-"))
    with pytest.raises(IncompatibleSpacesError, match="no longer holds"):
        found(database().open_table("things"), Image(str(pictures[0])), "image_vector")


def test_a_swapped_model_of_the_same_dimension_is_refused_by_the_stamp(filled, database, joint):
    for column in ("text_vector", "image_vector"):
        with pytest.warns(UnstampedIndexWarning, match="has no stamp"):
            assert check_table(filled, column=column) is None
        stamp_table(filled, column=column)
        opened = database().open_table("things")
        assert check_table(opened, column=column) == pytest.approx(1.0, abs=1e-5)
        swapped = joint(seed=1)
        assert swapped.ndims() == filled.embedding_functions[column].function.ndims()
        with pytest.raises(IncompatibleSpacesError, match="cosine"):
            check_table(opened, swapped, column=column)
    stamp_table(opened, swapped, column="text_vector", replace=True)
    assert check_table(database().open_table("things"), swapped, column="text_vector") == pytest.approx(1.0, abs=1e-5)


def test_a_table_without_a_function_of_this_package(database):
    table = database().create_table("plain", [{"id": "a", "vector": [1.0, 2.0]}])
    with pytest.raises(InvalidOptionError, match="pass function="):
        check_table(table)


def test_a_missing_value_is_for_lancedb_to_judge(database, fake_framework):
    function = MultiCoreEmbeddingFunction.create(text_framework=fake_framework)

    class Note(LanceModel):
        text: str | None = function.SourceField(default=None)
        vector: Vector(function.ndims()) | None = function.VectorField(default=None)

    table = database().create_table("notes", schema=Note)
    table.add([{"text": "words"}, {"text": None}], on_bad_vectors="drop")
    assert table.count_rows() == 1
