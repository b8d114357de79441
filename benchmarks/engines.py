"""OpenVINO against torch as engine, for a model of each modality, on this CPU, in turns of one process.

Text: all-MiniLM-L6-v2. Images: CLIP's ViT-B-32, from pictures in memory, so that no decoding is timed. Sound: a model
like wav2vec2-base. The latter two have random weights, wide enough that inputs differ. Every turn embeds other inputs,
so that batches come in sizes that neither engine has seen, as in use.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import images_cpu
import numpy as np
import text_cpu
import torch
from paired import median_ratio, publish, take_turns
from PIL import Image
from texts import sample_texts
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from llm_multi_core.embedder import create_audio_embedder, create_image_embedder, create_text_embedder

ENGINES, PRECISIONS = ("torch", "openvino"), ("float32", "bfloat16")
SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Subject:
    """A model, and what it embeds.

    Attributes:
        title: what it is called in the table.
        create: the function that makes an embedder.
        framework: its framework.
        folder: where the model lies.
        inputs: all inputs of all turns.
        count: how many of them are embedded in a turn.
    """

    title: str
    create: Callable[..., Any]
    framework: str
    folder: str
    inputs: list[Any]
    count: int

    def load(self, engine: str, precision: str) -> tuple[Any, float]:
        """An embedder that is ready, and the seconds that took."""
        embedder = self.create(self.framework, self.folder, device="cpu", engine=engine, precision=precision)
        started = time.perf_counter()
        embedder.embed(self.inputs[0])
        return embedder, time.perf_counter() - started

    def windows(self) -> Iterator[list[Any]]:
        """The inputs of each turn."""
        return (self.inputs[start : start + self.count] for start in range(0, len(self.inputs), self.count))


def pictures(count: int) -> list[Image.Image]:
    """Pictures of 320 x 240 with large shapes and noise; always the same ones."""
    draw = np.random.default_rng(1)
    made = []
    for _ in range(count):
        coarse = Image.fromarray(draw.integers(0, 255, (6, 8, 3), np.uint8)).resize((320, 240))
        made.append(Image.fromarray((np.asarray(coarse) * 0.8 + draw.integers(0, 50, (240, 320, 3))).astype(np.uint8)))
    return made


def sounds(count: int) -> list[np.ndarray]:
    """Chirps in noise of 1 to 8 s; always the same ones."""
    draw = np.random.default_rng(2)
    made = []
    for _ in range(count):
        moments = np.arange(int(draw.uniform(1, 8) * SAMPLE_RATE)) / SAMPLE_RATE
        chirp = np.sin(2 * np.pi * (draw.uniform(80, 800) + draw.uniform(-40, 200) * moments) * moments)
        made.append((0.3 * chirp + draw.normal(0, draw.uniform(0.01, 0.2), len(moments))).astype(np.float32))
    return made


def sound_folder() -> Path:
    """A folder with a model as large as wav2vec2-base in random weights."""
    folder = Path(tempfile.gettempdir()) / "llm-multi-core-benchmark-sounds" / "wav2vec2-base"
    if not (folder / "preprocessor_config.json").exists():
        torch.manual_seed(7)
        model = Wav2Vec2Model(Wav2Vec2Config(vocab_size=32))
        for weight in model.encoder.layers.parameters():
            if weight.ndim > 1:
                weight.data.mul_(2)
        model.save_pretrained(folder)
        extractor = Wav2Vec2FeatureExtractor(return_attention_mask=False)  # type: ignore[no-untyped-call]
        extractor.save_pretrained(folder)
    return folder


def subjects(arguments: argparse.Namespace) -> list[Subject]:
    """The models with inputs for a warm-up and every turn."""
    rounds = arguments.turns + 1
    texts = sample_texts(arguments.texts * rounds)
    minilm, clip, wav2vec2 = text_cpu.model_folder(), str(images_cpu.model_folder()), str(sound_folder())
    return [
        Subject("text", create_text_embedder, "sentence-transformers", minilm, texts, arguments.texts),
        Subject("image", create_image_embedder, "clip", clip, pictures(arguments.images * rounds), arguments.images),
        Subject(
            "audio", create_audio_embedder, "wav2vec2", wav2vec2, sounds(arguments.sounds * rounds), arguments.sounds
        ),
    ]


def run(subject: Subject, turns: int) -> tuple[list[list[Any]], dict[str, float]]:
    """Rows of the table and the facts of one subject."""
    subject.load("torch", "float32")[0].close()  # what is loaded once, of torch and transformers
    converter, converting = subject.load("openvino", "float32")
    converter.close()
    contestants = [(engine, precision) for precision in PRECISIONS for engine in ENGINES]
    ready = {contestant: subject.load(*contestant) for contestant in contestants}

    def turn(embedder: Any) -> Callable[[], object]:
        windows = subject.windows()
        return lambda: embedder.embed_batch(next(windows))

    seconds = take_turns({" ".join(key): turn(embedder) for key, (embedder, _) in ready.items()}, turns)
    last = list(subject.windows())[-1]
    exact = ready["torch", "float32"][0].embed_batch(last)
    others = float(np.median((exact @ exact.T)[~np.eye(len(exact), dtype=bool)]))
    rows: list[list[Any]] = []
    facts: dict[str, float] = {}
    for (engine, precision), (embedder, load) in ready.items():
        times = seconds[f"{engine} {precision}"]
        ratio = median_ratio(seconds[f"torch {precision}"], times)
        cosine = float((embedder.embed_batch(last) * exact).sum(axis=1).min())
        median = sorted(times)[len(times) // 2]
        rows.append([subject.title, engine, precision, median, subject.count / median, ratio, cosine, load])
        if engine == "openvino":
            facts[f"{subject.title}: speed of openvino against torch in {precision}"] = ratio
        embedder.close()
    facts[f"{subject.title}: median cosine of two inputs"] = others
    facts[f"{subject.title}: seconds of the first load, which converts"] = converting
    return rows, facts


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--sounds", type=int, default=4)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows: list[list[Any]] = []
    facts: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LLM_MULTI_CORE_CACHE_DIR"] = cache
        for subject in subjects(arguments):
            more, found = run(subject, arguments.turns)
            rows += more
            facts |= found
    publish(
        "engines",
        f"{arguments.texts} texts, {arguments.images} pictures, {arguments.sounds} recordings a turn, "
        f"{arguments.turns} turns (medians)",
        ["modality", "engine", "precision", "seconds", "a second", "speed against torch", "lowest cosine", "load"],
        rows,
        facts,
    )


if __name__ == "__main__":
    main()
