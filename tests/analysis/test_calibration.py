"""Mixed top-k: places kept for modalities, calibrated scores, and vectors without their cone."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_multi_core.embedder import IncompatibleSpacesError, InvalidInputError, InvalidOptionError, Modality
from llm_multi_core.embedder.analysis import Hit, ModalityCalibration, mean_centered, merge_with_quotas, top_k

from .conftest import unit

RESULTS = {
    "text": [("t1", 0.9), ("t2", 0.8), ("t3", 0.7), ("t4", 0.6)],
    "image": [("i1", 0.3), ("i2", 0.2)],
    "audio": [("a1", 0.25)],
}


def ids(hits):
    return [hit.id for hit in hits]


def test_without_quotas_the_best_win():
    assert merge_with_quotas(RESULTS, 3) == [Hit("t1", 0.9, "text"), Hit("t2", 0.8, "text"), Hit("t3", 0.7, "text")]
    assert ids(merge_with_quotas(RESULTS, 100)) == ["t1", "t2", "t3", "t4", "i1", "a1", "i2"]


def test_a_quota_keeps_places():
    assert ids(merge_with_quotas(RESULTS, 4, {"image": 1, "audio": 1})) == ["t1", "t2", "i1", "a1"]
    assert ids(merge_with_quotas(RESULTS, 4, {"text": 2, "image": 2})) == ["t1", "t2", "i1", "i2"]
    assert ids(merge_with_quotas(RESULTS, 2, {"image": 0})) == ["t1", "t2"]
    assert ids(merge_with_quotas(RESULTS, 2, {Modality.AUDIO: 1})) == ["t1", "a1"]


def test_places_that_a_modality_cannot_fill_go_to_the_others():
    assert ids(merge_with_quotas(RESULTS, 5, {"audio": 3, "image": 2})) == ["t1", "t2", "i1", "a1", "i2"]
    assert merge_with_quotas({"text": [], "image": []}, 3, {"text": 2}) == []


def test_order_within_lists_does_not_matter_and_equals_come_in_the_order_of_lists():
    backwards = {name: hits[::-1] for name, hits in RESULTS.items()}
    assert merge_with_quotas(backwards, 4, {"image": 2}) == merge_with_quotas(RESULTS, 4, {"image": 2})
    assert ids(merge_with_quotas({"b": [("x", 1.0)], "a": [("y", 1.0)]}, 2)) == ["x", "y"]


def test_an_id_is_listed_once():
    results = {"text": [("d1", 0.9), ("d1", 0.8), ("d2", 0.7)], "image": [("d1", 0.95), ("d3", 0.1)]}
    assert merge_with_quotas(results, 3) == [Hit("d1", 0.95, "image"), Hit("d2", 0.7, "text"), Hit("d3", 0.1, "image")]
    assert ids(merge_with_quotas(results, 2, {"text": 1, "image": 1})) == ["d1", "d3"]


@given(
    st.dictionaries(
        st.sampled_from(["text", "image", "audio"]),
        st.lists(st.tuples(st.integers(0, 30), st.floats(-1, 1)), max_size=12),
        min_size=1,
    ),
    st.integers(1, 12),
    st.data(),
)
def test_quotas_are_kept_as_far_as_can_be(results, k, data):
    # An id belongs to one modality here, so that a quota can always be filled.
    results = {name: [((name, found), score) for found, score in hits] for name, hits in results.items()}
    quotas, left = {}, k
    for name in results:
        quotas[name] = data.draw(st.integers(0, left))
        left -= quotas[name]
    merged = merge_with_quotas(results, k, quotas)
    distinct = {name: {found for found, _ in hits} for name, hits in results.items()}
    assert len(merged) == len(set(ids(merged))) == min(k, sum(map(len, distinct.values())))
    assert [hit.score for hit in merged] == sorted((hit.score for hit in merged), reverse=True)
    for name, quota in quotas.items():
        assert sum(hit.modality == name for hit in merged) >= min(quota, len(distinct[name]))


def test_what_cannot_be_merged():
    with pytest.raises(InvalidOptionError, match="quotas name 'imgae', which has no results; did you mean 'image'"):
        merge_with_quotas(RESULTS, 3, {"imgae": 1})
    for quota in (-1, 1.0, True):
        with pytest.raises(InvalidOptionError, match="the quota of 'image'"):
            merge_with_quotas(RESULTS, 3, {"image": quota})
    with pytest.raises(InvalidOptionError, match="sum to 4, more than k=3"):
        merge_with_quotas(RESULTS, 3, {"image": 2, "text": 2})
    with pytest.raises(InvalidOptionError, match="k=0"):
        merge_with_quotas(RESULTS, 0)
    with pytest.raises(InvalidInputError, match="'i1' among the results for 'image' has the score nan"):
        merge_with_quotas({"image": [("i1", np.nan)]}, 3)


class TestModalityGap:
    """A made joint space in which texts and pictures lie in cones far apart."""

    @pytest.fixture
    def gap(self):
        random = np.random.default_rng(0)
        meaning = np.pad(random.normal(size=(80, 24)), ((0, 0), (0, 8)))
        cones = {name: np.pad(random.normal(size=8) * 3, (24, 0)) for name in ("text", "image")}
        noise = [random.normal(size=(80, 32)) * 0.3 for _ in range(3)]
        return {
            "queries": meaning + cones["text"] + noise[0],
            "text": (meaning + cones["text"] + noise[1])[:40],  # answers the first half of the queries
            "image": (meaning + cones["image"] + noise[2])[40:],  # and these the second
        }

    @staticmethod
    def recall(queries, documents):
        return float((top_k(queries, documents, 1)[0][:, 0] == np.arange(80)).mean())

    def test_the_gap_hides_pictures_and_centring_finds_them(self, gap):
        raw = self.recall(gap["queries"], np.concatenate([gap["text"], gap["image"]]))
        centered = self.recall(
            mean_centered(gap["queries"]), np.concatenate([mean_centered(gap["text"]), mean_centered(gap["image"])])
        )
        assert raw == 0.5
        assert centered > 0.95

    def test_calibrated_scores_find_them_too(self, gap):
        calibration = ModalityCalibration.fit(gap["queries"], {"text": gap["text"], "image": gap["image"]})
        found = []
        for number, query in enumerate(gap["queries"]):
            results = {}
            for name, first in (("text", 0), ("image", 40)):
                indices, scores = top_k(query[None], gap[name], 5)
                results[name] = list(zip((indices[0] + first).tolist(), scores[0].tolist(), strict=True))
            (raw,) = merge_with_quotas(results, 1)
            (hit,) = calibration.merge(results, 1)
            found.append((raw.id == number, hit.id == number))
        raw_recall, recall = np.mean(found, axis=0)
        assert raw_recall == 0.5
        assert recall > 0.95

    def test_statistics_are_those_of_all_cosines(self, gap):
        calibration = ModalityCalibration.fit(gap["queries"], {"image": gap["image"]})
        cosines = unit(gap["queries"]) @ unit(gap["image"]).T
        assert calibration.statistics["image"].mean == pytest.approx(cosines.mean())
        assert calibration.statistics["image"].deviation == pytest.approx(cosines.std())
        calibrated = calibration.calibrated("image", cosines)
        assert (calibrated.mean(), calibrated.std()) == pytest.approx((0, 1), abs=1e-9)
        of_scores = ModalityCalibration.fit_scores({"image": cosines})
        np.testing.assert_allclose(of_scores.calibrated("image", cosines), calibrated, atol=1e-9)

    def test_the_fitted_centre_is_taken_from_new_vectors(self, gap):
        calibration = ModalityCalibration.fit(gap["queries"], {"image": gap["image"]})
        centered = calibration.centered("image", gap["image"])
        np.testing.assert_allclose(centered, mean_centered(gap["image"]), atol=1e-5)
        np.testing.assert_allclose(calibration.centered("image", gap["image"][:3]), centered[:3], atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(centered, axis=1), 1, atol=1e-6)
        assert centered.dtype == np.float32

    def test_plain_data_and_pickle_bring_it_back(self, gap):
        calibration = ModalityCalibration.fit(gap["queries"], {"text": gap["text"], "image": gap["image"]})
        read = ModalityCalibration.from_dict(json.loads(json.dumps(calibration.to_dict())))
        for copied in (read, pickle.loads(pickle.dumps(calibration))):
            assert copied.statistics == calibration.statistics
            for name in ("text", "image"):
                np.testing.assert_allclose(copied.centers[name], calibration.centers[name], rtol=1e-6)
            with pytest.raises(TypeError):
                copied.statistics["audio"] = 1


def test_merging_calibrated_scores_keeps_quotas():
    calibration = ModalityCalibration.fit_scores({"text": [0.5, 0.7, 0.9], "image": [0.1, 0.2], "audio": [0.2, 0.3]})
    merged = calibration.merge(RESULTS, 3, {"audio": 1})
    assert [hit.modality for hit in merged] == ["image", "text", "audio"]
    assert merged[0].score == pytest.approx((0.3 - 0.15) / 0.05)


def test_what_cannot_be_calibrated():
    fitted = ModalityCalibration.fit_scores({"text": [0.5, 0.7]})
    with pytest.raises(InvalidOptionError, match=r"modality 'txt' was not among the scores .*\('text'\); did you mean"):
        fitted.calibrated("txt", [1])
    with pytest.raises(InvalidOptionError, match=r"modality 'text' was not among the vectors .*\(none\)"):
        fitted.centered("text", [[1.0, 2.0]])
    for scores in ([], [0.5], [0.1, 0.1, 0.1]):
        with pytest.raises(InvalidInputError, match="scores of modality 'text' do not differ"):
            ModalityCalibration.fit_scores({"text": scores})
    with pytest.raises(InvalidInputError, match="a score of modality 'text' is not finite"):
        ModalityCalibration.fit_scores({"text": [0.5, np.nan]})
    with pytest.raises(IncompatibleSpacesError, match="queries of 3 dimensions cannot be compared with image vectors"):
        ModalityCalibration.fit(np.eye(3), {"image": np.eye(4)})
    with pytest.raises(InvalidInputError, match="input 1: the image vector is zero"):
        ModalityCalibration.fit(np.eye(3), {"image": [[1, 2, 3], [0, 0, 0]]})


def test_what_cannot_be_centred():
    with pytest.raises(InvalidInputError, match="input 0: the vector is the mean itself"):
        mean_centered([[1.0, 2.0]])
    with pytest.raises(InvalidInputError, match="input 1: the vector is zero"):
        mean_centered([[1.0, 2.0], [0, 0]])
    with pytest.raises(IncompatibleSpacesError, match=r"a mean of shape \(3,\) does not go with vectors of 2"):
        mean_centered([[1.0, 2.0]], np.ones(3))
    assert mean_centered(np.empty((0, 4))).shape == (0, 4)
