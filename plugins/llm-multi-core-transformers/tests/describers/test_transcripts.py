"""What is heard is what the library hears, to the end of every recording."""

from __future__ import annotations

import json
from shutil import copytree

import numpy as np
import pytest

from llm_multi_core.embedder import InvalidInputError, InvalidOptionError, ModelLoadError
from llm_multi_core.embedder.inputs.audio import audio_item
from llm_multi_core.embedder.testing.media import encode_sound

RATE = 16_000
WHISPER = ["whisper", "whisper-english"]
CTC = ["wav2vec2", "wav2vec2-layer", "hubert"]


@pytest.fixture
def sounds(make_sound):
    """Recordings of up to a second, which is what the tiny Whisper hears at once."""
    return [make_sound(seconds, seed) for seed, seconds in enumerate((0.4, 0.9, 1.0, 0.7, 0.2, 0.95))]


@pytest.fixture
def items():
    return lambda sounds: [audio_item(sound, RATE) for sound in sounds]


def said_in(texts):
    """The texts; nothing where there were no words."""
    return [text if isinstance(text, str) else "" for text in texts]


@pytest.fixture
def whisper(folder_of):
    """What transformers itself hears with a tiny Whisper."""
    from transformers import AutoFeatureExtractor, AutoModelForSpeechSeq2Seq, AutoTokenizer

    def listen(kind, sound, **arguments):
        folder = folder_of(kind)
        extractor, tokenizer = AutoFeatureExtractor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSpeechSeq2Seq.from_pretrained(folder).eval()
        model.generation_config.max_length = model.config.max_target_positions
        padding = "longest" if len(sound) > extractor.n_samples else "max_length"
        inputs = extractor(sound, sampling_rate=RATE, padding=padding, truncation=False, return_tensors="pt")
        tokens = model.generate(inputs["input_features"], **arguments)
        return tokenizer.decode(tokens[0], skip_special_tokens=True).strip()

    return listen


@pytest.fixture
def ctc(folder_of):
    """transformers' own pipeline over a tiny model with a CTC head."""
    from transformers import pipeline

    def listen(kind, sound, **arguments):
        own = pipeline("automatic-speech-recognition", model=str(folder_of(kind)), device="cpu")
        return own({"raw": sound, "sampling_rate": RATE}, **arguments)["text"].strip()

    return listen


@pytest.mark.parametrize("kind", WHISPER)
def test_whisper_hears_short_recordings(kind, bridge, folder_of, whisper, sounds, items):
    expected = [whisper(kind, sound) for sound in sounds]
    assert len(set(expected)) >= 4
    assert said_in(bridge("transcript", folder_of(kind)).texts(items(sounds))) == expected


@pytest.mark.parametrize("kind", CTC)
def test_ctc_hears_short_recordings(kind, bridge, folder_of, ctc, sounds, items):
    expected = [ctc(kind, sound) for sound in sounds]
    assert len(set(expected)) >= 4
    assert bridge("transcript", folder_of(kind)).texts(items(sounds)) == expected


@pytest.mark.parametrize("kind", [*WHISPER, *CTC])
def test_neighbours_in_a_batch_do_not_matter(kind, bridge, folder_of, make_sound, items):
    recordings = items([make_sound(seconds, seed) for seed, seconds in enumerate((0.4, 2.3, 1.0, 0.7, 1.7, 0.95))])
    together = said_in(bridge("transcript", folder_of(kind)).texts(recordings))
    assert sum(bool(text) for text in together) >= 4
    alone = bridge("transcript", folder_of(kind))
    assert said_in(alone.texts([item])[0] for item in reversed(recordings)) == together[::-1]


@pytest.mark.parametrize("kind", WHISPER)
def test_whisper_hears_a_long_recording_to_its_end(kind, bridge, folder_of, whisper, make_sound, items):
    long = make_sound(4.1, 3)
    (text,) = bridge("transcript", folder_of(kind)).texts(items([long]))
    assert text == whisper(kind, long, return_timestamps=True)
    (beginning,) = said_in(bridge("transcript", folder_of(kind)).texts(items([long[: 2 * RATE]])))
    assert len(text) > len(beginning)


@pytest.mark.parametrize("kind", CTC)
def test_ctc_hears_a_long_recording_in_windows(kind, bridge, folder_of, ctc, make_sound, items):
    long = make_sound(74.3, 5)
    (text,) = bridge("transcript", folder_of(kind)).texts(items([long]))
    assert text == ctc(kind, long, chunk_length_s=30)
    assert len(text) > 2 * len(bridge("transcript", folder_of(kind)).texts(items([long[: 29 * RATE]]))[0])


def test_windows_of_ctc_cover_every_frame_once(folder_of):
    """Whatever the length: what a window leaves out at its right is where the next one begins to count."""
    from llm_multi_core_torch import Precision
    from llm_multi_core_transformers.checkpoints import find_checkpoint
    from llm_multi_core_transformers.describer_specs import TRANSCRIPT
    from llm_multi_core_transformers.transcripts_ctc import CTCRecogniser

    options = TRANSCRIPT.check_options({})
    files = find_checkpoint(str(folder_of("hubert")), options)
    recogniser = CTCRecogniser(files, options, "cpu", Precision("float32"))
    for count in (1, RATE, 30 * RATE, 30 * RATE + 1, 50 * RATE, 70 * RATE, 123_456, 1_234_567):
        covered = 0
        for first, last, left, right in recogniser._windows(count):
            assert first // 320 + left == covered
            covered = first // 320 + (right if right is not None else round((last - first) / 320))
        assert last == count
        assert covered == round((last - first) / 320) + first // 320


def test_more_than_fits_into_one_answer_is_asked_on(bridge, folder_of, whisper, sounds, items):
    """No answer of the endless model ends by itself, so that each is asked for from sentence to sentence."""
    whole = [sound for sound in sounds if len(sound) == RATE]  # with others the silence behind them is left out
    cut = [whisper("whisper-endless", sound) for sound in whole]
    asked_on = [whisper("whisper-endless", sound, return_timestamps=True) for sound in whole]
    assert cut != asked_on
    assert bridge("transcript", folder_of("whisper-endless")).texts(items(whole)) == asked_on
    asked_for = bridge("transcript", folder_of("whisper-endless"), max_new_tokens=6).texts(items(whole))
    assert asked_for == [whisper("whisper-endless", sound, max_new_tokens=6) for sound in whole]


def test_the_silence_that_fills_a_window_has_no_words(bridge, folder_of, whisper, make_sound, items):
    sound = make_sound(0.3, 3)
    (text,) = bridge("transcript", folder_of("whisper-endless")).texts(items([sound]))
    with_silence = whisper("whisper-endless", sound, return_timestamps=True)
    assert with_silence.startswith(text)
    assert len(text) < len(with_silence)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"language": "german"}, {"language": "de"}),
        ({"language": "FR", "task": "translate"}, {"language": "fr", "task": "translate"}),
        ({"task": "translate"}, {"task": "translate"}),
    ],
)
def test_language_and_task(options, expected, bridge, folder_of, whisper, sounds, items):
    texts = bridge("transcript", folder_of("whisper"), **options).texts(items(sounds))
    assert said_in(texts) == [whisper("whisper", sound, **expected) for sound in sounds]
    assert texts != bridge("transcript", folder_of("whisper")).texts(items(sounds))


def test_a_prompt_is_taken_for_what_was_said_before(bridge, folder_of, whisper, make_sound, sounds, items):
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder_of("whisper")).get_prompt_ids("Llama", return_tensors="pt")
    texts = bridge("transcript", folder_of("whisper"), prompt="Llama").texts(items(sounds))
    assert said_in(texts) == [whisper("whisper", sound, prompt_ids=tokens) for sound in sounds]
    assert texts != bridge("transcript", folder_of("whisper")).texts(items(sounds))
    long = make_sound(2.4, 3)
    (text,) = said_in(bridge("transcript", folder_of("whisper"), prompt="Llama").texts(items([long])))
    assert text == whisper("whisper", long, prompt_ids=tokens, return_timestamps=True)
    assert "Llama" not in text


def test_beams(bridge, folder_of, whisper, sounds, items):
    texts = bridge("transcript", folder_of("whisper"), num_beams=3).texts(items(sounds))
    assert said_in(texts) == [whisper("whisper", sound, num_beams=3) for sound in sounds]
    assert texts != bridge("transcript", folder_of("whisper")).texts(items(sounds))


def test_silence_by_its_probability(bridge, folder_of, whisper, make_sound, items):
    long, kind = make_sound(3.2, 6), "whisper-unsure"
    heard = []
    for threshold in (0.0, 1.0):
        arguments = {"no_speech_threshold": threshold, "logprob_threshold": -1.0, "temperature": 0.0}
        texts = bridge("transcript", folder_of(kind), no_speech_threshold=threshold).texts(items([long]))
        assert said_in(texts) == [whisper(kind, long, return_timestamps=True, **arguments)]
        heard += said_in(texts)
    assert [bool(text) for text in heard] == [False, True]


def test_silence_is_named(bridge, folder_of, sounds, items):
    texts = bridge("transcript", folder_of("whisper-silent")).texts(items(sounds[:2]))
    assert all(isinstance(text, InvalidInputError) for text in texts)
    assert all("found no words for it" in str(text) for text in texts)


def test_the_shortest_sounds(bridge, folder_of, items):
    tiny = items([np.full(3, 0.1, np.float32)])
    for kind in (*WHISPER, *CTC):
        (text,) = bridge("transcript", folder_of(kind)).texts(tiny)
        assert isinstance(text, str | InvalidInputError)


def test_recordings_at_other_rates(bridge, folder_of, make_sound):
    sound = make_sound(0.9, 1)
    fine = np.interp(np.arange(2 * len(sound)) / 2, np.arange(len(sound)), sound).astype(np.float32)
    made = bridge("transcript", folder_of("wav2vec2"))
    assert made.sample_rate == RATE
    at_own, at_double = made.texts([audio_item(sound, RATE), audio_item((fine, 2 * RATE), RATE)])
    assert isinstance(at_own, str)
    assert isinstance(at_double, str)


def test_a_damaged_recording_leaves_the_others_alone(bridge, folder_of, sounds, tmp_path):
    paths = [tmp_path / f"{number}.wav" for number in range(3)]
    for path, sound in zip(paths, sounds, strict=False):
        path.write_bytes(encode_sound(sound, subtype="FLOAT"))
    recordings = [audio_item(path, RATE) for path in paths]
    paths[1].write_bytes(b"RIFF")
    first, second, third = bridge("transcript", folder_of("hubert")).texts(recordings)
    assert isinstance(second, InvalidInputError)
    assert "'1.wav'" in str(second)
    assert [first, third] == bridge("transcript", folder_of("hubert")).texts([recordings[0], recordings[2]])


def test_half_precision(bridge, folder_of, sounds, items):
    for kind in ("whisper", "hubert"):
        texts = bridge("transcript", folder_of(kind), precision="bfloat16").texts(items(sounds))
        assert any(isinstance(text, str) for text in texts)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("whisper-english", {"language": "en"}, "knows English only; leave out language="),
        ("whisper-english", {"task": "translate"}, "knows English only; leave out task="),
        ("whisper", {"language": "klingon"}, "language='klingon' is none that model .* knows: de, en, fr"),
        ("whisper", {"task": "summarise"}, "not one of 'transcribe', 'translate'"),
        ("whisper", {"max_new_tokens": 0}, "max_new_tokens=0 is not a number from 1 on"),
        ("whisper", {"max_new_tokens": 157}, "an answer of model .* has room for 156"),
        ("whisper", {"max_new_tokens": 150, "prompt": "ten tokens"}, "an answer of model .* has room for 144"),
        ("whisper", {"prompt": "long " * 20}, "prompt= has 101 tokens, and model .* takes 80; shorten it"),
        ("hubert", {"prompt": "names"}, "prompt= is for Whisper; model .* is a hubert with a CTC head"),
        ("wav2vec2", {"language": "en"}, "language= is for Whisper"),
    ],
)
def test_options(kind, options, message, bridge, folder_of, sounds, items):
    with pytest.raises(InvalidOptionError, match=message):
        bridge("transcript", folder_of(kind), **options).texts(items(sounds))


class TestModels:
    def test_of_other_types(self, bridge, folder_of, sounds, items):
        with pytest.raises(ModelLoadError, match=r"of type 'blip', which transcript does not run \(it runs whisper, "):
            bridge("transcript", folder_of("blip")).texts(items(sounds))

    def test_that_were_not_taught_to_write(self, bridge, folder_of, sounds, items, tmp_path):
        folder = copytree(folder_of("hubert"), tmp_path / "base")
        (folder / "vocab.json").unlink()
        with pytest.raises(ModelLoadError, match="no vocabulary: it was not fine-tuned to write what is said"):
            bridge("transcript", folder).texts(items(sounds))

    def test_without_the_head(self, bridge, folder_of, sounds, items, tmp_path):
        from safetensors.torch import load_file, save_file

        folder = copytree(folder_of("hubert"), tmp_path / "headless")
        weights = load_file(folder / "model.safetensors")
        kept = {name: tensor for name, tensor in weights.items() if not name.startswith("lm_head.")}
        save_file(kept, folder / "model.safetensors")
        with pytest.raises(ModelLoadError, match=r"lack 2 .* such as 'lm_head\.bias'"):
            bridge("transcript", folder).texts(items(sounds))

    @pytest.mark.parametrize("kind", ["whisper", "hubert"])
    def test_as_pickles(self, kind, bridge, folder_of, sounds, items, tmp_path):
        import torch
        from safetensors.torch import load_file

        expected = said_in(bridge("transcript", folder_of(kind)).texts(items(sounds)))
        folder = copytree(folder_of(kind), tmp_path / "pickled")
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        with pytest.raises(ModelLoadError, match=r"pytorch_model\.bin.*allow_pickle=True"):
            bridge("transcript", folder).texts(items(sounds))
        assert said_in(bridge("transcript", folder, allow_pickle=True).texts(items(sounds))) == expected

    def test_are_known_by_their_content(self, bridge, folder_of, tmp_path):
        folder = copytree(folder_of("whisper"), tmp_path / "elsewhere")
        before = bridge("transcript", folder_of("whisper")).identity
        assert bridge("transcript", folder).identity == before
        assert bridge("transcript", folder, precision="bfloat16").identity == before
        for options in ({"language": "en"}, {"task": "translate"}, {"prompt": "a"}, {"num_beams": 3}):
            other = bridge("transcript", folder, **options).identity
            assert other != before
            assert other["model"] == before["model"]
        changed = copytree(folder, tmp_path / "changed")
        file = changed / "generation_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"suppress_tokens": [1]}))
        assert bridge("transcript", changed).identity["model"] != before["model"]
