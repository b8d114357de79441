"""`FrameworkSpec` and `OptionSpec`: what is refused at once, and which name was meant."""

from __future__ import annotations

import pickle
from inspect import signature
from types import NoneType

import pytest

from llm_multi_core.embedder import (
    Credentials,
    FrameworkSpec,
    InvalidOptionError,
    Modality,
    OptionSpec,
    create_audio_embedder,
    create_image_embedder,
    create_text_embedder,
)
from llm_multi_core.embedder.frameworks import FACTORY_PARAMETERS, Offer, nearest
from llm_multi_core.embedder.settings import COMMON_SETTINGS


def spec(**changes):
    return FrameworkSpec(
        **{"name": "acme", "modalities": (Modality.TEXT,), "target": "acme_plugin.encoder:AcmeEncoder", **changes}
    )


@pytest.mark.parametrize("name", ["acme", "a", "sentence-transformers", "wav2vec2", "e5-v2", "3d"])
def test_names_of_lower_case_words_are_taken(name):
    assert spec(name=name).name == name


@pytest.mark.parametrize("name", ["", "Acme", "a_b", "-a", "a-", "a--b", "a b", "a/b", "é", "a\n"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="lower-case words joined by hyphens"):
        spec(name=name)


@pytest.mark.parametrize("target", ["a:B", "a.b_c.d:Encoder", "_a:_B"])
def test_targets_name_a_module_and_a_class(target):
    assert spec(target=target).target == target


@pytest.mark.parametrize("target", ["a.b", "a:b.c", "a/b:C", ":C", "a:", "a:B:C", "1a:B", "a b:C"])
def test_other_targets_are_refused(target):
    with pytest.raises(ValueError, match=r"target .* is not 'package.module:Class'"):
        spec(target=target)
    with pytest.raises(ValueError, match=r"describer .* is not 'package.module:Class'"):
        spec(describer=target, bridge={"text": "words"})


def test_a_framework_embeds_or_describes():
    made = spec(target="", describer="a:B", modalities=["image"], bridge={"image": "caption"})
    assert (made.target, made.describer, made.bridge) == ("", "a:B", {Modality.IMAGE: "caption"})
    with pytest.raises(ValueError, match="neither a target nor a describer"):
        spec(target="")
    with pytest.raises(ValueError, match="does not say in bridge= what it describes"):
        spec(target="", describer="a:B")


def test_modalities_may_be_given_by_name():
    made = spec(modalities=["text", "image"], default_model={"text": "m"}, bridge={"image": "caption"})
    assert made.modalities == (Modality.TEXT, Modality.IMAGE)
    assert made.default_model == {Modality.TEXT: "m"}
    assert all(isinstance(key, Modality) for key in (*made.default_model, *made.bridge))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"modalities": ()}, ValueError, "offers no modality"),
        ({"modalities": ("smell",)}, ValueError, "smell"),
        ({"modalities": "text"}, TypeError, "modalities of framework 'acme' is a string"),
        ({"requires": "torch>=2"}, TypeError, "requires of framework 'acme' is a string"),
        ({"options": "pooling"}, TypeError, "options of framework 'acme' is a string"),
        ({"default_model": {"smell": "m"}}, ValueError, "smell"),
        ({"hosted": True}, ValueError, "hosted framework 'acme' declares no credentials"),
        ({"options": (OptionSpec("a"), OptionSpec("a", int))}, ValueError, "declares an option twice"),
    ],
)
def test_a_malformed_specification_is_refused_when_it_is_made(changes, error, message):
    with pytest.raises(error, match=message):
        spec(**changes)


def test_no_option_is_named_like_a_parameter_of_a_factory():
    parameters = {
        name
        for factory in (create_text_embedder, create_image_embedder, create_audio_embedder)
        for name, parameter in signature(factory).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    assert parameters == FACTORY_PARAMETERS >= set(COMMON_SETTINGS)
    for name in sorted(parameters):
        with pytest.raises(ValueError, match=f"declares the option '{name}', which is a parameter of every factory"):
            spec(options=(OptionSpec("pooling"), OptionSpec(name)))


def test_lists_become_tuples():
    made = spec(requires=["torch"], options=[OptionSpec("a")], modalities=[Modality.TEXT])
    assert (made.requires, len(made.options)) == (("torch",), 1)
    assert isinstance(made.options, tuple)


def test_specifications_survive_pickling_and_compare_by_value():
    made = spec(hosted=True, credentials=Credentials(("ACME_API_KEY",)), options=(OptionSpec("a"),))
    assert pickle.loads(pickle.dumps(made)) == made
    assert made != spec(hosted=True, credentials=Credentials(("OTHER",)), options=(OptionSpec("a"),))


def test_an_offer_can_be_named_apart():
    assert Offer(spec(), "llm-multi-core-acme", "1").qualified_name == "llm-multi-core-acme/acme"


# Options.


@pytest.mark.parametrize("name", ["", "max-words", "2d", "a b"])
def test_an_option_is_a_keyword(name):
    with pytest.raises(ValueError, match="is not an identifier"):
        OptionSpec(name)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        (OptionSpec("o"), "text", "text"),
        (OptionSpec("o"), None, None),
        (OptionSpec("o", int), 3, 3),
        (OptionSpec("o", float), 3, 3.0),
        (OptionSpec("o", float), 0.5, 0.5),
        (OptionSpec("o", bool, False), True, True),
        (OptionSpec("o", (int, str), 1), "auto", "auto"),
        (OptionSpec("o", (int, NoneType), 1), None, None),
        (OptionSpec("o", str, "a", choices=("a", "b")), "b", "b"),
        (OptionSpec("o", int, "auto"), "auto", "auto"),
        (OptionSpec("o", str, "auto", choices=("a", "b")), "auto", "auto"),
        (OptionSpec("o", list, None), [1], [1]),
    ],
)
def test_fitting_values_are_taken(option, value, expected):
    taken = option.check(value, "acme")
    assert taken == expected
    assert type(taken) is type(expected)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        (OptionSpec("o"), 3, "o= of framework 'acme' takes str, not int"),
        (OptionSpec("o", int), "3", "takes int, not str"),
        (OptionSpec("o", int), True, "takes int, not bool"),
        (OptionSpec("o", int, 1), True, "takes int, not bool"),
        (OptionSpec("o", int, 1), 1.0, "takes int, not float"),
        (OptionSpec("o", float), True, "takes float, not bool"),
        (OptionSpec("o", bool, False), 1, "takes bool, not int"),
        (OptionSpec("o", bool, True), 1, "takes bool, not int"),
        (OptionSpec("o", int, 3), None, "takes int, not NoneType"),
        (OptionSpec("o", (int, str, NoneType)), [], "takes int or str, not list"),
        (OptionSpec("o", str, "a", choices=("a", "b")), "c", "o='c' of framework 'acme' is not one of 'a', 'b'"),
    ],
)
def test_other_values_are_refused(option, value, message):
    with pytest.raises(InvalidOptionError, match=message):
        option.check(value, "acme")


OPTIONS = spec(
    options=(
        OptionSpec("pooling", str, "mean"),
        OptionSpec("max_words", int, 16),
        OptionSpec("limit", (int, str), "auto"),
    )
)


def test_options_that_are_not_given_have_their_default():
    assert OPTIONS.check_options({"max_words": 3}) == {"pooling": "mean", "max_words": 3, "limit": "auto"}
    assert spec().check_options({}) == {}


@pytest.mark.parametrize(
    ("given", "meant"),
    [("poolin", "pooling"), ("maxwords", "max_words"), ("dimension", "dimensions"), ("normalise", "normalize")],
)
def test_a_misspelt_option_names_the_nearest(given, meant):
    with pytest.raises(InvalidOptionError) as caught:
        OPTIONS.check_options({given: 1}, COMMON_SETTINGS)
    assert str(caught.value) == (
        f"framework 'acme' has no option {given!r}; did you mean {meant!r}? (its options: limit, max_words, pooling)"
    )


def test_an_unknown_option_lists_the_known_ones():
    with pytest.raises(InvalidOptionError, match=r"has no option 'zzz' \(its options: limit, max_words, pooling\)"):
        OPTIONS.check_options({"zzz": 1})
    with pytest.raises(InvalidOptionError, match=r"\(its options: none\)"):
        spec().check_options({"zzz": 1})


def test_nearest():
    assert nearest("opneai", ["openai", "cohere"]) == "; did you mean 'openai'?"
    assert nearest("xyz", ["openai", "cohere"]) == ""
    assert nearest("xyz", []) == ""
