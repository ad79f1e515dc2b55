import json
from pathlib import Path

import numpy as np
import pytest
import torch

from infomax.errors import ConfigError
from infomax.optim import build_optimizer
from infomax.optim.lars import LARS
from infomax.optim.muon import Muon

ORACLES = Path(__file__).resolve().parents[3] / "shared" / "oracles"


def reference_lars(p, grads, lrs, wd, mu, eta, clip=False):
    velocity, out = np.zeros_like(p), []
    for g, lr in zip(grads, lrs, strict=True):
        u = g
        if p.ndim > 1:
            u = g + wd * p
            pn, un = np.sqrt((p**2).sum()), np.sqrt((u**2).sum())
            q = eta * pn / un if pn > 0 and un > 0 else 1.0
            if clip and pn > 0 and un > 0:
                q = min(q / lr, 1.0)
            u = u * q
        velocity = mu * velocity + u
        p = p - lr * velocity
        out.append(p)
    return out


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("shape", [(4,), (3, 2), (2, 3, 2, 2)])
def test_lars_follows_the_formula_under_a_changing_rate(shape, clip):
    rng = np.random.default_rng(0)
    p0, grads, lrs = rng.normal(size=shape), rng.normal(size=(3, *shape)), [0.3, 0.2, 0.001]
    p = torch.nn.Parameter(torch.tensor(p0))
    optimizer = LARS([p], lr=0.0, weight_decay=1e-2, momentum=0.8, eta=0.02, clip=clip)
    expected = reference_lars(p0, grads, lrs, 1e-2, 0.8, 0.02, clip)
    for g, lr, want in zip(grads, lrs, expected, strict=True):
        optimizer.param_groups[0]["lr"] = lr
        p.grad = torch.tensor(g)
        optimizer.step()
        np.testing.assert_allclose(p.detach().numpy(), want, rtol=1e-12)


def test_a_clipped_step_stays_within_its_limit_after_a_warm_up_from_zero():
    w = torch.nn.Parameter(torch.tensor([[1.0, 0.0]]))
    optimizer = LARS([w], lr=0.1, eta=0.02, clip=True)
    for lr, moved in ((0.0, 0.0), (0.1, 0.02)):  # eta |w|
        optimizer.param_groups[0]["lr"], before = lr, w.detach().clone()
        w.grad = torch.tensor([[0.0, 100.0]])
        optimizer.step()
        assert (w.detach() - before).norm() == pytest.approx(moved)


def test_lars_steps_plainly_where_a_norm_is_zero():
    fresh, still = torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.ones(2, 2))
    fresh.grad, still.grad = torch.ones(2, 2), torch.zeros(2, 2)
    LARS([fresh, still], lr=0.5).step()
    assert torch.equal(fresh.data, torch.full((2, 2), -0.5))
    assert torch.equal(still.data, torch.ones(2, 2))


def test_lars_resumes_from_its_state():
    def run(split):
        torch.manual_seed(0)
        p = torch.nn.Parameter(torch.randn(3, 3))
        optimizer = LARS([p], lr=0.1, weight_decay=0.1)
        for k in range(4):
            if k == split:
                state = optimizer.state_dict()
                optimizer = LARS([p], lr=9.0)
                optimizer.load_state_dict(state)
            p.grad = torch.randn(3, 3)
            optimizer.step()
        return p.data

    assert torch.equal(run(split=None), run(split=2))


@pytest.mark.parametrize("kind", [LARS, Muon])
def test_a_closure_returns_the_loss(kind):
    p = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = kind([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 4.0
    assert (p < 1).all()


@pytest.mark.shared
@pytest.mark.skipif(not ORACLES.is_dir(), reason="needs ../shared/oracles")
def test_larc_is_lars_that_never_takes_a_larger_step_than_sgd():
    ends = {}
    for name in ("larc", "lars", "sgd"):
        p = torch.nn.Parameter(torch.full((2, 2), 0.5))
        optimizer = build_optimizer([p], name, lr=0.1, weight_decay=1e-2, **({"eta": 0.02} if name == "lars" else {}))
        for size in (1e-3, 1.0):  # a gradient far below eta |p| / lr, and one above
            p.grad = torch.full((2, 2), size)
            optimizer.step()
            ends.setdefault(name, []).append(p.detach().clone())
    torch.testing.assert_close(ends["larc"][0], ends["sgd"][0])
    assert (ends["larc"][1] > ends["sgd"][1]).all() and not torch.allclose(ends["larc"][0], ends["lars"][0])


@pytest.mark.parametrize("path", sorted(ORACLES.glob("lars_*.npz")), ids=lambda p: p.stem)
def test_lars_equals_the_authors(path):
    data = np.load(path)
    meta = json.loads(str(data["meta"]))
    names = [k.removeprefix("input_p0_") for k in data.files if k.startswith("input_p0_")]
    params = {n: torch.nn.Parameter(torch.tensor(data[f"input_p0_{n}"])) for n in names}
    optimizer = build_optimizer(
        params.values(), "lars", lr=0.0, weight_decay=meta["weight_decay"], momentum=meta["momentum"], eta=meta["eta"]
    )
    for k, lr in enumerate(data["input_lrs"]):
        optimizer.param_groups[0]["lr"] = float(lr)
        for n, p in params.items():
            p.grad = torch.tensor(data[f"input_g_{n}"][k])
        optimizer.step()
        for n, p in params.items():
            np.testing.assert_allclose(p.detach().numpy(), data[f"out_p_{n}"][k], rtol=1e-10, atol=1e-14)


def test_every_name_builds_and_descends():
    for name, kind in {
        "sgd": torch.optim.SGD,
        "lars": LARS,
        "larc": LARS,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "muon": Muon,
    }.items():
        p = torch.nn.Parameter(torch.ones(2, 2))
        optimizer = build_optimizer([p], name, lr=0.1, weight_decay=1e-4)
        assert kind in (type(optimizer), type(optimizer).__base__)
        (p**2).sum().backward()
        optimizer.step()
        assert (p < 1).all(), name


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_complex_weights_descend(name):
    p = torch.nn.Parameter(torch.ones(2, 2, dtype=torch.complex64))
    optimizer = build_optimizer([p], name, lr=0.1)
    p.abs().square().sum().backward()
    optimizer.step()
    assert (p.abs() < 1).all()


def test_groups_keep_their_own_rate_and_frozen_parameters_stay_out():
    a, b, frozen = (torch.nn.Parameter(torch.ones(2, 2)) for _ in range(3))
    frozen.requires_grad_(False)
    optimizer = build_optimizer([{"params": [a, frozen]}, {"params": [b], "lr": 5.0}], "sgd", lr=0.1)
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 5.0]
    assert [len(g["params"]) for g in optimizer.param_groups] == [1, 1]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"name": "larz", "lr": 0.1}, "did you mean 'lars'"),
        ({"name": "sgd", "lr": -1.0}, "lr must be zero or more"),
        ({"name": "lars", "lr": 0.1, "eta": -1.0}, "eta must be zero or more"),
        ({"name": "adam", "lr": float("nan")}, "lr must be zero or more"),
    ],
)
def test_bad_settings_are_named(kwargs, message):
    with pytest.raises(ConfigError, match=message):
        build_optimizer([torch.nn.Parameter(torch.ones(2, 2))], **kwargs)


def test_nothing_to_train_is_an_error():
    with pytest.raises(ConfigError, match="nothing to train"):
        build_optimizer([torch.nn.Parameter(torch.ones(2), requires_grad=False)], lr=0.1)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_gradients_and_moments_in_another_layout_change_no_number(name):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(4, 3, 3, 2, dtype=torch.float64, generator=generator)
    rows = torch.nn.Parameter(start.clone())
    pixels = torch.nn.Parameter(start.clone().contiguous(memory_format=torch.channels_last))
    plain = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    expected = plain([rows], lr=0.1, weight_decay=1e-2, **({"momentum": 0.9} if name == "sgd" else {}))
    ours = build_optimizer([pixels], name, lr=0.1, weight_decay=1e-2)
    for attempt in range(4):
        rows.grad = torch.randn(start.shape, dtype=torch.float64, generator=generator)
        pixels.grad = rows.grad.clone()  # rows, where the parameter has its channels last
        if attempt == 2:  # as from a file, which keeps no strides
            saved = ours.state_dict()
            for moments in saved["state"].values():
                moments |= {
                    k: v.clone(memory_format=torch.contiguous_format) for k, v in moments.items() if v is not None
                }
            ours.load_state_dict(saved)
        expected.step()
        ours.step()
        torch.testing.assert_close(pixels, rows, rtol=0, atol=1e-12)
