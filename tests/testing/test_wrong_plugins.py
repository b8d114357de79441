"""The kit passes on a plugin that keeps the rules, and fails on those that break one."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder.testing.distributions import write_distribution

PLUGIN = """
from llm_multi_core.embedder import Credentials, FrameworkSpec, Modality, OptionSpec, hookimpl


@hookimpl
def llm_multi_core_frameworks():
    yield FrameworkSpec(
        name="acme",
        modalities=(Modality.TEXT,),
        target="PACKAGE.encoder:AcmeEncoder",
        requires=("numpy>=1",),
        default_model={Modality.TEXT: "acme-small"},
        options=(OptionSpec("pooling", str, "mean", choices=("mean", "cls"), summary="how tokens are pooled"),),
        summary="Acme's text models",
    )
    yield FrameworkSpec(
        name="acme-scribe",
        modalities=(Modality.AUDIO,),
        describer="PACKAGE.encoder:AcmeScribe",
        bridge={Modality.AUDIO: "transcript"},
        default_model={Modality.AUDIO: "scribe-small"},
        summary="What is said in a recording",
    )
"""
ENCODER = """
import heavysdk
from llm_multi_core.embedder import Describer, Encoder, Modality
from llm_multi_core.embedder.testing.fakes import FakeTextEncoder

class AcmeEncoder(FakeTextEncoder): ...
class NoEncoder: ...
class AbstractEncoder(Encoder): ...
class AbstractScribe(Describer):
    modality, via = Modality.AUDIO, "transcript"
class AcmeScribe(AbstractScribe):
    def describe(self, media): return ["words"] * len(media)
class PictureScribe(AcmeScribe):
    modality, via = Modality.IMAGE, "caption"
"""

# The change to the plugin's source, and the tests that fail for it.
WRONG = {
    "right": ((), set()),
    "not-installed": (('"numpy>=1"', '"no-such-sdk>=1"'), set()),
    "heavy-import": (
        ("from llm", "import heavysdk\nfrom llm"),
        {"test_plugin_imports_host_and_standard_library_only"},
    ),
    "heavy-hook": (
        ("    yield", "    import heavysdk\n    yield"),
        {"test_plugin_imports_host_and_standard_library_only"},
    ),
    "imports-encoder": (
        ("from llm", "import PACKAGE.encoder\nfrom llm"),
        {"test_plugin_imports_host_and_standard_library_only"},
    ),
    "changing": (
        ("Acme's text models", 'Acme\'s models" + str([object()]) + "'),
        {"test_hook_is_pure"},
    ),
    "reads-files": (
        ("    yield", "    open(__file__ + '.json', 'a').close()\n    yield"),
        {"test_hook_is_pure"},
    ),
    "bad-requirement": (
        ("numpy>=1", "numpy, at least 1"),
        {"test_entry_points_load", "test_requirements_are_valid", "test_targets_are_encoders"},
    ),
    "no-default": (('{Modality.TEXT: "acme-small"}', "{}"), {"test_every_modality_has_a_default_model"}),
    "lonely-joint": (
        ("        summary", "        joint=True,\n        summary"),
        {"test_every_modality_has_a_default_model"},
    ),
    "no-summary": (("Acme's text models", " "), {"test_everything_is_documented"}),
    "undocumented-option": (("how tokens are pooled", ""), {"test_everything_is_documented"}),
    "keyless-host": (
        ("        summary", "        hosted=True, credentials=Credentials(()),\n        summary"),
        {"test_hosted_frameworks_find_their_key", "test_targets_are_encoders"},
    ),
    "missing-target": (("AcmeEncoder", "Nothing"), {"test_targets_are_encoders"}),
    "foreign-target": (("AcmeEncoder", "NoEncoder"), {"test_targets_are_encoders"}),
    "abstract-target": (("AcmeEncoder", "AbstractEncoder"), {"test_targets_are_encoders"}),
    "missing-describer": (("encoder:AcmeScribe", "encoder:Nothing"), {"test_describers_are_describers"}),
    "foreign-describer": (("encoder:AcmeScribe", "encoder:NoEncoder"), {"test_describers_are_describers"}),
    "abstract-describer": (("encoder:AcmeScribe", "encoder:AbstractScribe"), {"test_describers_are_describers"}),
    "other-media": (("encoder:AcmeScribe", "encoder:PictureScribe"), {"test_describers_are_describers"}),
    "other-label": (('"transcript"', '"words"'), {"test_describers_are_describers"}),
    "misspelt-hook": (
        ("def llm_multi_core_frameworks", "def llm_multi_core_framework"),
        {
            "test_entry_points_load",
            "test_plugin_imports_host_and_standard_library_only",
            "test_hook_is_pure",
            "test_requirements_are_valid",
            "test_every_modality_has_a_default_model",
            "test_everything_is_documented",
            "test_hosted_frameworks_find_their_key",
            "test_targets_are_encoders",
            "test_describers_are_describers",
        },
    ),
    "untyped": ((), {"test_package_is_typed"}),
    "no-entry-point": ((), {"test_entry_points_load"}),
}


def package_of(name):
    return f"plugin_{name.replace('-', '_')}"


def class_of(name):
    return f"Test_{name.replace('-', '_')}"


@pytest.fixture(scope="module")
def failed(tmp_path_factory, run_kit):
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "heavysdk.py").write_text("")
    tests = ["from llm_multi_core.embedder.testing.conformance import PluginConformance"]
    for name, (change, _) in WRONG.items():
        package = package_of(name)
        (folder / package).mkdir()
        source = PLUGIN
        if change:
            assert change[0] in source
            source = source.replace(*change)
        write_distribution(
            folder,
            name,
            entry_points={} if name == "no-entry-point" else {"acme": f"{package}.plugin"},
            modules={
                f"{package}/__init__": "",
                f"{package}/plugin": source.replace("PACKAGE", package),
                f"{package}/encoder": ENCODER,
            },
        )
        if name != "untyped":
            (folder / package / "py.typed").touch()
        tests.append(f"class {class_of(name)}(PluginConformance):\n    distribution = {name!r}")
    tests.append("class Test_by_module(PluginConformance):\n    plugin = 'plugin_right.plugin'")
    tests.append("class Test_unnamed(PluginConformance):\n    pass")
    file = tmp_path_factory.mktemp("tests") / "plugins_to_check.py"
    file.write_text("\n\n".join(tests))
    return run_kit(file, folder)


@pytest.mark.parametrize("name", WRONG)
def test_only_the_broken_rule_fails(failed, name):
    assert failed[class_of(name)] == WRONG[name][1]


def test_a_plugin_can_be_named_by_its_module(failed):
    assert failed["Test_by_module"] == set()


def test_a_plugin_must_be_named(failed):
    assert "test_entry_points_load" in failed["Test_unnamed"]
