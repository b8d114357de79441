"""Frameworks of every constellation: of one modality, of several in one space, hosted ones, and ones that describe."""

from __future__ import annotations

from llm_multi_core.embedder import Credentials, FrameworkSpec, Modality, OptionSpec, hookimpl

TEXT, IMAGE, AUDIO = Modality.TEXT, Modality.IMAGE, Modality.AUDIO
OPTIONS = (
    OptionSpec("weights", int, 0, summary="changes vectors, and nothing that is declared"),
    OptionSpec("family", str, summary="the name of the space"),
    OptionSpec("max_words", int, summary="the longest text"),
    OptionSpec("local_files_only", bool, False, summary="ask nobody"),
)


def embedding(name, *modalities, target="DigestEncoder", **settings):
    return FrameworkSpec(
        name=name,
        modalities=modalities,
        target=f"digests:{target}",
        default_model=dict.fromkeys(modalities, "small"),
        options=OPTIONS,
        summary="A fake that embeds",
        **settings,
    )


def hosted(name, variable, *modalities):
    credentials = Credentials((variable,))
    return embedding(name, *modalities, target="HostedDigestEncoder", hosted=True, credentials=credentials)


def describing(name, modality, describer):
    return FrameworkSpec(
        name=name,
        modalities=(modality,),
        describer=f"digests:{describer}",
        bridge={modality: name},
        default_model={modality: "small"},
        options=(OptionSpec("tone", str, "plain", summary="how it tells"),),
        summary="A fake that describes",
    )


@hookimpl
def llm_multi_core_frameworks():
    return [
        embedding("words", TEXT),
        embedding("pictures", IMAGE),
        embedding("sounds", AUDIO),
        embedding("pair", TEXT, IMAGE, joint=True),
        embedding("other-pair", TEXT, AUDIO, joint=True),
        embedding("trio", TEXT, IMAGE, AUDIO, joint=True),
        embedding("split-pair", TEXT, IMAGE, joint=True),
        embedding("split-pair", AUDIO, requires=("no-such-thing>=1",)),
        embedding("narrator", TEXT, IMAGE, bridge={IMAGE: "caption"}),
        hosted("red", "RED_KEY", TEXT, IMAGE),
        hosted("blue", "BLUE_KEY", AUDIO),
        describing("caption", IMAGE, "PictureTeller"),
        describing("transcript", AUDIO, "SoundTeller"),
    ]
