"""What this distribution offers. Imports the host and the standard library only.

One framework, `classic`, in three specifications: each modality has an encoder and a space of its
own, so that no vector of one is ever compared with one of another.
"""

from __future__ import annotations

from llm_multi_core.embedder import FrameworkSpec, Modality, ModelSpec, OptionSpec, hookimpl

IMAGE_MODEL, AUDIO_MODEL, TEXT_MODEL = "hsv-hog", "mfcc-statistics", "hashed-ngrams"

IMAGE = FrameworkSpec(
    name="classic",
    modalities=(Modality.IMAGE,),
    target="llm_multi_core_classic.image:ClassicImageEncoder",
    requires=("pillow>=10.1,<14", "scikit-image>=0.25,<1"),
    default_model={Modality.IMAGE: IMAGE_MODEL},
    options=(
        OptionSpec(
            "colour_weight",
            float,
            default=0.5,
            affects_space=True,
            summary="how much of the cosine is the colours', above 0 and at most 1; the rest is the shapes'",
        ),
    ),
    summary="without a model: alike in colours and outlines, whatever is shown",
    models=(
        ModelSpec(
            IMAGE_MODEL,
            (Modality.IMAGE,),
            449,
            note="colour histogram and histograms of oriented gradients (Dalal and Triggs, 2005)",
            source="https://scikit-image.org/docs/stable/api/skimage.feature.html#skimage.feature.hog",
        ),
    ),
)

AUDIO = FrameworkSpec(
    name="classic",
    modalities=(Modality.AUDIO,),
    target="llm_multi_core_classic.audio:ClassicAudioEncoder",
    requires=("librosa>=0.11,<1", "soundfile>=0.12,<1", "soxr>=0.3,<2"),
    default_model={Modality.AUDIO: AUDIO_MODEL},
    summary="without a model: alike in timbre and register, whatever is said or played",
    models=(
        ModelSpec(
            AUDIO_MODEL,
            (Modality.AUDIO,),
            81,
            max_units=300,
            unit="second",
            note="means and deviations of mel-frequency cepstral coefficients (Davis and Mermelstein, 1980)",
            source="https://librosa.org/doc/latest/generated/librosa.feature.mfcc.html",
        ),
    ),
)

TEXT = FrameworkSpec(
    name="classic",
    modalities=(Modality.TEXT,),
    target="llm_multi_core_classic.text:ClassicTextEncoder",
    requires=("scikit-learn>=1.5,<2",),
    default_model={Modality.TEXT: TEXT_MODEL},
    summary="without a model: alike in spelling and words, whatever is meant",
    models=(
        ModelSpec(
            TEXT_MODEL,
            (Modality.TEXT,),
            1024,
            max_units=200_000,
            unit="byte",
            note="hashed n-grams of characters and words; dimensions= takes any number from 64 on",
            source="https://scikit-learn.org/stable/modules/generated/sklearn.feature_extraction.text.HashingVectorizer.html",
        ),
    ),
)


@hookimpl
def llm_multi_core_frameworks() -> list[FrameworkSpec]:
    """The framework of this distribution, once for each modality."""
    return [IMAGE, AUDIO, TEXT]
