"""The comparison with libraries: what it finds, what it keeps, and the table that it makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from llm_multi_core.embedder import TextEmbedder
from llm_multi_core.embedder.testing.conformance import EncoderCase, Tolerance
from llm_multi_core.embedder.testing.fakes import FakeTextEncoder, fake_offer, fake_vector
from llm_multi_core.embedder.testing.parity import (
    PARITY,
    Parity,
    ParityResult,
    ParityResults,
    assert_same_vectors,
    fill_table,
    parity_table,
)

TEXTS = [f"text {number} " + "word " * (number % 7) for number in range(20)]
LIBRARY = np.stack([fake_vector(f"text:{text}", 8) for text in TEXTS])
RESULT = ParityResult("test_a.py::test", "text", "acme", "BERT", "mean", 9, 0.99999997, 1.2345e-6, 0.3)


@pytest.fixture
def found():
    return ParityResults()


@pytest.fixture
def check(found, make_embedder):
    """Compares an embedder over an encoder class, made with these settings."""

    def run(encoder=FakeTextEncoder, expected=LIBRARY, *, tolerance=PARITY, **settings):
        embedder = make_embedder(encoder, **{"precision": "float32"} | settings)
        Parity("here", found).check(embedder, TEXTS, expected, architecture="Fake", tolerance=tolerance)

    return run


class Blurred(FakeTextEncoder):
    def forward(self, batch):
        return super().forward(batch) * np.linspace(1, 1.001, 8, dtype=np.float32)


class SeesPadding(FakeTextEncoder):
    def forward(self, batch):
        items, task = batch
        return super().forward(batch) + 0.1 * max(self.measure(items, task).units)


class Reversed(FakeTextEncoder):
    def forward(self, batch):
        return super().forward(batch)[::-1]


class Doubled(FakeTextEncoder):
    def forward(self, batch):
        return 2 * super().forward(batch)


@pytest.mark.parametrize("normalize", [True, False])
def test_equal_vectors_are_kept_with_their_figures(check, found, normalize):
    check(normalize=normalize)
    (result,) = found.results
    assert (result.test, result.modality, result.framework, result.architecture) == ("here", "text", "fake", "Fake")
    assert (result.variant, result.inputs) == ("", 20)
    assert 0.9999999 < result.cosine <= 1
    assert result.error < 1e-7
    assert -1 <= result.control < 0


def test_versions_are_those_of_what_the_framework_asks_for(found):
    offer = fake_offer()
    spec = replace(offer.spec, requires=("numpy>=1.26,<3", "not-there>=1; python_version < '3'"))
    settings = EncoderCase(offer).settings(replace(offer, spec=spec), {})
    with TextEmbedder(settings) as embedder:
        Parity("here", found).check(embedder, TEXTS, LIBRARY, architecture="Fake")
    assert found.versions == {"numpy": np.__version__}


@pytest.mark.parametrize(
    ("encoder", "settings", "message"),
    [
        (Blurred, {}, r"in one call: row 0 differs \(cosine 1\.0+, maximum absolute error"),
        (SeesPadding, {}, "in one call: row"),
        (SeesPadding, {"batch_size": 1}, "row"),
        (Reversed, {}, "it is the row of item"),
        (Doubled, {"normalize": False}, "in one call: row 0 differs"),
    ],
)
def test_what_differs_is_named_and_not_kept(check, found, encoder, settings, message):
    with pytest.raises(AssertionError, match=message):
        check(encoder, **settings)
    assert found.results == []


def test_lengths_do_not_count_where_vectors_are_normalised(check, found):
    check(Doubled)
    assert len(found.results) == 1


def test_tolerance(check, found):
    check(Blurred, tolerance=Tolerance(error=0.01))
    assert 1e-5 < found.results[0].error < 0.01


def test_vectors_that_are_all_alike_prove_nothing(check):
    alike = np.ones_like(LIBRARY) + 0.01 * LIBRARY
    with pytest.raises(AssertionError, match=r"no two of the library's own vectors .*draw random weights wider"):
        check(expected=alike)


def test_full_precision_has_to_be_asked_for(check):
    with pytest.raises(AssertionError, match="precision='float32', not 'auto'"):
        check(precision="auto")


@pytest.mark.parametrize(
    ("actual", "message"),
    [
        (LIBRARY.astype(np.float64), "float64 where float32 is due"),
        (LIBRARY[:, :7], r"shape \(20, 7\) where \(20, 8\) is due"),
        (LIBRARY[:19], r"shape \(19, 8\)"),
        (LIBRARY * np.float32(np.nan), "row 0 differs"),
        (LIBRARY * np.float32(1.001), "row 0 differs"),
    ],
)
def test_arrays_that_are_not_the_same(actual, message):
    with pytest.raises(AssertionError, match=message):
        assert_same_vectors(actual, LIBRARY)
    assert assert_same_vectors(LIBRARY, LIBRARY).error == 0


def test_results_survive_their_file(tmp_path):
    found = ParityResults([RESULT], {"torch": "2.0", "acme": "1.0"})
    found.save(tmp_path / "parity.json")
    assert ParityResults.load(tmp_path / "parity.json") == found
    assert list(json.loads((tmp_path / "parity.json").read_text())["versions"]) == ["acme", "torch"]


def test_the_table_has_the_worst_of_an_architecture_and_rounds_cosines_down():
    def other(**changes):
        return ParityResult(**{name: getattr(RESULT, name) for name in ParityResult.__slots__} | changes)

    results = [
        other(modality="image", framework="a", architecture="ViT", variant="", cosine=1.0),
        RESULT,
        other(variant="cls", error=9.96e-6),
        other(variant="cls", cosine=0.99995),
        other(architecture="albert"),
    ]
    assert parity_table(ParityResults(results, {"torch": "2.0", "acme": "1.0"})) == (
        "| embeds | framework | architecture | variants | lowest cosine | largest absolute error |\n"
        "|---|---|---|---|---|---|\n"
        "| text | `acme` | albert | mean | 0.9999999 | 1.2e-06 |\n"
        "| text | `acme` | BERT | mean, cls | 0.9999500 | 1.0e-05 |\n"
        "| image | `a` | ViT |  | 1.0000000 | 1.2e-06 |\n"
        "\n"
        "Compared with acme 1.0, torch 2.0."
    )


def test_a_page_gets_the_table_in_place_of_the_old_one(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Before\n<!-- parity -->\nold\n\n| rows |\n<!-- /parity -->\nafter\n")
    for _ in range(2):
        fill_table(page, ParityResults([RESULT]))
        text = page.read_text()
        assert text.startswith("# Before\n<!-- parity -->\n| embeds |")
        assert text.endswith("\n<!-- /parity -->\nafter\n")
        assert "old" not in text
    page.write_text("<!-- parity -->\n<!-- /parity -->\n")
    fill_table(page, ParityResults([RESULT]))
    assert "| BERT |" in page.read_text()
    page.write_text("no marks")
    with pytest.raises(ValueError, match="0 places for the table"):
        fill_table(page, ParityResults([RESULT]))


TESTS = """
import numpy as np
import pytest

from llm_multi_core.embedder import Modality, TextEmbedder
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.testing.conformance import EncoderCase
from llm_multi_core.embedder.testing.fakes import fake_offer, fake_vector

TEXTS = [str(number) for number in range(12)]


@pytest.mark.parametrize("dimension", [8, 16])
def test_fake(parity, dimension):
    offer = fake_offer()
    settings = EncoderCase(offer, options={"dimension": dimension}).settings(offer, {})
    with TextEmbedder(settings) as embedder:
        expected = np.stack([fake_vector(f"text:{text}", dimension) for text in TEXTS])
        parity.check(embedder, TEXTS, expected, architecture="Fake", variant=f"d={dimension}")


def test_other(same_vectors):
    same_vectors(np.ones((2, 3), np.float32), np.ones((2, 3)))
"""


@pytest.fixture
def run_pytest(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n")
    plugin = "llm_multi_core.embedder.testing.parity.plugin"
    (tmp_path / "conftest.py").write_text(f"pytest_plugins = [{plugin!r}]\n")
    (tmp_path / "test_acme.py").write_text(TESTS)
    (tmp_path / "page.md").write_text("<!-- parity -->\nold\n<!-- /parity -->\n")

    def run(*arguments):
        alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
        write = ["--parity-results", "parity.json", "--parity-page", "page.md"]
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *write, *arguments],
            cwd=tmp_path,
            env={**os.environ, **alone},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_run_writes_its_results_and_the_table(run_pytest, tmp_path):
    done = run_pytest()
    assert done.returncode == 0, done.stdout + done.stderr
    found = ParityResults.load(tmp_path / "parity.json")
    assert [result.test for result in found.results] == ["test_acme.py::test_fake[8]", "test_acme.py::test_fake[16]"]
    page = (tmp_path / "page.md").read_text()
    assert page == f"<!-- parity -->\n{parity_table(found)}\n<!-- /parity -->\n"
    assert "| text | `fake` | Fake | d=8, d=16 |" in page


def test_the_mark_selects_what_takes_the_fixture(run_pytest, tmp_path):
    done = run_pytest("--collect-only", "-m", "parity")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if "::" in line] == [
        "test_acme.py::test_fake[8]",
        "test_acme.py::test_fake[16]",
    ]
    assert not (tmp_path / "parity.json").exists()


def test_a_run_with_a_failure_writes_nothing(run_pytest, tmp_path):
    with (tmp_path / "test_acme.py").open("a") as file:
        file.write("\n\ndef test_wrong(same_vectors):\n    same_vectors(np.ones((2, 3), np.float32), np.eye(2, 3))\n")
    assert run_pytest().returncode == 1
    assert not (tmp_path / "parity.json").exists()
    assert "old" in (tmp_path / "page.md").read_text()
