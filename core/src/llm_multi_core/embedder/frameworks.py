"""`FrameworkSpec`: what a plugin says about a framework, as pure data.

Nothing here imports the framework, or pluggy: the host reads these to list, check and refuse
without loading anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any

from llm_multi_core.embedder.credentials import Credentials
from llm_multi_core.embedder.errors import InvalidOptionError
from llm_multi_core.embedder.items import Modality

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")

FACTORY_PARAMETERS = frozenset(
    {
        "allow_urls",
        "api_key",
        "batch_size",
        "cache",
        "device",
        "dimensions",
        "force_dimensions",
        "framework",
        "host",
        "model",
        "normalize",
        "precision",
        "truncation",
    }
)
"""What the factories take themselves, so that an option of such a name would never reach its framework."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`", did you mean 'x'?"` for a close name among `known`, else nothing."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """One option of a framework, beyond those that every embedder takes.

    Attributes:
        name: the keyword.
        type: the type of its value, or a tuple of types.
        default: the value when it is not given; always allowed, whatever `type` says.
        affects_space: whether it changes which vectors come out, so that it enters the space's
            fingerprint (pooling does, a folder for downloads does not).
        choices: the allowed values, if they are few.
        summary: one line for listings.
    """

    name: str
    type: type | tuple[type, ...] = str
    default: Any = None
    affects_space: bool = False
    choices: tuple[Any, ...] = ()
    summary: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"option name {self.name!r} is not an identifier")

    def check(self, value: Any, framework: str) -> Any:
        """`value`, if it is allowed.

        Raises:
            InvalidOptionError: naming the framework, the option and what it takes.
        """
        types = self.type if isinstance(self.type, tuple) else (self.type,)
        if type(value) is type(self.default) and value == self.default:
            return value
        # bool is an int to Python, not to a reader of batch_size=True.
        fits = isinstance(value, types) and not (isinstance(value, bool) and bool not in types)
        if not fits and float in types and isinstance(value, int) and not isinstance(value, bool):
            fits, value = True, float(value)
        if not fits:
            wanted = " or ".join(kind.__name__ for kind in types if kind is not NoneType)
            raise InvalidOptionError(
                f"{self.name}= of framework {framework!r} takes {wanted}, not {type(value).__name__}"
            )
        if self.choices and value not in self.choices:
            allowed = ", ".join(repr(choice) for choice in self.choices)
            raise InvalidOptionError(f"{self.name}={value!r} of framework {framework!r} is not one of {allowed}")
        return value


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a plugin knows of one well-known model, for listings; other models work as well.

    Attributes:
        name: what users pass as `model`.
        modalities: what it embeds.
        dimension: components of a vector, if known.
        dimensions: sizes that it may be cut to or offers, beside `dimension`.
        max_units: the longest input, in `unit`s.
        unit: what is counted.
        trust_remote_code: whether it runs code of its own and so needs to be allowed to.
        note: one line of what else to know (prompts, licence).
        source: where that is written: the model card, the paper or the price list.
        price: US dollars per million units of a hosted model, when the catalogue was written.
    """

    name: str
    modalities: tuple[Modality, ...]
    dimension: int | None = None
    dimensions: tuple[int, ...] = ()
    max_units: int | None = None
    unit: str = "token"
    trust_remote_code: bool = False
    note: str = ""
    source: str = ""
    price: float | None = None


@dataclass(frozen=True, slots=True)
class FrameworkSpec:
    """One framework that a plugin offers.

    Attributes:
        name: what users pass, in lower case with hyphens: `"sentence-transformers"`.
        modalities: what it can embed.
        target: `"package.module:EncoderClass"`, imported only when an embedder is made; empty for a
            framework that only describes.
        requires: PEP 508 strings of what must be installed beside the plugin itself.
        default_model: the model that is used when none is named, per modality.
        options: the options it takes beyond the common ones.
        joint: whether the default model embeds its modalities into one space.
        hosted: whether inputs leave this machine.
        credentials: how a hosted framework finds its key.
        summary: one line for listings.
        models: the catalogue of well-known models.
        bridge: modalities that are turned into text, with how (`{"image": "caption"}`).
        describer: `"package.module:DescriberClass"` of a framework that turns the media of `bridge` into
            text, for any text embedder to embed.
    """

    name: str
    modalities: tuple[Modality, ...]
    target: str = ""
    requires: tuple[str, ...] = ()
    default_model: Mapping[Modality, str] = field(default_factory=dict)
    options: tuple[OptionSpec, ...] = ()
    joint: bool = False
    hosted: bool = False
    credentials: Credentials | None = None
    summary: str = ""
    bridge: Mapping[Modality, str] = field(default_factory=dict)
    models: tuple[ModelSpec, ...] = ()
    describer: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"framework name {self.name!r} is not lower-case words joined by hyphens")
        self._check_classes()
        if not self.modalities:
            raise ValueError(f"framework {self.name!r} offers no modality")
        for name in ("requires", "options", "modalities", "models"):
            if isinstance(getattr(self, name), str):
                raise TypeError(f"{name} of framework {self.name!r} is a string, not a tuple")
        object.__setattr__(self, "modalities", tuple(Modality(name) for name in self.modalities))
        object.__setattr__(self, "requires", tuple(self.requires))
        object.__setattr__(self, "options", tuple(self.options))
        object.__setattr__(self, "models", tuple(self.models))
        for name in ("default_model", "bridge"):
            by_modality = {Modality(key): value for key, value in getattr(self, name).items()}
            object.__setattr__(self, name, by_modality)
        if len({option.name for option in self.options}) < len(self.options):
            raise ValueError(f"framework {self.name!r} declares an option twice")
        if taken := sorted(FACTORY_PARAMETERS & {option.name for option in self.options}):
            raise ValueError(
                f"framework {self.name!r} declares the option {taken[0]!r}, which is a parameter of every factory; "
                "call it something else"
            )
        if self.hosted and self.credentials is None:
            raise ValueError(f"hosted framework {self.name!r} declares no credentials")

    def _check_classes(self) -> None:
        for name, entry in (("target", self.target), ("describer", self.describer)):
            if entry and not _TARGET.fullmatch(entry):
                raise ValueError(f"{name} {entry!r} of framework {self.name!r} is not 'package.module:Class'")
        if not self.target and not self.describer:
            raise ValueError(f"framework {self.name!r} has neither a target nor a describer")
        if self.describer and not self.bridge:
            raise ValueError(f"framework {self.name!r} has a describer and does not say in bridge= what it describes")

    def check_options(self, given: Mapping[str, Any], common: tuple[str, ...] = ()) -> dict[str, Any]:
        """All options of this framework with their values: the given ones, else the defaults.

        Args:
            given: what the user passed.
            common: names of settings that every embedder takes, for the suggestion.

        Raises:
            InvalidOptionError: for a name that it does not take, with the nearest one, or a value
                of the wrong type.
        """
        specs = {option.name: option for option in self.options}
        for name in given:
            if name not in specs:
                takes = ", ".join(sorted(specs)) or "none"
                raise InvalidOptionError(
                    f"framework {self.name!r} has no option {name!r}{nearest(name, (*specs, *common))} "
                    f"(its options: {takes})"
                )
        return {name: option.check(given.get(name, option.default), self.name) for name, option in specs.items()}


@dataclass(frozen=True, slots=True)
class Offer:
    """A framework as one installed distribution offers it."""

    spec: FrameworkSpec
    distribution: str
    version: str

    @property
    def qualified_name(self) -> str:
        """`"distribution/name"`, which always picks this offer."""
        return f"{self.distribution}/{self.spec.name}"
