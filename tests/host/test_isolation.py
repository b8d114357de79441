"""A broken plugin is set aside with its stage and its exception; all others keep working."""

from __future__ import annotations

import re

import pytest

from llm_multi_core.embedder import Host, Modality, PluginError, PluginWarning
from llm_multi_core.embedder.host.discovery import PluginFilter

HOOK = """
from llm_multi_core.embedder import FrameworkSpec, Modality, hookimpl

@hookimpl{options}
def {name}({arguments}):
    {body}
"""


def hook(body="return []", name="llm_multi_core_frameworks", options="", arguments=""):
    return HOOK.format(body=body, name=name, options=options, arguments=arguments)


SPEC = "FrameworkSpec('x', (Modality.TEXT,), 'm:E')"


def requiring(requirement):
    return hook(f"return [FrameworkSpec('x', (Modality.TEXT,), 'm:E', requires=({requirement!r},))]")


BROKEN = {
    "import raises": ("raise ValueError('no luck')", "load", ValueError, "no luck"),
    "import exits": ("raise SystemExit(3)", "load", SystemExit, "3"),
    "import panics": ("class Panic(BaseException): pass\nraise Panic('rust')", "load", BaseException, "rust"),
    "dependency missing": ("import no_such_dependency", "load", ImportError, "no_such_dependency"),
    "syntax error": ("def (", "load", SyntaxError, "invalid syntax"),
    "no message": ("raise RuntimeError", "load", RuntimeError, r"\(no message\)"),
    "many lines": ("raise RuntimeError('first\\nsecond')", "load", RuntimeError, "first$"),
    "exception without a text": (
        "class Odd(Exception):\n    def __str__(self): raise TypeError\nraise Odd",
        "load",
        Exception,
        r"Odd: \(no message\)",
    ),
    "no hook": ("x = 1", "check", Exception, "no function 'llm_multi_core_frameworks' marked with hookimpl"),
    "not marked": (
        "def llm_multi_core_frameworks(): return []",
        "check",
        Exception,
        "no function 'llm_multi_core_frameworks' marked with hookimpl",
    ),
    "misspelt": (
        hook(name="llm_multi_core_framework"),
        "check",
        Exception,
        "no hook; did you mean 'llm_multi_core_frameworks'",
    ),
    "wrapper": (hook("yield", options="(wrapper=True)"), "check", Exception, "wrapper"),
    "old wrapper": (hook("yield", options="(hookwrapper=True)"), "check", Exception, "wrapper"),
    "wrapper that yields nothing": (hook(options="(hookwrapper=True)"), "register", Exception, ""),
    "argument": (hook(arguments="config"), "register", Exception, ""),
    "hook raises": (hook("1 / 0"), "call", ZeroDivisionError, "division"),
    "hook exits": (hook("raise SystemExit('bye')"), "call", SystemExit, "bye"),
    "bad specification": (hook("return [FrameworkSpec('Bad Name', ('text',), 'm:E')]"), "call", ValueError, "Bad Name"),
    "generator raises half way": (
        hook(f"yield {SPEC}; raise OSError('half way')"),
        "collect",
        OSError,
        "half way",
    ),
    "string": (hook("return 'acme'"), "collect", Exception, "returned str"),
    "none": (hook("return None"), "collect", Exception, "returned NoneType"),
    "one specification": (hook(f"return {SPEC}"), "collect", Exception, "returned FrameworkSpec"),
    "numbers": (hook("return [1, 2]"), "collect", Exception, "gave int"),
    "mapping": (hook("return {'x': 1}"), "collect", Exception, "gave str"),
    "endless numbers": (hook("import itertools; return itertools.count()"), "collect", Exception, "gave int"),
    "twice the same": (hook(f"return [{SPEC}] * 2"), "collect", Exception, "'x' twice"),
    "requires no PEP 508": (requiring(">=1"), "collect", Exception, "'x' requires '>=1', which is not PEP 508"),
    "requires a number": (requiring(1), "collect", Exception, "'x' requires 1"),
    "requires by an unknown marker": (requiring("numpy; moon == 'full'"), "collect", Exception, "moon"),
}


@pytest.mark.parametrize(("source", "stage", "kind", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_hides_no_other(install, host, source, stage, kind, message):
    install("a-good", "return [spec('first')]")
    install("broken-one", source=source)
    install("z-good", "return [spec('last')]")

    with pytest.warns(PluginWarning, match=r"plugin 'broken-one' of broken-one 1\.0 is broken") as warned:
        records = host.plugins()

    assert len(warned) == 1
    assert "\n" not in str(warned[0].message)
    assert [(record.distribution, record.status) for record in records] == [
        ("a-good", "active"),
        ("broken-one", "broken"),
        ("z-good", "active"),
    ]
    fault = records[1].fault
    assert fault.stage == stage
    assert isinstance(fault.error, kind)
    assert re.search(message, str(fault))
    assert records[1].offers == ()
    assert host.find("first", Modality.TEXT).distribution == "a-good"
    assert host.find("last", Modality.TEXT).distribution == "z-good"

    with pytest.raises(PluginError, match=r"broken-one 1\.0 is broken") as raised:
        host.find("broken-one", Modality.TEXT)
    assert raised.value.__cause__ is fault.error


@pytest.mark.parametrize("value", ["no_such_module_at_all", "os:no_such_attribute", "not a module!", "os:path.nothing"])
def test_an_entry_point_that_leads_nowhere(install_plugin, host, value):
    install_plugin("lost", entry_points={"lost": value})
    with pytest.warns(PluginWarning, match=r"'lost' of lost 1\.0 is broken \(load: "):
        assert host.plugins()[0].fault.stage == "load"


def test_an_interrupt_is_not_taken_for_a_fault(install, host):
    install("slow", source="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        host.plugins()


def test_an_entry_point_may_name_an_object(install_plugin, host):
    source = """
    from llm_multi_core.embedder import FrameworkSpec, hookimpl

    class Plugin:
        @hookimpl
        def llm_multi_core_frameworks(self):
            return (FrameworkSpec(name, ("text",), "m:E") for name in ("one", "two"))

    plugin = Plugin()
    """
    install_plugin("acme", entry_points={"acme": "acme_plugin:plugin"}, modules={"acme_plugin": source})
    install_plugin("zebra", entry_points={"zebra": "acme_plugin:plugin"})
    assert [offer.qualified_name for offer in host.offers()] == ["acme/one", "acme/two", "zebra/one", "zebra/two"]


def test_an_object_that_cannot_be_compared_spoils_no_other_registration(install, install_plugin, host):
    source = """
    class Odd:
        def __eq__(self, other):
            raise RuntimeError("compared")

        __hash__ = None

    odd = Odd()
    """
    install_plugin("a-odd", entry_points={"odd": "odd:odd"}, modules={"odd": source})
    install("good", "return [spec('good')]")
    with pytest.warns(PluginWarning, match="of a-odd"):
        assert [record.status for record in host.plugins()] == ["broken", "active"]


def test_several_functions_may_implement_the_hook(install, host):
    source = """
    from llm_multi_core.embedder import FrameworkSpec, hookimpl

    @hookimpl
    def llm_multi_core_frameworks():
        return [FrameworkSpec("one", ("text",), "m:E")]

    @hookimpl(specname="llm_multi_core_frameworks")
    def others():
        return [FrameworkSpec("two", ("text",), "m:E")]
    """
    install("acme", source=source)
    assert {offer.spec.name for offer in host.offers()} == {"one", "two"}


def test_what_one_distribution_offers_in_two_plugins_is_refused_once(install_plugin, host):
    source = hook(f"return [{SPEC}]")
    install_plugin(
        "twice", entry_points={"a": "twice_a", "b": "twice_b"}, modules={"twice_a": source, "twice_b": source}
    )
    with pytest.warns(PluginWarning, match="offers framework 'x', which another entry point of twice offers"):
        assert [record.status for record in host.plugins()] == ["active", "broken"]
    assert host.find("x", Modality.TEXT).qualified_name == "twice/x"


def test_strict_raises_the_first_fault_every_time(install, entry_points):
    install("broken", source="raise ValueError('no luck')")
    strict = Host(entry_points, PluginFilter(strict=True))
    for _ in range(2):
        with pytest.raises(PluginError, match="no luck") as raised:
            strict.available()
        assert isinstance(raised.value.__cause__, ValueError)


def test_a_fault_is_told_once(install, host, recwarn):
    install("broken", source="raise ValueError")
    with pytest.warns(PluginWarning):
        host.available()
    recwarn.clear()
    host.available()
    assert not recwarn


def test_a_plugin_that_asks_the_host_while_it_is_loaded(install):
    install("curious", source="from llm_multi_core.embedder import get_available_embedders\nget_available_embedders()")
    from llm_multi_core.embedder.host import default_host

    with pytest.warns(PluginWarning, match="asked for frameworks while it was itself being looked up"):
        records = default_host().plugins()
    assert next(record for record in records if record.distribution == "curious").status == "broken"


def test_a_plugin_without_metadata_still_works(install, site_packages, host):
    install("acme", "return [spec('acme')]")
    (site_packages / "acme-1.0.dist-info" / "METADATA").unlink()
    assert host.find("acme", Modality.TEXT).distribution == "unknown"


def test_damaged_entry_points_hide_no_other(install, site_packages):
    install("acme", "return [spec('acme')]")
    damaged = site_packages / "damaged-1.0.dist-info"
    damaged.mkdir()
    (damaged / "METADATA").write_text("Metadata-Version: 2.1\nName: damaged\nVersion: 1.0\n")
    (damaged / "entry_points.txt").write_text("[llm_multi_core.embedder]\nnot a name and a value\n")
    with pytest.warns(PluginWarning, match="entry points of distribution 'damaged' cannot be read"):
        assert Host().find("acme", Modality.TEXT).distribution == "acme"
