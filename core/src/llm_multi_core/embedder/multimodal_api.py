"""`create_multimodal_embedder`: from names of frameworks to a multimodal embedder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder.api import create_audio_embedder, create_image_embedder, create_text_embedder
from llm_multi_core.embedder.bridges import Bridge, Describe
from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.errors import EmbedderError, FrameworkUnavailableError, InvalidOptionError
from llm_multi_core.embedder.items import Modality
from llm_multi_core.embedder.multimodal import MultiModalEmbedder

if TYPE_CHECKING:
    from llm_multi_core.embedder.analysis.alignment import Alignment
    from llm_multi_core.embedder.host import Host
    from llm_multi_core.embedder.pipeline.cache import VectorCache
    from llm_multi_core.embedder.pipeline.call import TruncationPolicy

_FACTORIES: dict[Modality, Callable[..., BaseEmbedder[Any]]] = {
    Modality.TEXT: create_text_embedder,
    Modality.IMAGE: create_image_embedder,
    Modality.AUDIO: create_audio_embedder,
}
AUTO = "auto"


def create_multimodal_embedder(
    text_framework: str | None = None,
    image_framework: str | None = None,
    audio_framework: str | None = None,
    *,
    framework: str | None = None,
    model: str | None = None,
    joint_framework: str | None = None,
    joint_model: str | None = None,
    alignment: Alignment | Sequence[Alignment] | None = None,
    bridge: Mapping[str, str | Bridge | Describe] | None = None,
    text: Mapping[str, Any] | None = None,
    image: Mapping[str, Any] | None = None,
    audio: Mapping[str, Any] | None = None,
    device: str | None = None,
    precision: str = "auto",
    dimensions: int | None = None,
    truncation: TruncationPolicy = "warn",
    batch_size: int | None = None,
    cache: VectorCache | None = None,
    api_key: str | Callable[[], str] | Mapping[str, Any] | Any = None,
    allow_urls: bool = False,
    host: Host | None = None,
    **options: Any,
) -> MultiModalEmbedder:
    """An embedder for texts, images and audio together. Nothing is loaded or sent before its first use.

    Either one `framework` that embeds several modalities into one space, or a framework for each
    modality. Vectors of two modalities can be compared where they share a space: by themselves, or by
    `joint_framework`, `alignment` or `bridge`.

    Args:
        text_framework: the framework for texts. A modality whose framework is not named is left out; with
            none named at all, and no `framework`, each is its modality's default.
        image_framework: that for images.
        audio_framework: that for audio.
        framework: one for all the modalities that its model embeds, such as `"clip"` or `"gemini"`.
        model: its model.
        joint_framework: a framework that embeds several modalities into one space, used to compare across
            them; `"auto"` takes an installed local one whose default model is already on this machine, and
            downloads nothing.
        joint_model: its model.
        alignment: maps between spaces, fitted from pairs (`llm_multi_core.embedder.analysis`).
        bridge: for images and audio what puts them into words: the name of a framework that does
            (`{"image": "caption", "audio": "transcript"}`), a `Bridge`, or a function from decoded media to texts.
        text: settings of the text embedder only, such as `{"model": ..., "dimensions": ...}`, and its
            framework's own options.
        image: those of the image embedder.
        audio: those of the audio embedder.
        device: as for the other factories, for all local frameworks.
        precision: likewise.
        truncation: as for the other factories, for all.
        batch_size: likewise.
        cache: likewise; one cache serves all of them.
        dimensions: with `framework` only.
        api_key: a hosted framework's key, or keys by framework name.
        allow_urls: fetch http(s) URLs, though never from addresses that are not public.
        host: where plugins are looked up; by default all that are installed.
        **options: with `framework` only: its own options.

    Raises:
        InvalidOptionError: for settings that do not go together, or that a framework does not take.
        FrameworkError: as for the other factories, naming the modality's framework.
        MissingCredentialsError: a hosted framework without a key.
    """
    named = {
        Modality.TEXT: text_framework,
        Modality.IMAGE: image_framework,
        Modality.AUDIO: audio_framework,
    }
    own = {Modality.TEXT: text, Modality.IMAGE: image, Modality.AUDIO: audio}
    common = {
        "device": device,
        "precision": precision,
        "truncation": truncation,
        "batch_size": batch_size,
        "cache": cache,
        "host": host,
    }
    maker = _Maker(common, api_key, allow_urls)
    if framework is not None:
        _refuse_both(named, own)
        embedders = maker.joint(framework, {"model": model, "dimensions": dimensions, **options})
    else:
        alone = {"model": model, "dimensions": dimensions, **options}
        if wrong := sorted(name for name, value in alone.items() if value is not None):
            raise InvalidOptionError(
                f"{wrong[0]}= goes with framework=; for one of several frameworks pass text=, image= or audio= as "
                f"{{{wrong[0]!r}: ...}}"
            )
        if not any(named.values()) and joint_framework is None:
            named = dict.fromkeys(named)
            embedders = {modality: maker.one(modality, None, own[modality]) for modality in named}
        else:
            embedders = {
                modality: maker.one(modality, name, own[modality])
                for modality, name in named.items()
                if name is not None
            }
    joint = _joint(maker, joint_framework, joint_model, embedders)
    return MultiModalEmbedder(
        embedders,
        joint=joint,
        alignments=_alignments(alignment),
        bridges=_bridges(bridge, host, common),
        allow_urls=allow_urls,
    )


class _Maker:
    """Makes the embedders of a multimodal one, with the settings that they share."""

    def __init__(self, common: Mapping[str, Any], api_key: Any, allow_urls: bool) -> None:
        self._common = dict(common)
        self._api_key = api_key
        self._allow_urls = allow_urls

    def one(self, modality: Modality, framework: str | None, own: Mapping[str, Any] | None) -> BaseEmbedder[Any]:
        """The embedder of a modality."""
        settings = {**self._shared(modality, framework), **(own or {})}
        return _FACTORIES[modality](framework, **settings)

    def joint(self, framework: str, own: Mapping[str, Any]) -> dict[Modality, BaseEmbedder[Any]]:
        """The embedders of a framework, one for each modality that its model embeds.

        Raises:
            InvalidOptionError: if they share no space.
        """
        from llm_multi_core.embedder.host import default_host

        host = self._common["host"] or default_host()
        offers = [offer for offer in host.offers() if framework in (offer.spec.name, offer.qualified_name)]
        modalities = [m for m in Modality if any(m in offer.spec.modalities and offer.spec.target for offer in offers)]
        if not modalities:
            host.find(framework, Modality.TEXT)  # which says why not
        made = {modality: self.one(modality, framework, own) for modality in modalities}
        serves = {m: embedder for m, embedder in made.items() if m in _modalities_of(embedder)}
        for modality in made.keys() - serves.keys():
            made[modality].close()
        return serves

    def _shared(self, modality: Modality, framework: str | None) -> dict[str, Any]:
        from llm_multi_core.embedder.host import default_host

        offer = (self._common["host"] or default_host()).find(framework, modality)
        settings = dict(self._common)
        if offer.spec.hosted:  # a device and a precision are for the local ones among several
            settings.update(device=None, precision="auto")
        settings["api_key"] = self._key(offer.spec.name, takes_key=offer.spec.credentials is not None)
        if modality is not Modality.TEXT:
            settings["allow_urls"] = self._allow_urls
        return settings

    def _key(self, framework: str, *, takes_key: bool) -> Any:
        if isinstance(self._api_key, Mapping):
            return self._api_key.get(framework)
        return self._api_key if takes_key else None


def _modalities_of(embedder: BaseEmbedder[Any]) -> frozenset[Modality]:
    """What the model of an embedder embeds; all that is asked of it, where the model refuses the modality."""
    try:
        return embedder.space.modalities
    except InvalidOptionError:
        return frozenset()


def _refuse_both(named: Mapping[Modality, str | None], own: Mapping[Modality, Any]) -> None:
    for modality in Modality:
        if named.get(modality) is not None or own.get(modality) is not None:
            raise InvalidOptionError(
                f"framework= is one for all modalities; leave out {modality}_framework= and {modality}="
            )


def _joint(
    maker: _Maker, framework: str | None, model: str | None, embedders: Mapping[Modality, BaseEmbedder[Any]]
) -> dict[Modality, BaseEmbedder[Any]]:
    if framework is None:
        if model is not None:
            raise InvalidOptionError("joint_model= goes with joint_framework=")
        return {}
    if framework != AUTO:
        return maker.joint(framework, {"model": model} if model is not None else {})
    return _automatic(maker, embedders)


def _automatic(maker: _Maker, embedders: Mapping[Modality, BaseEmbedder[Any]]) -> dict[Modality, BaseEmbedder[Any]]:
    """The joint framework that serves most of the modalities and whose model is on this machine; no download.

    Raises:
        FrameworkUnavailableError: if there is none.
    """
    from llm_multi_core.embedder.host import default_host

    host = maker._common["host"] or default_host()
    wanted = set(embedders) or {Modality.TEXT, Modality.IMAGE, Modality.AUDIO}
    best: dict[Modality, BaseEmbedder[Any]] = {}
    tried: list[str] = []
    for name in dict.fromkeys(offer.spec.name for offer in host.offers() if offer.spec.joint and not offer.spec.hosted):
        found: dict[Modality, BaseEmbedder[Any]] = {}
        try:
            found = maker.joint(name, {"local_files_only": True})
        except EmbedderError as error:
            tried.append(f"{name} ({error})")
        if len(wanted & found.keys()) > max(1, len(wanted & best.keys())):
            best, found = found, best
        for embedder in found.values():
            embedder.close()
    if not best:
        reasons = "; ".join(tried) or "none is installed"
        raise FrameworkUnavailableError(
            f"joint_framework='auto' found no joint model on this machine: {reasons}. Name one, such as "
            "joint_framework='clip', and it is downloaded at first use"
        )
    return best


def _alignments(alignment: Any) -> tuple[Alignment, ...]:
    if alignment is None:
        return ()
    alignments = tuple(alignment) if isinstance(alignment, list | tuple) else (alignment,)
    for entry in alignments:
        if not all(hasattr(entry, name) for name in ("source", "target", "apply")):
            raise InvalidOptionError(f"alignment= takes an Alignment or several, not {type(entry).__name__}")
    return alignments


def _bridges(bridge: Any, host: Host | None, common: Mapping[str, Any]) -> dict[Modality, Bridge]:
    if bridge is None:
        return {}
    if not isinstance(bridge, Mapping):
        raise InvalidOptionError("bridge= takes a dict by modality: {'image': 'caption', 'audio': 'transcript'}")
    return {_media(name): _bridge(_media(name), value, host, common) for name, value in bridge.items()}


def _media(name: Any) -> Modality:
    if name in (Modality.IMAGE, Modality.AUDIO):
        return Modality(name)
    raise InvalidOptionError(f"bridge= has 'image' and 'audio', not {name!r}")


def _bridge(modality: Modality, value: Any, host: Host | None, common: Mapping[str, Any]) -> Bridge:
    from llm_multi_core.embedder.host import default_host

    if isinstance(value, Bridge):
        if value.modality != modality:
            raise InvalidOptionError(f"bridge=: {value!r} takes {value.modality}, not {modality}")
        return value
    if isinstance(value, str):
        settings = {"device": common["device"], "precision": common["precision"]}
        return Bridge.of_framework(host or default_host(), value, modality, **settings)
    if callable(value):
        return Bridge.of_function(value, modality)
    raise InvalidOptionError(f"bridge= takes a framework's name, a Bridge or a function, not {type(value).__name__}")
