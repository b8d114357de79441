"""`EncoderCase`: what an author says about the encoder that the kit is to check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.frameworks import FrameworkSpec, Offer
from llm_multi_core.embedder.host import default_host
from llm_multi_core.embedder.items import Modality
from llm_multi_core.embedder.modalities import TextEmbedder
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.testing.conformance.compare import Tolerance

SAMPLE_TEXTS = (
    "Rain.",
    "The ferry leaves at noon.",
    "def area(radius): return 3.14159 * radius ** 2",
    "A mole of any gas fills about 22.4 litres at 0 °C.",
    "Wo ist der nächste Bahnhof, bitte?",
    "Invoice 8841: four bearings, one seal",
    "海は青い。 空も青い。",
    "She sold the violin in spring and bought it back, at twice the price, in autumn.",
    "Photosynthesis turns light into sugar 🌱 and water into air",
    "no",
)
"""Ten texts of one to sixteen words: prose, code, other scripts, an emoji."""

API_KEY = "conformance-kit-key-7d1f"
"""What hosted encoders get where the case names no key; it must not show up anywhere."""


@dataclass(frozen=True, slots=True, eq=False)
class EncoderCase:
    """One encoder, how it is made, and inputs for it.

    Attributes:
        framework: the name of an installed framework, or its specification or offer.
        embedder: the embedder class that users would hold, which gives the modality.
        model: a model name or folder; `None` is the framework's default.
        options: the framework's own options.
        samples: at least 8 distinct inputs of varied length, most of them within the limit.
        device, precision: of local encoders. Parity is checked in full precision.
        api_key: of hosted encoders, which get a made-up one if it is `None`.
        dimensions: fewer dimensions to ask for; `None` is half of the native ones.
        instruction: one to use where the encoder declares that it follows instructions.
        long_sample: an input beyond the limit; made by the kit if the modality is text.
        run_up_to: over-long inputs are run only if the limit is at most this many units, and
            otherwise only measured and split.
        variations: settings or options (`{"pooling": "cls"}`), each of which must change the
            encoder's identity.
        tolerance: how far two vectors of the same input may lie apart.
        examples: how many random inputs each property is tried with.
    """

    framework: str | FrameworkSpec | Offer
    embedder: type[BaseEmbedder[Any]] = TextEmbedder
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    samples: Sequence[Any] = SAMPLE_TEXTS
    device: str | None = None
    precision: str = "float32"
    api_key: str | None = None
    dimensions: int | None = None
    instruction: str = "Represent the sentence by the colour that it mentions"
    long_sample: Any = None
    run_up_to: int = 2048
    variations: Sequence[Mapping[str, Any]] = ()
    tolerance: Tolerance = field(default_factory=Tolerance)
    examples: int = 20

    def __post_init__(self) -> None:
        if len(self.samples) < 8:
            raise ValueError(f"at least 8 samples are due, not {len(self.samples)}")

    @property
    def modality(self) -> Modality:
        """What is embedded."""
        return self.embedder.modality

    @property
    def is_text(self) -> bool:
        """Whether the inputs are plain texts."""
        return self.modality is Modality.TEXT

    def offer(self) -> Offer:
        """The offer that makes the encoder.

        Raises:
            FrameworkError: for a name that is not installed.
        """
        if isinstance(self.framework, Offer):
            return self.framework
        if isinstance(self.framework, FrameworkSpec):
            return Offer(self.framework, "llm-multi-core-conformance", "0")
        return default_host().find(self.framework, self.modality)

    def settings(self, offer: Offer, changes: Mapping[str, Any]) -> EmbedderSettings:
        """The checked settings of an embedder for this case.

        Args:
            offer: what `offer()` gave.
            changes: settings or options other than the case's own.
        """
        spec = offer.spec
        settings: dict[str, Any] = {
            "model": self.model,
            "device": None if spec.hosted else self.device,
            "precision": "auto" if spec.hosted else self.precision,
            "dimensions": None,
            "force_dimensions": False,
            "normalize": True,
            "truncation": "warn",
            "batch_size": None,
            "cache": None,
            "api_key": (self.api_key or API_KEY) if spec.credentials is not None else None,
        }
        options = dict(self.options)
        for name, value in changes.items():
            (settings if name in settings else options)[name] = value
        return EmbedderSettings.check(offer, self.modality, options=options, **settings)
