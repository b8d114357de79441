"""The parts of the demo: what it draws and plays, the folder that it writes, the page that it makes."""

from html.parser import HTMLParser

import numpy as np
from PIL import Image

from llm_multi_core.embedder import Modality


def test_every_drawing_differs_from_every_other_and_is_the_same_each_time():
    from drawings import all_drawings

    drawn = all_drawings()
    assert len({drawing.caption for drawing in drawn}) == len(drawn) == 128
    assert len({drawing.draw().tobytes() for drawing in drawn}) == 128
    assert len({drawn[0].draw(seed).tobytes() for seed in range(20)}) == 20
    assert drawn[5].draw(3).tobytes() == drawn[5].draw(3).tobytes()


def test_a_drawing_shows_its_colour_and_its_size():
    from drawings import COLOURS, all_drawings

    shares = {}
    for drawing in all_drawings():
        pixels = np.asarray(drawing.draw(1), np.int16)
        painted = (np.abs(pixels - COLOURS[drawing.colour]).max(axis=2) < 30).mean()
        shares[drawing] = painted
        assert 0.005 < painted < 0.6, drawing.caption
    for large in (drawing for drawing in shares if drawing.size == "large"):
        small = type(large)(large.colour, large.shape, "small")
        assert shares[large] > 2.5 * shares[small], large.caption


def test_every_sound_differs_from_every_other_and_is_the_same_each_time():
    from sounds import RATE, all_sounds

    played = all_sounds()
    assert len({sound.caption for sound in played}) == len(played) == 60
    waves = [sound.play() for sound in played]
    assert len({wave.tobytes() for wave in waves}) == 60
    assert all(wave.dtype == np.float32 and len(wave) == int(1.5 * RATE) for wave in waves)
    assert all(np.abs(wave).max() == 0.5 and np.isfinite(wave).all() for wave in waves)
    assert (played[7].play(2) == played[7].play(2)).all()
    assert not np.allclose(played[7].play(2), played[7].play(3))


def test_nothing_in_the_library_is_shown_in_the_captioned_sample(tmp_path):
    from media_folder import write_media_folder

    written = write_media_folder(tmp_path)
    sample = {**written.captioned_pictures, **written.captioned_recordings}
    assert not set(sample.values()) & set(written.lots.values())
    files = [*written.pictures, *written.recordings, *written.asking.values(), *sample]
    contents = {file.read_bytes() for file in files}
    assert len(contents) == len(files) == 32 + 16 + 48 + 3 * (96 + 44)
    for file, lot in {**written.pictures, **written.recordings}.items():
        assert lot.read_text().strip() == written.lots[lot]
        assert not any(word in file.name for word in written.lots[lot].split()[1:])


def test_the_same_seed_writes_the_same_files(tmp_path):
    from media_folder import write_media_folder

    first, again, other = (
        write_media_folder(tmp_path / str(number), renderings=1, seed=number // 2) for number in range(3)
    )
    assert [file.read_bytes() for file in first.pictures] == [file.read_bytes() for file in again.pictures]
    assert list(first.lots.values()) == list(again.lots.values())
    assert list(first.lots.values()) != list(other.lots.values())


class Tags(HTMLParser):
    """The tags and attributes of a page, and its texts."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def test_whatever_a_page_says_is_text_on_it(tmp_path):
    from media_search import Answer, Direction, Question
    from results_page import Results, results_page

    evil = "<script>alert('1')</script> & \"quoted\""
    picture, text = tmp_path / "a'b\"c<d>&.png", tmp_path / "<b>.txt"
    Image.new("RGB", (400, 200), "red").save(picture)
    text.write_text(evil)
    direction = Direction(Modality.TEXT, Modality.IMAGE, (Question(evil, picture),))
    found = [[Answer(picture, 0.5), Answer(text, -0.25)]]
    page = Tags(results_page(Results({direction: found}, {picture: evil}, {evil: evil}, [evil])))
    assert "script" not in {tag for tag, _ in page.tags}
    assert "b" not in {tag for tag, _ in page.tags}
    assert sum(evil in said for said in page.texts) == 6  # asked, caption, answer, way and its modality, note
    (image,) = (attributes for tag, attributes in page.tags if tag == "img")
    assert image["alt"] == picture.name
    assert [attributes["value"] for tag, attributes in page.tags if tag == "meter"] == ["0.500", "0.000"]
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert all((attributes.get(name) or "#").startswith(("#", "data:")) for name in ("src", "href"))
