"""`similarity`: the cosine of two texts."""

from __future__ import annotations

import json

import pytest

from llm_multi_core.embedder import create_text_embedder


@pytest.fixture
def embedder(fake_framework):
    with create_text_embedder(fake_framework, dimension=16) as embedder:
        yield embedder


ARGUMENTS = ("similarity", "--framework", "fake", "--option", "dimension=16", "a cat", "a dog")


def test_the_cosine(run, embedder):
    result = run(*ARGUMENTS)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{embedder.similarity('a cat', 'a dog'):.6f}\n"


def test_the_same_text_twice(run, fake_framework):
    assert run("similarity", "--framework", "fake", "x", "x").stdout == "1.000000\n"


def test_json_says_the_space(run, embedder):
    found = json.loads(run(*ARGUMENTS, "--json").stdout)
    assert found == {"similarity": embedder.similarity("a cat", "a dog"), "space": embedder.space.to_dict()}
    assert found["space"]["fingerprint"]


def test_unknown_framework(run):
    result = run("similarity", "--framework", "nothing", "a", "b")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: no framework 'nothing' for text")
