"""The asynchronous twins give the same, block no loop, raise errors as they are, and stop when they are cancelled."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from llm_multi_core.embedder import ClosedError, EncodingError, IncompatibleSpacesError, InvalidInputError


@pytest.fixture
def inputs(picture, sound):
    return ["a", picture(1), sound(1), "b", "a", picture(2), sound(1), "c"]


@pytest.fixture(params=["trio", "bridge"])
def joint(request, make):
    if request.param == "trio":
        return make(framework="trio")
    return make("words", bridge={"image": "caption", "audio": "transcript"})


async def test_they_give_the_same(joint, make, inputs):
    apart = make("words", "pictures", "sounds")
    for ours, theirs in (
        (await apart.aembed_batch(inputs), apart.embed_batch(inputs)),
        ([await apart.aembed(x) for x in inputs], apart.embed_batch(inputs)),
        (await joint.aembed_joint(inputs), joint.embed_joint(inputs)),
        ((await joint.arun_joint(inputs)).vectors, joint.run_joint(inputs).vectors),
        ((await apart.arun(inputs)).vectors, apart.run(inputs).vectors),
    ):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    result = await joint.arun_joint(inputs, role="document")
    assert result.via == joint.run_joint(inputs).via
    assert result.modalities == ["text", "image", "audio", "text", "text", "image", "audio", "text"]
    blocks = [block async for block in joint.aembed_joint_stream(iter(inputs), window=3)]
    assert [len(block) for block in blocks] == [3, 3, 2]
    assert np.array_equal(np.concatenate(blocks), joint.embed_joint(inputs))
    assert (await joint.aembed_joint([])).shape == (0, joint.dimension)


async def test_many_calls_at_once(joint, inputs):
    expected = joint.embed_joint(inputs)
    for found in await asyncio.gather(*(joint.aembed_joint(inputs) for _ in range(20))):
        assert np.array_equal(found, expected)


async def test_errors_are_raised_themselves_and_not_in_a_group(make, inputs, picture, tmp_path):
    embedder = make("words", "pictures", "sounds")
    with pytest.raises(InvalidInputError, match="input 8: NoneType") as refused:
        await embedder.aembed_batch([*inputs, None])
    assert refused.value.index == 8
    with pytest.raises(EncodingError, match="poisonous") as failed:
        await embedder.aembed_batch([*inputs, "poison"])
    assert failed.value.indices == (8,)
    assert isinstance(failed.value.__cause__, ValueError)
    with pytest.raises(IncompatibleSpacesError, match="share no space"):
        await embedder.aembed_joint(inputs)
    embedder.close()
    with pytest.raises(ClosedError):
        await embedder.aembed_batch(inputs)


async def test_failures_are_collected(make, inputs):
    embedder = make(framework="trio")
    result = await embedder.arun_joint([b"", *inputs, "poison"], on_error="collect")
    assert [failure.index for failure in result.failures] == [0, 9]
    assert result.ok.sum() == len(inputs)


async def test_streams_name_the_index_in_the_stream(make):
    with pytest.raises(InvalidInputError, match="input 4: NoneType"):
        async for _ in make(framework="trio").aembed_joint_stream(["a"] * 4 + [None], window=3):
            pass


@pytest.mark.parametrize("framework", ["words", "pictures", "caption"])
async def test_the_loop_is_not_blocked(make, frameworks, inputs, framework):
    """While one stage of the call hangs, the loop goes on: it is the loop that lets it go on."""
    hanging, released = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    settings = {"bridge": {"image": "caption"}} if framework == "caption" else {"image_framework": "pictures"}
    embedder = make("words", **settings)
    frameworks.GATES[framework] = lambda: (loop.call_soon_threadsafe(hanging.set), released.wait(30))
    task = asyncio.create_task(embedder.aembed_batch([x for x in inputs if not isinstance(x, np.ndarray)]))
    async with asyncio.timeout(30):
        await hanging.wait()
    assert not task.done()
    released.set()
    assert len(await task) == 6


@pytest.mark.parametrize("framework", ["words", "caption"])
async def test_cancelling_stops_further_batches(make, frameworks, picture, framework):
    """Cancelled while the first batch runs, no second one begins, though that batch comes to its end."""
    hanging, released, ended = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def gate():
        loop.call_soon_threadsafe(hanging.set)
        released.wait(30)
        ended.set()

    embedder = make("words", bridge={"image": "caption"})
    frameworks.GATES[framework] = gate
    many = [picture(seed) for seed in range(40)] if framework == "caption" else [f"text {n}" for n in range(400)]
    task = asyncio.create_task(embedder.aembed_batch(many))
    await hanging.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    released.set()
    await asyncio.to_thread(ended.wait, 30)
    frameworks.GATES.clear()
    await embedder.aembed("one more")  # through the same threads, and so behind what was left of the call
    batches = [count for name, count in frameworks.CALLS if name == framework]
    assert sum(batches) <= 10


async def test_one_input_is_not_many(make):
    embedder = make("words")
    with pytest.raises(InvalidInputError, match="one input was given where several are due"):
        await embedder.aembed_batch("a text")
    with pytest.raises(InvalidInputError, match="one input was given where several are due"):
        await anext(embedder.aembed_joint_stream("a text"))
