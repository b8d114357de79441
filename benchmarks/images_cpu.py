"""Embedding photos from files: `embed_batch` of framework `clip` against open_clip one image at a time, on this CPU.

The peer does what LangChain's `OpenCLIPEmbeddings.embed_image` does: open each file with Pillow, preprocess it, encode
it alone, divide by its length (without gradients, which that integration leaves on). Both use the same ViT-B-32 with
random weights, and take turns in one process. The photos are made once: 12 megapixels, in a folder for temporary files.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from paired import median_ratio, publish, take_turns
from PIL import Image
from safetensors.torch import save_file

from llm_multi_core.embedder import ImageEmbedder, create_image_embedder

ARCHITECTURE = "ViT-B-32-quickgelu"
SIZE = (4000, 3000)
ROOT = Path(tempfile.gettempdir()) / "llm-multi-core-benchmark-images"
PEER = "open_clip one by one"


def photos(count: int) -> list[Path]:
    """Paths of JPEGs with smooth areas, edges, texture and sensor noise; always the same ones."""
    folder = ROOT / f"{SIZE[0]}x{SIZE[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04}.jpg" for number in range(count)]
    noise = np.random.default_rng(0).normal(0, 6, (SIZE[1], SIZE[0], 1)).astype(np.float32)
    for number, path in enumerate(paths):
        if not path.exists():
            unfinished = path.with_suffix(".part")
            _photo(number, noise).save(unfinished, format="JPEG", quality=90)
            unfinished.replace(path)
    return paths


def _photo(number: int, noise: npt.NDArray[np.float32]) -> Image.Image:
    draw = np.random.default_rng(number + 1)
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.float32)
    for cells, strength in ((3, 110.0), (12, 60.0), (60, 30.0), (400, 18.0)):
        coarse = draw.normal(0, 1, (cells * 3 // 4 + 1, cells, 3))
        grid = Image.fromarray(np.clip(coarse * 60 + 128, 0, 255).astype(np.uint8))
        picture += (np.asarray(grid.resize(SIZE, Image.Resampling.BICUBIC), np.float32) - 128) * (strength / 60)
    for _ in range(8):  # things with edges
        left, top = draw.integers(0, SIZE[0] - 400), draw.integers(0, SIZE[1] - 400)
        width, height = draw.integers(200, 1500, 2)
        picture[top : top + height, left : left + width] += draw.normal(0, 60, 3).astype(np.float32)
    picture += 128 + np.roll(noise, int(draw.integers(SIZE[0])), axis=1)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def model_folder() -> Path:
    """A folder with ViT-B-32 in random weights, wide enough that photos differ."""
    folder = ROOT / ARCHITECTURE
    if not (folder / "open_clip_model.safetensors").exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(7)
        config = open_clip.get_model_config(ARCHITECTURE)
        model = open_clip.create_model(ARCHITECTURE)
        for weight in model.visual.transformer.parameters():
            if weight.ndim > 1:
                weight.data.mul_(2)
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}), encoding="utf-8")
        save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


class OneByOne:
    """open_clip as LangChain's integration uses it."""

    def __init__(self, folder: Path) -> None:
        self.model, _, self.preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        self.model.eval()

    def embed_image(self, paths: list[Path]) -> list[list[float]]:
        """One vector of length 1 for each file."""
        pictures = [Image.open(path) for path in paths]
        vectors = []
        for picture in pictures:
            with torch.no_grad():
                features = self.model.encode_image(self.preprocess(picture).unsqueeze(0))
            length = features.norm(p=2, dim=1, keepdim=True)
            vectors.append(features.div(length).squeeze(0).tolist())
        return vectors


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    paths, folder = photos(arguments.count), model_folder()
    peer = OneByOne(folder)
    ours: dict[str, ImageEmbedder] = {
        f"ours {precision}": create_image_embedder("clip", str(folder), device="cpu", precision=precision)
        for precision in ("float32", "auto")
    }
    contestants: dict[str, Any] = {
        name: lambda embedder=embedder: embedder.embed_batch(paths) for name, embedder in ours.items()
    }
    seconds = take_turns({**contestants, PEER: lambda: peer.embed_image(paths)}, arguments.turns)
    reference = np.asarray(peer.embed_image(paths), np.float32)
    others = (reference @ reference.T)[~np.eye(len(paths), dtype=bool)]
    publish(
        "images_cpu",
        f"{arguments.count} JPEGs of {SIZE[0]} x {SIZE[1]}, {ARCHITECTURE}, {arguments.turns} turns (medians)",
        ["contestant", "seconds", "images/s", "speed against one by one"],
        [
            [
                name,
                sorted(times)[len(times) // 2],
                arguments.count / sorted(times)[len(times) // 2],
                median_ratio(seconds[PEER], times),
            ]
            for name, times in seconds.items()
        ],
        {
            "megabytes a photo": sum(path.stat().st_size for path in paths) / len(paths) / 1e6,
            **{
                f"lowest cosine to one by one, {name}": float((run() * reference).sum(axis=1).min())
                for name, run in contestants.items()
            },
            "highest cosine of two different photos": float(others.max()),
            "median cosine of two different photos": float(np.median(others)),
        },
    )


if __name__ == "__main__":
    main()
