"""Settings of a multimodal embedder as plain data, from whatever users pass, for what keeps and reads them again.

None of it holds a key. What a store keeps is not to be trusted as its user is, since others may write to
it: it grants neither code of a model's own nor fetching.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder.bridges import Bridge
from llm_multi_core.embedder.errors import IncompatibleSpacesError, InvalidOptionError

if TYPE_CHECKING:
    from llm_multi_core.embedder.analysis.alignment import Alignment

_ELSEWHERE = {
    "api_key": "pass api_key={framework: key} beside it",
    "cache": "pass cache= beside it, for all modalities",
    "host": "plugins are looked up in one place",
    "framework": "name it as text_framework=, image_framework= or audio_framework=",
}
"""Settings of an embedder that are not for one modality here, and why."""

_MODALITIES = ("text", "image", "audio")
_TRUST = ("allow_urls", "trust_remote_code")
"""What a user grants, and no store can."""


def stored_settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a store keeps of the settings of a multimodal embedder, and the settings as arguments.

    Args:
        settings: arguments of `create_multimodal_embedder`, but for `api_key` and `cache`; or what this
            kept of some.

    Returns:
        Data that JSON can hold, without what is not set and without what a user grants (`allow_urls`,
        `trust_remote_code`); and arguments of `create_multimodal_embedder`.

    Raises:
        InvalidOptionError: for a key or a cache, for what JSON cannot hold, and as `alignments_of` and
            `bridge_settings`.
        IncompatibleSpacesError: as `alignments_of`.
        ModelLoadError: if the file of an alignment cannot be read.
    """
    for name in ("api_key", "cache", "host"):
        if settings.get(name) is not None:
            raise InvalidOptionError(f"{name}= is not kept in a store; pass it beside the settings")
    apart = modality_settings(**{name: settings.get(name) for name in _MODALITIES})
    maps, alignments = alignments_of(settings.get("alignment"))
    special = {*_MODALITIES, "alignment", "bridge", "api_key", "cache", "host"}
    others = {name: value for name, value in sorted(settings.items()) if name not in special and value is not None}
    own = {name: value for name, value in apart.items() if value}
    kept = {
        **{name: value for name, value in others.items() if name not in _TRUST},
        **{name: {key: one for key, one in value.items() if key not in _TRUST} for name, value in own.items()},
        "alignment": alignments,
        "bridge": bridge_settings(settings.get("bridge")),
    }
    plain = {name: value for name, value in kept.items() if value not in ([], {})}
    try:
        plain = json.loads(json.dumps(plain))
    except (TypeError, ValueError) as error:
        raise InvalidOptionError(f"a store keeps settings as JSON, which cannot hold one of these: {error}") from None
    arguments = {**others, **own, "alignment": maps or None, "bridge": settings.get("bridge") or None}
    return plain, {name: value for name, value in arguments.items() if value is not None}


def refuse_grants(kept: Mapping[str, Any]) -> None:
    """Refuse what a store's settings may not say; to be called on those that were read from one.

    Raises:
        InvalidOptionError: if they hold a key, or grant code of a model's own or fetching.
    """
    for name, value in _all_settings(kept):
        if name in _TRUST and value:
            raise InvalidOptionError(
                f"settings that a store keeps cannot set {name}=, since others may write to the store; pass it in your "
                "own program"
            )
        if name == "api_key" and value is not None:
            raise InvalidOptionError("settings that a store keeps hold an API key; remove it, and change the key")


def _all_settings(kept: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from kept.items()
    for name in _MODALITIES:
        own = kept.get(name)
        if isinstance(own, Mapping):
            yield from own.items()


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
    from llm_multi_core.embedder.analysis.alignment import Alignment

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
