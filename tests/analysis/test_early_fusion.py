"""Joined vectors: the cosine that is promised, missing parts, projections, files."""

import dataclasses
import pickle

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.decomposition import PCA

from llm_multi_core.embedder import (
    IncompatibleSpacesError,
    InvalidInputError,
    InvalidOptionError,
    Modality,
    ModelLoadError,
    Space,
)
from llm_multi_core.embedder.analysis import EarlyFusion, FusedPart, Projection, gaussian_projection, pca_projection

from .conftest import IMAGES, TEXTS, paired, unit

SPACES = {"image": IMAGES, "text": TEXTS}


@pytest.fixture
def fusion():
    return EarlyFusion.of(SPACES, {"text": 3})


@pytest.fixture
def vectors():
    images, texts = paired(30)
    return {"image": images, "text": texts}


def cosines(rows):
    rows = unit(rows.astype(np.float64))
    return rows @ rows.T


def test_the_cosine_is_the_weighted_mean_of_the_parts(fusion, vectors):
    joined = fusion.fuse(vectors)
    assert (joined.shape, joined.dtype) == ((30, 40), np.float32)
    assert fusion.dimension == 40
    expected = 0.25 * cosines(vectors["image"]) + 0.75 * cosines(vectors["text"])
    np.testing.assert_allclose(joined @ joined.T, expected, atol=1e-5)


def test_missing_parts(fusion, vectors):
    images = vectors["image"].copy()
    images[3] = np.nan  # what is not present may hold anything
    present = {"image": np.arange(30) != 3, "text": np.arange(30) != 5}
    joined = fusion.fuse(vectors | {"image": images}, present)
    np.testing.assert_allclose(np.linalg.norm(joined, axis=1), 1, atol=1e-6)
    assert not joined[3, :24].any()
    assert not joined[5, 24:].any()
    by_cosine = joined @ joined.T
    assert by_cosine[3, 5] == 0  # nothing in common
    expected = 0.75 * cosines(vectors["text"])[3, 0] / np.sqrt(0.75)
    assert by_cosine[3, 0] == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(joined[[0, 7]], fusion.fuse(vectors)[[0, 7]], atol=1e-7)


def test_a_part_that_nobody_has_may_be_left_out(fusion, vectors):
    joined = fusion.fuse({"text": vectors["text"]})
    np.testing.assert_allclose(joined[:, 24:], unit(vectors["text"]), atol=1e-6)
    assert not joined[:, :24].any()


def test_what_cannot_be_joined(fusion, vectors):
    with pytest.raises(InvalidOptionError, match="vectors names 'txet', which is no part; did you mean 'text'"):
        fusion.fuse({"txet": vectors["text"]})
    with pytest.raises(InvalidOptionError, match="present names 'sound', which is no part"):
        fusion.fuse(vectors, {"sound": np.ones(30, bool)})
    with pytest.raises(InvalidInputError, match="no vectors to join; give some of 'image', 'text'"):
        fusion.fuse({})
    with pytest.raises(InvalidInputError, match="30 of 'image', 29 of 'text'"):
        fusion.fuse(vectors | {"text": vectors["text"][:29]})
    with pytest.raises(InvalidInputError, match="input 4: no part is present"):
        fusion.fuse(vectors, dict.fromkeys(SPACES, np.arange(30) != 4))
    for flags in (np.ones(29, bool), np.ones(30)):
        with pytest.raises(InvalidInputError, match=r"present\['text'\] is not 30 booleans"):
            fusion.fuse(vectors, {"text": flags})
    with pytest.raises(IncompatibleSpacesError, match="text vector of 24 dimensions does not lie in captions"):
        fusion.fuse({"text": vectors["image"]})
    for values in (3.0, np.ones(30), np.array([["a"] * 16] * 30)):
        with pytest.raises(InvalidInputError, match="is not a matrix of text vectors"):
            fusion.fuse({"text": values})
    broken = vectors["text"].copy()
    broken[9] = np.nan
    with pytest.raises(InvalidInputError, match="input 9: the text vector is not finite") as caught:
        fusion.fuse(vectors | {"text": broken}, {"text": np.arange(30) > 6})
    assert caught.value.index == 9


def test_parts_that_cannot_be():
    with pytest.raises(InvalidOptionError, match="weights names 'txt', which is no part; did you mean 'text'"):
        EarlyFusion.of(SPACES, {"txt": 1})
    for weight in (0, -1, np.nan, np.inf):
        with pytest.raises(InvalidOptionError, match="of part 'text' is not a number above 0"):
            EarlyFusion.of(SPACES, {"text": weight})
    with pytest.raises(InvalidOptionError, match="one or more parts"):
        EarlyFusion.of({})
    with pytest.raises(InvalidOptionError, match="different names"):
        EarlyFusion((FusedPart("text", TEXTS, 1.0), FusedPart("text", IMAGES, 1.0)))
    with pytest.raises(InvalidOptionError, match="no dense vectors"):
        EarlyFusion.of({"text": Space("words", 9, output="sparse", score="dot")})
    with pytest.raises(InvalidOptionError, match="the projection takes 39 dimensions; the parts have 40"):
        EarlyFusion(EarlyFusion.of(SPACES).parts, gaussian_projection(39, 8))


def test_the_joined_space_is_one_of_its_own(fusion):
    space = fusion.space
    assert (space.dimension, space.label) == (40, "fusion of image + text")
    assert space.modalities == {Modality.IMAGE, Modality.TEXT}
    assert EarlyFusion.of(SPACES, {"image": 1, "text": 3}).space == space
    assert EarlyFusion.of(SPACES, {"image": 10, "text": 30}).space == space  # only the shares count
    others = [
        EarlyFusion.of(SPACES),
        EarlyFusion.of({"image": Space("others", 24), "text": TEXTS}, {"text": 3}),
        EarlyFusion.of(dict(reversed(SPACES.items())), {"text": 3}),
        fusion.with_random_projection(40),
        fusion.with_random_projection(40, seed=1),
    ]
    assert len({space.fingerprint, *(other.space.fingerprint for other in others)}) == 6


def test_principal_components_are_scikit_learns(fusion, vectors):
    projected = fusion.with_pca(5, vectors)
    joined = fusion.fuse(vectors).astype(np.float64)
    model = PCA(5, svd_solver="full").fit(joined)
    np.testing.assert_allclose(projected.projection.matrix, model.components_.T, atol=1e-4)
    np.testing.assert_allclose(projected.fuse(vectors), unit(model.transform(joined)), atol=1e-4)
    assert projected.dimension == projected.space.dimension == 5
    with pytest.raises(InvalidOptionError, match="30 vectors of 40 dimensions span 29 about their mean, not 30"):
        fusion.with_pca(30, vectors)
    with pytest.raises(InvalidOptionError, match="span 0"):
        pca_projection(np.empty((0, 4)), 1)


def test_a_random_projection_keeps_cosines_about_as_they_are(fusion, vectors):
    joined, projected = fusion.fuse(vectors), fusion.with_random_projection(2000, seed=7).fuse(vectors)
    error = np.abs(projected @ projected.T - joined @ joined.T)
    assert 0 < error.max() < 4 / 2000**0.5
    again = fusion.with_random_projection(2000, seed=7)
    np.testing.assert_array_equal(again.fuse(vectors), projected)
    assert gaussian_projection(400, 500).matrix.var() == pytest.approx(1 / 500, rel=0.02)


@pytest.mark.parametrize("dimension", [0, -3, 2.0, True])
def test_dimensions_that_cannot_be(fusion, vectors, dimension):
    for call in (fusion.with_random_projection, lambda d: fusion.with_pca(d, vectors)):
        with pytest.raises(InvalidOptionError, match=f"dimension={dimension!r} is not a positive"):
            call(dimension)


def test_a_vector_that_is_projected_to_zero(vectors):
    flat = EarlyFusion.of(SPACES)
    flat = dataclasses.replace(flat, projection=Projection(np.zeros((40, 2)), np.zeros(40), "gaussian"))
    with pytest.raises(InvalidInputError, match="input 0: the joined vector is projected to zero"):
        flat.fuse(vectors)


@pytest.mark.parametrize("kind", ["plain", "pca", "gaussian"])
def test_a_file_brings_it_back(fusion, vectors, tmp_path, kind):
    if kind == "pca":
        fusion = fusion.with_pca(6, vectors)
    if kind == "gaussian":
        fusion = fusion.with_random_projection(6)
    fusion.save(tmp_path / "fusion.safetensors")
    loaded = EarlyFusion.load(tmp_path / "fusion.safetensors")
    assert loaded.parts == fusion.parts
    assert loaded.space == fusion.space
    for copied in (loaded, pickle.loads(pickle.dumps(fusion))):
        np.testing.assert_array_equal(copied.fuse(vectors), fusion.fuse(vectors))
        if copied.projection is not None:
            assert copied.projection.method == kind
            with pytest.raises(ValueError, match="read-only"):
                copied.projection.matrix[0, 0] = 1


def test_an_altered_file_is_refused(fusion, tmp_path):
    path = tmp_path / "fusion.safetensors"
    fusion.with_random_projection(6).save(path)
    with safe_open(path, framework="numpy") as file:
        metadata, arrays = file.metadata(), {name: file.get_tensor(name).copy() for name in file.keys()}  # noqa: SIM118
    arrays["matrix"][0, 0] += 1
    save_file(arrays, path, metadata)
    with pytest.raises(ModelLoadError, match="damaged or altered"):
        EarlyFusion.load(path)
    from llm_multi_core.embedder.analysis import Alignment

    EarlyFusion.of(SPACES).save(path)
    with pytest.raises(ModelLoadError, match=r"holds 'early fusion'.*not 'alignment'"):
        Alignment.load(path)


def test_no_documents(fusion, vectors):
    assert fusion.fuse({name: rows[:0] for name, rows in vectors.items()}).shape == (0, 40)
    assert fusion.with_random_projection(3).fuse({"text": vectors["text"][:0]}).shape == (0, 3)


def test_a_projection_whose_parts_do_not_fit():
    with pytest.raises(InvalidOptionError, match=r"shape \(3, 2\) does not go with an offset of shape \(2,\)"):
        Projection(np.zeros((3, 2)), np.zeros(2), "pca")
