"""`--option KEY=VALUE`, typed as the framework declares."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder import Credentials, FrameworkSpec, InvalidOptionError, OptionSpec
from llm_multi_core.embedder.cli.guard import CommandError
from llm_multi_core.embedder.cli.options import parse_options

SPEC = FrameworkSpec(
    "acme",
    ("text",),
    "m:E",
    options=(
        OptionSpec("depth", int, 3),
        OptionSpec("scale", float, 1.0),
        OptionSpec("fast", bool, False),
        OptionSpec("pooling", str, "mean", choices=("mean", "cls", "none")),
        OptionSpec("layers", (list, tuple), None),
        OptionSpec("limit", (int, str), None),
        OptionSpec("timeout", float, None),
        OptionSpec("headers", dict, None),
    ),
)


@pytest.mark.parametrize(
    ("entry", "name", "value"),
    [
        ("depth=5", "depth", 5),
        ("depth=-5", "depth", -5),
        ("scale=2", "scale", 2.0),
        ("scale=1e-3", "scale", 0.001),
        ("fast=true", "fast", True),
        ("fast=No", "fast", False),
        ("fast=1", "fast", True),
        ("pooling=cls", "pooling", "cls"),
        ("pooling=none", "pooling", "none"),
        ("layers=[1, 2]", "layers", (1, 2)),
        ("limit=7", "limit", 7),
        ("limit=a=b", "limit", "a=b"),
        ("limit=", "limit", ""),
        ("timeout=none", "timeout", None),
        ('headers={"x": "y"}', "headers", {"x": "y"}),
    ],
)
def test_values_have_the_declared_type(entry, name, value):
    found = parse_options([entry], SPEC)
    assert found == {name: value}
    assert type(found[name]) is type(value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("depth=2.5", "takes int"),
        ("depth=none", "takes int"),
        ("fast=perhaps", "takes bool"),
        ("pooling=max", "not one of 'mean', 'cls', 'none'"),
        ("layers=1,2", "takes list or tuple"),
        ("headers=[1]", "takes dict, not list"),
        ("dept=1", "did you mean 'depth'"),
    ],
)
def test_values_that_do_not_fit(entry, message):
    with pytest.raises(InvalidOptionError, match=message):
        parse_options([entry], SPEC)


def test_names_may_be_written_with_hyphens():
    spec = FrameworkSpec("acme", ("text",), "m:E", options=(OptionSpec("max_words", int, 3),))
    assert parse_options(["max-words=4"], spec) == {"max_words": 4}


def test_a_key_is_refused_with_its_variable_and_without_its_value():
    spec = FrameworkSpec("acme", ("text",), "m:E", hosted=True, credentials=Credentials(("ACME_KEY",)))
    with pytest.raises(CommandError, match="set ACME_KEY") as raised:
        parse_options(["api_key=s3cret"], spec)
    assert "s3cret" not in str(raised.value)
