"""A linear map fitted from paired examples that carries one vector space into another.

`value` is the map, `solvers` find it, `pairs` keep related pairs on one side of a split, and `fitting`
puts these together.
"""

from llm_multi_core.embedder.analysis.alignment.fitting import fit_alignment
from llm_multi_core.embedder.analysis.alignment.value import Alignment, AlignmentMethod, AlignmentScore

__all__ = ["Alignment", "AlignmentMethod", "AlignmentScore", "fit_alignment"]
