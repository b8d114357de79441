"""An alignment as a value: applied, scored, guarded, kept."""

import copy
import dataclasses
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from llm_multi_core.embedder import (
    FrameworkUnavailableError,
    IncompatibleSpacesError,
    InvalidInputError,
    InvalidOptionError,
    ModelLoadError,
    Space,
)
from llm_multi_core.embedder.analysis import Alignment, fit_alignment

from .conftest import IMAGES, TEXTS, paired, unit


@pytest.fixture(scope="module")
def alignment():
    return fit_alignment(*paired(80), IMAGES, TEXTS, held_out=0.25)


def test_vectors_are_carried_and_have_length_one(alignment):
    source, _ = paired(9, seed=4)
    mapped = alignment.apply(source)
    expected = (unit(source.astype(np.float64)) - alignment.source_offset) @ alignment.matrix + alignment.target_offset
    np.testing.assert_allclose(mapped, unit(expected), atol=1e-6)
    assert (mapped.shape, mapped.dtype) == ((9, 16), np.float32)
    np.testing.assert_allclose(alignment.apply(source * 7), mapped, atol=1e-6)
    np.testing.assert_array_equal(alignment.apply(source[:0]), np.empty((0, 16)))


def test_vectors_that_cannot_be_carried(alignment):
    source, target = paired(3)
    with pytest.raises(IncompatibleSpacesError, match=r"source vector of 16 dimensions does not lie in pictures"):
        alignment.apply(target)
    for value, message in ((0, "zero"), (np.inf, "not finite")):
        broken = source.copy()
        broken[1] = value
        with pytest.raises(InvalidInputError, match=f"input 1: the source vector is .*{message}") as caught:
            alignment.apply(broken)
        assert caught.value.index == 1
    with pytest.raises(InvalidInputError, match=r"shape \(24,\) is not a matrix"):
        alignment.apply(source[0])
    lost = Alignment(
        source=Space("a", 2),
        target=Space("b", 2),
        matrix=np.zeros((2, 2)),
        source_offset=np.zeros(2),
        target_offset=np.zeros(2),
        method="ridge",
        pairs=2,
    )
    with pytest.raises(InvalidInputError, match="input 0: the source vector is mapped to zero"):
        lost.apply([[1, 2]])


def test_a_score_written_out_by_hand():
    exact = Alignment(
        source=Space("a", 2),
        target=Space("b", 2),
        matrix=np.eye(2),
        source_offset=np.zeros(2),
        target_offset=np.zeros(2),
        method="ridge",
        pairs=2,
    )
    # The third source points to the first target; the second and fourth pair have the same target.
    score = exact.score([[1, 0], [0, 1], [1, 0], [0, 3]], [[2, 0], [0, 1], [3, 1], [0, 1]])
    assert (score.pairs, score.candidates) == (4, 3)
    assert (score.recall_at_1, score.recall_at_5, score.recall_at_10) == (0.75, 1.0, 1.0)
    assert score.median_rank == 1
    assert score.mean_cosine == pytest.approx((3 + 3 / 10**0.5) / 4)
    assert "recall@1 0.75" in str(score)
    assert "of 3" in str(score)


def test_scoring_what_are_no_pairs(alignment):
    source, target = paired(5)
    with pytest.raises(InvalidInputError, match="5 source vectors and 4 target vectors"):
        alignment.score(source, target[:4])
    with pytest.raises(InvalidInputError, match="0 source vectors"):
        alignment.score(source[:0], target[:0])


def test_the_held_out_score_is_that_of_pairs_not_fitted_on():
    source, target = paired(100, noise=0.5)
    alignment = fit_alignment(source, target, IMAGES, TEXTS, held_out=0.3, seed=1)
    assert (alignment.pairs, alignment.held_out.pairs) == (70, 30)
    assert alignment.held_out.mean_cosine < alignment.score(source, target).mean_cosine
    assert fit_alignment(source, target, IMAGES, TEXTS).held_out is None


def test_it_cannot_be_changed(alignment):
    with pytest.raises(dataclasses.FrozenInstanceError):
        alignment.pairs = 3
    for copied in (alignment, pickle.loads(pickle.dumps(alignment)), copy.deepcopy(alignment)):
        with pytest.raises(ValueError, match="read-only"):
            copied.matrix[0, 0] = 1
    matrix = np.eye(2, dtype=np.float32)
    made = Alignment(Space("a", 2), Space("b", 2), matrix, np.zeros(2), np.zeros(2), "ridge", 2)
    matrix[0, 0] = 5
    assert made.matrix[0, 0] == 1


def test_equality_is_that_of_the_map(alignment):
    copied = pickle.loads(pickle.dumps(alignment))
    assert copied == alignment
    assert hash(copied) == hash(alignment)
    assert copied.held_out == alignment.held_out
    assert alignment != dataclasses.replace(alignment, matrix=alignment.matrix * 2)
    assert alignment != dataclasses.replace(alignment, target=Space("others", 16))
    assert alignment == dataclasses.replace(alignment, held_out=None)
    assert alignment != "alignment"


def test_it_says_what_it_is(alignment):
    assert repr(alignment).startswith("<Alignment pictures (24 d, ")
    assert "ridge on 60 pairs; held out: recall@1" in repr(alignment)


def test_the_wrong_space_is_refused(alignment):
    alignment.require(IMAGES)
    alignment.require(IMAGES, TEXTS)
    with pytest.raises(IncompatibleSpacesError, match=r"takes vectors of pictures .* not of captions .*Alignment\.fit"):
        alignment.require(TEXTS)
    with pytest.raises(IncompatibleSpacesError, match=r"makes vectors of captions .* not of other"):
        alignment.require(IMAGES, Space("other", 16))


@pytest.mark.parametrize(
    "wrong",
    [
        {"matrix": np.zeros((16, 24))},
        {"source_offset": np.zeros(16)},
        {"target_offset": np.full(16, np.nan)},
        {"source": Space("words", 24, output="sparse", score="dot")},
        {"target": Space("tokens", 16, output="multi", score="maxsim")},
    ],
)
def test_parts_that_do_not_fit(alignment, wrong):
    with pytest.raises(InvalidOptionError, match=r"must be finite and of shape|has no dense vectors"):
        dataclasses.replace(alignment, **wrong)


def test_a_file_brings_it_back(alignment, tmp_path):
    path = tmp_path / "map.safetensors"
    alignment.save(path)
    alignment.save(path)  # replaced in one step
    loaded = Alignment.load(path)
    assert loaded == alignment
    for name in ("source", "target", "method", "pairs", "alpha", "components", "held_out"):
        assert getattr(loaded, name) == getattr(alignment, name)
    assert loaded.source.modalities == IMAGES.modalities
    source, _ = paired(5)
    np.testing.assert_array_equal(loaded.apply(source), alignment.apply(source))
    assert [entry.name for entry in tmp_path.iterdir()] == ["map.safetensors"]
    with safe_open(path, framework="numpy") as file:
        record = json.loads(file.metadata()["record"])
    assert record["source"]["fingerprint"] == IMAGES.fingerprint
    assert record["target"]["fingerprint"] == TEXTS.fingerprint


def altered_array(metadata, arrays):
    arrays["matrix"][3, 3] += 1e-3


def altered_space(metadata, arrays):
    metadata["record"] = metadata["record"].replace('"captions"', '"subtitles"')


def altered_score(metadata, arrays):
    record = json.loads(metadata["record"])
    record["held_out"]["median_rank"] = 0.5
    metadata["record"] = json.dumps(record, sort_keys=True)


def no_checksum(metadata, arrays):
    del metadata["sha256"]


def missing_array(metadata, arrays):
    del arrays["target_offset"]


@pytest.mark.parametrize("alter", [altered_array, altered_space, altered_score, no_checksum, missing_array])
def test_an_altered_file_is_refused(alignment, tmp_path, alter):
    path = tmp_path / "map.safetensors"
    alignment.save(path)
    with safe_open(path, framework="numpy") as file:
        metadata, arrays = file.metadata(), {name: file.get_tensor(name).copy() for name in file.keys()}  # noqa: SIM118
    save_file(arrays, path, metadata)
    assert Alignment.load(path) == alignment  # so that it is the alteration that is refused
    alter(metadata, arrays)
    save_file(arrays, path, metadata)
    with pytest.raises(ModelLoadError, match=r"map\.safetensors was damaged or altered"):
        Alignment.load(path)


def test_files_that_hold_something_else(alignment, tmp_path):
    path = tmp_path / "map.safetensors"
    with pytest.raises(ModelLoadError, match=r"map\.safetensors cannot be read"):
        Alignment.load(path)
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(ModelLoadError, match="cannot be read as a file of alignment"):
        Alignment.load(path)
    alignment.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelLoadError, match="cannot be read as a file of alignment"):
        Alignment.load(path)
    save_file({"weight": np.zeros(3, np.float32)}, path)
    with pytest.raises(ModelLoadError, match="holds 'something'"):
        Alignment.load(path)


def test_a_sound_checksum_over_the_wrong_content(alignment, tmp_path):
    from llm_multi_core.embedder.analysis.records import save_record

    save_record(tmp_path / "map", "alignment", {"source": IMAGES.to_dict()}, {})
    with pytest.raises(ModelLoadError, match="does not hold what alignment is made of"):
        Alignment.load(tmp_path / "map")


def test_a_failed_write_leaves_the_old_file(alignment, tmp_path, monkeypatch):
    path = tmp_path / "map.safetensors"
    alignment.save(path)
    other = dataclasses.replace(alignment, matrix=alignment.matrix * 2)
    monkeypatch.setattr("pathlib.Path.replace", lambda self, target: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        other.save(path)
    monkeypatch.undo()
    assert Alignment.load(path) == alignment
    assert [entry.name for entry in tmp_path.iterdir()] == ["map.safetensors"]


@pytest.mark.parametrize("module", ["sklearn.linear_model", "scipy.sparse.csgraph"])
def test_fitting_without_the_libraries(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FrameworkUnavailableError, match=r'alignments cannot be fitted .*"llm-multi-core\[alignment\]"'):
        fit_alignment(*paired(10), IMAGES, TEXTS)


def test_keeping_without_safetensors(alignment, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for call in (lambda: alignment.save(tmp_path / "map"), lambda: Alignment.load(tmp_path / "map")):
        with pytest.raises(FrameworkUnavailableError, match=r"llm-multi-core\[alignment\]"):
            call()


def test_the_public_names_load_no_library_until_they_are_used():
    script = (
        "import sys\n"
        "from llm_multi_core.embedder import analysis\n"
        "assert not [name for name in sys.modules if name.startswith('llm_multi_core.embedder.analysis.alignment')]\n"
        "for name in set(analysis.__all__) - {'CrossAttentionFusion', 'info_nce'}: getattr(analysis, name)\n"
        "print(*{'sklearn', 'scipy', 'safetensors', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_the_public_names_are_those_that_can_be_had():
    from llm_multi_core.embedder import analysis

    assert sorted(analysis.__all__) == sorted(analysis._HOME) == dir(analysis)
    assert all(getattr(analysis, name) is not None for name in analysis.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Alignmnt'"):
        _ = analysis.Alignmnt


class TestFromEmbedders:
    def test_both_sides_are_embedded_as_documents_and_aligned(self, two_embedders, number_pairs):
        alignment = Alignment.fit(*two_embedders, number_pairs, held_out=0.2)
        source, target = two_embedders
        assert (alignment.source, alignment.target) == (source.space, target.space)
        assert (alignment.pairs, alignment.held_out.pairs) == (48, 12)
        assert alignment.held_out.recall_at_1 > 0.9
        fresh = ["0.1 0.2 0.3", "-1 0.5 2", "1 1 -1"]
        mapped = alignment.apply(source.embed_batch(fresh, role="document"))
        cosines = mapped @ target.embed_batch(fresh, role="document").T
        np.testing.assert_array_equal(cosines.argmax(axis=1), range(3))

    def test_a_generator_of_pairs_and_all_settings(self, two_embedders, number_pairs):
        first, second = (
            Alignment.fit(*two_embedders, iter(number_pairs), "cca", held_out=0, components=2, alphas=[0.1])
            for _ in range(2)
        )
        assert first == second
        assert (first.pairs, first.components, first.alpha, first.held_out) == (60, 2, 0.1, None)

    def test_equal_inputs_are_held_out_together(self, two_embedders, number_pairs):
        alignment = Alignment.fit(*two_embedders, number_pairs * 3, held_out=0.2)
        assert (alignment.held_out.pairs, alignment.held_out.candidates) == (36, 12)

    def test_groups_keep_related_inputs_together(self, two_embedders, number_pairs):
        groups = [index // 10 for index in range(60)]
        alignment = Alignment.fit(*two_embedders, number_pairs, held_out=0.34, groups=groups)
        assert alignment.held_out.pairs == 20

    @pytest.mark.parametrize(
        ("pairs", "message"),
        [
            ([], "at least 2 pairs"),
            ([("1 2 3", "1 2 3")], "at least 2 pairs to fit; got 1"),
            ([("1 2 3", "1 2 3"), "1 2 3"], "input 1: str is not a pair"),
            ([("1 2 3", "1 2 3"), ("1", "2", "3")], "input 1: tuple is not a pair"),
            ([("1 2 3", "1 2 3"), ("1 2 3", None)], "input 1: "),
        ],
    )
    def test_what_are_no_pairs(self, two_embedders, pairs, message):
        with pytest.raises(InvalidInputError, match=message):
            Alignment.fit(*two_embedders, pairs)

    def test_a_wrong_setting_is_refused_before_anything_is_embedded(self, two_embedders):
        with pytest.raises(InvalidOptionError, match="method='lasso'"):
            Alignment.fit(*two_embedders, iter(lambda: 1 / 0, None), "lasso")
