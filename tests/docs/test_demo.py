"""The demo runs offline, finds the right things, and writes a page that a browser shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

MINIMUM = 0.75
"""The recall that text has to reach among pictures and recordings that were held out."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A run of the demo: what it prints, and the folder that it writes."""
    output = tmp_path_factory.mktemp("demo")
    environment = {**os.environ, "HF_HOME": str(output / "no-models"), "COLUMNS": "120", "DEMO_JOINT": "auto"}
    command = [sys.executable, Path(__file__).parents[2] / "examples" / "demo.py", "--output", output]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, output


def test_every_question_is_answered(demo):
    printed, _ = demo
    assert "Right answer first in both: 5 of 5" in printed
    assert "sentence-transformers" in printed
    assert "duplicates" in printed


def test_media_that_were_held_out_are_found_in_both_frameworks(demo):
    printed, _ = demo
    rows = re.findall(r"(\w+) → (\w+) +│ +(\d+)" + r" +│ +([\d.]+)" * 4, printed)
    assert [row[:3] for row in rows] == [
        ("text", "image", "32"),
        ("text", "audio", "16"),
        ("image", "text", "32"),
        ("audio", "text", "16"),
    ]
    for asked, wanted, _, langchain, langchain_3, llama_index, llama_index_3 in rows:
        assert (langchain, langchain_3) == (llama_index, llama_index_3)
        assert float(langchain) >= MINIMUM, f"{asked} to {wanted}"


def test_it_says_how_media_come_into_the_space_and_how_long_it_took(demo):
    printed, output = demo
    assert "classic model 'hsv-hog', aligned to" in printed
    assert "classic model 'mfcc-statistics', aligned to" in printed
    assert re.search(r"Done in \d+\.\d s", printed)
    assert (output / "results.html").as_uri() in printed


LOADED = """Promise.all([
    ...[...document.images].map(image => image.decode()),
    ...[...document.querySelectorAll('audio')].map(player => new Promise((done, failed) => {
        player.onerror = () => failed(player.error.message)
        player.onloadedmetadata = done
        player.error ? player.onerror() : player.readyState && done()
    }))
])"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_browser_shows_the_page(demo, browser, tmp_path, dark):
    _, output = demo
    browser.open((output / "results.html").as_uri(), width=1100, height=1400, dark=dark)
    browser.evaluate(LOADED)
    widths = browser.evaluate("[...document.images].map(image => image.naturalWidth)")
    seconds = browser.evaluate("[...document.querySelectorAll('audio')].map(player => player.duration)")
    scores = browser.evaluate("[...document.querySelectorAll('.score data')].map(score => +score.textContent)")
    headings = browser.evaluate("[...document.querySelectorAll('h1, h2')].map(heading => heading.textContent)")
    rights = browser.evaluate("document.querySelectorAll('li.right').length")
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    browser.photograph(tmp_path / "page.png")
    assert widths == [160] * 24  # 18 answers, and 6 that were asked with
    assert seconds == [pytest.approx(1.5, abs=0.01)] * 24
    assert len(scores) == 72
    assert all(0 < score <= 1 for score in scores)
    assert rights >= 24 * MINIMUM
    assert headings[0] == "Search across texts, pictures and sound"
    assert {"text → image", "text → audio", "image → text", "audio → text"} <= set(headings)
    assert browser.failures == []
    brightness = sum(map(int, re.findall(r"\d+", ground)))
    assert (brightness < 128) if dark else (brightness > 640)
    with Image.open(tmp_path / "page.png") as photograph:
        colours = photograph.convert("RGB").getcolors(maxcolors=1 << 24)
    assert len(colours) > 500


def test_the_page_fits_a_small_screen(demo, browser):
    _, output = demo
    browser.open((output / "results.html").as_uri(), width=360, height=800)
    assert browser.evaluate("document.documentElement.scrollWidth") == 360
