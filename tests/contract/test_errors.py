"""The exception tree is the one drawn, and every error survives pickling."""

from __future__ import annotations

import builtins
import copy
import inspect
import pickle
import re

import numpy as np
import pytest

from llm_multi_core import embedder
from llm_multi_core.embedder import EmbeddingResult, Report, errors
from llm_multi_core.embedder.errors import (
    AmbiguousFrameworkError,
    BatchError,
    EmbedderError,
    EmbedderWarning,
    EncoderMemoryError,
    EncodingError,
    FrameworkUnavailableError,
    InvalidInputError,
    InvalidOutputError,
    MissingCredentialsError,
    ModelLoadError,
    PluginError,
    TruncationError,
    UnknownFrameworkError,
    UntrustedCodeError,
)

_LINE = re.compile(r"^(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+(?:Error|Warning))\b\s*(?:\((?P<builtin>\w+)\))?")

DEFINED = {
    name: member
    for name, member in vars(errors).items()
    if inspect.isclass(member) and issubclass(member, BaseException) and member.__module__ == errors.__name__
}
TREE = {name: kind for name, kind in DEFINED.items() if issubclass(kind, EmbedderError)}


def drawn_tree():
    """Name to parent and built-in, read off the docstring's drawing."""
    tree: dict[str, tuple[str | None, str | None]] = {}
    ancestors: list[tuple[int, str]] = []
    for line in inspect.getdoc(errors).splitlines():
        match = _LINE.match(line.removeprefix("    "))
        if match is None or not line.startswith("    "):
            continue
        depth = len(match["branch"])
        while ancestors and ancestors[-1][0] >= depth:
            ancestors.pop()
        tree[match["name"]] = (ancestors[-1][1] if ancestors else None, match["builtin"])
        ancestors.append((depth, match["name"]))
    return tree


def test_the_drawing_holds_every_class():
    assert set(drawn_tree()) == set(DEFINED)


@pytest.mark.parametrize("name", sorted(DEFINED))
def test_the_drawing_is_the_real_tree(name):
    parent, builtin = drawn_tree()[name]
    kind = DEFINED[name]
    drawn = [DEFINED[parent]] if parent else [] if builtin else [Exception]
    drawn += [getattr(builtins, builtin)] if builtin else []
    assert list(kind.__bases__) == drawn


def test_the_roots():
    assert EmbedderError.__bases__ == (Exception,)
    assert EmbedderWarning.__bases__ == (UserWarning,)


@pytest.mark.parametrize("name", sorted(DEFINED))
def test_every_class_is_public_and_documented(name):
    assert getattr(embedder, name) is DEFINED[name]
    assert inspect.getdoc(DEFINED[name])


def make(kind):
    if issubclass(kind, InvalidInputError):
        return kind("too odd", index=3)
    if issubclass(kind, BatchError):
        return kind("it broke", indices=[2, 5], result=EmbeddingResult(np.array([[0.6, 0.8], [np.nan] * 2]), Report()))
    if issubclass(kind, EncodingError):
        return kind("it broke", indices=[2, 5])
    return kind("what happened, and what to do")


@pytest.mark.parametrize("kind", TREE.values(), ids=TREE)
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_errors_survive_with_their_attributes(kind, again):
    error = make(kind)
    error.add_note("seen in the nightly run")
    error.hint = "extra"
    same = again(error)
    assert type(same) is kind
    assert str(same) == str(error)
    assert same.args == error.args
    results = [vars(each).pop("result", None) for each in (same, error)]
    assert vars(same) == vars(error)
    if issubclass(kind, BatchError):
        np.testing.assert_array_equal(results[0].vectors, results[1].vectors)
        assert results[0].ok.tolist() == [True, False]
    assert same.__notes__ == ["seen in the nightly run"]
    if issubclass(kind, ImportError):
        assert same.msg == error.msg


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_errors_survive_every_protocol(protocol):
    same = pickle.loads(pickle.dumps(TruncationError("long", index=1), protocol))
    assert (same.index, same.reason, str(same)) == (1, "long", "input 1: long")


def test_users_can_catch_the_builtin():
    for kind, builtin in {
        UnknownFrameworkError: LookupError,
        AmbiguousFrameworkError: LookupError,
        FrameworkUnavailableError: ImportError,
        PluginError: ImportError,
        MissingCredentialsError: LookupError,
        ModelLoadError: OSError,
        UntrustedCodeError: PermissionError,
        EncoderMemoryError: MemoryError,
        InvalidOutputError: ValueError,
    }.items():
        with pytest.raises(builtin, match=r"what|it broke"):
            raise make(kind)


def test_an_input_error_names_its_input():
    error = InvalidInputError("it is blank")
    assert (str(error), error.index) == ("it is blank", None)
    placed = error.at(7)
    assert (str(placed), placed.index, placed.reason) == ("input 7: it is blank", 7, "it is blank")
    assert str(placed.at(8)) == "input 8: it is blank"
    assert type(TruncationError("long").at(1)) is TruncationError


def test_an_encoding_error_lists_its_inputs():
    assert EncodingError("broken").indices == ()
    assert EncodingError("broken", indices=range(2)).indices == (0, 1)


def test_a_load_error_shows_its_message_only():
    assert str(ModelLoadError("no such model", 2)) == "no such model"
    assert str(UntrustedCodeError("it has code of its own")) == "it has code of its own"
    assert str(ModelLoadError()) == ""
