import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import infomax as im
from infomax import Alignment, ConfigError, Cosine, DataError, DonskerVaradhan, InfoNCE, Learner, Shared


class Plain(im.Critic):
    """A right one, to go wrong in one place each."""

    symmetric = True

    def paired(self, a, b):
        return (a * b).sum(-1) / 5

    def crossed(self, a, b):
        return a @ b.mT / 5


class Summed(Plain):
    def paired(self, a, b):
        return (a * b).sum()


class Columns(Plain):
    def paired(self, a, b):
        return a * b


class Rows(Plain):
    def crossed(self, a, b):
        return (a * b[: len(a)]).sum(-1) if len(a) == len(b) else (a @ b.mT).sum(-1)


class Doubled(Plain):
    def crossed(self, a, b):
        return 2 * super().crossed(a, b)


class Leaning(Plain):
    symmetric = True

    def paired(self, a, b):
        return super().paired(a.relu(), b)

    def crossed(self, a, b):
        return super().crossed(a.relu(), b)


class Lengths(Plain):
    symmetric = of_directions = True


class Softmax(Plain):
    def paired(self, a, b):
        return self.crossed(a, b).diagonal(dim1=-2, dim2=-1)

    def crossed(self, a, b):
        return super().crossed(a, b).log_softmax(-1)


class Crossless(im.Critic):
    symmetric = True

    def paired(self, a, b):
        return -F.huber_loss(a, b, reduction="none").mean(-1)


CRITICS = {
    Summed: r"Summed.paired gives shape \(\) for N x D of \(16, 8\) and \(16, 8\): return one score a pair, N = 16",
    Columns: r"Columns.paired gives shape \(16, 8\) for N x D of \(16, 8\) and \(16, 8\): return one score a pair, N = 16",
    Rows: r"Rows.crossed gives shape \(16,\) .*return one score a combination of rows, N x M = 16 x 16",
    Doubled: r"Doubled.crossed: its diagonal is not what paired gives: of row \d+ with row \d+ it is .*, paired is ",
    Leaning: r"Leaning: it says symmetric = True, and of row \d+ with row \d+ T\(a, b\) is .* where T\(b, a\) is .*: say False",
    Lengths: r"Lengths: it says of_directions = True, .*: say False",
    Softmax: r"Softmax: of row \d+ with row \d+ T is .* where another row is left out: a score is of its own two rows alone",
}


def of(critic):
    return Learner(nn.Identity(), Shared(), Alignment(critic), InfoNCE(critic))


@pytest.mark.parametrize("critic", CRITICS)
def test_a_critic_that_is_wrong_is_named_with_what_it_gives(critic):
    critic, said = critic(), CRITICS[critic]
    with pytest.raises(ConfigError, match=said) as found:
        im.check(of(critic))
    assert len(str(found.value).splitlines()) == 2  # the joint term and the marginal that read it say nothing more


def test_a_critic_that_is_right_passes():
    lines = im.check(of(Plain()))
    assert {line.found for line in lines} == {"ok"}
    assert "Plain.crossed      its diagonal is paired" in repr(lines)


def test_a_critic_without_crossed_fits_a_joint_term_and_no_partition():
    lines = im.check(Learner(nn.Identity(), Shared(), Alignment(Crossless()), im.VarianceCovariance()))
    assert "Crossless.paired" in {line.part for line in lines}
    with pytest.raises(ConfigError, match="Crossless defines no crossed"):
        im.check(of(Crossless()))


class Joint(im.Joint):
    symmetric = True


class OneSided(Joint):
    symmetric = True

    def forward(self, a, b):
        return (a.relu() * b).sum(-1).mean(-1)


class ASample(Joint):
    def forward(self, a, b):
        return (a * b).sum(-1)


class InOrder(Joint):
    def forward(self, a, b):
        return (a * b).sum(-1)[: len(a) // 2].mean()


class Cut(Joint):
    def forward(self, a, b):
        scale = a.std().item()
        return (a * b).sum(-1).mean(-1) / scale


class Rounded(Joint):
    def forward(self, a, b):
        return (a.float() * b.float()).sum(-1).mean(-1)


class Naive(im.Marginal):
    def penalty(self, a, b):
        return (20 * a @ b.mT).exp().mean((-2, -1)).log()


class Infinite(im.Marginal):
    def penalty(self, a, b):
        return (a - a).norm().log()


class HalfWay(im.Marginal):
    symmetric = True

    def penalty(self, a, b):
        return a.square().mean()


class Endless(im.Marginal):
    def penalty(self, a, b):
        return a.square().mean()

    def offset(self, n):
        return float("inf")


class Averaged(im.Marginal):
    separates = True

    def constrain(self, z, k, clock):
        mean = torch.stack(list({**z, **k}.values())).mean(0)
        return {i: v - mean for i, v in z.items()}, {j: v - mean for j, v in k.items()}


class StudentsAlone(im.Marginal):
    symmetric = True

    def constrain(self, z, k, clock):
        return {i: v - v.mean(-2, keepdim=True) for i, v in z.items()}, k


class Renumbered(im.Marginal):
    def constrain(self, z, k, clock):
        return dict(enumerate(z.values(), 1)), k


class Fewer(im.Marginal):
    def constrain(self, z, k, clock):
        return {i: v[1:] for i, v in z.items()}, k


@pytest.mark.parametrize(
    ("joint", "marginal", "said"),
    [
        (
            OneSided(),
            None,
            r"OneSided.forward: it says symmetric = True, and gives .* of \(a, b\) and .* of \(b, a\): say",
        ),
        (ASample(), None, r"ASample.forward gives a tensor of shape \(16,\) .*return one number a pair of views"),
        (InOrder(), None, "InOrder.forward: it is .* of the rows in one order and .* in another"),
        (Cut(), None, r"Cut.forward: its gradient is not that of its value: .*\.item\(\)"),
        (Rounded(), None, r"Rounded.forward: its gradient is not that of its value: .*rounded \(\.float\(\)\)"),
        (None, HalfWay(), r"HalfWay.penalty: it says symmetric = True"),
        (None, Infinite(), r"Infinite.penalty: gives NaN or infinity of random embeddings"),
        (None, Naive(), r"the bound: it is -inf in float32 and -\d.* in float64: an exponential overflows"),
        (None, Endless(), r"Endless.offset: gives NaN or infinity"),
        (None, Averaged(), r"Averaged.constrain: it says separates = True"),
        (None, StudentsAlone(), r"StudentsAlone.constrain: it says symmetric = True, and changes students and targets"),
        (
            None,
            Renumbered(),
            r"Renumbered.constrain: gives {1: \(16, 8\), 2: \(16, 8\)} for {0: \(16, 8\), 1: \(16, 8\)}",
        ),
        (None, Fewer(), r"Fewer.constrain: gives {0: \(15, 8\), .*return each view's N rows under its number"),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, nn.Module) else "",
)
def test_a_term_that_is_wrong_is_named_with_what_it_says(joint, marginal, said):
    learner = Learner(nn.Identity(), Shared(), joint or Alignment(Cosine()), marginal or DonskerVaradhan(Cosine()))
    with pytest.raises(ConfigError, match=said):
        im.check(learner)


def test_all_that_is_wrong_is_said_at_once():
    learner = Learner(nn.Identity(), Shared(), Alignment(Doubled()), HalfWay(), Endless())
    with pytest.raises(ConfigError) as found:
        im.check(learner)
    assert [line.split(":")[0].strip() for line in str(found.value).splitlines()[1:]] == [
        "Doubled.crossed", "HalfWay.penalty", "Endless.offset",
    ]  # fmt: skip


def test_a_gradient_that_is_cut_off_on_purpose_is_let_through():
    learner = Learner(nn.Identity(), Shared(), Cut(), DonskerVaradhan(Cosine()))
    lines = im.check(learner, gradient=False)
    assert [line.found for line in lines if "gradient" in line.promise] == ["left out: it is cut off on purpose"]


def test_what_draws_at_random_is_left_out_and_says_so():
    class Noisy(im.Marginal):
        symmetric = True

        def penalty(self, a, b):
            return (a + torch.randn_like(a)).square().mean()

    lines = im.check(Learner(nn.Identity(), Shared(), Alignment(Cosine()), Noisy()))
    assert {line.part for line in lines if "varies" in line.found} == {"Noisy.penalty", "the bound"}


@pytest.mark.parametrize("name", im.methods.METHODS)
@pytest.mark.parametrize("given", [False, True], ids=["by itself", "of a batch"])
def test_every_method_keeps_what_it_promises(name, given, tiny):
    learner = im.methods.build(name, nn.Linear(12, 16), **tiny(name))
    views = [torch.randn(32, 12) for _ in range(4 if name in ("dino", "swav") else 2)]
    lines = im.check(learner, views if given else None)
    assert {line.found for line in lines} == {"ok"}
    assert {"the bound", f"{type(learner.joint).__name__}.forward"} <= {line.part for line in lines}


@pytest.mark.parametrize(
    "learner",
    [
        lambda: im.methods.w_mse(nn.Linear(12, 16), projector=(4,), whitening_size=16, iterations=2),
        lambda: im.methods.w_mse(nn.Linear(12, 16)),
        lambda: im.methods.vicreg(nn.Linear(12, 16)),
        lambda: im.methods.sdmi(nn.Linear(12, 16)).edit(marginals=InfoNCE(im.Bilinear(256)), joint=Alignment(im.Bilinear(256))),
        lambda: of(im.Bilinear(8)),
        lambda: im.methods.swav(nn.Linear(12, 16), projector=(8,), prototypes=6).edit(target=Shared()),
        lambda: im.methods.byol(nn.Linear(12, 16), projector=(8,), predictor=(4,)).eval(),
        lambda: Learner(nn.Identity(), im.EMA(one_way=True), Alignment(im.Chord()), im.Whitening(8, eps=0.1)),
    ],
)  # fmt: skip
def test_sentences_of_the_parts_that_are_there_pass(learner):
    assert {line.found for line in im.check(learner())} <= {
        "ok", "left out: it varies from call to call", "left out: it is cut off on purpose",
    }  # fmt: skip


def test_the_learner_and_the_state_of_chance_stay_as_they_are():
    learner = im.methods.moco_v3(nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8)), projector=(8, 4), predictor=(6,))
    before, chance = copy.deepcopy(learner.state_dict()), torch.get_rng_state()
    im.check(learner)
    assert torch.equal(torch.get_rng_state(), chance)
    im.check(learner, [torch.randn(16, 12), torch.randn(16, 12)])
    after = learner.state_dict()
    assert all(torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype for name in before)


def test_of_a_long_queue_some_keys_are_read_and_those_that_are_no_numbers(monkeypatch):
    read, penalty = set(), InfoNCE.penalty

    def watched(self, a, b):
        read.add(len(self.queue))
        return penalty(self, a, b)

    monkeypatch.setattr(InfoNCE, "penalty", watched)
    learner = im.methods.moco_v2(nn.Linear(12, 8), projector=(4,))
    assert {line.found for line in im.check(learner)} == {"ok"}
    assert read == {1024} and len(learner.marginals[0].queue) == 65536
    for wrong in (float("nan"), float("inf")):
        learner.marginals[0].queue[40000, 1] = wrong
        with pytest.raises(ConfigError, match=r"InfoNCE\.penalty: gives NaN or infinity of random embeddings"):
            im.check(learner)


def test_a_queue_of_ones_own_is_read_whole():
    class Mine(InfoNCE):
        def __init__(self):
            super().__init__(Cosine(), queue=2000, width=8)
            self.register_buffer("weights", torch.ones(2000))

        def penalty(self, a, b):
            return (self.critic.crossed(a, self.queue.to(a.dtype)) * self.weights).mean()

    assert im.check(Learner(nn.Linear(12, 8), im.StopGradient(), Alignment(Cosine()), Mine()))


def test_the_shape_is_that_of_the_batch():
    seen = []

    class Watching(Joint):
        def forward(self, a, b):
            seen.append(a.shape)
            return (a * b).sum(-1).mean(-1)

    learner = Learner(nn.Linear(12, 5), Shared(), Watching(), DonskerVaradhan(Cosine()))
    im.check(learner, [torch.randn(24, 12), torch.randn(24, 12)])
    assert set(seen) == {(24, 5)}


def test_what_cannot_be_checked():
    with pytest.raises(
        DataError, match=r"shape \(8, 4, 2\): an encoder gives N x D, and leading indices are read as indep"
    ):
        im.check(im.methods.simclr(nn.Identity(), projector=()), [torch.randn(8, 4, 2)] * 2)
    with pytest.raises(DataError, match="give at least 2, not 1"):
        im.check(of(Cosine()), [torch.randn(8, 4)])
    with pytest.raises(ConfigError, match=r"^im\.check: expected a Learner, got Cosine"):
        im.check(Cosine())


@pytest.mark.parametrize("critic", [Summed, Columns, Rows])
@pytest.mark.parametrize("words", ["infonce", "dv", "queue", "metric"])
def test_an_update_refuses_scores_of_another_shape_naming_the_critic(critic, words):
    a, b = torch.randn(16, 8), torch.randn(16, 8)
    critic = critic()
    verb = "crossed" if isinstance(critic, Rows) else "paired"
    with pytest.raises(ConfigError, match=rf"^{type(critic).__name__}\.{verb} gives shape"):
        if words == "metric":
            metric = im.mi.MIMetric(critic, tau=1.0)
            metric.update(a, b)
            metric.compute()
        marginal = {
            "infonce": InfoNCE(critic),
            "dv": DonskerVaradhan(critic),
            "queue": InfoNCE(critic, queue=9, width=8),
        }
        Learner(nn.Identity(), Shared(), Alignment(critic), marginal[words])([a, b])


@pytest.mark.parametrize("lead", [(), (3,)])
def test_scores_of_leading_dimensions_are_let_through(lead):
    a, b = torch.randn(*lead, 6, 4), torch.randn(6, 4)
    for x, y in ((a, b), (b, a), (a, a)):
        assert Alignment(Plain())(x, y).shape == lead
        assert DonskerVaradhan(Plain()).penalty(x, y).shape == lead


PARTS = [
    (lambda: Alignment(0.1), r"^Alignment: expected a Critic, such as im\.Cosine\(0\.1\), got 0\.1$"),
    (lambda: Alignment(Cosine), r"such as im\.Cosine\(0\.1\), got the class Cosine: call it, Cosine\(\.\.\.\)$"),
    (lambda: InfoNCE("cosine"), r"^InfoNCE: expected a Critic, such as im\.Cosine\(0\.1\), got 'cosine'$"),
    (lambda: DonskerVaradhan(None), r"^DonskerVaradhan: expected a Critic, .* got None$"),
    (lambda: im.TaylorDonskerVaradhan(Alignment(Cosine())), r"^TaylorDonskerVaradhan: expected a Critic, .* got Alignment$"),
    (lambda: im.Predictor(16), r"^Predictor: expected a Module, such as im\.mlp\(256, 64, 256\), got 16$"),
    (lambda: im.Sinkhorn(300), r"^Sinkhorn: expected a Prototypes, such as im\.Prototypes\(128, 300\), got 300$"),
    (lambda: Learner("resnet18", Shared(), Alignment(Cosine())), r"expected a Module, got 'resnet18'$"),
    (lambda: Learner(nn.Identity(), Shared, Alignment(Cosine())), r"expected a Target, got the class Shared: call it, Shared"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "said"), PARTS)
def test_what_is_no_part_is_refused_where_it_is_given(make, said):
    with pytest.raises(ConfigError, match=said):
        make()


def test_a_part_that_was_not_set_up_is_told_by_its_line():
    class Unready(im.Critic):
        def __init__(self):
            self.scale = 2.0

        def paired(self, a, b):
            return (a * b).sum(-1)

    with pytest.raises(
        ConfigError, match=r"Unready has not been set up: begin its __init__ with super\(\).__init__\(\)$"
    ):
        Alignment(Unready())


def test_after_a_step_the_learners_output_is_given():
    learner = of(Cosine())
    for verb in ("after_step", "observe"):
        with pytest.raises(ConfigError, match=rf"^{verb}\(output, clock\): expected the Output .*, got NoneType$"):
            getattr(learner, verb)(None, im.Clock())


def test_it_is_there_with_the_package_and_takes_nothing_with_it():
    code = "import sys, infomax as im; assert callable(im.check)"
    code += "; assert not {'torchvision', 'lightning', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_is_tried_on_the_processor_whatever_the_default_device():
    learner = im.methods.byol(nn.Linear(8, 4), projector=(4,), predictor=(4,))
    with torch.device("meta"):
        assert {line.found for line in im.check(learner)} == {"ok"}


def test_a_number_of_numpy_is_one():
    class Price(im.Marginal):
        def penalty(self, a, b):
            return np.float32(1)

    plain = Plain()
    views = [torch.randn(8, 4), torch.randn(8, 4)]
    bounds = [Learner(nn.Identity(), Shared(), Alignment(plain), m)(views).bound for m in (InfoNCE(plain), Price())]
    assert bounds[1].isfinite()


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_parts_are_not_blamed_for_what_is_around_the_call(around):
    learner = im.methods.byol(nn.Linear(8, 4), projector=(4,), predictor=(4,))
    for one in (learner, of(Cosine(0.1))):
        with around():
            assert {line.found for line in im.check(one)} == {"ok"}


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_traced_module_is_a_branch():
    cosine, net = Cosine(0.1), torch.jit.trace(nn.Linear(6, 4), torch.randn(2, 6))
    learner = Learner(net, Shared(), Alignment(cosine), InfoNCE(cosine))
    learner([torch.randn(8, 6), torch.randn(8, 6)]).loss.backward()
    assert all(p.grad is not None for p in learner.parameters()) and im.check(learner)
