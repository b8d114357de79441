"""Embeddings of three modalities: order, roles, exact types, what is opened and what is not, the loop, threads."""

import asyncio
import builtins
import math
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from langchain_core.documents.base import Blob, Document
from langchain_core.embeddings import Embeddings

from langchain_llm_multi_core import (
    MediaLibrary,
    MediaQuery,
    MultiCoreEmbeddings,
    MultiCoreMultiModalEmbeddings,
    OneRoleMediaEmbeddings,
    UnregisteredReferenceWarning,
    media_document,
)
from llm_multi_core.embedder import (
    Audio,
    Image,
    IncompatibleSpacesError,
    InvalidInputError,
    InvalidOptionError,
    Text,
    create_multimodal_embedder,
)
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, encode_sound, synthesise

PICTURE, SOUND = draw_picture(seed=1), (synthesise(seed=1), 16_000)
TRICKY = ["file:///etc/passwd", "http://169.254.169.254/", "data:image/png;base64,aGk=", "~/.ssh/id_rsa", "a.png"]


@pytest.fixture
def embeddings(mixed, library):
    return mixed(library)


@pytest.fixture
def records(folder, library):
    return {path.name: library.add(path) for path in (folder / "red.png", folder / "talk.wav", folder / "report.pdf")}


def joint(embeddings, value, role="document"):
    return embeddings.embedder.embed_joint([value], role)[0]


# Texts and references.


async def test_references_stand_for_media_and_everything_else_is_text(embeddings, records, folder):
    (picture,), windows, pages = records["red.png"], records["talk.wav"], records["report.pdf"]
    texts = ["a text", picture.reference, "another", windows[1].reference, str(folder / "red.png"), pages[2].reference]
    wanted = [
        joint(embeddings, Text("a text")),
        joint(embeddings, Image(folder / "red.png")),
        joint(embeddings, Text("another")),
        joint(embeddings, embeddings.library.item(windows[1])),
        joint(embeddings, Text(str(folder / "red.png"))),
        joint(embeddings, embeddings.library.item(pages[2])),
    ]
    vectors = embeddings.embed_documents(texts)
    np.testing.assert_allclose(vectors, wanted, atol=1e-6)
    assert await embeddings.aembed_documents(texts) == vectors
    assert len({tuple(vector) for vector in vectors}) == len(texts)


async def test_a_query_is_a_text_even_if_it_looks_like_a_reference(embeddings, records):
    (picture,) = records["red.png"]
    wanted = joint(embeddings, Text(picture.reference), "query")
    np.testing.assert_allclose(embeddings.embed_query(picture.reference), wanted, atol=1e-6)
    np.testing.assert_allclose(await embeddings.aembed_query(picture.reference), wanted, atol=1e-6)


async def test_a_query_may_carry_media(embeddings, folder):
    query = MediaQuery(folder / "red.png")
    wanted = joint(embeddings, Image(folder / "red.png"), "query")
    for each in (embeddings, embeddings.as_document_role()):
        np.testing.assert_allclose(each.embed_query(query), wanted, atol=1e-6)
        np.testing.assert_allclose(await each.aembed_query(query), wanted, atol=1e-6)
    texts = MultiCoreEmbeddings(framework="fake")
    for attempt in (texts.embed_query, texts.as_symmetric().embed_query):
        with pytest.raises(InvalidInputError, match="needs MultiCoreMultiModalEmbeddings"):
            attempt(query)
    with pytest.raises(InvalidInputError, match="needs MultiCoreMultiModalEmbeddings"):
        await texts.aembed_query(query)


def test_texts_that_look_like_paths_or_urls_open_nothing(embeddings, folder, monkeypatch):
    texts = [*TRICKY, str(folder / "red.png"), f"file://{folder}/red.png", str(folder / "report.pdf")]
    wanted = [joint(embeddings, Text(text)) for text in texts]
    opened = []

    def refuse(*args, **kwargs):
        opened.append(args)
        raise AssertionError(f"opened {args}")

    with monkeypatch.context() as patch:
        for owner in ("builtins", "io", "os"):
            patch.setattr(f"{owner}.open", refuse)
        for call in ("stat", "lstat", "scandir", "listdir", "readlink"):
            patch.setattr(f"os.{call}", refuse)
        patch.setattr("socket.socket.connect", refuse)
        patch.setattr("socket.getaddrinfo", refuse)
        vectors = embeddings.embed_documents(texts)
        queries = [embeddings.embed_query(text) for text in texts]
        asynchronous = asyncio.run(embeddings.aembed_documents(texts))
    assert opened == []
    np.testing.assert_allclose(vectors, wanted, atol=1e-6)
    assert asynchronous == vectors
    np.testing.assert_allclose(queries, [joint(embeddings, Text(text), "query") for text in texts], atol=1e-6)


def test_the_same_strings_are_media_to_a_plain_multimodal_embedder(embeddings, folder):
    """Which shows that the test above would notice."""
    name = str(folder / "red.png")
    np.testing.assert_allclose(joint(embeddings, name), joint(embeddings, Image(name)), atol=1e-6)
    assert np.abs(joint(embeddings, name) - joint(embeddings, Text(name))).max() > 0.01


def test_an_unknown_reference_is_a_text_and_is_warned_of(embeddings, folder):
    (record,) = MediaLibrary().add(folder / "red.png")
    with pytest.warns(UnregisteredReferenceWarning, match=r"1 texts have the form .* \(first at input 1\)"):
        vectors = embeddings.embed_documents(["a text", record.reference])
    np.testing.assert_allclose(vectors[1], joint(embeddings, Text(record.reference)), atol=1e-6)


@pytest.mark.parametrize("gone", [True, False])
async def test_a_reference_that_leads_nowhere_is_an_error(embeddings, records, folder, gone):
    texts = ["a text", records["red.png"][0].reference]
    if gone:
        (folder / "red.png").unlink()
    else:
        (folder / "red.png").write_bytes(encode_picture(draw_picture(seed=9)))
    message = "input 1: image red.png: 'red.png' " + ("cannot be found" if gone else "was changed")
    with pytest.raises(InvalidInputError, match=message) as caught:
        embeddings.embed_documents(texts)
    assert caught.value.index == 1
    with pytest.raises(InvalidInputError, match=message):
        await embeddings.aembed_documents(texts)


async def test_no_texts_give_no_vectors(embeddings):
    assert embeddings.embed_documents([]) == await embeddings.aembed_documents([]) == []
    assert embeddings.embed_media([]) == await embeddings.aembed_media([]) == []
    assert embeddings.embed_image(uris=[]) == await embeddings.aembed_audio(uris=[]) == []


@pytest.mark.parametrize("wrong", ["one text", {"a": 1}, {"a", "b"}, 3, [None], [b"bytes"], [PICTURE]])
async def test_what_is_no_list_of_texts_is_refused(embeddings, wrong):
    with pytest.raises(InvalidInputError):
        embeddings.embed_documents(wrong)
    with pytest.raises(InvalidInputError):
        await embeddings.aembed_documents(wrong)


async def test_any_ordered_iterable_will_do(embeddings, records):
    texts = ["a", records["red.png"][0].reference, "b"]
    wanted = embeddings.embed_documents(texts)
    for form in (tuple, iter, lambda each: (text for text in each)):
        assert embeddings.embed_documents(form(texts)) == wanted
        assert await embeddings.aembed_documents(form(texts)) == wanted


# Media.


async def test_images_and_sounds_as_stores_ask_for_them(embeddings, folder):
    uris = [str(folder / "red.png"), f"file://{folder}/deeper/blue.jpg"]
    vectors = embeddings.embed_image(uris=uris)
    np.testing.assert_allclose(vectors, [joint(embeddings, Image(uri)) for uri in uris], atol=1e-6)
    assert await embeddings.aembed_image(uris=uris) == vectors
    sounds = [str(folder / "tone.wav"), str(folder / "talk.wav")]
    vectors = embeddings.embed_audio(uris=sounds)
    np.testing.assert_allclose(vectors, [joint(embeddings, Audio(uri)) for uri in sounds], atol=1e-6)
    assert await embeddings.aembed_audio(uris=sounds) == vectors


def test_images_are_not_fetched_unless_that_is_allowed(embeddings):
    with pytest.raises(InvalidInputError, match="allow_urls"):
        embeddings.embed_image(uris=["https://example.com/cat.png"])


async def test_media_of_any_form_have_one_vector(embeddings, records, folder):
    (record,) = records["red.png"]
    data = (folder / "red.png").read_bytes()
    forms = [
        folder / "red.png",
        data,
        Image(data),
        Blob.from_path(folder / "red.png"),
        Blob.from_data(data, mime_type="image/png"),
        Blob(data=data),
        record,
        media_document(record),
        record.reference,
        embeddings.library.item(record),
        MediaQuery(folder / "red.png"),
    ]
    wanted = joint(embeddings, Image(folder / "red.png"))
    np.testing.assert_allclose(embeddings.embed_media(forms), [wanted] * len(forms), atol=1e-6)
    np.testing.assert_allclose(await embeddings.aembed_media(forms), [wanted] * len(forms), atol=1e-6)
    for form in forms:
        np.testing.assert_allclose(embeddings.embed_media_query(form), wanted, atol=1e-6)
        np.testing.assert_allclose(await embeddings.aembed_media_query(form), wanted, atol=1e-6)


def test_media_and_texts_may_be_mixed(embeddings, folder):
    media = [PICTURE, Text("a text"), SOUND, Document("a document"), Blob.from_data("a blob"), folder / "tone.wav"]
    wanted = [joint(embeddings, value) for value in (PICTURE, Text("a text"), SOUND, Text("a document"))]
    wanted += [joint(embeddings, Text("a blob")), joint(embeddings, Audio(folder / "tone.wav"))]
    np.testing.assert_allclose(embeddings.embed_media(media), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("media", "message"),
    [
        ("a string", "input 1: a string is a text and no media"),
        (b"no media", "input 1: bytes do not say what they hold"),
        (Blob(data=b"PK", mimetype="application/zip"), "input 1: 'application/zip' is neither"),
        (Blob(data=b"%PDF-1.7"), "input 1: a PDF is several pictures"),
        (Blob(data="text", mimetype="image/png"), "input 1: a blob of image/png holds bytes"),
        (3, "input 1: "),
    ],
)
async def test_what_is_no_media_is_refused_by_its_place(embeddings, media, message):
    with pytest.raises(InvalidInputError, match=message):
        embeddings.embed_media([PICTURE, media])
    with pytest.raises(InvalidInputError, match=message):
        await embeddings.aembed_media([PICTURE, media])


def test_documents_and_records_open_only_what_is_registered(embeddings, folder):
    (record,) = MediaLibrary().add(folder / "red.png")
    for value in (record, media_document(record)):
        with pytest.raises(InvalidInputError, match="is not registered in this library"):
            embeddings.embed_media([value])
    embeddings.library.register([record])
    assert embeddings.embed_media([record]) == embeddings.embed_media([media_document(record)])


@pytest.mark.parametrize("wrong", ["text", b"bytes", PICTURE, Document("a"), Blob(data=b"a"), Image(b"a"), 3])
def test_one_input_is_no_list_of_media(embeddings, wrong):
    with pytest.raises(InvalidInputError):
        embeddings.embed_media(wrong)


async def test_elements_are_finite_floats_of_python(embeddings, folder):
    lists = [
        embeddings.embed_documents(["one", "two"]),
        [embeddings.embed_query("one")],
        embeddings.embed_image(uris=[folder / "red.png"]),
        embeddings.embed_audio(uris=[folder / "tone.wav"]),
        embeddings.embed_media([PICTURE, SOUND]),
        [embeddings.embed_media_query(PICTURE)],
        await embeddings.aembed_documents(["one", "two"]),
        [await embeddings.aembed_query("one")],
        await embeddings.aembed_image(uris=[folder / "red.png"]),
        await embeddings.aembed_audio(uris=[folder / "tone.wav"]),
        await embeddings.aembed_media([PICTURE, SOUND]),
        [await embeddings.aembed_media_query(PICTURE)],
    ]
    for vectors in lists:
        assert type(vectors) is list
        assert all(type(vector) is list and len(vector) == 32 for vector in vectors)
        assert all(type(value) is float and math.isfinite(value) for vector in vectors for value in vector)


# Roles.


async def test_views_give_both_methods_one_role(embeddings, records):
    reference = records["red.png"][0].reference
    for view, role in [(embeddings.as_document_role(), "document"), (embeddings.as_symmetric(), None)]:
        assert isinstance(view, Embeddings)
        assert isinstance(view, OneRoleMediaEmbeddings)
        np.testing.assert_allclose(view.embed_query("a text"), joint(embeddings, Text("a text"), role), atol=1e-6)
        for text in ("a text", reference):  # what is stored with embed_query is found again
            assert view.embed_documents([text]) == [view.embed_query(text)] == [await view.aembed_query(text)]
        assert view.embed_media([PICTURE]) == [view.embed_media_query(PICTURE)]
        assert view.embed_media([Text("a")], role="query") == view.embed_media([Text("a")])
        assert view.embedder is embeddings.embedder
        assert view.library is embeddings.library
        assert view.fingerprint == embeddings.fingerprint
        assert view == type(view)(embeddings, view.role)
        assert hash(view) == hash(type(view)(embeddings, view.role))
    assert embeddings.as_document_role() != embeddings.as_symmetric()


def test_queries_and_documents_differ_where_the_model_says_so(embeddings):
    assert embeddings.embed_query("a text") != embeddings.embed_documents(["a text"])[0]
    assert embeddings.embed_media_query(Text("a text")) == embeddings.embed_query("a text")
    assert embeddings.embed_media([Text("a text")], role="query") == [embeddings.embed_query("a text")]
    with pytest.raises(InvalidOptionError, match="role='passage'"):
        embeddings.embed_media([PICTURE], role="passage")


# Making one.


def test_it_is_made_as_the_embedder_is(media_frameworks):
    by_name = MultiCoreMultiModalEmbeddings("fake", "fake-image", "fake-audio", text={"dimension": 5})
    made = MultiCoreMultiModalEmbeddings(embedder=create_multimodal_embedder("fake", "fake-image"))
    assert repr(by_name) == "MultiCoreMultiModalEmbeddings(text='fake', image='fake-image', audio='fake-audio')"
    assert repr(made) == "MultiCoreMultiModalEmbeddings(text='fake', image='fake-image')"


def test_without_a_joint_space_nothing_is_embedded(media_frameworks):
    embeddings = MultiCoreMultiModalEmbeddings("fake", "fake-image")
    for attempt in (lambda: embeddings.embed_documents(["a"]), lambda: embeddings.embed_query("a")):
        with pytest.raises(IncompatibleSpacesError, match=r"share no space.*joint_framework="):
            attempt()


def test_a_modality_outside_the_joint_space_is_refused(media_frameworks, mixed):
    embedder = mixed().embedder
    alone = create_multimodal_embedder("fake", "fake-image", "fake-audio", alignment=embedder._routes.alignments[0],
                                       text={"roles": True, "dimension": 32})  # fmt: skip
    embeddings = MultiCoreMultiModalEmbeddings(embedder=alone)
    assert embeddings.embed_image(uris=[PICTURE])
    with pytest.raises(IncompatibleSpacesError, match="audio"):
        embeddings.embed_audio(uris=[SOUND])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text_framework": "fake"}, "embedder= is made already; text_framework="),
        ({"device": "cpu"}, "embedder= is made already; device="),
        ({"library": "records.jsonl"}, "library= takes a MediaLibrary, not str"),
        ({"show_progress": "yes"}, "show_progress='yes' is not True or False"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(media_frameworks, arguments, message):
    embedder = create_multimodal_embedder("fake", "fake-image")
    with pytest.raises(InvalidOptionError, match=message):
        MultiCoreMultiModalEmbeddings(embedder=embedder, **arguments)


def test_another_embedder_is_refused():
    with pytest.raises(InvalidOptionError, match="create_multimodal_embedder makes, not str"):
        MultiCoreMultiModalEmbeddings(embedder="clip")


def test_it_is_fixed_once_made(embeddings):
    for name in ("library", "embedder", "_binding", "anything"):
        with pytest.raises(AttributeError, match="fixed once made"):
            setattr(embeddings, name, None)
        with pytest.raises(AttributeError, match="fixed once made"):
            delattr(embeddings, name)


def test_an_empty_library_is_kept(media_frameworks, library):
    assert MultiCoreMultiModalEmbeddings("fake", library=library).library is library


def test_progress_is_shown_for_documents_only(mixed, capfd):
    embeddings = mixed(show_progress=True)
    embeddings.embed_query("a")
    embeddings.embed_media_query(PICTURE)
    assert capfd.readouterr().err == ""
    embeddings.embed_documents(["a", "b"])
    assert "2/2" in capfd.readouterr().err
    assert embeddings.as_symmetric().embeddings.show_progress


# Loops and threads.


@pytest.mark.parametrize("stage", ["describe", "load", "measure", "prepare", "forward"])
async def test_the_loop_goes_on_while_the_encoder_works(gated, stage):
    embeddings = MultiCoreMultiModalEmbeddings("gated", text={"stage": stage})
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(tick())
    work = asyncio.create_task(embeddings.aembed_documents(["a text"]))
    assert await asyncio.to_thread(gated.reached.wait, 60)
    before = ticks
    for _ in range(10):
        await asyncio.sleep(0)
    assert ticks >= before + 9
    assert not work.done()  # the encoder is still behind the gate
    gated.opened.set()
    assert await work
    ticker.cancel()


async def test_the_loop_does_no_reading(embeddings, folder, monkeypatch):
    """Files are opened, hashed and looked into in other threads than the loop's."""
    records = [record for path in sorted(folder.rglob("*.*g")) for record in embeddings.library.add(path)]
    loops = threading.get_ident()
    opened, real = [], builtins.open

    def watched(*args, **kwargs):
        opened.append(threading.get_ident())
        return real(*args, **kwargs)

    monkeypatch.setattr("io.open", watched)
    await embeddings.aembed_media([folder / "red.png", folder / "tone.wav", *records])
    await embeddings.aembed_documents([record.reference for record in records])
    await embeddings.aembed_image(uris=[folder / "red.png"])
    assert opened
    assert loops not in opened


def test_32_threads_share_one_and_the_model_is_loaded_once(mixed, library, folder, gated):
    records = [record for path in sorted(folder.rglob("*.*g")) for record in library.add(path)]
    texts = [text for number in range(16) for text in (f"text {number}", records[number % len(records)].reference)]
    wanted = {text: mixed(library).embed_documents([text]) for text in texts}
    shared = mixed(library)
    start = threading.Barrier(32)

    def work(text):
        start.wait(60)
        return shared.embed_documents([text])

    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(work, texts)) == [wanted[text] for text in texts]

    gated.opened.set()
    embeddings = MultiCoreMultiModalEmbeddings("gated", text={"stage": "none"})

    def load(number):
        start.wait(60)
        return embeddings.embed_query(f"text {number}")

    with ThreadPoolExecutor(32) as pool:
        vectors = list(pool.map(load, range(32)))
    assert gated.made == ["fake-small"]
    assert vectors == [embeddings.embed_query(f"text {number}") for number in range(32)]


def test_warnings_are_not_given_for_nothing(embeddings, records):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embeddings.embed_documents(
            ["[image] sha256:", "[image a.png] sha256:ab", *[r.reference for r in records["talk.wav"]]]
        )


def test_bytes_tell_what_they_are(embeddings):
    picture, sound = encode_picture(PICTURE, "WEBP", lossless=True), encode_sound(SOUND[0], format="FLAC")
    np.testing.assert_allclose(
        embeddings.embed_media([picture, sound]),
        [joint(embeddings, Image(picture)), joint(embeddings, Audio(sound))],
        atol=1e-6,
    )
