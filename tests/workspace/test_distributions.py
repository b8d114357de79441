"""Every distribution builds, installs, and declares what it imports."""

import ast
import re
import subprocess
import sys
import sysconfig
import textwrap
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FOLDERS = [
    ROOT,
    *sorted(path.parent for kind in ("plugins", "integrations") for path in ROOT.glob(f"{kind}/*/pyproject.toml")),
]
NAMES = [folder.name if folder != ROOT else "llm-multi-core" for folder in FOLDERS]


def project_of(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def sources_of(folder):
    return folder / ("core/src" if folder == ROOT else "src")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    target = tmp_path_factory.mktemp("wheels")
    for folder in FOLDERS:
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return {canonicalize_name(path.name.partition("-")[0]): path for path in target.glob("*.whl")}


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_the_folder_carries_the_distributions_name(folder):
    assert project_of(folder)["name"] == (folder.name if folder != ROOT else "llm-multi-core")


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_a_wheel_holds_its_own_package_typed_and_licensed(folder, wheels):
    names = zipfile.ZipFile(wheels[project_of(folder)["name"]]).namelist()
    shipped = {name for name in names if ".dist-info/" not in name}
    on_disk = {
        path.relative_to(sources_of(folder)).as_posix()
        for path in sources_of(folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert shipped == on_disk
    assert any(name.endswith("/py.typed") for name in shipped)
    assert any(".dist-info/" in name and "LICENSE" in name for name in names)


def test_the_wheels_work_together_without_the_checkout(wheels, tmp_path):
    target = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target]
    subprocess.run([*command, *wheels.values()], check=True)
    # Without site, no .pth file puts the checkout back onto the path.
    script = f"""
        import sys
        sys.path[:0] = [{str(target)!r}]
        sys.path.append({sysconfig.get_path("purelib")!r})
        import llm_multi_core.embedder as embedder
        assert embedder.__file__.startswith({str(target)!r}), embedder.__file__
        import langchain_llm_multi_core, llama_index.embeddings.llm_multi_core
        assert all(embedder.get_available_embedders()["text"][name] for name in ["sentence-transformers"])
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "ignore", "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def imported_modules(folder):
    """Top-level modules that the sources import, lazily or not, but for those under TYPE_CHECKING."""
    found = set()
    for path in sources_of(folder).rglob("*.py"):
        tree = ast.parse(path.read_text())
        skipped = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if id(node) in skipped:
                continue
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module)
    return found


def distributions_of(module):
    """The distributions that provide a module; a namespace package is told by its second part."""
    top, _, rest = module.partition(".")
    if top == "llama_index":
        return {"llama-index-core"} if rest.startswith("core") else {"llama-index-embeddings-llm-multi-core"}
    ours = {path.name: project_of(folder)["name"] for folder in FOLDERS for path in sources_of(folder).iterdir()}
    if top in ours:  # editable distributions are not in the table below
        return {ours[top]}
    return {canonicalize_name(name) for name in metadata.packages_distributions().get(top, [])}


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_every_import_is_declared(folder):
    project = project_of(folder)
    texts = [
        *project["dependencies"],
        *(t for group in project.get("optional-dependencies", {}).values() for t in group),
    ]
    declared = {canonicalize_name(Requirement(text).name) for text in texts} | {project["name"]}
    own = {path.name for path in sources_of(folder).iterdir()}
    for module in sorted(imported_modules(folder)):
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names or (top in own and top != "llama_index"):
            continue
        providers = distributions_of(module)
        assert providers & declared, (
            f"{module} comes from {providers or 'nowhere'}, which pyproject.toml does not declare"
        )


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_dependencies_have_a_floor_and_a_cap(folder):
    for text in project_of(folder)["dependencies"]:
        operators = {specifier.operator for specifier in Requirement(text).specifier}
        assert operators == {">=", "<"}, text


def test_every_distribution_has_an_extra_and_all_has_those_that_bring_no_database():
    project = project_of(ROOT)
    extras = project["optional-dependencies"]
    named = {canonicalize_name(Requirement(text).name) for group in extras.values() for text in group}
    # Support code is installed by the plugins that stand on it.
    assert set(NAMES) - {"llm-multi-core", "llm-multi-core-torch"} <= named
    everything = set().union(*(Requirement(text).extras for text in extras["all"]))
    of_the_host = {"alignment", "audio", "fusion", "hosted", "image", "offline", "opentelemetry", "openvino", "testing"}
    databases = {"chromadb", "lancedb"}
    assert everything == set(extras) - {"all"} - of_the_host - databases


def test_constraints_are_plain_pins_of_what_is_installed():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in pins)
    for name in ("torch", "sentence-transformers", "langchain-core", "llama-index-core", "pluggy", "numpy"):
        assert metadata.version(name).partition("+")[0] == pins[name]


def test_a_second_make_installs_nothing():
    if not (ROOT / ".venv" / ".installed").exists():
        pytest.skip("this checkout was not set up by make")
    planned = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "pytest" in planned
    assert "pip" not in planned
