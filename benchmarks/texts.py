"""Texts to embed, of mixed length as chunks of documents are; always the same ones."""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from documents import DOCUMENTS


def sample_texts(count: int) -> list[str]:
    """Texts of one to six paragraphs, the same ones each time."""
    chooser = random.Random(7)
    documents = list(DOCUMENTS.values())
    texts = []
    for number in range(count):
        sentences = chooser.choices(documents, k=chooser.choice([1, 1, 1, 2, 2, 3, 4, 6]))
        texts.append(f"Note {number}. " + " ".join(sentences))
    return texts
