"""The table's declarations, probed: by autograd, and with Gaussians whose mutual information is known."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import infomax as im
from infomax import Alignment, Clock, Dot
from infomax.taxonomy import PRINTED, WHY, as_json, describe, table

METHODS = pytest.mark.parametrize("name", im.methods.METHODS)


def build(name, options):
    torch.manual_seed(0)
    return im.methods.build(name, nn.Linear(12, 16), **options)


# ---- EM or Joint: does the score of view 0 against view 1 move with view 1? -------------------------------------------
@METHODS
@pytest.mark.parametrize("crops", [2, 4])
def test_a_target_is_cut_off_from_its_view_exactly_in_em(name, crops, tiny):
    several = {"both_ways": True} if crops > 2 and "both_ways" in im.methods.options(name) else {}  # one way is for two
    learner = build(name, tiny(name, **several))
    torch.manual_seed(1)
    views = [torch.randn(32, 12, requires_grad=True) for _ in range(crops)]
    for phase in (0, 1) if name == "sdmi" else (0,):
        z, k = learner.target.look(learner.f, learner.g, views, Clock(phase=phase))
        learner.score({0: z[0]}, {1: k[1]}, Clock(phase=phase)).backward()
        moves = [v.grad is not None and bool(v.grad.any()) for v in views]
        em = describe(learner).optimisation == "EM"
        assert moves == [True, not em] + [False] * (crops - 2)
        for v in views:
            v.grad = None


# ---- explicit or surrogate: with the optimal critic, is the reading the mutual information? ----------------------------
RHO, WIDTH, SAMPLES = 0.6, 2, 2000
TRUTH = -WIDTH / 2 * math.log(1 - RHO**2)  # 0.446 nats


class LogRatio(Dot):
    """log p(a, b) / p(a) p(b) + shift of coordinates with correlation RHO, as a product of features of either side.

    Any shift is an optimal critic too: a bound that divides by its partition does not see it, and a surrogate does.
    """

    def __init__(self, shift):
        super().__init__()
        self.shift = shift

    def factors(self, a, b):
        rest = 1 - RHO**2
        square = -(RHO**2) / (2 * rest)
        one = torch.ones(*a.shape[:-1], 1), torch.ones(*b.shape[:-1], 1)
        constant = TRUTH + self.shift
        left = torch.cat([RHO / rest * a, square * a.square().sum(-1, keepdim=True), one[0], constant * one[0]], -1)
        right = torch.cat([b, one[1], square * b.square().sum(-1, keepdim=True), one[1]], -1)
        return left, right


def gaussians(n, seed=0):
    torch.manual_seed(seed)
    a = torch.randn(n, WIDTH)
    return a, RHO * a + math.sqrt(1 - RHO**2) * torch.randn(n, WIDTH)


def test_the_ratio_is_the_ratio():
    a, b = gaussians(5)
    both = torch.distributions.MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, RHO], [RHO, 1.0]]))
    one = torch.distributions.Normal(0.0, 1.0)
    logs = both.log_prob(torch.stack([a, b], -1)) - one.log_prob(a) - one.log_prob(b)
    torch.testing.assert_close(LogRatio(0.0).paired(a, b), logs.sum(-1))


def reading(learner, shift):
    """The bound in the optimal critic, put wherever the objective has a critic; predictors are the identity."""
    critic, (a, b) = LogRatio(shift), gaussians(SAMPLES)
    for marginal in learner.marginals:
        if hasattr(marginal, "critic"):
            marginal.critic = critic
        if isinstance(marginal, im.Predictor):
            marginal.net = nn.Identity()
        if isinstance(marginal, im.InfoNCE) and marginal.has_queue:
            marginal.queue = gaussians(SAMPLES, seed=1)[1]  # as they are, not normalised: draws of p(b)
    bare = learner.edit(joint=Alignment(critic))
    with torch.no_grad():
        return bare.score({0: a}, {1: b}).item()


@METHODS
def test_an_explicit_objective_reads_the_truth_and_a_surrogate_does_not(name, tiny):
    options = tiny(name)
    options |= {key: value for key, value in (("projector", (WIDTH,)), ("predictor", (4,))) if key in options}
    options |= {"prototypes": WIDTH} if "prototypes" in options else {}
    options |= {"whitening_size": SAMPLES} if name == "w_mse" else {}
    torch.manual_seed(0)
    learner = im.methods.build(name, nn.Linear(12, WIDTH), **options)
    # Sampling error: sd(T) = sqrt(WIDTH) RHO = 0.85 over the pairs, sd(e^T) = sqrt((1 - RHO^2)^-WIDTH - 1) = 1.2 over the
    # products, each of 2000: together 0.033. Three of them, and the 1/N bias of a log of means besides.
    tolerance = (
        3 * math.hypot(math.sqrt(WIDTH) * RHO, math.sqrt((1 - RHO**2) ** -WIDTH - 1)) / math.sqrt(SAMPLES) + 0.002
    )
    explicit = describe(learner).objective == "explicit MI"  # before `reading` gives its marginals another critic
    errors = [abs(reading(learner, shift) - TRUTH) for shift in (0.0, 1.0, -1.0)]
    assert (max(errors) < tolerance) is explicit, errors


# ---- the table -------------------------------------------------------------------------------------------------------
def test_the_table_as_computed():
    rows = {row.name: (row.optimisation, row.objective, row.paradigm) for row in table()}
    em, joint, explicit, surrogate = "EM", "Joint", "explicit MI", "MI surrogate"
    assert rows == {
        "sdmi": (em, explicit, "SDMI"),
        "jmi": (joint, explicit, "JMI"),
        "simsiam": (em, surrogate, "SDMI"),
        "byol": (em, surrogate, "SDMI"),
        "moco_v1": (em, explicit, "SDMI"),
        "moco_v2": (em, explicit, "SDMI"),
        "moco_v3": (em, explicit, "SDMI"),
        "dino": (em, surrogate, "SDMI"),
        "swav": (em, surrogate, "SDMI"),
        "bgrl": (em, surrogate, "SDMI"),
        "simclr": (joint, explicit, "JMI"),
        "barlow_twins": (joint, surrogate, "JMI"),
        "vicreg": (joint, surrogate, "JMI"),
        "w_mse": (joint, surrogate, "JMI"),
        "taylor_jmi": (joint, surrogate, "JMI"),
    }


def test_the_two_rows_that_the_paper_prints_otherwise_say_why():
    differing = {row.name: row for row in table() if row.differs}
    assert set(differing) == set(WHY) == {"swav", "bgrl"}
    for name, row in differing.items():
        assert row.paper == "Joint, MI surrogate, JMI" == ", ".join(PRINTED[name])
        assert row.differs == WHY[name]
    assert {row.name for row in table() if row.paper != "not in table 2"} == set(PRINTED)


def test_rows_are_plain_data():
    rows = as_json()
    assert len(rows) == len(im.methods.METHODS)
    assert all({"name", "optimisation", "objective", "paradigm", "paper"} <= set(row) for row in rows)
    assert all(isinstance(value, str) for row in rows for value in row.values())


def test_dropping_the_marginal_leaves_no_objective_to_name():
    with pytest.warns(im.CollapseWarning):
        bare = im.methods.jmi(nn.Linear(4, 4), projector=()).edit(marginals=())
    assert describe(bare).objective == "none"
    assert describe(bare).marginal == "none"


def sentence(joint, *marginals):
    return describe(im.Learner(nn.Linear(4, 4), im.Shared(), joint, *marginals)).objective


def test_explicit_is_a_log_partition_of_the_critic_that_the_joint_term_reads():
    cos, learnt = im.Cosine(0.1), [im.Bilinear(4) for _ in range(2)]
    learns = torch.nn.Parameter(torch.tensor(0.1))
    explicit, surrogate = "explicit MI", "MI surrogate"
    for marginal in (im.DonskerVaradhan, im.InfoNCE):
        assert sentence(Alignment(cos), marginal(cos)) == explicit
        assert sentence(Alignment(cos), marginal(im.Cosine(0.1))) == explicit, "another object, the same critic"
        assert sentence(Alignment(cos), marginal(im.Cosine(np.float64(0.1)))) == explicit, (
            "as a grid of numpy's gives it"
        )
        assert sentence(Alignment(im.Cosine(1)), marginal(im.Cosine(1.0))) == explicit, "one number"
        assert sentence(Alignment(im.Cosine(learns)), marginal(im.Cosine(learns))) == explicit
        for joint in (Alignment(im.Cosine(0.2)), Alignment(im.Dot(0.1)), Alignment(cos, weight=2.0)):
            assert sentence(joint, marginal(cos)) == surrogate
        assert sentence(im.CorrelationDiagonal(), marginal(cos)) == surrogate, "it reads no critic"
        assert sentence(Alignment(learnt[0]), marginal(learnt[0])) == explicit
        assert sentence(Alignment(learnt[0]), marginal(learnt[1])) == surrogate, "they learn apart"


def test_two_critics_read_more_than_the_truth():
    a, b = gaussians(SAMPLES)
    two = im.Learner(nn.Identity(), im.Shared(), Alignment(LogRatio(1.0)), im.DonskerVaradhan(LogRatio(0.0)))
    assert describe(two).objective == "MI surrogate"
    assert two.score({0: a}, {1: b}).item() == pytest.approx(TRUTH + 1, abs=0.1)


def test_two_log_partitions_of_one_critic_are_no_bound_and_a_second_penalty_is_none_either():
    a, b = gaussians(SAMPLES)

    def both(shift, weight=1.0):
        critic = LogRatio(shift)
        marginals = (im.DonskerVaradhan(critic), im.InfoNCE(critic))
        return im.Learner(nn.Identity(), im.Shared(), Alignment(critic, weight), *marginals)

    readings = [both(shift).score({0: a}, {1: b}).item() for shift in (0.0, -10.0, -100.0)]
    assert readings[1] - readings[0] == pytest.approx(10, abs=1e-3)
    assert readings[2] - readings[0] == pytest.approx(100, abs=1e-2), "it climbs with the shift of the critic alone"
    twice = both(5.0, 2.0).score({0: a}, {1: b}).item()
    assert twice == pytest.approx(2 * TRUTH, abs=0.2), "two bounds read the truth twice"
    assert {describe(learner).objective for learner in (both(0.0), both(0.0, 2.0))} == {"MI surrogate"}
    cos = im.Cosine(0.1)
    assert sentence(Alignment(cos), im.DonskerVaradhan(cos), im.VarianceCovariance(1.0)) == "MI surrogate"
    predictor = im.Predictor(nn.Linear(4, 4))
    assert sentence(Alignment(cos), predictor, im.InfoNCE(cos)) == "explicit MI", "it changes what is compared"
