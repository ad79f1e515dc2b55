"""Muon against its formula, worked out by a decomposition, and against torch's own, which knows matrices alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import infomax as im
from infomax.errors import ConfigError
from infomax.optim import build_optimizer
from infomax.optim.muon import QUINTIC, STEPS, Muon, orthogonal


def by_decomposition(m):
    """The quintic on the singular values themselves."""
    u, s, vt = np.linalg.svd(m, full_matrices=False)
    s, (a, b, c) = s / (np.sqrt((s**2).sum()) + 1e-7), QUINTIC
    for _ in range(STEPS):
        s = a * s + b * s**3 + c * s**5
    return u @ np.diag(s) @ vt


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 9), columns=st.integers(1, 9), stacked=st.integers(1, 3))
def test_orthogonal_is_the_quintic_of_the_singular_values(seed, rows, columns, stacked):
    m = np.random.default_rng(seed).normal(size=(stacked, rows, columns))
    turned = orthogonal(torch.tensor(m)).numpy()
    for one, wanted in zip(turned, map(by_decomposition, m), strict=True):
        np.testing.assert_allclose(one, wanted, atol=1e-9)
        np.testing.assert_allclose(
            orthogonal(torch.tensor(m.swapaxes(-1, -2))).numpy().swapaxes(-1, -2), turned, atol=1e-9
        )


def test_singular_values_end_near_one_and_nought_stays_nought():
    m = torch.randn(1, 64, 200, generator=torch.Generator().manual_seed(0))
    ends = torch.linalg.svdvals(orthogonal(m)[0])
    assert 0.6 < ends.min() < ends.max() < 1.25
    assert torch.equal(orthogonal(torch.zeros(1, 3, 2)), torch.zeros(1, 3, 2))


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 3, 2, 2), (4,), ()])
def test_steps_follow_the_formula_under_a_changing_rate(shape):
    rng = np.random.default_rng(0)
    p, grads, rates, decay = rng.normal(size=shape), rng.normal(size=(3, *shape)), [0.3, 0.0, 0.1], 0.02
    weight = torch.nn.Parameter(torch.tensor(p))
    optimizer = Muon([weight], lr=9.0, weight_decay=decay, momentum=0.8)
    m, mean, square = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for k, (g, lr) in enumerate(zip(grads, rates, strict=True), 1):
        if len(shape) > 1:
            m = 0.8 * m + g
            turned = by_decomposition((g + 0.8 * m).reshape(shape[0], -1)).reshape(shape)
            p = (1 - lr * decay) * p - lr * 0.2 * np.sqrt(max(shape[0], np.prod(shape[1:]))) * turned
        else:
            mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
            p = (1 - lr * decay) * p - lr * (mean / (1 - 0.9**k)) / (np.sqrt(square / (1 - 0.999**k)) + 1e-8)
        optimizer.param_groups[0]["lr"], weight.grad = lr, torch.tensor(g)
        optimizer.step()
        np.testing.assert_allclose(weight.detach().numpy(), p, atol=1e-9)


def test_vectors_take_torchs_adamw():
    ends = []
    for kind in (Muon, torch.optim.AdamW):
        torch.manual_seed(0)
        p = torch.nn.Parameter(torch.randn(7, dtype=torch.float64))
        optimizer = kind([p], lr=0.1, weight_decay=0.3)
        for _ in range(5):
            p.grad = torch.randn(7, dtype=torch.float64)
            optimizer.step()
        ends.append(p.detach())
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-12)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="needs torch 2.9's Muon")
def test_matrices_move_as_torchs_do_within_its_16_bits():
    ends = []
    for kind, told in ((Muon, {}), (torch.optim.Muon, {"adjust_lr_fn": "match_rms_adamw"})):
        torch.manual_seed(0)
        p = torch.nn.Parameter(torch.zeros(16, 40))
        optimizer = kind([p], lr=0.1, weight_decay=0.1, momentum=0.95, **told)
        for _ in range(4):
            p.grad = torch.randn(16, 40)
            optimizer.step()
        ends.append(p.detach())
    assert (ends[0] - ends[1]).norm() < 0.03 * ends[0].norm()


@pytest.mark.parametrize("shape", [(30, 500), (500, 30)])
def test_a_step_has_the_size_of_adamws(shape):
    p = torch.nn.Parameter(torch.zeros(shape))
    optimizer = Muon([p], lr=1.0)
    p.grad = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    size = p.detach().square().mean().sqrt().item()
    assert size == pytest.approx(0.2, rel=0.3)


def test_it_resumes_from_its_state_with_a_parameter_that_comes_late():
    def run(split):
        torch.manual_seed(0)
        params = [torch.nn.Parameter(torch.randn(s)) for s in ((3, 4), (5,), (2,))]
        optimizer = Muon(params, lr=0.1, weight_decay=0.1)
        for k in range(4):
            if k == split:
                state = optimizer.state_dict()
                optimizer = Muon(params, lr=9.0)
                optimizer.load_state_dict(state)
            for p in params[: 2 if k < 2 else 3]:  # the last rests at first
                p.grad = torch.randn_like(p)
            optimizer.step()
        return torch.cat([p.detach().flatten() for p in params])

    assert torch.equal(run(split=None), run(split=2))


def test_layouts_in_memory_do_not_matter():
    ends = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        p = torch.nn.Parameter(torch.randn(4, 3, 3, 3).to(memory_format=layout))
        optimizer = Muon([p], lr=0.1)
        for _ in range(2):
            p.grad = torch.randn(4, 3, 3, 3)  # as a file brings a momentum: in rows
            optimizer.step()
        ends.append(p.detach().contiguous())
    torch.testing.assert_close(*ends)


def test_what_cannot_be_is_refused():
    endless = float("inf")
    for told in (
        {"momentum": -1}, {"momentum": 1.0}, {"betas": (0.9, 1.0)}, {"betas": (-0.5, 0.999)}, {"eps": endless}, {"lr": endless},
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=f"Muon: {next(iter(told))}"):
            Muon([torch.nn.Parameter(torch.ones(2, 2))], **{"lr": 0.1} | told)
    with pytest.raises(ConfigError, match=r"one of \(2, 2\) is complex: take optimizer='adamw'"):
        build_optimizer([torch.nn.Parameter(torch.ones(2, 2, dtype=torch.complex64))], "muon", lr=0.1)


def test_a_run_learns_stops_and_goes_on_to_the_same_weights(tmp_path):
    def begin(out, **told):
        torch.manual_seed(0)
        learner = im.methods.vicreg(im.encoders.get("mlp", channels=1, size=8, hidden=32), projector=(32, 16))
        return im.train(
            learner, "digits", optimizer="muon", lr=2e-3, epochs=3, batch_size=256, seed=0, device="cpu",
            out=tmp_path / out, progress=False, checkpoint_every=3, **told,
        )  # fmt: skip

    whole = begin("whole")
    assert whole.history[-1]["loss"] < whole.history[0]["loss"]

    def stop(run):
        if run.history[-1]["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin("parted", on_epoch=stop)
    assert max(int(file.stem) for file in (tmp_path / "parted" / "checkpoints").glob("*.safetensors")) > 0
    parted = im.Run.resume(tmp_path / "parted", progress=False)
    for a, b in zip(whole.learner.parameters(), parted.learner.parameters(), strict=True):
        assert torch.equal(a, b)
