"""One vector, or one ranking, for documents that have several modalities.

Early fusion (`early`) joins vectors before they are indexed, late fusion (`late`) joins the results of
several indexes, and `attention` learns to join the token and patch vectors of two models. That last one
needs torch, and is imported from its own module only.
"""

from llm_multi_core.embedder.analysis.fusion.early import EarlyFusion, FusedPart
from llm_multi_core.embedder.analysis.fusion.late import fuse_scores, reciprocal_rank_fusion
from llm_multi_core.embedder.analysis.fusion.projection import Projection, gaussian_projection, pca_projection

__all__ = [
    "EarlyFusion",
    "FusedPart",
    "Projection",
    "fuse_scores",
    "gaussian_projection",
    "pca_projection",
    "reciprocal_rank_fusion",
]
