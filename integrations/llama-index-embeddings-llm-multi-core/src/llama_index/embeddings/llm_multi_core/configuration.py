"""Settings of a multimodal embedding as plain data, from whatever users pass; none of it holds a key."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder import Bridge, IncompatibleSpacesError, InvalidOptionError, Modality, MultiModalEmbedder

if TYPE_CHECKING:
    from llm_multi_core.embedder.analysis import Alignment

_ELSEWHERE = {
    "api_key": "pass api_key={framework: key} beside it",
    "cache": "pass cache= beside it, for all modalities",
    "host": "plugins are looked up in one place",
    "framework": "name it as text_framework=, image_framework= or audio_framework=",
}
"""Settings of an embedder that are not for one modality here, and why."""


def modality_settings(**apart: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """The settings that single modalities have, sorted, so that equal ones print the same.

    Raises:
        InvalidOptionError: for what is no mapping, or a setting that belongs elsewhere.
    """
    settings: dict[str, dict[str, Any]] = {}
    for modality, own in apart.items():
        if own is not None and (not isinstance(own, Mapping) or not all(isinstance(name, str) for name in own)):
            raise InvalidOptionError(f"{modality}= takes a mapping of names to values, not {type(own).__name__}")
        settings[modality] = dict(sorted((own or {}).items()))
        for name in settings[modality].keys() & _ELSEWHERE.keys():
            raise InvalidOptionError(f"{modality}= does not take {name!r}: {_ELSEWHERE[name]}")
    return settings


def alignments_of(given: Any) -> tuple[list[Alignment], list[dict[str, str | None]]]:
    """The alignments that were passed, and what is kept of them: their fingerprints and their files' paths.

    Args:
        given: an `Alignment`, the path of a saved one, what this kept of one, or a list of these.

    Raises:
        InvalidOptionError: for anything else, and for what was kept of one that has no file.
        IncompatibleSpacesError: if the file now holds another map.
        ModelLoadError: if a file cannot be read.
    """
    if given is None:
        return [], []
    values: Sequence[Any] = given if isinstance(given, list | tuple) else [given]
    maps: list[Alignment] = []
    kept: list[dict[str, str | None]] = []
    for value in values:
        path, expected = _file_of(value)
        found = _load(path) if path is not None else value
        if not all(hasattr(found, name) for name in ("source", "target", "apply", "fingerprint")):
            raise InvalidOptionError(f"alignment= takes an Alignment, a path or several, not {type(value).__name__}")
        if expected is not None and found.fingerprint != expected:
            raise IncompatibleSpacesError(
                f"{path!r} no longer holds the alignment with fingerprint {expected} but one with {found.fingerprint}, "
                "which makes other vectors. Put the old one back, or embed everything again with a new embedding."
            )
        maps.append(found)
        kept.append({"fingerprint": found.fingerprint, "path": path})
    return maps, kept


def bridge_settings(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is kept of the bridges that were passed: names of frameworks, and of others how they are called.

    Raises:
        InvalidOptionError: for what was kept of a bridge that is no framework's.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidOptionError("bridge= takes a mapping by modality: {'image': 'caption', 'audio': 'transcript'}")
    return {str(modality): _bridge_setting(str(modality), value) for modality, value in sorted(given.items())}


def describe_models(embedder: MultiModalEmbedder, framework: str | None) -> str:
    """The models of an embedder in words; of one framework its one model's name."""
    models = {str(modality): one.model for modality, one in embedder.embedders.items()}
    if framework is not None and len(set(models.values())) == 1:
        return next(iter(models.values()))
    return ", ".join(f"{modality}: {model}" for modality, model in models.items())


def is_description(model_name: str) -> bool:
    """Whether `describe_models` wrote this of several models: it is that of a copy, and names none to be used."""
    return model_name.startswith(tuple(f"{modality}: " for modality in Modality))


def _file_of(value: Any) -> tuple[str | None, str | None]:
    """The path of an alignment's file, and the fingerprint that it must have, as far as either is known."""
    if isinstance(value, str | os.PathLike):
        return os.fspath(value), None
    if not isinstance(value, Mapping):
        return None, None
    path, expected = value.get("path"), value.get("fingerprint")
    if path is None:
        raise InvalidOptionError(
            f"the alignment with fingerprint {expected} was passed as an object, which a dictionary of settings does "
            "not hold; pass it again as alignment=, or save it and pass its path"
        )
    return path, expected


def _load(path: str) -> Alignment:
    from llm_multi_core.embedder.analysis import Alignment

    return Alignment.load(path)


def _bridge_setting(modality: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        raise InvalidOptionError(
            f"the bridge for {modality}, {value.get('function')}, was passed as an object, which a dictionary of "
            "settings does not hold; pass it again as bridge="
        )
    if isinstance(value, str):
        return value
    name = value.name if isinstance(value, Bridge) else getattr(value, "__qualname__", type(value).__qualname__)
    return {"function": name}
