"""On a GPU: the same numbers as on the CPU, and a host that does not wait. `pytest -m gpu` where there is one."""

import copy
import warnings

import pytest
import torch
from tests.views.test_against_torchvision import photos
from tests.views.test_dense import difference

import infomax as im
from infomax.data import Dataset
from infomax.optim import build_optimizer
from infomax.training.defaults import view_function
from infomax.training.devices import compile_branch, place
from infomax.training.feed import Feed
from infomax.views import apply, dense, draw, recipe

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
    # what torch's compiler and its kernels say of themselves
    pytest.mark.filterwarnings("ignore:::torch"),
    pytest.mark.filterwarnings("ignore:.*TensorFloat32 tensor cores.*"),
]

IMAGE_METHODS = sorted(set(im.methods.METHODS) - {"bgrl"})


@pytest.mark.parametrize(("size", "side"), [(32, 32), (224, 256)])
@pytest.mark.parametrize("name", ["simclr", "byol", "vicreg"])
def test_views_made_there_are_those_of_the_cpu(name: str, size: int, side: int) -> None:
    images = photos(64, side, side)
    views = recipe(name, size=size)
    sides = torch.full((64,), side)
    for number, spec in enumerate(views.specs):
        params = draw(spec, torch.arange(64), sides, sides, seed=3, epoch=1, view=number)
        theirs = apply(spec, images, params)
        for compiled in (False, True):
            ours = dense.apply(spec, images.cuda(), dense.pack(params).cuda(), compiled=compiled)
            assert difference(spec, ours.cpu(), theirs) < 1e-5


def test_tensor_cores_of_19_bits_do_not_touch_the_views() -> None:
    images, spec = photos(8, 32, 32), recipe("simclr", size=32).specs[0]
    sides = torch.full((8,), 32)
    params = draw(spec, torch.arange(8), sides, sides)
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        ours = dense.apply(spec, images.cuda(), dense.pack(params).cuda(), compiled=False)
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False
    assert difference(spec, ours.cpu(), apply(spec, images, params)) < 1e-5


def test_a_feed_ahead_gives_what_a_feed_gives() -> None:
    data = Dataset(photos(256, 32, 32))
    views = view_function(data, "simclr")
    there, here = Feed(data, views, 64, 0, "cuda"), Feed(data, views, 64, 0, "cpu")
    assert there.images.is_cuda and not data.images.is_cuda
    plan = [(epoch, batch) for epoch in range(3) for batch in range(4)]
    with there.ahead(plan):
        for step in plan:
            for one, other in zip(there(*step), here(*step), strict=True):
                assert one.is_cuda and one.is_contiguous(memory_format=torch.channels_last)
                assert (one.cpu() - other).abs().max() < 1e-5 / 0.2


def test_images_that_do_not_fit_are_sent_as_views(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infomax.training.feed.RESIDENT", 0.0)
    data = Dataset(photos(64, 32, 32))
    views = view_function(data, "simclr")
    there, here = Feed(data, views, 32, 0, "cuda"), Feed(data, views, 32, 0, "cpu")
    assert not there.images.is_cuda
    with there.ahead([(0, 0), (0, 1)]):
        for batch in range(2):
            for one, other in zip(there(0, batch), here(0, batch), strict=True):
                assert torch.equal(one.cpu(), other)


@pytest.mark.parametrize("name", IMAGE_METHODS)
def test_a_step_in_float64_is_the_cpus(name: str, tiny) -> None:
    torch.manual_seed(0)
    learner = im.methods.build(name, im.encoders.get("resnet8", size=16), **tiny(name)).double()
    views = [torch.randn(64, 3, 16, 16, dtype=torch.float64) for _ in range(2)]
    other = copy.deepcopy(learner).cuda()
    for epoch in range(2):  # an E- and an M-step, a queue and a centre that hold something
        for phase in sorted({phase for _, phase in learner.target.order(1)}):
            clock = im.Clock(epoch, 1, 100, phase)
            for one, where in ((learner, "cpu"), (other, "cuda")):
                optimizer = build_optimizer(one.parameters(), "sgd", lr=0.05)
                seen = im.step(one, [v.to(where) for v in views], optimizer, clock)
                one.seen = float(seen.loss.sum())
            assert other.seen == pytest.approx(learner.seen, rel=1e-9)
    for (key, here), there in zip(learner.state_dict().items(), other.state_dict().values(), strict=True):
        if here.is_floating_point() and here.numel():
            assert (here - there.cpu()).abs().max() <= 1e-8 * max(1.0, float(here.abs().max())), key


@pytest.mark.parametrize("name", IMAGE_METHODS)
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_every_method_trains_in_16_bits(name: str, precision, tiny) -> None:
    where = place("cuda", 1, precision)
    torch.manual_seed(0)
    learner = im.methods.build(name, im.encoders.get("resnet8", size=32), **tiny(name)).to(where.device)
    data = Dataset(photos(256, 32, 32))
    feed = Feed(data, view_function(data, "simclr"), 64, 0, where.device)
    optimizer = build_optimizer(learner.parameters(), "sgd", lr=0.01)
    for k in range(8):
        for phase in sorted({phase for _, phase in learner.target.order(1)}):
            seen = im.step(learner, feed(0, k % 4), optimizer, im.Clock(k, 4, 8, phase), precision=where.precision)
    assert torch.isfinite(seen.loss).all() and all(torch.isfinite(p).all() for p in learner.parameters())


@pytest.mark.parametrize("compiles", [False, True])
def test_a_run_learns_resumes_and_is_evaluated(tmp_path, compiles: bool) -> None:
    images = photos(512, 16, 16)
    learner = im.methods.simclr(im.encoders.get("resnet8", size=16), projector=(64, 32))
    asked = {"epochs": 4, "batch_size": 128, "device": "cuda", "precision": "bf16-mixed", "gauge_samples": 100}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", im.learner.CollapseWarning)
        run = im.train(learner, images.numpy(), out=tmp_path / "run", progress=False, compile=compiles, **asked)
    losses = [row["loss"] for row in run.history]
    assert len(losses) == 4 and losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["sgd", "adamw", "lars", "muon"])
@pytest.mark.parametrize("spoiled", [0, 2])
def test_a_nan_leaves_weights_and_momentum_alone(name, spoiled: int) -> None:
    torch.manual_seed(0)
    learner = im.methods.byol(im.encoders.get("resnet8", size=16), projector=(32,), predictor=(16,)).cuda()
    optimizer = build_optimizer(learner.parameters(), name, lr=0.01)
    for k in range(4):
        views = [torch.randn(32, 3, 16, 16, device="cuda") for _ in range(2)]
        if k != spoiled:
            im.step(learner, views, optimizer, im.Clock(k, 4, 4))
            continue
        views[1][3] = torch.nan
        weights = [p.clone() for p in learner.parameters()]
        kept = [t.clone() for state in optimizer.state.values() for t in state.values() if isinstance(t, torch.Tensor)]
        with pytest.raises(im.learner.NotFiniteError, match="view 1 of the input holds NaN"):
            im.step(learner, views, optimizer, im.Clock(k, 4, 4))
        assert all(torch.equal(p, was) for p, was in zip(learner.parameters(), weights, strict=True))
        now = [t for state in optimizer.state.values() for t in state.values() if isinstance(t, torch.Tensor)]
        assert all(torch.equal(t, was) for t, was in zip(now, kept, strict=True))
        for buffer in learner.buffers():  # the running statistics of batch norms have seen it
            buffer.nan_to_num_()
    assert all(torch.isfinite(p).all() for p in learner.parameters())


@pytest.mark.parametrize("name", ["sdmi", "byol", "simclr", "simsiam"])
def test_compiled_into_graphs_the_numbers_are_the_same(name: str, tiny) -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    learner = im.methods.build(name, im.encoders.get("resnet8", size=16), **tiny(name)).double().cuda()
    other = copy.deepcopy(learner)
    for branch in (other.f, other.g):
        if branch is not None:
            compile_branch(branch, graphs=True)
    pairs = [(one, build_optimizer(one.parameters(), "sgd", lr=0.02)) for one in (learner, other)]
    for k in range(6):
        views = [torch.randn(64, 3, 16, 16, device="cuda", dtype=torch.float64) for _ in range(2)]
        for phase in sorted({phase for _, phase in learner.target.order(1)}):
            losses = [
                float(im.step(one, views, optimizer, im.Clock(k, 6, 6, phase)).loss.sum()) for one, optimizer in pairs
            ]
            assert losses[0] == pytest.approx(losses[1], rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("n", [257, 4096])
def test_the_tiled_bound_is_the_readable_one(n: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, 64, generator=generator).to(dtype) for _ in range(2))
    b = (a.float() + b.float()).to(dtype)
    ours = [t.cuda().requires_grad_() for t in (a, b)]
    exact = [t.double().requires_grad_() for t in (a, b)]
    value, truth = im.mi.cos_dv(*ours, tau=0.1), im.mi.dv(im.mi.cosine_scores(*exact, tau=0.1))
    value.backward()
    truth.backward()
    assert value.item() == pytest.approx(truth.item(), rel=1e-5)
    for one, other in zip(ours, exact, strict=True):
        apart = (one.grad.cpu().double() - other.grad).abs().max() / other.grad.abs().max()
        assert apart < (1e-5 if dtype == torch.float32 else 1e-2)
