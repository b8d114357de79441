"""What can be used here is decided from package metadata, for every framework that is known."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder import Host, get_available_embedders
from llm_multi_core.embedder.testing.distributions import write_distribution

SEED = {
    "text": {
        "sentence-transformers",
        "openai",
        "azure-openai",
        "gemini",
        "jina",
        "nemo",
        "stella",
        "modernbert",
        "cohere",
        "huggingface",
    },
    "image": {"clip", "openai", "azure-openai", "gemini", "timm", "vit", "resnet", "cohere", "jina", "nemo"},
    "audio": {"wav2vec2", "whisper", "hubert", "wavlm", "data2vec", "openai", "azure-openai", "gemini", "jina"},
}


def test_every_framework_of_the_project_is_listed_where_nothing_is_installed():
    available = Host(list).available()
    assert list(available) == ["text", "image", "audio"]
    assert {modality: set(row) for modality, row in available.items()} == SEED
    assert not any(usable for row in available.values() for usable in row.values())


def test_they_are_listed_here_as_well():
    available = get_available_embedders()
    assert all(names <= set(available[modality]) for modality, names in SEED.items())


def test_a_plugin_makes_its_frameworks_available(install):
    install("llm-multi-core-google", "return [spec('gemini', Modality.TEXT, Modality.IMAGE), spec('new-one')]")
    available = get_available_embedders()
    assert available["text"]["gemini"]
    assert available["image"]["gemini"]
    assert not available["audio"]["gemini"]
    assert available["text"]["new-one"]
    assert "new-one" not in available["image"]


def test_one_name_may_need_other_things_for_another_modality(install, host):
    install("acme", "return [spec('x', Modality.TEXT), spec('x', Modality.IMAGE, requires=['no-such-thing'])]")
    assert host.available()["text"]["x"]
    assert not host.available()["image"]["x"]


@pytest.mark.parametrize(
    ("requires", "usable"),
    [
        ([], True),
        (["numpy"], True),
        (["NumPy>=1,<1000"], True),
        (["numpy>=1000"], False),
        (["no-such-thing"], False),
        (["numpy", "no-such-thing"], False),
        (["no-such-thing; python_version < '3'"], True),
        (["no-such-thing; python_version >= '3'"], False),
        (["no-such-thing; extra == 'gpu'"], True),
        (["some_thing~=1.2"], True),
        (["some.thing==1.3.dev4"], True),
        (["some-thing>=1.3"], False),
        (["some-thing @ https://example.org/some-thing.zip"], True),
        (["odd-version"], True),
        (["odd-version>=1"], False),
        (["half-removed"], False),
    ],
    ids=str,
)
def test_requirements(install, host, site_packages, requires, usable):
    write_distribution(site_packages, "some-thing", version="1.3.dev4")
    write_distribution(site_packages, "odd-version", version="snapshot")
    (site_packages / "half_removed-1.0.dist-info").mkdir()
    install("acme", f"return [spec('acme', requires={requires!r})]")
    assert host.available()["text"]["acme"] is usable
