"""What a review found, so that it stays found."""

import pytest
import torch
from torch import nn

import infomax as im
from infomax.heads import reset
from infomax.marginal import TaylorDonskerVaradhan, sinkhorn


def test_sharp_codes_neither_overflow_nor_vanish():
    scores = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]) / 0.0125
    assert torch.allclose(sinkhorn(scores, 3), torch.eye(2))
    assert torch.isfinite(sinkhorn(torch.randn(16, 4) * 500, 3)).all()


def test_taylor_moments_of_a_nearly_collapsed_batch_do_not_cancel():
    generator = torch.Generator().manual_seed(0)
    centre = torch.randn(8, generator=generator, dtype=torch.float64)
    a, b = (centre + 1e-2 * torch.randn(64, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    term = TaylorDonskerVaradhan(im.Cosine(0.05))
    t = im.Cosine(0.05).crossed(a, b)[~torch.eye(64, dtype=torch.bool)]
    for dtype, tolerance in ((torch.float64, 1e-6), (torch.float32, 1e-2)):
        mean, variance = term.moments(a.to(dtype), b.to(dtype))
        assert float(mean) == pytest.approx(float(t.mean()), rel=1e-6)
        assert float(variance) == pytest.approx(float(t.var(correction=0)), rel=tolerance)


def test_an_own_critic_that_says_nothing_is_read_both_ways():
    class Skew(im.Critic):
        def paired(self, a, b):
            return (a * b.roll(1, -1)).sum(-1)

    learner = im.Learner(nn.Linear(4, 4), im.Shared(), im.Alignment(Skew()), im.VarianceCovariance())
    assert not learner.symmetric
    assert im.methods.jmi(nn.Linear(4, 4), projector=()).symmetric


@pytest.mark.parametrize(
    "build",
    [
        lambda: im.methods.moco_v1(nn.Linear(4, 4), projector=(), queue=0),
        lambda: im.methods.swav(nn.Linear(4, 4), projector=(), prototypes=0),
        lambda: im.methods.swav(nn.Linear(4, 4), projector=(), temperature=-1.0),
        lambda: im.methods.swav(nn.Linear(4, 4), projector=(), epsilon=float("nan")),
        lambda: im.methods.vicreg(nn.Linear(4, 4), projector=(), eps=-1.0),
        lambda: im.methods.dino(nn.Linear(4, 4), projector=(), prototypes=4, center_momentum=2.0),
        lambda: im.methods.dino(nn.Linear(4, 4), projector=(), prototypes=4, temperature=float("nan")),
        lambda: im.methods.dino(nn.Linear(4, 4), projector=(), prototypes=4, target_temperature_start=0.0),
        lambda: im.methods.dino(nn.Linear(4, 4), projector=(), prototypes=4, target_temperature_epochs=-1),
        lambda: im.methods.w_mse(nn.Linear(4, 4), projector=(), iterations=0),
        lambda: im.methods.jmi(nn.Linear(4, 4), projector=256),
        lambda: im.Bilinear(4, temperature=0.0),
    ],
)
def test_an_impossible_number_is_refused_when_built(build):
    with pytest.raises(im.ConfigError):
        build()


def test_an_encoder_without_pooling_is_refused():
    learner = im.methods.jmi(nn.Conv2d(3, 8, 3), projector=())
    with pytest.raises(im.DataError, match="N x D"):
        learner([torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8)])


def test_the_width_behind_prototypes():
    assert im.methods.dino(nn.Linear(8, 16), projector=(4,), prototypes=10).f.width == 10


def test_an_encoder_without_parameters_can_have_a_slow_copy():
    learner = im.methods.byol(nn.Flatten(), projector=(), predictor=nn.Linear(4, 4))
    im.step(learner, [torch.randn(8, 4), torch.randn(8, 4)], torch.optim.SGD(learner.parameters(), 0.1))


def test_bgrl_and_moco_v3_predict_as_their_authors_do():
    bgrl = im.methods.bgrl(nn.Linear(8, 16), predictor=(32,)).marginals[0].net
    assert [type(m).__name__ for m in bgrl] == ["Linear", "PReLU", "Linear"]
    moco = im.methods.moco_v3(nn.Linear(8, 16), projector=(4,), predictor=(32,)).marginals[0].net
    assert [type(m).__name__ for m in moco] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]


def test_a_new_draw_passes_over_what_is_empty_and_refuses_what_is_not_there_yet():
    empty = nn.Module()
    empty.nothing = nn.Parameter(torch.zeros(0, 3))
    assert reset(empty).nothing.shape == (0, 3)
    with pytest.raises(im.ConfigError, match="LazyLinear has no weights yet: run the encoder on a batch first"):
        reset(nn.Sequential(nn.LazyLinear(3)))
