"""What is done with vectors once they are made.

The public names; each is imported when it is first asked for, so that this package costs nothing to
import, and needs scikit-learn, scipy, safetensors or torch only where they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_multi_core.embedder.analysis.alignment import (
        Alignment,
        AlignmentMethod,
        AlignmentScore,
        fit_alignment,
    )
    from llm_multi_core.embedder.analysis.calibration import ModalityCalibration, ScoreStatistics, mean_centered
    from llm_multi_core.embedder.analysis.fusion import (
        EarlyFusion,
        FusedPart,
        Projection,
        fuse_scores,
        gaussian_projection,
        pca_projection,
        reciprocal_rank_fusion,
    )
    from llm_multi_core.embedder.analysis.fusion.attention import CrossAttentionFusion, info_nce
    from llm_multi_core.embedder.analysis.fusion.late import fused_scores, normalized_scores, reciprocal_ranks
    from llm_multi_core.embedder.analysis.quotas import Hit, merge_with_quotas
    from llm_multi_core.embedder.analysis.retrieval import (
        median_rank,
        mrr,
        ndcg,
        ranks_in,
        ranks_of,
        recall_at_k,
        top_k,
    )
    from llm_multi_core.embedder.analysis.similarity import cosine_similarity

_MODULES = {
    "alignment": ("Alignment", "AlignmentMethod", "AlignmentScore", "fit_alignment"),
    "calibration": ("ModalityCalibration", "ScoreStatistics", "mean_centered"),
    "fusion.attention": ("CrossAttentionFusion", "info_nce"),
    "fusion.early": ("EarlyFusion", "FusedPart"),
    "fusion.late": (
        "fuse_scores",
        "fused_scores",
        "normalized_scores",
        "reciprocal_rank_fusion",
        "reciprocal_ranks",
    ),
    "fusion.projection": ("Projection", "gaussian_projection", "pca_projection"),
    "quotas": ("Hit", "merge_with_quotas"),
    "retrieval": ("median_rank", "mrr", "ndcg", "ranks_in", "ranks_of", "recall_at_k", "top_k"),
    "similarity": ("cosine_similarity",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Alignment",
    "AlignmentMethod",
    "AlignmentScore",
    "CrossAttentionFusion",
    "EarlyFusion",
    "FusedPart",
    "Hit",
    "ModalityCalibration",
    "Projection",
    "ScoreStatistics",
    "cosine_similarity",
    "fit_alignment",
    "fuse_scores",
    "fused_scores",
    "gaussian_projection",
    "info_nce",
    "mean_centered",
    "median_rank",
    "merge_with_quotas",
    "mrr",
    "ndcg",
    "normalized_scores",
    "pca_projection",
    "ranks_in",
    "ranks_of",
    "recall_at_k",
    "reciprocal_rank_fusion",
    "reciprocal_ranks",
    "top_k",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
