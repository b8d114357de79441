"""A key of a multimodal embedder is used, and found nowhere else."""

import copy
import functools
import logging
import pickle
import traceback

import pytest
from langchain_core.load import dumpd, dumps
from langchain_core.tracers.log_stream import LogStreamCallbackHandler
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import SecretStr, ValidationError

from langchain_llm_multi_core import MultiCoreMultiModalEmbeddings, MultiModalRetriever
from llm_multi_core.embedder import EmbedderError

CANARY = "sk-canary-5f3a9c"

FORMS = {
    "string": lambda: CANARY,
    "SecretStr": lambda: SecretStr(CANARY),
    "callable": lambda: functools.partial(str, CANARY),  # shows the key in its own repr
    "by framework": lambda: {"keyed": CANARY},
}


@pytest.fixture(params=FORMS)
def embeddings(keyed, request):
    made = MultiCoreMultiModalEmbeddings("keyed", api_key=FORMS[request.param]())
    yield made
    made.embedder.close()


def written(embeddings):
    """Every form in which embeddings are written down, as bytes."""
    store = InMemoryVectorStore(embeddings)
    retriever = MultiModalRetriever(vectorstore=store, check_stamp=False)
    views = [embeddings.as_document_role(), embeddings.as_symmetric()]
    for holder in (embeddings, *views, embeddings.embedder, store, retriever, [embeddings, {"nested": views}]):
        for text in (repr(holder), str(holder), f"{holder}", str(dumpd(holder)), dumps(holder)):
            yield text.encode()
        if holder is not store and holder is not retriever:
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
                yield pickle.dumps(holder, protocol)
    yield repr(vars(embeddings)).encode()
    yield repr(retriever.model_dump(exclude={"vectorstore"})).encode()
    yield embeddings.cache_namespace("query").encode()
    yield embeddings.stamp(store).to_json().encode()


def test_a_key_is_used_and_never_written(embeddings, keyed):
    embeddings.embed_query("a")
    assert keyed.seen == [CANARY]
    forms = list(written(embeddings))
    assert len(forms) > 50
    for form in forms:
        assert CANARY.encode() not in form


def test_copies_in_the_process_keep_the_key(embeddings, keyed):
    for copied in (copy.copy(embeddings), copy.deepcopy(embeddings), copy.deepcopy(embeddings.as_symmetric())):
        copied.embed_query("a")
    assert keyed.seen == [CANARY] * 3


def test_a_pickled_copy_reads_the_key_from_the_environment(embeddings, keyed, monkeypatch):
    copied = pickle.loads(pickle.dumps(embeddings))
    with pytest.raises(EmbedderError, match="KEYED_API_KEY"):
        copied.embed_query("a")
    monkeypatch.setenv("KEYED_API_KEY", "from the environment")
    copied.embed_query("a")
    assert keyed.seen == ["from the environment"]


async def test_traces_and_logs_hold_no_key(embeddings, keyed, caplog):
    store = InMemoryVectorStore(embeddings)
    store.add_texts(["a text"])
    retriever = MultiModalRetriever(vectorstore=store, check_stamp=False)
    with caplog.at_level(logging.DEBUG):
        handler = LogStreamCallbackHandler(auto_close=False)
        await retriever.ainvoke("a question", config={"callbacks": [handler]})
        events = [event async for event in retriever.astream_events("a question", version="v2")]
    assert CANARY not in repr(events)
    assert CANARY not in caplog.text
    assert len(events) >= 2


MISTAKES = [
    {"text_framework": "keyde", "api_key": CANARY},
    {"text_framework": "keyed", "api_key": CANARY, "dimensoin": 4},
    {"text_framework": "keyed", "api_key": [CANARY]},
    {"text_framework": "keyed", "api_key": CANARY.encode()},
    {"text_framework": "keyed", "text": {"api_key": CANARY, "token": CANARY}},
    {"text_framework": "keyed", "api_key": {"keyed": CANARY}, "library": "records.jsonl"},
    {"framework": "keyed", "api_key": CANARY, "text_framework": "keyed"},
    {"text_framework": "keyed", "api_key": CANARY, "token": CANARY},
]


@pytest.mark.parametrize("arguments", MISTAKES)
def test_errors_hold_no_key(keyed, arguments):
    with pytest.raises(EmbedderError) as caught:
        MultiCoreMultiModalEmbeddings(**arguments)
    error = caught.value
    forms = [str(error), repr(error), repr(vars(error)), *traceback.format_exception_only(error)]
    assert CANARY not in "\n".join([*forms, repr(pickle.dumps(error))])


def test_a_refused_attribute_is_not_repeated(embeddings):
    with pytest.raises(AttributeError) as caught:
        embeddings.api_key = CANARY
    assert CANARY not in str(caught.value)


def test_a_retrievers_errors_hold_no_values(embeddings):
    with pytest.raises(ValidationError) as caught:
        MultiModalRetriever(vectorstore=InMemoryVectorStore(embeddings), api_key=CANARY)
    assert CANARY not in str(caught.value)
