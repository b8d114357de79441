"""The frameworks that put media into words, as data. Imports the host and the standard library only."""

from __future__ import annotations

from llm_multi_core.embedder import FrameworkSpec, Modality, ModelSpec, OptionSpec
from llm_multi_core_transformers.audio_specs import AUDIO_REQUIRES
from llm_multi_core_transformers.image_specs import IMAGE_REQUIRES, PROCESSOR_BACKEND
from llm_multi_core_transformers.text_specs import CHECKPOINT_OPTIONS

_CARD = "https://huggingface.co/"


def _model(name: str, modality: Modality, note: str) -> ModelSpec:
    unit = "image" if modality is Modality.IMAGE else "millisecond"
    return ModelSpec(name, (modality,), unit=unit, note=note, source=_CARD + name)


CAPTION = FrameworkSpec(
    name="caption",
    modalities=(Modality.IMAGE,),
    describer="llm_multi_core_transformers.captions:CaptionDescriber",
    bridge={Modality.IMAGE: "caption"},
    requires=IMAGE_REQUIRES,
    default_model={Modality.IMAGE: "Salesforce/blip-image-captioning-large"},
    options=(
        OptionSpec("prompt", str, summary="how a caption begins, such as 'a photo of'; for BLIP and GIT"),
        OptionSpec("max_new_tokens", int, summary="most tokens of a caption, beyond the prompt; 50 by default"),
        OptionSpec("num_beams", int, default=1, summary="beams of the search; 1 takes the likeliest token each time"),
        PROCESSOR_BACKEND,
        *CHECKPOINT_OPTIONS,
    ),
    summary="captions of images by BLIP, GIT or a vision encoder-decoder, for a text model to embed",
    models=(
        _model("Salesforce/blip-image-captioning-large", Modality.IMAGE, "BLIP, English, 470 million weights"),
        _model(
            "Salesforce/blip-image-captioning-base",
            Modality.IMAGE,
            "BLIP, English, 247 million weights; they are a pickle: allow_pickle=True",
        ),
        _model("microsoft/git-base-coco", Modality.IMAGE, "GIT, English, fine-tuned on COCO"),
        _model("microsoft/git-large-coco", Modality.IMAGE, "GIT, English, fine-tuned on COCO"),
        _model(
            "nlpconnect/vit-gpt2-image-captioning",
            Modality.IMAGE,
            "ViT and GPT-2, English; weights are a pickle: allow_pickle=True",
        ),
    ),
)

TRANSCRIPT = FrameworkSpec(
    name="transcript",
    modalities=(Modality.AUDIO,),
    describer="llm_multi_core_transformers.transcripts:TranscriptDescriber",
    bridge={Modality.AUDIO: "transcript"},
    requires=AUDIO_REQUIRES,
    default_model={Modality.AUDIO: "openai/whisper-base"},
    options=(
        OptionSpec("language", str, summary="of Whisper: 'en', 'german'; by default it finds out for each recording"),
        OptionSpec(
            "task",
            str,
            choices=("transcribe", "translate"),
            summary="of Whisper: 'translate' gives English; by default 'transcribe'",
        ),
        OptionSpec("prompt", str, summary="of Whisper: text as if said before, with names and terms to expect"),
        OptionSpec("max_new_tokens", int, summary="of Whisper: most tokens in 30 s; by default as many as there are"),
        OptionSpec("num_beams", int, default=1, summary="of Whisper: beams of the search; its own command line has 5"),
        OptionSpec(
            "no_speech_threshold",
            float,
            summary="of Whisper: how probable silence must be for 30 s to be left out, such as 0.6; by default never",
        ),
        *CHECKPOINT_OPTIONS,
    ),
    summary="what is said in recordings, by Whisper or a CTC model, for a text model to embed",
    models=(
        _model("openai/whisper-tiny", Modality.AUDIO, "99 languages, 39 million weights"),
        _model("openai/whisper-base", Modality.AUDIO, "99 languages, 74 million weights"),
        _model("openai/whisper-small", Modality.AUDIO, "99 languages, 244 million weights"),
        _model("openai/whisper-large-v3-turbo", Modality.AUDIO, "99 languages, 809 million weights"),
        _model("facebook/wav2vec2-base-960h", Modality.AUDIO, "CTC: English, in capitals without punctuation"),
        _model("facebook/hubert-large-ls960-ft", Modality.AUDIO, "CTC: English, in capitals without punctuation"),
    ),
)

DESCRIBER_FRAMEWORKS = (CAPTION, TRANSCRIPT)
