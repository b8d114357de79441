"""Asking for a framework: by its name, by `distribution/name`, or for one that is not there."""

from __future__ import annotations

import re

import pytest

from llm_multi_core.embedder import (
    AmbiguousFrameworkError,
    FrameworkUnavailableError,
    Host,
    Modality,
    PluginError,
    PluginWarning,
    UnknownFrameworkError,
    create_text_embedder,
)
from llm_multi_core.embedder.host.known import KNOWN_FRAMEWORKS


@pytest.fixture
def bare_host():
    return Host(list)


@pytest.mark.parametrize(
    "name", ["my-framework", "my_framework", " My-Framework ", "acme/my-framework", "ACME/My_Framework"]
)
def test_names_are_normalised(install, host, name):
    install("acme", "return [spec('my-framework')]")
    assert host.find(name, Modality.TEXT).qualified_name == "acme/my-framework"


@pytest.mark.parametrize(
    ("modality", "default"), [("text", "sentence-transformers"), ("image", "clip"), ("audio", "wav2vec2")]
)
def test_the_default_does_not_depend_on_what_else_is_installed(install, host, modality, default):
    install("acme", "return [spec('acme', *Modality)]")
    with pytest.raises(FrameworkUnavailableError, match=f"framework '{default}' is not installed"):
        host.find(None, Modality(modality))


@pytest.mark.parametrize(
    ("known", "modality"), [(known, modality) for known in KNOWN_FRAMEWORKS for modality in known.modalities], ids=str
)
def test_a_known_framework_that_is_not_installed_says_what_installs_it(bare_host, known, modality):
    extra = known.distribution.removeprefix("llm-multi-core-")
    line = re.escape(f'pip install "llm-multi-core[{extra}]"')
    with pytest.raises(FrameworkUnavailableError, match=line) as raised:
        bare_host.find(known.name, modality)
    assert isinstance(raised.value, ImportError)
    with pytest.raises(FrameworkUnavailableError, match=line):
        bare_host.find(f"{known.distribution}/{known.name}", modality)


def test_a_known_framework_that_its_installed_plugin_does_not_offer_yet(install, host):
    install("llm-multi-core-openai", "return [spec('openai')]")
    with pytest.raises(
        FrameworkUnavailableError, match=r'openai 1\.0; upgrade with: pip install --upgrade "llm-multi-core\[openai\]"'
    ):
        host.find("openai", Modality.IMAGE)


def test_two_distributions_with_one_name(install, host):
    install("acme", "return [spec('shared', summary='of acme')]")
    install("zebra", "return [spec('shared', summary='of zebra'), spec('own')]")

    with pytest.raises(AmbiguousFrameworkError, match="'acme/shared' or 'zebra/shared'") as raised:
        host.find("shared", Modality.TEXT)
    assert isinstance(raised.value, LookupError)
    assert host.find("acme/shared", Modality.TEXT).spec.summary == "of acme"
    assert host.find("zebra/shared", Modality.TEXT).spec.summary == "of zebra"
    assert host.find("own", Modality.TEXT).distribution == "zebra"
    text = host.available()["text"]
    assert (text["shared"], text["acme/shared"], text["zebra/shared"], text["own"]) == (True, True, True, True)
    assert "zebra/own" not in text
    assert "shared" not in host.available()["image"]


def test_one_name_for_different_modalities_is_not_ambiguous(install, host):
    install("acme", "return [spec('shared', Modality.TEXT)]")
    install("zebra", "return [spec('shared', Modality.IMAGE)]")
    assert host.find("shared", Modality.TEXT).distribution == "acme"
    assert host.find("shared", Modality.IMAGE).distribution == "zebra"
    assert "acme/shared" not in host.available()["text"]


def test_an_ambiguous_name_stays_so_when_one_lacks_a_requirement(install, host):
    install("acme", "return [spec('shared')]")
    install("zebra", "return [spec('shared', requires=['no-such-distribution'])]")
    with pytest.raises(AmbiguousFrameworkError):
        host.find("shared", Modality.TEXT)
    text = host.available()["text"]
    assert (text["shared"], text["acme/shared"], text["zebra/shared"]) == (True, True, False)


@pytest.mark.parametrize(
    ("name", "modality", "message"),
    [
        ("sentence-transformer", "text", "did you mean 'sentence-transformers'"),
        ("opnai", "image", "did you mean 'openai'"),
        ("wav2vec", "audio", "did you mean 'wav2vec2'"),
        ("nothing-like-it", "text", "no framework 'nothing-like-it' for text; there are: azure-openai, cohere, "),
        ("", "text", "no framework '' for text"),
        ("clip", "audio", "framework 'clip' embeds image, not audio; frameworks for audio: azure-openai, data2vec, "),
        ("gemini", "video", "embeds audio and image and text, not video; frameworks for video: none"),
        ("other-dist/openai", "text", "no framework 'other-dist/openai' for text; did you mean 'openai'"),
        (None, "video", "a framework is named by a string"),
        (3, "text", "named by a string, not by int"),
        (b"clip", "image", "named by a string, not by bytes"),
    ],
)
def test_a_name_that_does_not_exist(bare_host, name, modality, message):
    with pytest.raises(UnknownFrameworkError, match=message) as raised:
        bare_host.find(name, Modality(modality))
    assert isinstance(raised.value, LookupError)


def test_the_wrong_distribution_for_a_framework_that_there_is(install, host):
    install("acme", "return [spec('shared')]")
    with pytest.raises(
        UnknownFrameworkError, match="no distribution offers 'zebra/shared'; write 'acme/shared', or just"
    ):
        host.find("zebra/shared", Modality.TEXT)


def test_a_framework_of_a_plugin_for_another_modality(install, host):
    install("acme", "return [spec('acme', Modality.IMAGE)]")
    with pytest.raises(UnknownFrameworkError, match="'acme' embeds image, not text"):
        host.find("acme", Modality.TEXT)


@pytest.mark.parametrize("name", ["clip", "llm-multi-core-open-clip/clip", "LLM_Multi_Core_Open_Clip/CLIP"])
def test_a_known_framework_of_a_broken_plugin_raises_what_it_raised(install, host, name):
    install("llm-multi-core-open-clip", source="raise ValueError('no luck')", entry_point="open_clip")
    with pytest.warns(PluginWarning), pytest.raises(PluginError, match="no luck") as raised:
        host.find(name, Modality.IMAGE)
    assert isinstance(raised.value.__cause__, ValueError)
    assert isinstance(raised.value, ImportError)


def test_a_broken_plugin_is_found_by_its_distribution_or_entry_point(install, host):
    install("acme-embeddings", source="raise ValueError('no luck')", entry_point="acme_text")
    with pytest.warns(PluginWarning), pytest.raises(PluginError, match="no luck"):
        host.find("acme_text", Modality.TEXT)
    with pytest.raises(PluginError, match="no luck"):
        host.find("acme-embeddings/whatever", Modality.TEXT)
    with pytest.raises(UnknownFrameworkError, match="perhaps what offers it: plugin 'acme_text' of acme-embeddings"):
        host.find("whatever", Modality.TEXT)


def test_a_broken_rival_is_not_silently_replaced_when_it_is_named(install, host):
    install("acme", "return [spec('shared')]")
    install("zebra", source="raise ValueError('no luck')", entry_point="anything")
    with pytest.warns(PluginWarning):
        assert host.find("shared", Modality.TEXT).distribution == "acme"
    with pytest.raises(PluginError, match="no luck"):
        host.find("zebra/shared", Modality.TEXT)


def test_a_missing_requirement_gives_the_install_line(install, host):
    install("acme", "return [spec('acme', requires=['no-such-thing>=2', 'numpy>=1', 'pytest>=999'])]")
    with pytest.raises(FrameworkUnavailableError) as raised:
        host.find("acme", Modality.TEXT)
    message = str(raised.value)
    assert 'pip install "no-such-thing>=2" "pytest>=999"' in message
    assert "no-such-thing>=2 (not installed)" in message
    assert f"pytest>=999 ({pytest.__version__} is installed)" in message


def test_the_factory_uses_the_installed_plugins(install):
    install("acme", "return [spec('acme', default_model={Modality.TEXT: 'small'})]")
    embedder = create_text_embedder("Acme")
    assert (embedder.framework, embedder.model) == ("acme", "small")
    with pytest.raises(PluginError, match="no_such_module"):
        embedder.embed("x")
