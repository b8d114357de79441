"""The module that fuses by attention: shapes, masks, gradients, and that training it helps."""

import doctest
import subprocess
import sys

import numpy as np
import pytest
import torch

from llm_multi_core.embedder import FrameworkUnavailableError, InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.analysis import CrossAttentionFusion, info_nce, ranks_of, recall_at_k
from llm_multi_core.embedder.analysis.fusion import attention


@pytest.fixture
def fusion():
    return CrossAttentionFusion((6, 10), 5, width=16, heads=2).eval()


@pytest.fixture
def sides():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 4, 6, generator=generator), torch.randn(3, 7, 10, generator=generator)


def test_one_vector_of_length_one_a_document(fusion, sides):
    fused = fusion(*sides)
    assert (fused.shape, fused.dtype) == ((3, 5), torch.float32)
    torch.testing.assert_close(fused.norm(dim=1), torch.ones(3))


def test_documents_do_not_see_one_another(fusion, sides):
    alone = torch.cat([fusion(first[None], second[None]) for first, second in zip(*sides, strict=True)])
    torch.testing.assert_close(fusion(*sides), alone)


@pytest.mark.parametrize("padding", [0.0, 1e6, float("nan")])
def test_padding_changes_nothing_whatever_it_holds(fusion, sides, padding):
    first, second = sides
    padded = [torch.cat([side, torch.full_like(side[:, :2], padding)], dim=1) for side in sides]
    masks = [torch.arange(side.shape[1]) < side.shape[1] - 2 for side in padded]
    masks = [mask.expand(3, -1) for mask in masks]
    torch.testing.assert_close(fusion(*padded, *masks), fusion(first, second))


@pytest.mark.parametrize("missing", [0, 1])
def test_a_side_that_is_missing_has_no_part_in_the_result(fusion, sides, missing):
    masks = [torch.ones(side.shape[:2], dtype=torch.bool) for side in sides]
    masks[missing][1] = False
    fused = fusion(*sides, *masks)
    assert fused.isfinite().all()
    other = list(sides)
    other[missing] = other[missing].clone()
    other[missing][1] = 99.0
    torch.testing.assert_close(fusion(*other, *masks), fused)
    torch.testing.assert_close(fused[[0, 2]], fusion(*sides)[[0, 2]])
    assert not torch.allclose(fused[1], fusion(*sides)[1], atol=1e-2)


def test_both_sides_count_and_order_within_a_side_does_not(fusion, sides):
    first, second = sides
    fused = fusion(first, second)
    assert not torch.allclose(fusion(first + 1, second), fused, atol=1e-2)
    assert not torch.allclose(fusion(first, second + 1), fused, atol=1e-2)
    torch.testing.assert_close(fusion(first.flip(1), second.flip(1)), fused)


def test_gradients_reach_every_parameter_and_both_inputs(fusion, sides):
    inputs = [side.requires_grad_() for side in sides]
    masks = [torch.ones(side.shape[:2], dtype=torch.bool) for side in sides]
    masks[0][0] = False  # a missing side must not make them NaN
    weights = torch.linspace(-1, 1, 15).reshape(3, 5)
    (fusion(*inputs, *masks) * weights).sum().backward()
    for name, parameter in fusion.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name
    assert all(side.grad.isfinite().all() for side in inputs)
    assert inputs[0].grad[0].abs().max() == 0
    assert inputs[0].grad[1:].abs().max() > 0
    assert inputs[1].grad.abs().amin(dim=(1, 2)).shape == (3,)


def test_the_seed_decides_the_weights_and_leaves_the_random_state():
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    first, second, third = (CrossAttentionFusion((6, 10), 5, width=16, heads=2, seed=seed) for seed in (1, 1, 2))
    torch.testing.assert_close(torch.rand(3), expected)
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value)
    assert not torch.equal(first.output.weight, third.output.weight)


def made_documents(count, seed):
    """Text tokens that tell one half of a document's factors, patches the other; queries tell both."""
    generator = torch.Generator().manual_seed(seed)
    view = torch.Generator().manual_seed(99)
    hidden = torch.randn(count, 8, generator=generator)
    noise = [torch.randn(count, tokens, width, generator=generator) * 0.3 for tokens, width in ((3, 6), (4, 10))]
    views = [torch.randn(4, width, generator=view) for width in (6, 10)]
    sides = [
        (half @ into)[:, None, :] + error
        for half, into, error in zip(hidden.split(4, dim=1), views, noise, strict=True)
    ]
    return sides, torch.nn.functional.normalize(hidden, dim=1)


def test_training_improves_recall_on_documents_that_were_not_seen():
    fusion = CrossAttentionFusion((6, 10), 8, width=32, heads=4)
    documents, queries = made_documents(256, seed=1)
    unseen, asked = made_documents(100, seed=2)

    def recall():
        with torch.no_grad():
            fused = fusion.eval()(*unseen)
        return recall_at_k(ranks_of(asked.numpy(), fused.numpy(), np.arange(100)), 1)

    before = recall()
    fusion.train()
    optimizer = torch.optim.AdamW(fusion.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = info_nce(queries, fusion(*documents))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    after = recall()
    assert losses[-1] < losses[0] / 3
    assert before < 0.1
    assert after > 0.5


def test_the_loss_written_out_by_hand():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.nn.functional.normalize(torch.randn(4, 3, generator=generator), dim=1) for _ in range(2))
    logits = (a @ b.T / 0.1).double()
    rows = sum(torch.logsumexp(logits[i], 0) - logits[i, i] for i in range(4)) / 4
    columns = sum(torch.logsumexp(logits[:, i], 0) - logits[i, i] for i in range(4)) / 4
    torch.testing.assert_close(info_nce(a, b, 0.1).double(), (rows + columns) / 2)
    equal = torch.ones(4, 3) / 3**0.5
    assert info_nce(equal, equal).item() == pytest.approx(np.log(4), rel=1e-5)


def test_inputs_that_do_not_fit(fusion, sides):
    first, second = sides
    with pytest.raises(InvalidInputError, match=r"first side has the shape \(3, 6\)"):
        fusion(first[:, 0], second)
    with pytest.raises(InvalidInputError, match="3 documents on the first side and 2 on the second"):
        fusion(first, second[:2])
    for mask in (torch.ones(3, 4), torch.ones(3, 5, dtype=torch.bool)):
        with pytest.raises(InvalidInputError, match=r"the first mask is .* it must be booleans"):
            fusion(first, second, mask)
    nothing = [torch.ones(side.shape[:2], dtype=torch.bool) for side in sides]
    for mask in nothing:
        mask[2] = False
    with pytest.raises(InvalidInputError, match="input 2: the document has no vectors"):
        fusion(first, second, *nothing)


@pytest.mark.parametrize(
    "settings",
    [{"heads": 3}, {"heads": 0}, {"width": 0}, {"dimension": 0}, {"inputs": (0, 4)}, {"dropout": 1.0}, {"dropout": -1}],
)
def test_sizes_that_do_not_fit(settings):
    with pytest.raises(InvalidOptionError, match=next(iter(settings))):
        CrossAttentionFusion(**({"inputs": (6, 10), "dimension": 5, "width": 16, "heads": 2} | settings))


def test_the_example_of_the_docstring_runs():
    result = doctest.testmod(attention)
    assert (result.attempted > 5, result.failed) == (True, 0)


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, attention.__name__)
    from llm_multi_core.embedder import analysis

    with pytest.raises(FrameworkUnavailableError, match=r'without torch .*"llm-multi-core\[fusion\]"'):
        _ = analysis.CrossAttentionFusion


def test_the_other_fusions_do_not_import_torch():
    script = "import sys\nimport llm_multi_core.embedder.analysis.fusion\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
