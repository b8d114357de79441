"""The pages of a PDF are pictures with page numbers; what cannot be rendered is named."""

from __future__ import annotations

import io
import threading
import zlib

import numpy as np
import pytest

from llm_multi_core.embedder import InvalidInputError, Span, pdf_pages
from llm_multi_core.embedder.inputs.pdf import pdf_page, pdf_page_count
from llm_multi_core.embedder.testing.media import picture_of

COLOURS = [(1, 0, 0), (0, 0.6, 0), (0, 0, 1)]


def write_pdf(pages, size=(200, 300), extra=(), trailer=""):
    """A PDF by hand: pages that are each filled with a colour, upright on white."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for red, green, blue in pages:
        stream = f"{red} {green} {blue} rg 20 20 {size[0] - 40} {size[1] - 40} re f"
        kids.append(len(objects) + 1)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {size[0]} {size[1]}] /Contents {len(objects) + 2} 0 R >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] /Count {len(kids)} >>"
    objects += extra
    content = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(content))
        content += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R{trailer} >>"
    return content + f"{end}\nstartxref\n{len(content)}\n%%EOF\n".encode("latin-1")


LOCKED = (
    " /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 "
    f"/O <{'5A' * 32}> /U <{'3C' * 32}> >> /ID [<{'00' * 16}> <{'00' * 16}>]"
)
"""Encrypted with a password that nobody knows."""


@pytest.fixture
def paper(tmp_path):
    path = tmp_path / "paper.pdf"
    path.write_bytes(write_pdf(COLOURS))
    return path


def colour_of(item):
    picture = picture_of(item)
    return np.asarray(picture)[picture.height // 2, picture.width // 2] / 255


def test_each_page_is_a_picture_with_its_number(paper):
    pages = list(pdf_pages(paper))
    assert [page.span for page in pages] == [Span("page", number, number, str(paper)) for number in (1, 2, 3)]
    for page, colour in zip(pages, COLOURS, strict=True):
        assert picture_of(page).size == (1024, 1536)
        assert picture_of(page).mode == "RGB"
        assert np.allclose(colour_of(page), colour, atol=0.01)
        assert np.asarray(picture_of(page))[0, 0].tolist() == [255, 255, 255]
    assert len({page.digest for page in pages}) == 3


def test_every_form_of_a_pdf_gives_the_same_pages(paper):
    from base64 import b64encode

    data = paper.read_bytes()
    url = "data:application/pdf;base64," + b64encode(data).decode()
    expected = [page.digest for page in pdf_pages(paper)]
    for form in (str(paper), paper.as_uri(), data, io.BytesIO(data), url):
        assert [page.digest for page in pdf_pages(form)] == expected
    assert next(pdf_pages(data)).span == Span("page", 1, 1)
    assert next(pdf_pages(paper.as_uri())).span.source == paper.as_uri()


def test_sizes(paper, tmp_path):
    assert picture_of(next(pdf_pages(paper, longest_side=300))).size == (200, 300)
    wide = write_pdf(COLOURS[:1], size=(1000, 50))
    assert picture_of(next(pdf_pages(wide, longest_side=100))).size == (100, 5)


def test_pages_lie_in_memory_compressed(paper):
    page = next(pdf_pages(paper))
    width, height = picture_of(page).size
    assert page.parts[0].payload.nbytes < width * height * 3 / 50


def test_pages_are_rendered_as_they_are_asked_for(paper):
    pages = pdf_pages(paper)
    next(pages)
    paper.unlink()  # the document is open, and stays so until its last page
    assert [page.span.start for page in pages] == [2, 3]


def test_a_single_page_and_their_number(paper):
    assert pdf_page_count(paper) == 3
    page = pdf_page(paper, 2)
    assert page.digest == list(pdf_pages(paper))[1].digest
    assert page.span == Span("page", 2, 2, str(paper))
    for number in (0, 4, -1):
        with pytest.raises(InvalidInputError, match=rf"'paper\.pdf' has 3 page\(s\), and no page {number}$"):
            pdf_page(paper, number)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no PDF at all", r"is no PDF that can be read"),
        (b"%PDF-1.4\n", r"is no PDF that can be read"),
        (zlib.compress(b"x" * 1000), r"is no PDF that can be read"),
        (write_pdf([]), r"is no PDF that can be read"),
        (write_pdf(COLOURS, trailer=LOCKED), r"needs a password; save it without one"),
    ],
    ids=["other", "cut", "noise", "empty", "locked"],
)
def test_what_cannot_be_read_is_named(content, message, tmp_path):
    path = tmp_path / "paper.pdf"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=rf"^'paper\.pdf' {message}"):
        list(pdf_pages(path))
    with pytest.raises(InvalidInputError, match=rf"^the PDF {message}"):
        pdf_page_count(content)


def test_a_damaged_page_is_named(tmp_path):
    """Its object is not there, and those before it are."""
    path = tmp_path / "paper.pdf"
    path.write_bytes(write_pdf(COLOURS).replace(b"/Kids [3 0 R 5 0 R", b"/Kids [3 0 R 9 0 R"))
    pages = pdf_pages(path)
    assert next(pages).span.start == 1
    with pytest.raises(InvalidInputError, match=r"^page 2 of 'paper\.pdf' is damaged"):
        next(pages)


@pytest.mark.parametrize("value", [None, 3, ["paper.pdf"]])
def test_other_values_are_refused(value):
    with pytest.raises(InvalidInputError, match="a PDF is a path, a URL, bytes or a file object, not"):
        list(pdf_pages(value))


def test_a_file_that_is_not_there_and_a_url_that_is_not_allowed():
    with pytest.raises(InvalidInputError, match=r"no such file: 'nowhere\.pdf'"):
        list(pdf_pages("nowhere.pdf"))
    with pytest.raises(InvalidInputError, match="URLs are not fetched"):
        list(pdf_pages("https://example.org/paper.pdf"))
    with pytest.raises(InvalidInputError, match="the PDF is empty"):
        list(pdf_pages(b""))


def test_threads_may_render_at_the_same_time(tmp_path):
    """PDFium itself must not be called by two threads at once."""
    paths = [tmp_path / f"{number}.pdf" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_bytes(write_pdf([(number / 4, 0.5, 0.1 * page) for page in range(5)]))
    expected = [[page.digest for page in pdf_pages(path, longest_side=400)] for path in paths]
    found = {}

    def work(number):
        for _ in range(4):
            found[number] = [page.digest for page in pdf_pages(paths[number % 4], longest_side=400)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [found[number] for number in range(8)] == expected * 2


def test_segments_of_a_pdf_are_its_pages(make, paper):
    embedder = make("words", "pictures")
    pages = embedder.segments(str(paper))
    assert [page.digest for page in pages] == [page.digest for page in pdf_pages(paper)]
    assert [page.digest for page in embedder.segments(paper)] == [page.digest for page in pages]
    assert len({vector.tobytes() for vector in embedder.embed_batch(pages)}) == 3
