"""Cross-attention fusion: the token and patch vectors of two modalities become one vector, by training.

Needs torch (`pip install "llm-multi-core[fusion]"`), which importing this module loads.
"""

from __future__ import annotations

from llm_multi_core.embedder.errors import InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.libraries import require

require("torch", "fusion", "fusion by attention cannot be computed")

import torch  # noqa: E402 - its lack is told by the line above
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402


class CrossAttentionFusion(nn.Module):
    """Fuses the vectors of two modalities, such as a text's tokens and a picture's patches, into one.

    Both sides are projected to a common width. Each attends to the other with multi-head attention
    (Vaswani et al., 2017; in both directions as in ViLBERT, Lu et al., 2019), followed by a residual,
    layer normalisation and a feed-forward layer. The means over each side's own vectors are concatenated,
    projected, and brought to length 1. A side may be missing: all of its mask is then `False`, and it
    neither is attended to nor has a part in the result.

    It is random until it is trained, such as with pairs of which one side's fused vector is to find the
    other's:

        >>> import torch
        >>> from llm_multi_core.embedder.analysis.fusion.attention import CrossAttentionFusion, info_nce
        >>> fusion = CrossAttentionFusion((8, 12), dimension=16, width=32, heads=4)
        >>> documents = torch.randn(4, 5, 8), torch.randn(4, 9, 12)   # tokens, patches
        >>> queries = torch.nn.functional.normalize(torch.randn(4, 16), dim=-1)   # one for each document
        >>> optimizer = torch.optim.AdamW(fusion.parameters(), lr=1e-3)
        >>> for _ in range(3):
        ...     loss = info_nce(queries, fusion(*documents))
        ...     optimizer.zero_grad()
        ...     loss.backward()
        ...     optimizer.step()
        >>> fusion(*documents).shape
        torch.Size([4, 16])

    Args:
        inputs: components of a vector of the first and of the second modality.
        dimension: components of the fused vector.
        width: components in between; a multiple of `heads`.
        heads: attention heads.
        dropout: share of activations dropped in training, from 0 to below 1.
        seed: of the initial weights; torch's own random state is left as it is.

    Raises:
        InvalidOptionError: for sizes that do not fit.
    """

    def __init__(
        self,
        inputs: tuple[int, int],
        dimension: int,
        *,
        width: int = 256,
        heads: int = 4,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if min(*inputs, dimension, width, heads) < 1 or width % heads:
            raise InvalidOptionError(
                f"inputs={inputs}, dimension={dimension}, width={width} and heads={heads} must be at least 1, and "
                "width a multiple of heads"
            )
        if not 0 <= dropout < 1:
            raise InvalidOptionError(f"dropout={dropout} is not a share from 0 to below 1")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = _Side(inputs[0], width, heads, dropout)
            self.second = _Side(inputs[1], width, heads, dropout)
            self.output = nn.Linear(2 * width, dimension)

    def forward(
        self,
        first: Tensor,
        second: Tensor,
        first_mask: Tensor | None = None,
        second_mask: Tensor | None = None,
    ) -> Tensor:
        """The fused vectors.

        Args:
            first: `(n, t, d_1)`.
            second: `(n, p, d_2)`.
            first_mask: `(n, t)` of booleans, `True` for a vector and `False` for padding.
            second_mask: `(n, p)`, likewise.

        Returns:
            `(n, dimension)`, of length 1.

        Raises:
            InvalidInputError: if shapes do not fit, or naming a document with no vector on either side.
        """
        left_mask, right_mask = _checked_mask(first, first_mask, "first"), _checked_mask(second, second_mask, "second")
        if len(first) != len(second):
            raise InvalidInputError(f"{len(first)} documents on the first side and {len(second)} on the second")
        empty = ~(left_mask.any(dim=1) | right_mask.any(dim=1))
        if empty.any():
            raise InvalidInputError("the document has no vectors", index=int(empty.int().argmax()))
        # Padding may hold anything, NaN included, which no weight of zero would undo.
        left = self.first.project(first.masked_fill(~left_mask[..., None], 0.0))
        right = self.second.project(second.masked_fill(~right_mask[..., None], 0.0))
        pooled = (
            self.first(left, left_mask, right, right_mask),
            self.second(right, right_mask, left, left_mask),
        )
        return functional.normalize(self.output(torch.cat(pooled, dim=-1)), dim=-1)


class _Side(nn.Module):
    """One modality: its projection, its attention to the other one, and its mean."""

    def __init__(self, inputs: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, width)
        # With a zero vector to attend to, so that attention to a side that is missing is zero and not NaN.
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True, add_zero_attn=True)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.output_norm = nn.LayerNorm(width)

    def forward(self, own: Tensor, own_mask: Tensor, other: Tensor, other_mask: Tensor) -> Tensor:
        """`(n, width)` from `(n, t, width)` and `(n, p, width)`; zero where this side is missing."""
        attended, _ = self.attention(own, other, other, key_padding_mask=~other_mask, need_weights=False)
        hidden = self.attention_norm(own + attended)
        hidden = self.output_norm(hidden + self.feed_forward(hidden))
        kept = hidden.masked_fill(~own_mask[..., None], 0.0)
        mean: Tensor = kept.sum(dim=1) / own_mask.sum(dim=1, keepdim=True).clamp(min=1)
        return mean


def info_nce(queries: Tensor, documents: Tensor, temperature: float = 0.07) -> Tensor:
    """The symmetric InfoNCE loss of pairs in a batch (van den Oord et al., 2018; Radford et al., 2021).

    Each query is to find the document of its own row among all of the batch, and the reverse.

    Args:
        queries: `(n, d)`, of length 1.
        documents: `(n, d)`, of length 1.
        temperature: what cosines are divided by, above 0.

    Returns:
        A scalar; `log(n)` for vectors that tell nothing.
    """
    cosines = queries @ documents.T / temperature
    own = torch.arange(len(queries), device=queries.device)
    return (functional.cross_entropy(cosines, own) + functional.cross_entropy(cosines.T, own)) / 2


def _checked_mask(vectors: Tensor, mask: Tensor | None, side: str) -> Tensor:
    if vectors.ndim != 3:
        raise InvalidInputError(f"the {side} side has the shape {tuple(vectors.shape)}, not (n, vectors, d)")
    if mask is None:
        return torch.ones(vectors.shape[:2], dtype=torch.bool, device=vectors.device)
    if mask.dtype != torch.bool or mask.shape != vectors.shape[:2]:
        raise InvalidInputError(
            f"the {side} mask is {mask.dtype} of shape {tuple(mask.shape)}; it must be booleans "
            f"of shape {tuple(vectors.shape[:2])}"
        )
    return mask
