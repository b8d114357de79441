"""Fakes whose vectors follow from the content alone, at once: the encoders and describers of `digests_plugin`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from llm_multi_core.embedder import (
    Describer,
    Description,
    HostedEncoder,
    Intake,
    Limits,
    LocalEncoder,
    Measure,
    Modality,
    ModelLoadError,
    Reply,
    Space,
)
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.testing.fakes import fake_vector

DIMENSIONS = {"words": 8, "pictures": 6, "sounds": 5, "pair": 7, "other-pair": 7, "trio": 9}
SERVED = {
    "words": "text",
    "pictures": "image",
    "sounds": "audio",
    "pair": "text image",
    "other-pair": "text audio",
    "trio": "text image audio",
    "red": "text image",
    "blue": "audio",
    "narrator": "text image",
    "split-pair": "text image",
    "split-pair with sound": "text audio",
}

ABSENT: set[str] = set()
"""Models that are not on this machine."""
CALLS: list[tuple[str, int]] = []
"""The frameworks that were at work, and on how many items at a time."""
GATES: dict[str, Callable[[], object]] = {}
"""By framework what is called before it works."""
KEYS: list[tuple[str, str | None]] = []
"""The hosted frameworks that were asked, and with which key."""


class Digests:
    """What local and hosted encoders share."""

    config: Any
    formats: ClassVar[tuple[str, ...]] = ()

    def describe(self) -> Description:
        options, model = self.config.options, self.config.model
        if model in ABSENT and options["local_files_only"]:
            raise ModelLoadError(f"model {model!r} is not on this machine")
        if model == "missing":
            raise ModelLoadError("there is no model 'missing'")
        framework = self.config.framework
        dimension = DIMENSIONS.get(framework, 4)
        served = "text" if model == "text-only" else SERVED.get(f"{framework} {model}", SERVED[framework])
        return Description(
            Space(
                options["family"] or f"{framework}/{model}",
                dimension,
                modalities=frozenset(map(Modality, served.split())),
                label=f"{framework} {model}",
            ),
            Limits(unit="word", units_per_item=options["max_words"], padded=False, items_per_batch=4),
            dimension,
            roles=frozenset({"query"}) if model == "roles" else frozenset(),
            instructions=model == "roles",
            interleaves=framework in {"pair", "red"},
            intake=Intake(sample_rate=16_000, formats=self.formats),
        )

    def identity(self) -> dict[str, str]:
        return {"weights": str(self.config.options["weights"])}

    def measure(self, items, task) -> Measure:
        sizes = [len(item.text.split()) if item.signature == ("text",) else 1 for item in items]
        return Measure([max(1, size) for size in sizes])

    def split(self, item, max_units, task):
        words = item.text.split()
        return [text_item(" ".join(words[at : at + max_units])) for at in range(0, len(words), max_units)]

    def rows(self, items, task):
        work(self.config.framework, len(items))
        if any("poison" in str(part.payload) for item in items for part in item.parts):
            raise ValueError("it is poisonous")
        role = f"{task.role} {task.instruction}" if self.config.model == "roles" else ""
        seeds = [f"{self.config.options['weights']} {role} {item.digest.hex()}" for item in items]
        return np.stack([fake_vector(seed, self.describe().space.dimension) for seed in seeds])


class DigestEncoder(Digests, LocalEncoder):
    """A local model."""

    def prepare(self, items, task, state=None):
        return items, task

    def forward(self, batch):
        return self.rows(*batch)


class HostedDigestEncoder(Digests, HostedEncoder):
    """A hosted model."""

    formats = ("image/png", "audio/wav")

    async def request(self, items, task) -> Reply:
        KEYS.append((self.config.framework, self.key()))
        return Reply(self.rows(items, task))


class PictureTeller(Describer):
    """Says of a picture how large it is."""

    modality = Modality.IMAGE
    via = "caption"
    items_per_batch = 2

    def identity(self) -> dict[str, str]:
        return {"tone": self.config.options["tone"]}

    def describe(self, media) -> list[str]:
        work(self.config.framework, len(media))
        return [self.tell(one) for one in media]

    def tell(self, one: Any) -> str:
        return f"{self.config.options['tone']} picture of {one.size[0]} by {one.size[1]}"


class SoundTeller(PictureTeller):
    """Says of a sound how long it is; of silence nothing."""

    modality = Modality.AUDIO
    via = "transcript"
    intake = Intake(sample_rate=16_000)

    def tell(self, one: Any) -> str:
        return f"{self.config.options['tone']} sound of {one.seconds:.2f} s" if one.samples.any() else " "


def work(framework: str, items: int) -> None:
    """Note that a framework is at work, and let the test do what it wants."""
    CALLS.append((framework, items))
    GATES.get(framework, lambda: None)()
