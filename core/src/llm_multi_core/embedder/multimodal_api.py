"""`create_multimodal_embedder`: from names of frameworks to a multimodal embedder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder.api import create_audio_embedder, create_image_embedder, create_text_embedder
from llm_multi_core.embedder.bridges import VIA, Bridge, Describe
from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.errors import EmbedderError, FrameworkUnavailableError, InvalidOptionError
from llm_multi_core.embedder.items import Modality
from llm_multi_core.embedder.multimodal import MultiModalEmbedder

if TYPE_CHECKING:
    from llm_multi_core.embedder.analysis.alignment import Alignment
    from llm_multi_core.embedder.frameworks import Offer
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
    bridge: Mapping[str, str | Mapping[str, Any] | Bridge | Describe] | None = None,
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
    """An embedder for texts, images and audio together. No model is loaded and nothing sent before its first use.

    Of a framework for several modalities the model's configuration is read at once, and downloaded if need be,
    since that says what the model embeds.

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
            (`{"image": "caption", "audio": "transcript"}`), its name with settings (`{"image": {"framework":
            "caption", "model": ..., "prompt": ...}}`), a `Bridge`, or a function from decoded media to texts.
        text: settings of the text embedder only, such as `{"model": ..., "dimensions": ...}`, and its
            framework's own options; goes with `text_framework`.
        image: those of the image embedder.
        audio: those of the audio embedder.
        device: as for the other factories, for all local frameworks.
        precision: likewise.
        truncation: as for the other factories, for all.
        batch_size: likewise.
        cache: likewise; one cache serves all of them.
        dimensions: with `framework` only.
        api_key: the hosted framework's key; of several, keys by framework name (`{"openai": ..., "cohere": ...}`).
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
        _refuse_unnamed(named, own)
        alone = {"model": model, "dimensions": dimensions, **options}
        if wrong := sorted(name for name, value in alone.items() if value is not None):
            raise InvalidOptionError(
                f"{wrong[0]}= goes with framework=; for one of several frameworks pass text=, image= or audio= as "
                f"{{{wrong[0]!r}: ...}}"
            )
        every = not any(named.values()) and joint_framework is None
        embedders = {
            modality: maker.one(modality, name, own[modality])
            for modality, name in named.items()
            if every or name is not None
        }
    joint = _joint(maker, joint_framework, joint_model, embedders)
    maker.check_keys()
    return MultiModalEmbedder(
        embedders,
        joint=joint,
        alignments=_alignments(alignment),
        bridges=_bridges(bridge, maker.host, common),
        allow_urls=allow_urls,
    )


class _Maker:
    """Makes the embedders of a multimodal one, with the settings that they share."""

    def __init__(self, common: Mapping[str, Any], api_key: Any, allow_urls: bool) -> None:
        self._common = dict(common)
        self._api_key = api_key
        self._allow_urls = allow_urls
        self._take_keys: dict[str, set[str]] = {}

    @property
    def host(self) -> Host:
        """Where plugins are looked up."""
        from llm_multi_core.embedder.host import default_host

        host: Host = self._common["host"] or default_host()
        return host

    def one(self, modality: Modality, framework: str | None, own: Mapping[str, Any] | None) -> BaseEmbedder[Any]:
        """The embedder of a modality."""
        settings = {**self._shared(modality, framework, own or {}), **(own or {})}
        return _FACTORIES[modality](framework, **settings)

    def joint(self, framework: str, own: Mapping[str, Any]) -> dict[Modality, BaseEmbedder[Any]]:
        """The embedders of a framework, one for each modality that its model embeds.

        A framework may have models of several kinds, and what one kind needs not be installed. Without a
        model's name those count that embed several modalities into one space, if there are any.
        """
        from llm_multi_core.embedder.host.absence import FrameworkName

        name = FrameworkName.parse(framework)
        offers = [offer for offer in self.host.offers() if name.fits(offer)]
        if own.get("model") is None and any(offer.spec.joint for offer in offers):
            offers = [offer for offer in offers if offer.spec.joint]
        embedded = {modality for offer in offers if offer.spec.target for modality in offer.spec.modalities}
        modalities = [modality for modality in _FACTORIES if modality in embedded]
        if not modalities:
            self.one(self._any_modality(name.framework, offers), framework, own)  # which says why not
        made: dict[Modality, BaseEmbedder[Any]] = {}
        unavailable: dict[Modality, FrameworkUnavailableError] = {}
        for modality in modalities:
            try:
                made[modality] = self.one(modality, framework, own)
            except FrameworkUnavailableError as error:
                unavailable[modality] = error
        serves = {m: embedder for m, embedder in made.items() if m in _modalities_of(embedder)}
        for modality in made.keys() - serves.keys():
            made[modality].close()
        for modality, reason in unavailable.items():
            if not serves or any(modality in embedder.space.modalities for embedder in serves.values()):
                raise reason
        return serves

    def check_keys(self) -> None:
        """Refuse keys that are for no framework, and a key that would go to several providers.

        Raises:
            InvalidOptionError: naming frameworks, and no key.
        """
        takers = ", ".join(map(repr, self._take_keys)) or "none of them"
        if isinstance(self._api_key, Mapping):
            names = set().union(*self._take_keys.values())
            if strays := [name for name in self._api_key if name not in names]:
                raise InvalidOptionError(f"api_key= has a key for {strays[0]!r}; frameworks that take one: {takers}")
        elif self._api_key is not None and len(self._take_keys) != 1:
            raise InvalidOptionError(
                f"api_key= is one key, and {takers} of these frameworks take one; pass keys by name: "
                "api_key={'framework': key}"
            )

    @staticmethod
    def _any_modality(name: str, offers: Sequence[Offer]) -> Modality:
        """A modality for which a framework is offered, or known."""
        from llm_multi_core.embedder.host.known import KNOWN_FRAMEWORKS

        offered = [modality for offer in offers for modality in offer.spec.modalities]
        known = [modality for entry in KNOWN_FRAMEWORKS if entry.name == name for modality in entry.modalities]
        return next(iter((*offered, *known)), Modality.TEXT)

    def _shared(self, modality: Modality, framework: str | None, own: Mapping[str, Any]) -> dict[str, Any]:
        offer = self.host.find(framework, modality)
        settings = dict(self._common)
        if offer.spec.hosted:  # a device and a precision are for the local ones among several
            settings.update(device=None, precision="auto")
        if own.get("api_key") is None:
            settings["api_key"] = self._key(offer)
        if modality is not Modality.TEXT:
            settings["allow_urls"] = self._allow_urls
        return settings

    def _key(self, offer: Offer) -> Any:
        if offer.spec.credentials is None:
            return None
        names = {offer.spec.name, offer.qualified_name}
        self._take_keys.setdefault(offer.spec.name, names)
        if isinstance(self._api_key, Mapping):
            return next((self._api_key[name] for name in names if name in self._api_key), None)
        return self._api_key


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


def _refuse_unnamed(named: Mapping[Modality, str | None], own: Mapping[Modality, Any]) -> None:
    for modality, settings in own.items():
        if settings is not None and named[modality] is None and any(named.values()):
            raise InvalidOptionError(f"{modality}= goes with {modality}_framework=, which was not named")


def _joint(
    maker: _Maker, framework: str | None, model: str | None, embedders: Mapping[Modality, BaseEmbedder[Any]]
) -> dict[Modality, BaseEmbedder[Any]]:
    if framework is None:
        if model is not None:
            raise InvalidOptionError("joint_model= goes with joint_framework=")
        return {}
    if framework == AUTO:
        if model is not None:
            raise InvalidOptionError("joint_model= goes with the name of a framework, not with joint_framework='auto'")
        return _automatic(maker, embedders)
    joint = maker.joint(framework, {"model": model} if model is not None else {})
    if len({embedder.space.fingerprint for embedder in joint.values()}) == len(joint):
        served = "; ".join(f"{modality} goes to {embedder.space}" for modality, embedder in joint.items())
        raise InvalidOptionError(
            f"joint_framework={framework!r} embeds no two modalities into one space: {served}. Frameworks that do: "
            f"{', '.join(sorted({offer.spec.name for offer in maker.host.offers() if offer.spec.joint}))}"
        )
    return joint


def _automatic(maker: _Maker, embedders: Mapping[Modality, BaseEmbedder[Any]]) -> dict[Modality, BaseEmbedder[Any]]:
    """The joint framework that serves most of the modalities and whose model is on this machine; no download.

    Raises:
        FrameworkUnavailableError: if there is none.
    """
    from llm_multi_core.embedder.host.known import KNOWN_FRAMEWORKS

    known = [entry.name for entry in KNOWN_FRAMEWORKS]
    offered = {offer.spec.name for offer in maker.host.offers() if offer.spec.joint and not offer.spec.hosted}
    wanted = set(embedders) or {Modality.TEXT, Modality.IMAGE, Modality.AUDIO}
    best: dict[Modality, BaseEmbedder[Any]] = {}
    tried: list[str] = []
    for name in sorted(offered, key=lambda name: (known.index(name) if name in known else len(known), name)):
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


def _bridges(bridge: Any, host: Host, common: Mapping[str, Any]) -> dict[Modality, Bridge]:
    if bridge is None:
        return {}
    if not isinstance(bridge, Mapping):
        raise InvalidOptionError("bridge= takes a dict by modality: {'image': 'caption', 'audio': 'transcript'}")
    return {_media(name): _bridge(_media(name), value, host, common) for name, value in bridge.items()}


def _media(name: Any) -> Modality:
    if name in (Modality.IMAGE, Modality.AUDIO):
        return Modality(name)
    raise InvalidOptionError(f"bridge= has 'image' and 'audio', not {name!r}")


def _bridge(modality: Modality, value: Any, host: Host, common: Mapping[str, Any]) -> Bridge:
    if isinstance(value, Bridge):
        if value.modality != modality:
            raise InvalidOptionError(f"bridge=: {value!r} takes {value.modality}, not {modality}")
        return value
    if isinstance(value, str | Mapping):
        own = {"framework": value} if isinstance(value, str) else value
        if not isinstance(own.get("framework"), str):
            raise InvalidOptionError(
                f"bridge= names no framework for {modality}: {{'framework': {VIA[modality]!r}, ...}}"
            )
        settings = {"device": common["device"], "precision": common["precision"], **own}
        return Bridge.of_framework(host, settings.pop("framework"), modality, settings.pop("model", None), **settings)
    if callable(value):
        return Bridge.of_function(value, modality)
    raise InvalidOptionError(
        f"bridge= takes a framework's name, its settings, a Bridge or a function, not {type(value).__name__}"
    )
