"""Writes a folder such as users have: texts, pictures and recordings, under names that say nothing.

A catalogue describes its lots in words, and a heap of pictures and recordings shows the same lots. Beside
it lies a captioned sample of other pictures and recordings, to learn from, and further pictures and
recordings of the lots, to ask with. Nothing that is shown in one of the two is shown in the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile
from documents import DOCUMENTS
from drawings import Drawing, all_drawings
from sounds import RATE, Sound, all_sounds

PICTURES, RECORDINGS = 32, 16
"""How many of the drawings and of the sounds are in the library, of 128 and 60."""

_ASKING = 100  # the seed of what is asked with, and of no other rendering

T = TypeVar("T", Drawing, Sound)


@dataclass(frozen=True)
class MediaFolder:
    """Where things are, and what they show.

    Attributes:
        library: what is to be searched: `documents/` and `catalogue/` (texts), `pictures/` and `recordings/`.
        captioned_pictures: captions by file, of the sample to learn from.
        captioned_recordings: likewise.
        lots: what the catalogue says, by file.
        pictures: by file in the library, the file in the catalogue of the lot that it shows.
        recordings: likewise.
        asking: by file in the library, another picture or recording of the same lot, to ask with.
    """

    library: Path
    captioned_pictures: Mapping[Path, str]
    captioned_recordings: Mapping[Path, str]
    lots: Mapping[Path, str]
    pictures: Mapping[Path, Path]
    recordings: Mapping[Path, Path]
    asking: Mapping[Path, Path]


def write_media_folder(folder: Path, *, renderings: int = 3, seed: int = 0) -> MediaFolder:
    """Write it all below a folder; the same seed writes the same files.

    Args:
        folder: where; made if it is missing.
        renderings: how many of each drawing and each sound, all different, are in the captioned sample.
        seed: decides what is in the library and what in the sample.
    """
    chance = np.random.default_rng(seed)
    known_drawings, drawings = _parted(all_drawings(), PICTURES, chance)
    known_sounds, sounds = _parted(all_sounds(), RECORDINGS, chance)
    library = folder / "library"
    _write_texts(library / "documents", DOCUMENTS)
    described = [drawing.caption for drawing in drawings] + [sound.caption for sound in sounds]
    order = chance.permutation(len(described))
    notes = {described[place]: f"lot-{number:03}" for number, place in enumerate(order, 1)}
    written = _write_texts(library / "catalogue", {name: caption for caption, name in notes.items()})
    lot_of = {caption: written[name] for caption, name in notes.items()}
    pictures = _write(library / "pictures", "picture", drawings)
    recordings = _write(library / "recordings", "recording", sounds)
    asked_pictures = _write(folder / "asking", "photo", drawings, [_ASKING])
    asked_recordings = _write(folder / "asking", "take", sounds, [_ASKING])
    captioned = folder / "captioned"
    seeds = range(1, 1 + renderings)
    captioned_pictures = _write(captioned, "picture", known_drawings, seeds)
    captioned_recordings = _write(captioned, "recording", known_sounds, seeds)
    lines = [f"{file.name}\t{caption}\n" for file, caption in {**captioned_pictures, **captioned_recordings}.items()]
    (captioned / "captions.tsv").write_text("".join(lines), encoding="utf-8")
    return MediaFolder(
        library=library,
        captioned_pictures=captioned_pictures,
        captioned_recordings=captioned_recordings,
        lots={file: caption for caption, file in lot_of.items()},
        pictures={file: lot_of[caption] for file, caption in pictures.items()},
        recordings={file: lot_of[caption] for file, caption in recordings.items()},
        asking=dict(zip([*pictures, *recordings], [*asked_pictures, *asked_recordings], strict=True)),
    )


def _parted(subjects: Sequence[T], held_out: int, chance: np.random.Generator) -> tuple[list[T], list[T]]:
    """Subjects to learn from, and subjects to hold out."""
    order = chance.permutation(len(subjects))
    return [subjects[place] for place in order[held_out:]], [subjects[place] for place in order[:held_out]]


def _write_texts(folder: Path, texts: Mapping[str, str]) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}.txt" for name in texts}
    for name, file in files.items():
        file.write_text(f"{texts[name]}\n", encoding="utf-8")
    return files


def _write(
    folder: Path, name: str, subjects: Iterable[Drawing | Sound], seeds: Iterable[int] = (0,)
) -> dict[Path, str]:
    """Numbered files and their captions."""
    folder.mkdir(parents=True, exist_ok=True)
    captions: dict[Path, str] = {}
    for subject in subjects:
        for seed in seeds:
            stem = f"{name}-{len(captions) + 1:03}"
            if isinstance(subject, Drawing):
                file = folder / f"{stem}.png"
                subject.draw(seed).save(file)
            else:
                file = folder / f"{stem}.flac"
                soundfile.write(file, subject.play(seed), RATE)
            captions[file] = subject.caption
    return captions
