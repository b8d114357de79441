"""Parts, items and tasks."""

from __future__ import annotations

import pickle
from hashlib import blake2b

import pytest

from llm_multi_core.embedder import InvalidOptionError, Item, Modality, Part, Role, Span, Task
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.items import DIGEST_SIZE


def part(content, modality=Modality.IMAGE):
    return Part(modality, content, blake2b(content, digest_size=DIGEST_SIZE, person=str(modality).encode()).digest())


def test_same_bytes_of_two_modalities_have_two_digests():
    text = text_item("same bytes")
    assert len(text.digest) == DIGEST_SIZE
    others = [Item((part(b"same bytes", modality),)) for modality in Modality if modality is not Modality.TEXT]
    assert len({text.digest, *(item.digest for item in others)}) == 1 + len(others)
    plain = blake2b(b"same bytes", digest_size=DIGEST_SIZE).digest()
    assert text.digest != plain


def test_a_part_is_its_content():
    digest = part(b"x").digest
    assert Part(Modality.IMAGE, "one form", digest) == Part(Modality.IMAGE, "another form", digest)
    assert hash(Part(Modality.IMAGE, [], digest)) == hash(Part(Modality.IMAGE, {}, digest))
    assert Part(Modality.IMAGE, None, digest) != Part(Modality.AUDIO, None, digest)


def test_the_digest_of_one_part_is_the_parts():
    assert Item((part(b"a"),)).digest == part(b"a").digest


def test_the_digest_of_several_parts_depends_on_each_and_on_their_order():
    a, b, c = (part(letter) for letter in (b"a", b"b", b"c"))
    items = [Item(parts) for parts in ((a, b), (b, a), (a, c), (a, b, c), (a, a), (a, a, a), (a,), ())]
    assert len({item.digest for item in items}) == len(items)
    assert all(len(item.digest) == DIGEST_SIZE for item in items)
    assert Item((a, b)).digest == Item((a, b)).digest


def test_span_and_group_do_not_change_the_digest():
    plain = text_item("chunk")
    placed = Item(plain.parts, span=Span("characters", 3, 8, "book.txt"), group="book")
    assert placed.digest == plain.digest
    assert placed != plain


def test_the_signature_is_the_modalities_in_order():
    text = text_item("a caption").parts[0]
    assert Item((text, part(b"a"))).signature == (Modality.TEXT, Modality.IMAGE)
    assert Item((part(b"a"), text)).signature == (Modality.IMAGE, Modality.TEXT)


def test_only_a_plain_text_item_has_a_text():
    text = text_item("words")
    assert text.text == "words"
    for item in (Item((part(b"a"),)), Item((*text.parts, *text.parts)), Item(())):
        with pytest.raises(TypeError, match="not a plain text item"):
            _ = item.text


def test_items_survive_pickling():
    item = Item(text_item("words").parts, span=Span("time", 0, 20), group=7)
    same = pickle.loads(pickle.dumps(item))
    assert same == item
    assert same.text == "words"


def test_modalities_and_roles_are_strings():
    assert [str(modality) for modality in Modality] == ["text", "image", "audio", "video"]
    assert [str(role) for role in Role] == ["query", "document", "symmetric"]


@pytest.mark.parametrize("role", [None, "symmetric", Role.SYMMETRIC])
def test_no_role_is_the_symmetric_one(role):
    assert Task.of(role) == Task() == Task(Role.SYMMETRIC, None)


def test_a_task_has_a_role_and_an_instruction():
    assert Task.of("query", "Find the law") == Task(Role.QUERY, "Find the law")
    assert Task.of("query").role is Role.QUERY


@pytest.mark.parametrize("role", ["passage", "Query", "", 3, ["query"]])
def test_an_unknown_role_is_refused_with_the_known_ones(role):
    with pytest.raises(InvalidOptionError, match="does not exist; use one of 'query', 'document', 'symmetric' or None"):
        Task.of(role)


def test_an_instruction_is_a_text():
    with pytest.raises(InvalidOptionError, match="instruction=3 is not a text"):
        Task.of("query", 3)
