"""Handing the transformers within a sentence-transformers model to another engine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

_TEXT = "text"


@dataclass(slots=True)
class _Target:
    """A transformer, the method by which texts go through it, and the calls of it that were seen."""

    backbone: torch.nn.Module
    method: str
    for_media: bool
    calls: list[dict[str, Any]] = field(default_factory=list)

    @property
    def uniform(self) -> bool:
        """Whether all that it will ever be called with is as in the first call."""
        return not self.for_media and all(_kind(call) == _kind(self.calls[0]) for call in self.calls)


def accelerate_transformers(
    model: SentenceTransformer,
    probes: Iterable[tuple[Mapping[str, Any], str | None]],
    accelerate: Callable[[torch.nn.Module, Mapping[str, Any]], Callable[..., Any]],
) -> None:
    """Let `accelerate` take over the transformers of a loaded model, in place.

    Everything around them (pooling, projections, routes) stays as it is. What a transformer computes
    for other arguments than texts bring, such as images, stays with torch.

    Args:
        model: the model.
        probes: features of a batch of texts of different lengths, with the model's task, for each way
            in which texts are treated.
        accelerate: as `TorchEncoder.accelerate`.
    """
    import torch

    targets = list(_targets(model))
    with _recorded(targets), torch.no_grad():
        for features, task in probes:
            model(dict(features), **({} if task is None else {"task": task}))
    for target in targets:
        if not target.calls:
            continue
        module = _method_module(target.backbone, target.method)
        fast = accelerate(module, target.calls[0])
        if fast is module:
            continue
        if target.uniform:
            setattr(target.backbone, target.method, fast)
            target.backbone.to("meta")  # its weights are not needed any more
        else:
            own = getattr(target.backbone, target.method)
            setattr(target.backbone, target.method, _where_it_fits(fast, own, target.calls[0]))


def _targets(model: SentenceTransformer) -> Iterator[_Target]:
    from sentence_transformers.base.modules import Transformer

    seen = set()
    for part in model.modules():
        if not isinstance(part, Transformer) or _TEXT not in part.modality_config:
            continue
        method = part.modality_config[_TEXT]["method"]
        if (id(part.model), method) not in seen:
            seen.add((id(part.model), method))
            yield _Target(part.model, method, for_media=len(part.modality_config) > 1)


@contextmanager
def _recorded(targets: Iterable[_Target]) -> Iterator[None]:
    """Note how the targets are called."""
    before = []
    for target in targets:
        own = getattr(target.backbone, target.method)
        before.append((target, vars(target.backbone).get(target.method)))
        setattr(target.backbone, target.method, _noting(own, target.calls))
    try:
        yield
    finally:
        for target, own_attribute in before:
            delattr(target.backbone, target.method)
            if own_attribute is not None:
                setattr(target.backbone, target.method, own_attribute)


def _noting(method: Callable[..., Any], calls: list[dict[str, Any]]) -> Callable[..., Any]:
    @functools.wraps(method)  # its signature is looked at
    def noting(**keywords: Any) -> Any:
        calls.append(keywords)
        return method(**keywords)

    return noting


def _where_it_fits(fast: Callable[..., Any], own: Callable[..., Any], call: Mapping[str, Any]) -> Callable[..., Any]:
    """`fast` for arguments like those of the call, else the model's own method."""
    kind = _kind(call)

    @functools.wraps(own)
    def either(**keywords: Any) -> Any:
        return fast(**keywords) if _kind(keywords) == kind else own(**keywords)

    return either


def _kind(call: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    return {
        name: (value.dtype, value.ndim) if isinstance(value, torch.Tensor) else repr(value)
        for name, value in call.items()
    }


def _method_module(backbone: torch.nn.Module, method: str) -> torch.nn.Module:
    """A module whose call is the method of another."""
    import torch

    class Method(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone
            self.method = method
            self.eval()

        def forward(self, **keywords: Any) -> Any:
            return getattr(self.backbone, self.method)(**keywords)

    return Method()
