"""Answers as one HTML page that needs nothing else: no files, no network, no scripts.

Pictures and recordings are in the page as `data:` URLs. What it says comes as data and is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path

from media_search import Answer, Direction, Question, recall
from PIL import Image

from llm_multi_core.embedder.media import mime_type_of

SHOWN = 6
"""Questions of each direction that are on the page: the first ones, right or wrong."""

THUMBNAIL = 160
"""Most pixels on a side."""


@dataclass(frozen=True)
class Results:
    """What the page shows.

    Attributes:
        answers: for each direction the answers to each of its questions.
        captions: what media show, by file.
        ways: by modality, how it comes into the common space.
        notes: paragraphs below the title.
    """

    answers: Mapping[Direction, Sequence[Sequence[Answer]]]
    captions: Mapping[Path, str]
    ways: Mapping[str, str]
    notes: Sequence[str]


def results_page(results: Results) -> str:
    """The page, as HTML in UTF-8."""
    style = (Path(__file__).parent / "results_page.css").read_text(encoding="utf-8")
    notes = "".join(f"<p>{escape(note)}</p>" for note in results.notes)
    sections = "".join(_section(direction, results) for direction in results.answers)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Search across texts, pictures and sound</title>
<style>{style}</style>
</head>
<body>
<header><h1>Search across texts, pictures and sound</h1>{notes}</header>
<main>{_summary(results)}{sections}</main>
</body>
</html>
"""


def _summary(results: Results) -> str:
    rows = "".join(_row(direction, answers) for direction, answers in results.answers.items())
    ways = "".join(f"<dt>{escape(modality)}</dt><dd>{escape(way)}</dd>" for modality, way in results.ways.items())
    return (
        '<section class="summary"><div><h2>How often the right one is found</h2>'
        '<table><thead><tr><th scope="col">asked → found</th><th scope="col">questions</th>'
        f'<th scope="col">first</th><th scope="col">among 3</th></tr></thead><tbody>{rows}</tbody></table></div>'
        f"<div><h2>How each comes into the common space</h2><dl>{ways}</dl></div></section>"
    )


def _row(direction: Direction, answers: Sequence[Sequence[Answer]]) -> str:
    link = f'<a href="#{_anchor(direction)}">{escape(str(direction))}</a>'
    cells = (len(answers), *(f"{recall(direction, answers, k):.2f}" for k in (1, 3)))
    return f'<tr><th scope="row">{link}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _section(direction: Direction, results: Results) -> str:
    answers = results.answers[direction]
    pairs = list(zip(direction.questions, answers, strict=True))[:SHOWN]
    articles = "".join(_article(question, found, results.captions) for question, found in pairs)
    shown = f"The first {len(pairs)} of {len(answers)} questions, with the best answers to each."
    return f'<section id="{_anchor(direction)}"><h2>{escape(str(direction))}</h2><p>{shown}</p>{articles}</section>'


def _article(question: Question, answers: Sequence[Answer], captions: Mapping[Path, str]) -> str:
    found = "".join(_answer(answer, answer.file == question.right, captions) for answer in answers)
    asked = _thing(question.query, captions)
    return f'<article><div class="asked"><h3>asked</h3>{asked}</div><ol>{found}</ol></article>'


def _answer(answer: Answer, is_right: bool, captions: Mapping[Path, str]) -> str:
    verdict = '<span class="verdict">✓ right</span>' if is_right else ""
    return (
        f'<li class="{"right" if is_right else "other"}">{_thing(answer.file, captions)}'
        f'<p class="score"><meter min="0" max="1" value="{max(0.0, answer.score):.3f}"></meter> '
        f"<data>{answer.score:.3f}</data>{verdict}</p></li>"
    )


def _thing(thing: str | Path, captions: Mapping[Path, str]) -> str:
    """A text, or what a file holds, with its name and what it shows."""
    if isinstance(thing, str):
        return f"<blockquote>{escape(thing)}</blockquote>"
    mime_type = mime_type_of(thing)
    name, caption = escape(thing.name), escape(captions.get(thing, ""))
    if mime_type.startswith("image/"):
        shown = f'<img src="{_thumbnail(thing)}" alt="{name}">'
    elif mime_type.startswith("audio/"):
        source = _data_url(mime_type, thing.read_bytes())
        shown = f'<audio controls preload="metadata" src="{source}" aria-label="{name}"></audio>'
    else:
        shown = f"<blockquote>{escape(thing.read_text(encoding='utf-8').strip())}</blockquote>"
    told = f"<small>{caption}</small>" if caption else ""
    return f"<figure>{shown}<figcaption>{name}{told}</figcaption></figure>"


def _thumbnail(file: Path) -> str:
    with Image.open(file) as picture:
        small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    encoded = BytesIO()
    small.save(encoded, "PNG", optimize=True)
    return _data_url("image/png", encoded.getvalue())


def _data_url(mime_type: str, data: bytes) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"


def _anchor(direction: Direction) -> str:
    return f"{direction.asked}-to-{direction.wanted}"
