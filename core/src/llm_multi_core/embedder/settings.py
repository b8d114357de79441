"""What an embedder is made with: the framework that was found, and the user's checked settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from llm_multi_core.embedder.credentials import Secret
from llm_multi_core.embedder.encoders import EncoderConfig
from llm_multi_core.embedder.errors import InvalidOptionError
from llm_multi_core.embedder.frameworks import Offer
from llm_multi_core.embedder.inputs.sources import SourcePolicy
from llm_multi_core.embedder.items import Modality
from llm_multi_core.embedder.pipeline.cache import VectorCache
from llm_multi_core.embedder.pipeline.call import TruncationPolicy
from llm_multi_core.embedder.pipeline.hosted_limits import check_limits

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
TRUNCATIONS = ("warn", "error", "truncate", "mean")

COMMON_SETTINGS = (
    "model",
    "device",
    "precision",
    "dimensions",
    "force_dimensions",
    "normalize",
    "truncation",
    "batch_size",
    "cache",
    "api_key",
)
"""Names that every factory takes, beside a framework's own options."""


@dataclass(frozen=True, slots=True)
class EmbedderSettings:
    """Checked settings; plain data that can be pickled once the secret is taken out."""

    offer: Offer
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None
    precision: str = "auto"
    dimensions: int | None = None
    force_dimensions: bool = False
    normalize: bool = True
    truncation: TruncationPolicy = "warn"
    batch_size: int | None = None
    cache: VectorCache | None = None
    secret: Secret | None = None
    sources: SourcePolicy = field(default_factory=SourcePolicy)

    @classmethod
    def check(
        cls,
        offer: Offer,
        modality: Modality,
        *,
        model: str | None,
        device: str | None,
        precision: str,
        dimensions: int | None,
        force_dimensions: bool,
        normalize: bool,
        truncation: TruncationPolicy,
        batch_size: int | None,
        cache: VectorCache | None,
        api_key: Any,
        options: Mapping[str, Any],
        allow_urls: bool = False,
    ) -> Self:
        """Settings from what the user passed to a factory.

        Raises:
            InvalidOptionError: for anything that the framework does not take.
            MissingCredentialsError: if a hosted framework has no key.
        """
        spec = offer.spec
        if model is not None and (not isinstance(model, str) or not model.strip()):
            model = _path_or_fail(model)
        chosen = model or spec.default_model.get(modality)
        if chosen is None:
            raise InvalidOptionError(f"framework {spec.name!r} has no default model for {modality}; pass model=...")
        _require(precision in PRECISIONS, f"precision={precision!r} is not one of {', '.join(PRECISIONS)}")
        _require(truncation in TRUNCATIONS, f"truncation={truncation!r} is not one of {', '.join(TRUNCATIONS)}")
        named = device is None or (isinstance(device, str) and device.strip())
        _require(bool(named), f"device={device!r} is not a device name such as 'cuda'")
        flags = {"normalize": normalize, "force_dimensions": force_dimensions, "allow_urls": allow_urls}
        for name, flag in flags.items():
            _require(isinstance(flag, bool), f"{name}={flag!r} is not True or False")
        for name, number in (("dimensions", dimensions), ("batch_size", batch_size)):
            fits = number is None or (isinstance(number, int) and not isinstance(number, bool) and number > 0)
            _require(fits, f"{name}={number!r} is not a positive whole number")
        _require(
            cache is None or (isinstance(cache, VectorCache) and not isinstance(cache, type)),
            "cache takes an object with get_many and set_many, such as MemoryCache()",
        )
        if spec.hosted:
            _require(device is None, f"framework {spec.name!r} is hosted: it has no device")
            _require(precision == "auto", f"framework {spec.name!r} is hosted: it has no precision")
            check_limits(spec.name, options.get("limits"))
        secret = _secret(spec.name, api_key, spec.credentials is not None)
        if spec.credentials is not None:
            spec.credentials.require(secret, spec.name, options)
        return cls(
            offer=offer,
            model=chosen,
            options=spec.check_options(options, COMMON_SETTINGS),
            device=device,
            precision=precision,
            dimensions=dimensions,
            force_dimensions=force_dimensions,
            normalize=normalize,
            truncation=truncation,
            batch_size=batch_size,
            cache=cache,
            secret=secret,
            sources=SourcePolicy(allow_urls=allow_urls),
        )

    def encoder_config(self, dimensions: int | None) -> EncoderConfig:
        """The encoder's share of the settings, asked for `dimensions`."""
        spec = self.offer.spec
        space_options = tuple(
            (option.name, repr(self.options[option.name]))
            for option in spec.options
            if option.affects_space and self.options[option.name] != option.default
        )
        return EncoderConfig(
            framework=spec.name,
            distribution=self.offer.distribution,
            model=self.model,
            device=self.device,
            precision=self.precision,
            dimensions=dimensions,
            options=self.options,
            space_options=space_options,
            secret=self.secret,
            credentials=spec.credentials,
        )

    def without_secret(self) -> Self:
        """The same settings, without the key."""
        return replace(self, secret=None)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InvalidOptionError(message)


def _path_or_fail(model: object) -> str:
    from os import PathLike, fspath

    path = fspath(model) if isinstance(model, PathLike) else None
    if not isinstance(path, str):
        raise InvalidOptionError(f"model={model!r} is not a model name or a folder")
    return path


def _secret(framework: str, api_key: Any, takes_key: bool) -> Secret | None:
    if api_key is None:
        return None
    if not takes_key:
        raise InvalidOptionError(f"framework {framework!r} runs without a key; api_key is not for it")
    try:
        return Secret(api_key)
    except TypeError as error:
        raise InvalidOptionError(str(error)) from None
