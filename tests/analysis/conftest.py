"""Paired vectors whose sides are two views of the same hidden factors, and embedders that make such."""

from __future__ import annotations

import numpy as np
import pytest

from llm_multi_core.embedder import Modality, Space
from llm_multi_core.embedder.testing.fakes import FakeTextEncoder

IMAGES = Space("pictures", 24, modalities=frozenset({Modality.IMAGE}), label="pictures")
TEXTS = Space("captions", 16, label="captions")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def paired(count=200, source=24, target=16, factors=6, noise=0.01, seed=0, offset=1.0):
    """`(count, source)` and `(count, target)`: linear views of the same factors, each in a cone of its own."""
    views = np.random.default_rng(99)
    hidden = np.random.default_rng(seed).normal(size=(count, factors))
    sides = []
    for number, width in enumerate((source, target)):
        view, mean = views.normal(size=(factors, width)), views.normal(size=width) * offset
        errors = np.random.default_rng((seed, number)).normal(size=(count, width))
        sides.append((hidden @ view + mean + noise * errors).astype(np.float32))
    return tuple(sides)


class Factors(FakeTextEncoder):
    """Reads the hidden factors from a text of numbers and shows them in a view of the model's own."""

    def vectors(self, items, task):
        assert task.role == "document"
        dimension = self.describe().space.dimension
        view = np.random.default_rng(dimension).normal(size=(3, dimension))
        hidden = np.array([[float(word) for word in item.text.split()[:3]] for item in items])
        return (hidden @ view + 0.3).astype(np.float32)


@pytest.fixture
def two_embedders(make_embedder):
    """Embedders into 12 and into 8 dimensions that see the same three numbers in a text."""
    settings = {"roles": True}
    return (
        make_embedder(Factors, model="source", dimension=12, **settings),
        make_embedder(Factors, model="target", dimension=8, **settings),
    )


@pytest.fixture
def number_pairs():
    """Sixty pairs of equal texts of three numbers."""
    texts = [" ".join(f"{number:.3f}" for number in row) for row in np.random.default_rng(5).normal(size=(60, 3))]
    return list(zip(texts, texts, strict=True))
