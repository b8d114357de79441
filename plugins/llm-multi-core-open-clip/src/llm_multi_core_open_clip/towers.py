"""One tower of a CLIP model as a module of its own, from its inputs to vectors: what an engine runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def image_tower(model: Any) -> torch.nn.Module:
    """A module that computes what the `encode_image` of a model does, `(n, d)`.

    Args:
        model: as `load_clip` returns it.
    """
    return _tower(model.visual, trims=False)


def text_tower(model: Any) -> torch.nn.Module:
    """A module that computes what the `encode_text` of a model does, `(n, d)`.

    Where `sees_no_padding`, it also takes token ids without the padding that all of them have.

    Args:
        model: as `load_clip` returns it.
    """
    return _tower(model.text, trims=sees_no_padding(model))


def sound_tower(model: Any) -> torch.nn.Module:
    """A module that computes what the `encode_audio` of a model does, `(n, d)`.

    Args:
        model: a `CLAP` of open_clip 4.
    """
    import torch

    class Sounds(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower = model.audio
            self.projects = not model.audio.training_head

        def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
            if "mel_fusion" in inputs:  # none is longer than the window, of which it would see several pieces
                spectrograms = inputs["mel_fusion"]
                inputs = {**inputs, "longer": spectrograms.new_zeros(spectrograms.shape[0], dtype=torch.bool)}
            rows: torch.Tensor = self.tower(inputs, apply_proj=self.projects)
            return rows

    return Sounds().eval()


def sees_no_padding(model: Any) -> bool:
    """Whether the vector of a text is read at its end token and nothing before that sees what follows.

    So it is with OpenAI's text tower, and it computes the same vectors from fewer positions.
    """
    from open_clip.transformer import TextTransformer

    text = model.text
    return (
        type(text) is TextTransformer
        and text.attn_mask is not None
        and text.cls_emb is None
        and text.pool_type == "argmax"
    )


def _tower(tower: torch.nn.Module, *, trims: bool) -> torch.nn.Module:
    import torch

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower: Any = tower
            self.trims = trims

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            whole = self.tower.attn_mask if self.trims else None
            if whole is not None:  # called by one thread at a time
                self.tower.attn_mask = whole[: inputs.shape[1], : inputs.shape[1]]
            try:
                found = self.tower(inputs)
            finally:
                if whole is not None:
                    self.tower.attn_mask = whole
            # CoCa's towers give the tokens as well, for its captioner.
            rows: torch.Tensor = found[0] if isinstance(found, tuple) else found
            return rows

    return Tower().eval()
