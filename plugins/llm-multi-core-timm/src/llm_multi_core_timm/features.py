"""A model and what is extracted from it as one module, so that an engine converts no more than that."""

from __future__ import annotations

from typing import Any

import torch

from llm_multi_core_timm.extraction import extract


class Features(torch.nn.Module):
    """The vectors of a batch.

    Args:
        model: a model of timm's.
        extraction: what to extract, as in `extraction`.
        levels: how many stages `multi-level` takes.
    """

    def __init__(self, model: Any, extraction: str, levels: int) -> None:
        super().__init__()
        self.model = model
        self.extraction = extraction
        self.levels = levels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Rows `(n, d)` for preprocessed images `(n, channels, height, width)`."""
        return extract(self.model, images, self.extraction, self.levels)
