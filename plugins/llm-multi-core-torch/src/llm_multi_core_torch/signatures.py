"""What goes into a module and comes out of it, as flat sequences of tensors, which is all that OpenVINO knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

if TYPE_CHECKING:
    import torch

Example: TypeAlias = "torch.Tensor | Sequence[torch.Tensor] | Mapping[str, Any]"
"""Arguments of a call: one tensor, several positional ones, or keywords."""

Structure: TypeAlias = Any
"""How tensors were nested, as JSON data: the place of a tensor in the flat sequence, `None`, a list
(`{"list": [...]}`) or a mapping (`{"dict": {...}}`)."""


class Outputs(dict[str, Any]):
    """Named outputs by name, as attributes, or by position, as those of transformers."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getitem__(name)
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, name: str | int | slice) -> Any:
        return super().__getitem__(name) if isinstance(name, str) else tuple(self.values())[name]


@dataclass(frozen=True, slots=True)
class Signature:
    """The arguments that a module is converted for.

    Attributes:
        names: of the tensors, in their order; positional ones have none.
        shapes: theirs, -1 where lengths differ between calls.
        dtypes: theirs, by name.
        constants: the other keywords.
    """

    names: tuple[str | None, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    constants: Mapping[str, Any]

    @classmethod
    def of(cls, example: Example, dynamic: Mapping[str | int, Sequence[int]] | None = None) -> Self:
        """The signature of calls like the example.

        Args:
            example: arguments of a call.
            dynamic: by argument, the axes whose length differs between calls.

        Raises:
            ValueError: for an example without tensors.
        """
        tensors, names, constants = _arguments(example)
        if not tensors:
            raise ValueError("the example has no tensors")
        shapes = []
        for place, (name, tensor) in enumerate(zip(names, tensors, strict=True)):
            free = (dynamic or {}).get(place if name is None else name, range(2) if tensor.ndim == 2 else (0,))
            shapes.append(tuple(-1 if axis in free else length for axis, length in enumerate(tensor.shape)))
        return cls(names, tuple(shapes), tuple(_dtype_name(tensor) for tensor in tensors), constants)

    @property
    def as_json(self) -> Any:
        """What tells it from others."""
        constants = {name: repr(value) for name, value in sorted(self.constants.items())}
        return [self.names, self.shapes, self.dtypes, constants]

    def tensors(self, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> list[torch.Tensor]:
        """The tensors of a call, in the order of `names`, on the CPU, in the types of the example.

        Raises:
            TypeError: if the call is not like the example.
        """
        import torch

        given, names, constants = _arguments(keywords or arguments)
        by_name = dict(zip(names, given, strict=True)) if keywords else {}
        if (arguments and keywords) or constants != self.constants or len(given) != len(self.names):
            raise TypeError(f"converted for a call with {self._arguments}, not for {_described(arguments, keywords)}")
        ordered = []
        for place, (name, shape, dtype) in enumerate(zip(self.names, self.shapes, self.dtypes, strict=True)):
            tensor = given[place] if name is None else by_name.get(name)
            if tensor is None or (name is None) != (not keywords):
                raise TypeError(
                    f"converted for a call with {self._arguments}, not for {_described(arguments, keywords)}"
                )
            fits = tensor.ndim == len(shape) and all(a in {-1, b} for a, b in zip(shape, tensor.shape, strict=True))
            if not fits:
                raise TypeError(f"{name or f'argument {place}'} is of shape {tuple(tensor.shape)}, not {shape}")
            ordered.append(tensor.detach().to("cpu", getattr(torch, dtype)).contiguous())
        return ordered

    @property
    def _arguments(self) -> str:
        return ", ".join(name or "a tensor" for name in (*self.names, *self.constants))

    def variants(self, tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
        """Arguments of other sizes: a batch of one, a larger batch of longer inputs, one of shorter inputs."""
        yield [self._resized(place, tensor, 1, None) for place, tensor in enumerate(tensors)]
        for numerator, denominator in ((3, 2), (2, 3)):
            yield [
                self._resized(place, tensor, 3 * tensor.shape[0] if tensor.ndim else 1, (numerator, denominator))
                for place, tensor in enumerate(tensors)
            ]

    def _resized(self, place: int, tensor: torch.Tensor, rows: int, ratio: tuple[int, int] | None) -> torch.Tensor:
        import torch

        for axis, free in enumerate(self.shapes[place]):
            length = tensor.shape[axis]
            if free != -1 or length == 0 or (axis > 0 and ratio is None):
                continue
            wanted = rows if axis == 0 or ratio is None else max(1, length * ratio[0] // ratio[1])
            tensor = tensor.index_select(axis, torch.arange(wanted) % length)
        return tensor


def flatten(value: Any) -> tuple[list[torch.Tensor], Structure]:
    """The tensors in a module's output, with how they were nested.

    What is neither a tensor nor a container of tensors, such as a decoder's cache, is left out.

    Raises:
        ValueError: if there are none.
    """
    flat: list[torch.Tensor] = []
    structure = _flatten(value, flat)
    if not flat:
        raise ValueError(f"an output of type {type(value).__name__} has no tensors")
    return flat, structure


def unflatten(structure: Structure, flat: Sequence[Any]) -> Any:
    """The output that `flatten` took apart."""
    if structure is None:
        return None
    if isinstance(structure, int):
        return flat[structure]
    if "list" in structure:
        return tuple(unflatten(entry, flat) for entry in structure["list"])
    return Outputs({name: unflatten(entry, flat) for name, entry in structure["dict"].items()})


def _flatten(value: Any, flat: list[torch.Tensor]) -> Structure:
    import torch

    if isinstance(value, torch.Tensor):
        flat.append(value)
        return len(flat) - 1
    if isinstance(value, Mapping):
        entries = {str(name): _flatten(entry, flat) for name, entry in value.items()}
        return {"dict": {name: entry for name, entry in entries.items() if entry is not None}}
    if isinstance(value, list | tuple):
        return {"list": [_flatten(entry, flat) for entry in value]}
    return None


def _arguments(
    example: Example,
) -> tuple[list[torch.Tensor], tuple[str | None, ...], dict[str, Any]]:
    """The tensors of a call, their names, and the other keywords."""
    import torch

    if isinstance(example, torch.Tensor):
        return [example], (None,), {}
    if isinstance(example, Mapping):
        tensors = {name: value for name, value in example.items() if isinstance(value, torch.Tensor)}
        return list(tensors.values()), tuple(tensors), {n: v for n, v in example.items() if n not in tensors}
    if not all(isinstance(value, torch.Tensor) for value in example):
        raise TypeError("positional arguments are to be tensors")
    return list(example), (None,) * len(example), {}


def _described(arguments: Sequence[Any], keywords: Mapping[str, Any]) -> str:
    return ", ".join([*("a tensor" for _ in arguments), *keywords]) or "nothing"


def _dtype_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
