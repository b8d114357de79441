"""The frameworks that the project's own plugins cover, whether installed or not.

This says what to install for a name; what is installed is found through entry points only.
"""

from __future__ import annotations

from dataclasses import dataclass

from llm_multi_core.embedder.items import Modality

DEFAULT_FRAMEWORK = {
    Modality.TEXT: "sentence-transformers",
    Modality.IMAGE: "clip",
    Modality.AUDIO: "wav2vec2",
}
"""What `framework=None` means for each modality; never what else happens to be installed."""


@dataclass(frozen=True, slots=True)
class KnownFramework:
    """A framework by its name, and the distribution whose plugin offers it.

    `embeds` is false for one that puts its modalities into words, for others to embed.
    """

    name: str
    modalities: tuple[Modality, ...]
    distribution: str
    embeds: bool = True

    @property
    def extra(self) -> str:
        """The host's extra that installs the distribution."""
        return self.distribution.removeprefix("llm-multi-core-")

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f'pip install "llm-multi-core[{self.extra}]"'

    @property
    def upgrade(self) -> str:
        """The command that brings an installed distribution up to date."""
        return f'pip install --upgrade "llm-multi-core[{self.extra}]"'


_TEXT, _IMAGE, _AUDIO = Modality.TEXT, Modality.IMAGE, Modality.AUDIO

KNOWN_FRAMEWORKS = (
    KnownFramework("sentence-transformers", (_TEXT,), "llm-multi-core-sentence-transformers"),
    KnownFramework("stella", (_TEXT,), "llm-multi-core-sentence-transformers"),
    KnownFramework("huggingface", (_TEXT,), "llm-multi-core-transformers"),
    KnownFramework("modernbert", (_TEXT,), "llm-multi-core-transformers"),
    KnownFramework("openai", (_TEXT, _IMAGE, _AUDIO), "llm-multi-core-openai"),
    KnownFramework("azure-openai", (_TEXT, _IMAGE, _AUDIO), "llm-multi-core-openai"),
    KnownFramework("gemini", (_TEXT, _IMAGE, _AUDIO), "llm-multi-core-google"),
    KnownFramework("cohere", (_TEXT, _IMAGE), "llm-multi-core-cohere"),
    KnownFramework("jina", (_TEXT, _IMAGE, _AUDIO), "llm-multi-core-jina"),
    KnownFramework("nemo", (_TEXT, _IMAGE), "llm-multi-core-nvidia"),
    KnownFramework("clip", (_IMAGE,), "llm-multi-core-open-clip"),
    KnownFramework("timm", (_IMAGE,), "llm-multi-core-timm"),
    KnownFramework("resnet", (_IMAGE,), "llm-multi-core-timm"),
    KnownFramework("vit", (_IMAGE,), "llm-multi-core-transformers"),
    KnownFramework("wav2vec2", (_AUDIO,), "llm-multi-core-transformers"),
    KnownFramework("whisper", (_AUDIO,), "llm-multi-core-transformers"),
    KnownFramework("hubert", (_AUDIO,), "llm-multi-core-transformers"),
    KnownFramework("wavlm", (_AUDIO,), "llm-multi-core-transformers"),
    KnownFramework("data2vec", (_AUDIO,), "llm-multi-core-transformers"),
    KnownFramework("caption", (_IMAGE,), "llm-multi-core-transformers", embeds=False),
    KnownFramework("transcript", (_AUDIO,), "llm-multi-core-transformers", embeds=False),
)


def known_framework(name: str, modality: Modality | None = None) -> KnownFramework | None:
    """The project's own framework of that name (for that modality), if there is one."""
    for known in KNOWN_FRAMEWORKS:
        if known.name == name and (modality is None or modality in known.modalities):
            return known
    return None
