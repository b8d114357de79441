"""A batch that is refused, or answered wrongly, is halved until the bad item stands alone and is named."""

from dataclasses import replace

import numpy as np
import pytest

from llm_multi_core.embedder import (
    BatchError,
    EncodingError,
    InvalidInputError,
    InvalidOutputError,
    ProviderError,
    Reply,
    Verdict,
    document_chunks,
)
from llm_multi_core.embedder.testing.hosted import Faults

TEXTS = [f"text {number}" for number in range(200)]


def refusing(error, *poison):
    """An answer that is an error for any request with one of these texts in it."""

    def answer(texts):
        if set(poison) & set(texts):
            raise error

    return answer


def test_poisonous_items_stand_alone_in_the_end(make_embedder, scripted):
    scripted.answer = refusing(ValueError("bad item"), "text 50", "text 51", "text 199")
    result = make_embedder(scripted).run(TEXTS, on_error="collect")
    assert [failure.index for failure in result.failures] == [50, 51, 199]
    assert all(failure.error.indices == (failure.index,) for failure in result.failures)
    assert "failed on input 50 (ValueError: bad item)" in str(result.failures[0].error)
    np.testing.assert_allclose(result.vectors[result.ok], make_embedder().embed_batch(TEXTS)[result.ok], atol=1e-6)


def test_every_input_of_a_poisonous_content_is_named(make_embedder, scripted):
    scripted.answer = refusing(ValueError("bad item"), "text 3")
    texts = [*TEXTS[:10], "text 3", *TEXTS[10:20], "text 3"]
    result = make_embedder(scripted).run(texts, on_error="collect")
    assert [failure.index for failure in result.failures] == [3, 10, 21]


def test_a_server_that_does_not_say_which_item_it_was(make_wire, server):
    server.faults = Faults(poison=frozenset({"text 7", "text 90"}))
    result = make_wire(server.base_url).run(TEXTS, on_error="collect")
    assert [failure.index for failure in result.failures] == [7, 90]
    assert result.failures[0].error.status == 400
    assert result.failures[0].error.request_id.startswith("req_")
    assert server.violations == []


def test_items_refused_one_by_one_and_none_accepted_end_the_call(make_embedder, scripted):
    scripted.answer = refusing(ValueError("no such dimension"), *TEXTS)
    with pytest.raises(ProviderError, match="no such dimension"):
        make_embedder(scripted).run(TEXTS, on_error="collect")
    assert len(scripted.log) < 50  # of 20 batches, which would be 200 requests for single items alone


def test_items_refused_after_one_was_accepted_do_not(make_embedder, scripted):
    embedder = make_embedder(scripted)
    embedder.embed("accepted")
    scripted.answer = refusing(ValueError("bad item"), *TEXTS)
    result = embedder.run(TEXTS, on_error="collect")
    assert len(result.failures) == 200


def test_inputs_that_a_plugin_refuses_itself_do_not(make_embedder, scripted):
    scripted.answer = refusing(InvalidInputError("nothing can be heard in it"), *TEXTS[:30])
    result = make_embedder(scripted).run(TEXTS, on_error="collect")
    assert [failure.index for failure in result.failures] == list(range(30))
    assert isinstance(result.failures[4].error, InvalidInputError)
    assert result.failures[4].error.index == 4


# Replies that do not fit.


def without_last(reply):
    return Reply(np.asarray(reply.rows)[:-1], reply.usage)


def too_short(reply):
    return Reply(np.asarray(reply.rows)[:, :-1], reply.usage)


def garbled(reply):
    return Reply("rubbish", reply.usage)


def wrong(change, times, only=None):
    """An answer that is changed the first `times` times, of all requests or of those with a text in them."""
    left = [times]

    def answer(texts):
        if left[0] and (only is None or only in texts):
            left[0] -= 1
            return change
        return None

    return answer


@pytest.mark.parametrize("change", [without_last, too_short, garbled])
def test_a_reply_that_does_not_fit_is_asked_for_once_more(make_embedder, scripted, no_pauses, change):
    scripted.answer = wrong(change, 1)
    result = make_embedder(scripted).run(TEXTS)
    assert result.ok.all()
    assert result.report.retries == 1
    assert sorted(scripted.sizes()) == [10] * 21
    assert result.report.requests == 20
    assert result.report.billed_units == 420  # the reply was paid for, fit or not


@pytest.mark.parametrize("change", [without_last, too_short, garbled])
def test_then_the_item_is_found_and_named(make_embedder, scripted, no_pauses, change):
    scripted.answer = wrong(change, -1, only="text 42")
    result = make_embedder(scripted).run(TEXTS, on_error="collect")
    assert [failure.index for failure in result.failures] == [42]
    assert isinstance(result.failures[0].error, InvalidOutputError)
    np.testing.assert_allclose(result.vectors[result.ok], make_embedder().embed_batch(TEXTS)[result.ok], atol=1e-6)


def test_a_provider_that_never_fits_is_not_paid_for_every_item(make_embedder, scripted, no_pauses):
    scripted.answer = wrong(too_short, -1)
    with pytest.raises(InvalidOutputError, match="dimension 8 returned rows of 7"):
        make_embedder(scripted).run(TEXTS, on_error="collect")
    assert len(scripted.log) < 50


def spoilt(place, value):
    def change(reply):
        rows = np.array(reply.rows)
        rows[place] = value
        return Reply(rows, reply.usage)

    return change


@pytest.mark.parametrize(("value", "fault"), [(np.nan, "not finite"), (0.0, "zero vector")])
def test_a_row_that_is_not_sound_is_asked_for_once_more_by_itself(make_embedder, scripted, value, fault):
    scripted.answer = wrong(spoilt(3, value), 1)
    result = make_embedder(scripted).run(TEXTS[:10])
    assert result.ok.all()
    assert scripted.log == [TEXTS[:10], ["text 3"]]
    np.testing.assert_allclose(result.vectors, make_embedder().embed_batch(TEXTS[:10]), atol=1e-6)

    scripted.answer = lambda texts: spoilt(texts.index("text 3"), value) if "text 3" in texts else None
    result = make_embedder(scripted).run(TEXTS[:10], on_error="collect")
    assert [failure.index for failure in result.failures] == [3]
    assert fault in str(result.failures[0].error)
    with pytest.raises(BatchError, match=f"{fault}.* for input 3") as caught:
        make_embedder(scripted).embed_batch(TEXTS[:10])
    assert isinstance(caught.value.__cause__, InvalidOutputError)


@pytest.mark.parametrize("fault", ["short", "nan", "wrong_dimension", "shuffled"])
def test_a_server_that_replies_wrongly_at_times(make_wire, wire_client, server, no_pauses, fault):
    server.faults = Faults(script=("", fault))
    result = make_wire(server.base_url, batch_size=50, limits={"concurrency": 1}).run(TEXTS)
    assert result.ok.all()
    assert result.report.retries == (0 if fault == "shuffled" else 1)
    server.faults = Faults()
    np.testing.assert_array_equal(result.vectors, make_wire(server.base_url).embed_batch(TEXTS))


def test_what_must_stay_together_is_not_parted(make_embedder, scripted, monkeypatch):
    described = scripted.describe
    monkeypatch.setattr(scripted, "describe", lambda encoder: replace(described(encoder), contextual=True))
    items = [item for name in "abc" for item in document_chunks([f"{name} {number}" for number in range(4)])]
    scripted.answer = refusing(ValueError("bad chunk"), "b 2")
    result = make_embedder(scripted).run(items, on_error="collect")
    assert [failure.index for failure in result.failures] == [4, 5, 6, 7]
    assert ["b 0", "b 1", "b 2", "b 3"] in scripted.log


def test_a_faulty_judgement_ends_the_call_with_what_it_was_about(make_embedder, scripted, monkeypatch):
    def classify(encoder, error):
        raise KeyError("code")

    monkeypatch.setattr(scripted, "classify", classify)
    scripted.answer = refusing(ValueError("bad item"), "text 3")
    with pytest.raises(EncodingError, match=r"KeyError: 'code'; in the encoder's own judgement of an error"):
        make_embedder(scripted).run(TEXTS, on_error="collect")


@pytest.mark.parametrize("verdict", [Verdict("fatal"), Verdict("fatal", status=404)])
def test_what_nothing_helps_ends_the_call_without_trying_the_rest(make_embedder, scripted, told, verdict):
    scripted.answer = refusing(told(verdict, "no such model"), *TEXTS)
    with pytest.raises(ProviderError, match="no such model") as caught:
        make_embedder(scripted).run(TEXTS, on_error="collect")
    assert caught.value.status == verdict.status
    assert len(scripted.log) <= scripted.limits.concurrency
