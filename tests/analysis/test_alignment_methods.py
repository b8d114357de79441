"""The methods of alignment do what their names say, and choose well."""

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold

from llm_multi_core.embedder import InvalidInputError, InvalidOptionError, Space
from llm_multi_core.embedder.analysis import fit_alignment
from llm_multi_core.embedder.analysis.alignment.pairs import folds_of, groups_of, held_out_pairs
from llm_multi_core.embedder.analysis.alignment.solvers import DEFAULT_ALPHAS, canonical

from .conftest import IMAGES, TEXTS, paired, unit

METHODS = ("ridge", "procrustes", "cca")


def centred(rows):
    rows = unit(rows.astype(np.float64))
    return rows - rows.mean(axis=0)


@pytest.mark.parametrize("method", METHODS)
def test_partners_are_found_among_pairs_that_were_not_seen(method):
    source, target = paired(300, factors=16 if method == "procrustes" else 6)
    alignment = fit_alignment(source[:200], target[:200], IMAGES, TEXTS, method)
    score = alignment.score(source[200:], target[200:])
    assert score.candidates == score.pairs == 100
    chance = fit_alignment(source[:200], target[:200][::-1], IMAGES, TEXTS, method).score(source[200:], target[200:])
    assert chance.recall_at_10 < 0.3
    assert score.recall_at_1 > (0.4 if method == "procrustes" else 0.95)
    assert score.recall_at_1 <= score.recall_at_5 <= score.recall_at_10
    assert score.median_rank <= 2 < chance.median_rank


def test_ridge_is_scikit_learns_at_the_strength_of_least_error_left_out():
    source, target = paired(60, noise=0.5)
    alignment = fit_alignment(source, target, IMAGES, TEXTS)
    left, right = unit(source.astype(np.float64)), unit(target.astype(np.float64))
    errors = []
    for alpha in DEFAULT_ALPHAS:
        rest = [np.delete(np.arange(60), i) for i in range(60)]
        models = [Ridge(alpha=alpha).fit(left[kept], right[kept]) for kept in rest]
        errors.append(sum(((m.predict(left[[i]]) - right[i]) ** 2).sum() for i, m in enumerate(models)))
    best = DEFAULT_ALPHAS[int(np.argmin(errors))]
    assert DEFAULT_ALPHAS[0] < best < DEFAULT_ALPHAS[-1]
    assert alignment.alpha == best
    expected = Ridge(alpha=best).fit(left, right).predict(left)
    np.testing.assert_allclose(alignment.apply(source), unit(expected), atol=1e-5)
    given = fit_alignment(source, target, IMAGES, TEXTS, alphas=[best])
    np.testing.assert_allclose(given.matrix, alignment.matrix, atol=1e-6)


@pytest.mark.parametrize(("pairs", "noise"), [(60, 0.2), (60, 1.0), (18, 0.5)])
def test_the_strength_for_groups_is_that_of_scikit_learns_search_over_the_same_folds(pairs, noise):
    source, target = paired(pairs, noise=noise)
    groups = np.arange(pairs) // 3
    alignment = fit_alignment(source, target, IMAGES, TEXTS, groups=groups.tolist())
    search = GridSearchCV(
        Ridge(), {"alpha": DEFAULT_ALPHAS}, scoring="neg_mean_squared_error", cv=GroupKFold(min(5, pairs // 3))
    )
    search.fit(unit(source.astype(np.float64)), unit(target.astype(np.float64)), groups=groups)
    assert alignment.alpha == search.best_params_["alpha"]


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (24, 16), (16, 24)])
def test_procrustes_is_scipys_on_padded_sides(rows, columns):
    source, target = paired(100, rows, columns, factors=20)
    alignment = fit_alignment(source, target, Space("a", rows), Space("b", columns), "procrustes")
    left, right = centred(source), centred(target)
    width = max(rows, columns)
    padded = [np.pad(side, ((0, 0), (0, width - side.shape[1]))) for side in (left, right)]
    rotation, scale = orthogonal_procrustes(*padded)
    expected = (scale / (left**2).sum()) * rotation[:rows, :columns]
    np.testing.assert_allclose(alignment.matrix, expected, atol=1e-5)
    gram = alignment.matrix.T @ alignment.matrix if rows >= columns else alignment.matrix @ alignment.matrix.T
    np.testing.assert_allclose(gram / gram[0, 0], np.eye(min(rows, columns)), atol=1e-4)


def test_procrustes_undoes_a_rotation_exactly():
    source, _ = paired(100, 16, factors=16)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))[0]
    alignment = fit_alignment(source, source @ rotation, Space("a", 16), Space("b", 16), "procrustes")
    np.testing.assert_allclose(alignment.matrix, rotation, atol=1e-5)
    assert alignment.score(source, source @ rotation).mean_cosine == pytest.approx(1, abs=1e-6)


def test_procrustes_of_few_pairs_maps_what_they_do_not_show_to_zero():
    source, target = paired(5)
    alignment = fit_alignment(source, target, IMAGES, TEXTS, "procrustes")
    assert np.linalg.matrix_rank(alignment.matrix, tol=1e-4) == 4  # five points about their mean
    unseen = np.linalg.svd(centred(source))[2][-1]
    np.testing.assert_allclose(unseen @ alignment.matrix, 0, atol=1e-6)


def test_canonical_correlations_are_scikit_learns():
    source, target = (centred(side) for side in paired(300, 8, 6, factors=3, noise=0.4))
    model = CCA(n_components=3, scale=False, max_iter=5000, tol=1e-10).fit(source, target)
    theirs = [np.corrcoef(x, y)[0, 1] for x, y in zip(*(s.T for s in model.transform(source, target)), strict=True)]
    encode, decode, correlations = canonical(source, target, 0.0)
    np.testing.assert_allclose(correlations[:3], theirs, atol=1e-4)
    variates = source @ encode
    np.testing.assert_allclose(variates.T @ variates, np.eye(6), atol=1e-8)
    for count in (1, 3):
        expected = LinearRegression().fit(variates[:, :count], target).predict(variates[:, :count])
        np.testing.assert_allclose(variates[:, :count] @ decode[:count], expected, atol=1e-8)


def test_cca_with_every_component_is_ridge():
    source, target = paired(120, noise=0.3)
    everything = fit_alignment(source, target, IMAGES, TEXTS, "cca", components=16, alphas=[0.01])
    ridge = fit_alignment(source, target, IMAGES, TEXTS, "ridge", alphas=[0.01])
    np.testing.assert_allclose(everything.matrix, ridge.matrix, atol=1e-4)
    assert (everything.components, everything.alpha) == (16, 0.01)


def test_cca_chooses_as_many_components_as_the_sides_share():
    source, target = paired(400, factors=4, noise=0.6)
    chosen = fit_alignment(source, target, IMAGES, TEXTS, "cca", alphas=[1e-4])
    assert chosen.components in {4, 8}  # bringing vectors to length 1 adds a little to the four factors
    assert np.linalg.matrix_rank(chosen.matrix, tol=1e-3) == chosen.components
    with pytest.raises(InvalidOptionError, match="components=17 is more than the 16"):
        fit_alignment(source, target, IMAGES, TEXTS, "cca", components=17)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [2, 3, 7])
def test_fewer_pairs_than_dimensions(method, count):
    source, target = paired(count)
    alignment = fit_alignment(source, target, IMAGES, TEXTS, method)
    assert alignment.apply(source).shape == (count, 16)
    assert np.isfinite(alignment.matrix).all()


@pytest.mark.parametrize("method", METHODS)
def test_fitting_twice_gives_the_same_bits(method):
    source, target = paired(80)
    first, second = (fit_alignment(source, target, IMAGES, TEXTS, method, held_out=0.25, seed=3) for _ in range(2))
    assert first == second
    assert first.held_out == second.held_out
    assert first != fit_alignment(source, target, IMAGES, TEXTS, method, held_out=0.25, seed=4)


@pytest.mark.parametrize("method", METHODS)
def test_length_of_the_vectors_does_not_matter(method):
    source, target = paired(80)
    scale = np.linspace(0.1, 10, 80)[:, None]
    scaled = fit_alignment(source * scale, target / scale, IMAGES, TEXTS, method)
    np.testing.assert_allclose(scaled.matrix, fit_alignment(source, target, IMAGES, TEXTS, method).matrix, atol=1e-4)


def test_pairs_that_share_a_vector_are_one_group():
    source = np.array([[1.0, 0], [2, 0], [2, 0], [3, 0], [4, 0], [-0.0, 1]])
    target = np.array([[1.0, 0], [1, 0], [5, 0], [6, 0], [7, 0], [6, 0]])
    groups = groups_of(source, target)
    assert groups[0] == groups[1] == groups[2]  # 0 and 1 by target, 1 and 2 by source
    assert groups[3] == groups[5]
    assert len(set(groups)) == 3
    assert groups_of(source, target, ["a", "b", "a", "b", "c", "c"]).tolist() == [0, 1, 0, 1, 2, 2]
    with pytest.raises(InvalidInputError, match="2 groups for 6 pairs"):
        groups_of(source, target, ["a", "b"])


def test_groups_are_never_parted():
    groups = np.repeat(np.arange(12), 4)
    for kept, left_out in folds_of(groups):
        assert not set(groups[kept]) & set(groups[left_out])
    for seed in range(5):
        fitted, held_out = held_out_pairs(groups, 0.25, seed)
        assert not set(groups[fitted]) & set(groups[held_out])
        assert len(held_out) == 12
        assert sorted([*fitted, *held_out]) == list(range(48))
    assert folds_of(np.arange(10)) is None  # left out one by one
    assert folds_of(np.zeros(10, np.int64)) is None
    assert folds_of(np.array([0, 0, 0, 1])) is None  # one pair cannot be learned from


def test_repeated_pairs_do_not_make_the_strength_too_small():
    source, target = paired(40, noise=0.8)
    repeated = fit_alignment(np.tile(source, (4, 1)), np.tile(target, (4, 1)), IMAGES, TEXTS)
    apart = fit_alignment(np.tile(source, (4, 1)), np.tile(target, (4, 1)), IMAGES, TEXTS, groups=list(range(160)))
    assert repeated.alpha > apart.alpha
    fresh = paired(200, noise=0.8, seed=7)
    assert repeated.score(*fresh).mean_cosine > apart.score(*fresh).mean_cosine


def test_renderings_of_one_caption_are_held_out_together():
    source, target = paired(200)
    target = np.repeat(target[::10], 10, axis=0)
    alignment = fit_alignment(source, target, IMAGES, TEXTS, held_out=0.2)
    assert alignment.held_out.candidates == 4
    assert alignment.held_out.pairs == 40
    assert alignment.pairs == 160


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (np.ones((3, 24)), np.ones((4, 16)), "3 source vectors and 4 target vectors"),
        (np.ones((1, 24)), np.ones((1, 16)), "at least 2 pairs"),
        (np.ones((0, 24)), np.ones((0, 16)), "at least 2 pairs"),
        (np.ones((5, 24)), np.eye(5, 16), "all 5 source vectors to fit on are equal"),
        (np.eye(5, 24), np.ones((5, 16)), "all 5 target vectors to fit on are equal"),
        (np.eye(5, 24) * [[1], [1], [0], [1], [1]], np.eye(5, 16), "input 2: the source vector is zero"),
        (np.eye(5, 24), np.where(np.eye(5, 16) * 3 == 3, np.nan, 1), "input 0: the target vector is not finite"),
        (np.ones(24), np.ones(16), "not a matrix of source vectors"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_vectors_that_cannot_be_fitted(source, target, message, method):
    with pytest.raises(InvalidInputError, match=message):
        fit_alignment(source, target, IMAGES, TEXTS, method)


def test_nothing_left_to_fit_on():
    source, target = paired(4)
    with pytest.raises(InvalidInputError, match=r"4 pairs in 1 groups leave 0 to fit on when 4 are held out"):
        fit_alignment(source, target, IMAGES, TEXTS, held_out=0.5, groups=["a"] * 4)
    with pytest.raises(InvalidInputError, match="leave 1 to fit on when 3 are held out"):
        fit_alignment(source, target, IMAGES, TEXTS, held_out=0.8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "rigde"}, "method='rigde' does not exist"),
        ({"method": "procrustes", "alphas": [1.0]}, "has no alphas"),
        ({"alphas": []}, "not numbers above 0"),
        ({"alphas": [1.0, 0.0]}, "not numbers above 0"),
        ({"alphas": [np.nan]}, "not numbers above 0"),
        ({"components": 3}, "has no components"),
        ({"method": "cca", "components": 0}, "components=0"),
        ({"held_out": 1.0}, "held_out=1.0"),
        ({"held_out": -0.1}, "held_out=-0.1"),
        ({"held_out": True}, "held_out=True"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    source, target = paired(10)
    with pytest.raises(InvalidOptionError, match=message):
        fit_alignment(source, target, IMAGES, TEXTS, **settings)
