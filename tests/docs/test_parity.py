"""The table of parity says what the matrix measured, of all that the matrix compares."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from llm_multi_core.embedder import Host
from llm_multi_core.embedder.host.availability import missing_requirements
from llm_multi_core.embedder.testing.parity import PARITY, ParityResults, parity_table

ROOT = Path(__file__).parents[2]
FOUND = ParityResults.load(ROOT / "docs" / "parity.json")
AGAIN = "run `make test-matrix`, which measures and writes docs/parity.json and docs/frameworks.md"

OF_THEIR_OWN = {"classic"}
"""Local frameworks whose vectors are no library's."""

FAMILIES = {
    "text": (
        "BERT RoBERTa DistilBERT ALBERT ELECTRA MPNet T5 GTR GPT-2 ModernBERT XLM-R E5 LaBSE CLIP CLIP.ResNet EVA-CLIP "
        "CLAP Stella"
    ),
    "image": (
        "CLIP CLIP.ResNet CLIP.ViT EVA-CLIP ViT DeiT Swin CvT DINO MAE BEiT AlexNet VGG ResNet Inception EfficientNet"
    ),
    "audio": "Wav2Vec2 Whisper HuBERT WavLM Data2Vec CLAP",
}
"""Families that users look for; a dot is a space."""


def test_the_table_is_that_of_the_results():
    page = (ROOT / "docs" / "frameworks.md").read_text()
    table = re.search(r"<!-- parity -->\n(.*?)\n<!-- /parity -->", page, re.DOTALL).group(1)
    assert table == parity_table(FOUND), AGAIN


def test_every_case_of_the_matrix_has_its_results_and_no_other():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "plugins", "--collect-only", "-q", "-m", "parity", "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    collected = {line for line in done.stdout.splitlines() if line.startswith("plugins/") and "::" in line}
    measured = {result.test for result in FOUND.results}
    assert len(collected) > 100
    assert (sorted(collected - measured), sorted(measured - collected)) == ([], []), AGAIN


def test_results_are_within_bounds():
    for result in FOUND.results:
        assert result.cosine >= PARITY.cosine, result
        assert result.error <= 1e-4, result
        assert result.control < 0.99, result


def test_every_local_framework_is_compared_in_all_that_it_embeds():
    offered = {
        (str(modality), offer.spec.name)
        for offer in Host().offers()
        for modality in offer.spec.modalities
        if offer.distribution.startswith("llm-multi-core-")
        and not offer.spec.hosted
        and offer.spec.target  # what only puts media into words has no vectors
        # What waits for a release that is yet to come can be compared with nothing here.
        and not missing_requirements(offer.spec.requires)
    }
    compared = {(result.modality, result.framework) for result in FOUND.results}
    assert {pair for pair in offered if pair[1] not in OF_THEIR_OWN} <= compared


@pytest.mark.parametrize(
    ("modality", "family"),
    [(modality, family.replace(".", " ")) for modality, names in FAMILIES.items() for family in names.split()],
)
def test_every_family_is_there(modality, family):
    named = re.compile(rf"(?<!\w){re.escape(family)}(?!\w)")
    assert any(named.search(result.architecture) for result in FOUND.results if result.modality == modality)
