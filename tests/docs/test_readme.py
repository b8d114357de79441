"""README says what is true: its blocks run, its table is the host's."""

import doctest
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from llm_multi_core.embedder.host.known import DEFAULT_FRAMEWORK, KNOWN_FRAMEWORKS
from llm_multi_core.embedder.testing.distributions import write_distribution

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def section(heading):
    return re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL).group(1)


def run_session(text, name):
    test = doctest.DocTestParser().get_doctest("\n".join(blocks(text, "pycon")), {}, name, None, 0)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.DocTestRunner(optionflags=flags).run(test)
    assert result.failed == 0
    return result.attempted


def test_the_session_can_be_typed():
    assert run_session(README, "README.md") > 10


@pytest.mark.parametrize("heading", ["LangChain", "LlamaIndex"])
def test_the_integration_snippets_run(heading):
    (block,) = blocks(section(heading), "python")
    exec(compile(block, heading, "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "docs").with_suffix("")))
def test_the_pages_of_the_documentation_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page.read_text()
    run_session(text, page.name)
    program = {"__name__": page.stem}  # the blocks of a page are run one after the other, as one program
    for block in blocks(text, "python"):
        if not block.startswith("# sketch"):
            exec(compile(block, page.name, "exec"), program)


def test_the_plugin_of_the_readme_passes_the_conformance_kit(tmp_path):
    project = tomllib.loads(blocks(section("Write a plugin"), "toml")[0])["project"]
    entry_points = project["entry-points"]["llm_multi_core.embedder"]
    write_distribution(tmp_path, project["name"], version=project["version"], entry_points=entry_points)
    package = tmp_path / project["name"].replace("-", "_")
    package.mkdir()
    for empty in ("__init__.py", "py.typed"):
        (package / empty).touch()
    for block in blocks(section("Write a plugin"), "python"):
        (tmp_path / re.match(r"# ([\w/]+\.py)", block).group(1)).write_text(block)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, "test_acme.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d\d passed", done.stdout), done.stdout


def frameworks_table():
    """The table between README's marks: every framework, what it embeds, and how it is had."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    lines = ["| framework | embeds | in this version | install |", "|---|---|---|---|"]
    for known in KNOWN_FRAMEWORKS:
        default = [str(modality) for modality in known.modalities if DEFAULT_FRAMEWORK[modality] == known.name]
        embeds = ", ".join(
            f"{modality} (default)" if modality in default else modality for modality in known.modalities
        )
        if not known.embeds:
            embeds = f"nothing; puts {embeds} into words"
        there = known.extra in extras and known.name in offered_names()
        lines.append(
            f"| `{known.name}` | {embeds} | {'yes' if there else 'planned'} | `{known.install if there else '-'}` |"
        )
    return "\n".join(lines)


def offered_names():
    from llm_multi_core.embedder import Host

    return {offer.spec.name for offer in Host().offers()}


def test_the_frameworks_table_is_the_hosts():
    table = re.search(r"<!-- frameworks -->\n(.*?)\n<!-- /frameworks -->", README, re.DOTALL).group(1)
    assert table == frameworks_table()


def test_readme_names_the_two_commands_and_its_links_lead_somewhere():
    assert "$ make demo" in README
    assert "$ make test" in README
    for page in [ROOT / "README.md", *PAGES]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_install_command_names_every_distribution():
    (command,) = [line for line in README.splitlines() if line.startswith("$ pip install -e")]
    named = set(re.findall(r"-e (\S+)", command))
    folders = {
        str(path.parent.relative_to(ROOT))
        for kind in ("plugins", "integrations")
        for path in ROOT.glob(f"{kind}/*/pyproject.toml")
    }
    assert named == folders | {'".[all,offline]"'}
