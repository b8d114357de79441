"""Which prompt each role gets: the user's, the model's own, the one of its card."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder import InvalidOptionError, ModelLoadError, Role, Task
from llm_multi_core_torch import MODEL_CARDS, ModelCard, Prompts, choose_prompts, model_card

ROLES = (Role.QUERY, Role.DOCUMENT, Role.SYMMETRIC)
E5 = model_card("intfloat/E5-base-v2")


def chosen(settings, card=None, **options):
    by_role = choose_prompts(settings, options, card or ModelCard()).by_role
    assert by_role.keys() == set(Role)
    return tuple(by_role[role] for role in ROLES)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, ("", "", "")),
        ({"prompts": {"query": "q: "}}, ("q: ", "", "")),
        ({"prompts": {"query": "q: ", "passage": "p: ", "corpus": "c: "}}, ("q: ", "p: ", "")),
        ({"prompts": {"query": "q: ", "document": "", "passage": "p: "}}, ("q: ", "p: ", "")),
        ({"prompts": {"query": "q: ", "x": "x: "}, "default_prompt_name": "x"}, ("q: ", "", "x: ")),
    ],
)
def test_prompts_as_the_model_configures_them(own, expected):
    assert chosen(own, model_card("unknown")) == expected


def test_the_card_speaks_only_where_the_model_and_the_user_are_silent():
    assert chosen({"prompts": {}}, E5) == ("query: ", "passage: ", "query: ")
    assert chosen({"prompts": {"query": "", "document": ""}}, E5) == ("query: ", "passage: ", "query: ")
    assert chosen({"prompts": {"query": "own: "}}, E5) == ("own: ", "", "")
    assert chosen({}, E5, prompts={"query": ""}) == ("", "", "")
    assert chosen({}, E5, prompts={}) == ("", "", "")


def test_prompts_of_the_user_come_first():
    own = {"prompts": {"query": "find "}}
    assert chosen(own, E5, prompts={"passage": "p "}) == ("find ", "p ", "")
    own = {"prompts": {"query": "find ", "document": "own "}}
    assert chosen(own, prompts={"query": "seek ", "document": ""}) == ("seek ", "", "")


def test_a_default_prompt_may_be_the_cards():
    assert chosen({}, E5, default_prompt_name="document")[2] == "passage: "
    with pytest.raises(InvalidOptionError, match="no prompt named 'cluster'"):
        chosen({}, E5, default_prompt_name="cluster")
    with pytest.raises(ModelLoadError, match="no prompt named 'cluster'"):
        chosen({"default_prompt_name": "cluster"})


@pytest.mark.parametrize("prompts", [{"query": 3}, {3: "query"}])
def test_a_prompt_that_is_no_text_is_refused(prompts):
    with pytest.raises(InvalidOptionError, match="prompts maps names to texts"):
        chosen({}, prompts=prompts)


def test_malformed_prompts_of_the_model_are_refused():
    with pytest.raises(ModelLoadError, match="are not an object"):
        chosen({"prompts": ["query"]})


def test_a_model_may_have_its_own_names_for_the_roles():
    card = ModelCard(tasks={"query": "retrieval.query", "document": "retrieval.passage"})
    own = {"prompts": {"retrieval.query": "seek: ", "retrieval.passage": "hold: "}}
    assert chosen(own, card) == ("seek: ", "hold: ", "")


def test_an_instruction_takes_the_place_of_the_roles_prompt():
    prompts = Prompts({Role.QUERY: "q: ", Role.DOCUMENT: "", Role.SYMMETRIC: ""}, "Instruct: {}\nQuery: ")
    assert prompts.distinguished == {Role.QUERY}
    assert prompts.of(Task(Role.QUERY)) == "q: "
    assert prompts.of(Task(Role.QUERY, "Find {it}")) == "Instruct: Find {it}\nQuery: "
    plain = Prompts(prompts.by_role)
    assert plain.of(Task(Role.QUERY, "Find ")) == "Find "


def test_every_card_has_a_source_and_no_name_stands_on_two():
    assert all(card.source.startswith("https://") and card.names for card in MODEL_CARDS)
    names = [name.lower() for card in MODEL_CARDS for name in card.names]
    assert len(names) == len(set(names))


def test_tasks_of_cards_are_roles():
    assert all({Role(task) for task in card.tasks} <= set(Role) for card in MODEL_CARDS)
