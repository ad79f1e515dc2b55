"""Hold infomax against numbers from the methods' own programs: `python tests/oracles/check.py DIR_OR_FILE [...]`.

Every `.npz` holds inputs, the official loss, its gradients and what changes after the step (a queue, a centre). Each is
computed again with the package's public parts, through `Learner.forward`, so that targets, constraints, pairs and scale
are all under test. One line a file; the exit status is 0 only if every one is ok.

A relative error is |got - expected| / |expected|; of an array, the largest difference over the largest expected entry.
Limits: float64 1e-10 for a loss and for what is read beside it, 1e-8 for a gradient; float32 1e-4, or 1e-3 for whitening.
Where the expected number is zero or nearly so (a collapsed batch), relative error means nothing. A score lies within
1/temperature and is itself known to eps/temperature only, so differences below `64 eps / temperature` (in float64 1.4e-13 at
temperature 0.1) always pass, and for gradients below `2^14 eps / temperature` (4e-12 at temperature 1), since they carry
factors such as the 1/sqrt(1e-5) of a batch norm. In float32, where that would be 2e-3 and more, it is so of gradients none of
whose entries is above `64 eps / temperature`, and behind a whitening, whose few rows may be nearly dependent; of others `16
eps / temperature`. The limit is likewise at least `8 eps / temperature`.
The gradient at an all-zero row of a normalised input is an eps of the implementation, and is not compared.
"""

import argparse
import itertools
import json
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import infomax as im
from infomax import mi
from infomax.moments import standardize
from infomax.optim import build_optimizer
from infomax.schedule import ema_tau, warmup_cosine


class Unsupported(Exception):
    """The file asks for something that the checker does not know how to compute."""


class Compared(NamedTuple):
    """One number or array beside its expected value: what it is, its error, and the largest that passes."""

    what: str
    error: float
    limit: float

    @property
    def ok(self) -> bool:
        return self.error <= self.limit  # a NaN is not

    def said(self) -> str:
        """The error; `~0` where both are zero up to rounding; what it exceeds, where it does."""
        if math.isinf(self.limit):
            return f"{self.what} ~0"
        return f"{self.what} {self.error:.1e}" + ("" if self.ok else f" (> {self.limit:.0e}!)")


class Side(nn.Module):
    """A branch that reads its own embedding out of a view that carries both branches'."""

    def __init__(self, which: int) -> None:
        super().__init__()
        self.which = which

    def forward(self, view: Sequence[Tensor]) -> Tensor:
        return view[self.which]


class Given(nn.Module):
    """A predictor whose predictions are known beforehand, in the order of the views."""

    def __init__(self, predictions: Iterable[Tensor]) -> None:
        super().__init__()
        self.predictions = itertools.cycle(predictions)

    def forward(self, z: Tensor) -> Tensor:
        return next(self.predictions)


class Case:
    """One file: its inputs as leaves, its parameters, and what has been compared so far."""

    def __init__(self, path: Path, dtype: torch.dtype) -> None:
        with np.load(path, allow_pickle=False) as archive:
            self.arrays = {key: archive[key] for key in archive.files}
        if "meta" not in self.arrays:
            raise Unsupported("it has no 'meta'")
        self.meta: dict[str, Any] = json.loads(str(self.arrays.pop("meta")))
        self.name, self.dtype = path.stem, dtype
        self.method = str(self.meta.get("method", "none given"))
        self.single = dtype == torch.float32
        self.leaves: dict[str, Tensor] = {}
        self.compared: list[Compared] = []
        self.seen: set[str] = set()
        self.temperature = 1.0  # the smallest that the scores are divided by
        self.whitening = False

    def has(self, key: str) -> bool:
        return key in self.arrays

    def array(self, key: str) -> np.ndarray[Any, Any]:
        if key not in self.arrays:
            raise Unsupported(f"it has no {key!r}, only {sorted(self.arrays)}")
        found: np.ndarray[Any, Any] = self.arrays[key]
        return found

    def plain(self, name: str) -> Tensor:
        """An input that is state, and no variable."""
        return torch.tensor(self.array(f"input_{name}"), dtype=self.dtype)

    def leaf(self, name: str) -> Tensor:
        """An input that a gradient may reach."""
        if name not in self.leaves:
            self.leaves[name] = self.plain(name).requires_grad_()
        return self.leaves[name]

    def number(self, *keys: str, named: str = "", default: float | None = None) -> float:
        """A parameter: by any of its names in `meta`, else by a pattern in the file's name, else the default."""
        for key in keys:
            if self.meta.get(key) is not None:
                return float(self.meta[key])
        for text in (str(self.meta.get("case", "")), self.name):
            found = re.search(rf"(?:^|_){named}(\d+\.?\d*(?:e-?\d+)?)(?:_|$)", text) if named else None
            if found:
                return float(found[1])
        if default is None:
            raise Unsupported(f"neither meta nor the name gives {' or '.join(keys)}")
        return default

    def whole(self, *keys: str, named: str = "", default: int | None = None) -> int:
        return int(self.number(*keys, named=named, default=default))

    def flag(self, key: str, *, named: str) -> bool:
        return bool(self.meta[key]) if key in self.meta else f"_{named}" in self.name

    def tau(self, *keys: str, named: str = "t") -> float:
        value = self.number(*(keys or ("temperature", "t", "tau")), named=named)
        self.temperature = min(self.temperature, value)
        return value

    # ---- comparisons -------------------------------------------------------------------------------------------------
    def _compare(self, what: str, got: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], gradient: bool) -> None:
        if got.size != expected.size:
            raise Unsupported(f"{what} has shape {got.shape}, expected {expected.shape}")
        eps = float(torch.finfo(self.dtype).eps) / self.temperature
        limit = (1e-3 if self.whitening else max(1e-4, 8 * eps)) if self.single else 1e-8 if gradient else 1e-10
        worst = float(np.abs(got.reshape(expected.shape) - expected).max(initial=0.0))
        largest = float(np.abs(expected).max(initial=0.0))
        error = 0.0 if worst == 0 else worst / largest if largest else math.inf
        tight = self.single and largest > 64 * eps and not self.whitening
        noise = (16 if tight else 2**14) if gradient else 64
        if error > limit and worst <= noise * eps:
            limit = math.inf
        self.compared.append(Compared(what, error, limit))

    def expect(self, key: str, got: Tensor | float) -> None:
        """Compare a value with `key` where the file has it."""
        if self.has(key):
            self.seen.add(key)
            value = torch.as_tensor(got).detach().double().numpy()
            self._compare(key.removeprefix("out_"), value, self.array(key).astype(float), False)

    def gradients(self, suffix: str = "", *, normalised: bool = True, only: Iterable[str] | None = None) -> None:
        """Compare every leaf's gradient; one without an expected gradient must have none."""
        if not any(key.startswith("grad_") for key in self.arrays):
            return
        for name in self.leaves if only is None else only:
            leaf, key = self.leaves[name], f"grad_{name}{suffix}"
            got = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            got_array = got.double().numpy()
            values = leaf.detach().double().numpy()
            if not self.has(key) and normalised and not values.any(-1).all():
                continue  # a gradient that a zero row makes depend on the sources' eps is left out of the file
            if not self.has(key):
                leak = float(np.abs(got_array).max(initial=0.0))
                self.compared.append(Compared(f"stopped_{name}", leak, 0.0))
                continue
            self.seen.add(key)
            expected = self.array(key)
            kept = np.asarray(values.any(-1) | (not normalised or name == "scores"))
            self._compare(key, got_array[kept], expected[kept], True)

    def unread(self) -> list[str]:
        """Expected numbers that have not been compared."""
        wanted = {"loss", *(k for k in self.arrays if k.startswith("grad_"))} & self.arrays.keys()
        return sorted(wanted - self.seen)

    # ---- running -----------------------------------------------------------------------------------------------------
    def run(self, learner: im.Learner, views: Sequence[Any], clock: im.Clock = im.Clock()) -> im.Output:  # noqa: B008
        """Forward, backward, and what the marginals remember."""
        output: im.Output = learner(views, clock)
        output.loss.backward()  # type: ignore[no-untyped-call]
        for marginal in learner.marginals:
            marginal.observe({j: v.detach() for j, v in output.k.items()}, clock)
        return output

    def build(self, method: str, width: int, f: nn.Module, g: nn.Module | None = None, **options: Any) -> im.Learner:
        """A method whose branches are replaced: the embeddings are the file's."""
        learner = im.methods.build(method, nn.Linear(width, width), projector=(), **options).to(self.dtype)
        learner.f, learner.g = f, g
        return learner


# ---- the methods -----------------------------------------------------------------------------------------------------
def simclr(case: Case) -> None:
    views = [case.leaf("z1"), case.leaf("z2")]
    learner = case.build("simclr", views[0].shape[1], nn.Identity(), temperature=case.tau())
    output = case.run(learner, views)
    case.expect("loss", output.loss)
    case.expect("out_loss_mean_over_2N", output.loss / 2)
    case.expect("out_loss_view1_anchors_plus_view2_anchors", output.loss)
    case.gradients()


def moco(case: Case) -> None:
    q, k, queue = case.leaf("q"), case.leaf("k"), case.plain("queue").T
    options = {"temperature": case.tau(), "queue": len(queue)}
    learners = [
        case.build(name, q.shape[1], nn.Identity(), nn.Identity(), **options) for name in ("moco_v1", "moco_v2")
    ]
    for learner in learners:  # one loss by two names
        q.grad = k.grad = None
        term = learner.marginals[0]
        if not isinstance(term, im.InfoNCE):
            raise Unsupported("MoCo's first marginal is not an InfoNCE")
        term.queue.copy_(queue)
        term.pointer.fill_(int(case.arrays.get("out_queue_ptr_before", case.arrays.get("input_queue_ptr", 0))))
        case.expect("out_logits", term.candidates(q, k))
        output = case.run(learner, [q, k])
        case.expect("loss", output.loss)
        case.gradients()
        case.expect("out_queue_after", term.queue.T)
        case.expect("out_queue_ptr_after", term.pointer)


def moco_v3(case: Case) -> None:
    q, k = [case.leaf("q1"), case.leaf("q2")], [case.leaf("k1"), case.leaf("k2")]
    tau = case.tau()
    learner = case.build("moco_v3", k[0].shape[1], nn.Identity(), nn.Identity(), temperature=tau, predictor=Given(q))
    output = case.run(learner, k)
    case.expect("loss", output.loss)
    case.expect("out_loss_without_2T_factor", output.loss / (2 * tau))
    for i, j in ((0, 1), (1, 0)):
        one = learner.score({i: q[i]}, {j: k[j].detach()})
        case.expect(f"out_ce_q{i + 1}k{j + 1}", math.log(len(q[0])) - one)
    case.gradients()


def predicted(case: Case) -> None:
    """BYOL, SimSiam, BGRL: predictions of one view meet the other's target."""
    online, target = ("q", "y") if case.method == "bgrl" else ("p", "z")
    p, z = ([case.leaf(f"{letter}{i}") for i in (1, 2)] for letter in (online, target))
    options: dict[str, Any] = {} if case.method == "bgrl" else {"projector": ()}
    learner = im.methods.build(case.method, nn.Linear(z[0].shape[1], 1), predictor=Given(p), **options).to(case.dtype)
    learner.f, learner.g = nn.Identity(), nn.Identity()
    output = case.run(learner, z)
    case.expect("loss", output.loss)
    for i, j in ((0, 1), (1, 0)):
        one = 2 * (1 - learner.score({i: p[i]}, {j: z[j].detach()}))
        case.expect(f"out_loss_one_direction_p{i + 1}z{j + 1}", one)
    case.gradients()


def barlow_twins(case: Case) -> None:
    a, b = case.leaf("z1"), case.leaf("z2")
    weight = case.number("lambd", "lambda", "lambda_", named="lam", default=0.0051)
    learner = case.build(
        "barlow_twins", a.shape[1], nn.Identity(), redundancy=weight, loss_scale=case.number("scale_loss", default=1.0)
    )
    case.expect("loss", case.run(learner, [a, b]).loss)
    case.expect("out_on_diag", -learner.joint(a, b))
    case.expect("out_off_diag", im.Decorrelation(weight=1.0).penalty(a, b))
    case.expect("out_cross_correlation", standardize(a).mT @ standardize(b) / len(a))
    case.gradients(normalised=False)


def vicreg(case: Case) -> None:
    a, b = case.leaf("z1"), case.leaf("z2")
    weights: dict[str, Any] = {
        "invariance": case.number("sim_coeff", default=25.0),
        "variance": case.number("std_coeff", default=25.0),
        "covariance": case.number("cov_coeff", default=1.0),
        "eps": case.number("eps", default=1e-4),
    }
    learner = case.build("vicreg", a.shape[1], nn.Identity(), **weights)
    case.expect("loss", case.run(learner, [a, b]).loss)
    case.expect("out_invariance", -im.Alignment(im.Euclidean())(a, b))
    case.expect("out_variance", im.VarianceCovariance(1.0, 0.0, weights["eps"]).penalty(a, b))
    case.expect("out_covariance", im.VarianceCovariance(0.0, 1.0, weights["eps"]).penalty(a, b))
    case.gradients(normalised=False)


def w_mse(case: Case) -> None:
    case.whitening = True
    count = sum(bool(re.fullmatch(r"input_z\d+", key)) for key in case.arrays)
    views = [case.leaf(f"z{i + 1}") for i in range(count)]
    n, d = views[0].shape
    iterations = case.whole("w_iter", default=1)
    size = case.whole("w_size", named="w", default=n)
    cuts = torch.as_tensor(case.array("input_perm")).reshape(-1, n) if case.has("input_perm") else torch.arange(n)[None]
    cuts = cuts.expand(iterations, n) if len(cuts) == 1 else cuts
    learner = case.build(
        "w_mse",
        d,
        nn.Identity(),
        whitening_size=size,
        iterations=iterations,
        eps=case.number("eps", named="eps", default=0.0),
        normalize=case.flag("normalise_after_whitening", named="norm"),
    )
    whitening = learner.marginals[0]
    if not isinstance(whitening, im.Whitening):
        raise Unsupported("W-MSE's first marginal is not a Whitening")
    order: Iterator[Tensor] = itertools.cycle(cuts)
    whitening.permutation = lambda n: next(order)  # type: ignore[method-assign]
    output = case.run(learner, views)
    case.expect("loss", output.loss)
    if case.has("out_whitened"):  # of every cut, or of the last one only
        white = torch.stack([torch.stack([whitening.whiten(v, cut) for v in views]) for cut in cuts])
        case.expect("out_whitened", white if white.numel() == case.arrays["out_whitened"].size else white[-1])
    case.gradients(normalised=False)


def crops(case: Case, stacked: Tensor) -> list[Tensor]:
    """Cut crop-major rows into one tensor a crop."""
    count = case.whole("ncrops", default=0)
    if not count:
        found = re.search(r"crops(\d+)\+(\d+)", case.name)
        if not found:
            raise Unsupported("neither meta nor the name gives the number of crops")
        count = int(found[1]) + int(found[2])
    return list(stacked.chunk(count))


def dino(case: Case) -> None:
    student, teacher, center = case.leaf("student"), case.leaf("teacher"), case.plain("center").flatten()
    first = crops(case, student)
    second = list(torch.split(teacher, len(first[0])))
    learner = case.build(
        "dino",
        student.shape[1],
        Side(0),
        Side(1),
        prototypes=0,
        temperature=case.tau("student_temp", named="st"),
        target_temperature=case.tau("teacher_temp", named="tt"),
        center_momentum=case.number("center_momentum", default=0.9),
    )
    learner.target.views = case.whole("n_global", default=len(second))
    term = learner.marginals[0]
    if not isinstance(term, im.Centering):
        raise Unsupported("DINO's first marginal is not a Centering")
    term.center.copy_(center)
    output = case.run(learner, list(itertools.zip_longest(first, second)))
    case.expect("loss", output.loss)
    case.gradients(normalised=False)
    case.expect("out_center_after", term.center)


def swav(case: Case) -> None:
    z, prototypes = case.leaf("z"), case.plain("prototypes")
    views = crops(case, z)
    queue = case.plain("queue") if case.has("input_queue") else None
    learner = case.build(
        "swav",
        z.shape[1],
        nn.Identity(),
        prototypes=len(prototypes),
        temperature=case.tau("temperature", named="t") if "temperature" in case.meta else 0.1,
        epsilon=case.tau("sinkhorn_eps", "epsilon", named="eps") if "sinkhorn_eps" in case.meta else 0.05,
        iterations=case.whole("sinkhorn_iterations", "iterations", default=3),
        queue=0 if queue is None else queue.shape[1],
        queue_epoch=0,
        freeze_epochs=0,
    )
    term = learner.marginals[0]
    if not isinstance(term, im.Sinkhorn):
        raise Unsupported("SwAV's first marginal is not a Sinkhorn")
    with torch.no_grad():
        term.prototypes.weight.copy_(prototypes)
        term.prototypes.normalize_()
        if queue is not None:
            term.queue.copy_(queue)
    _, codes = term.constrain({}, {j: views[j].detach() for j in (0, 1)}, im.Clock())
    case.expect("out_codes", torch.stack([codes[0], codes[1]]))
    case.expect("out_prototypes_normalised", term.prototypes.weight)
    case.expect("out_scores", term.prototypes(z))
    output = case.run(learner, views)
    case.leaves["prototypes_normalised"] = term.prototypes.weight
    case.expect("loss", output.loss)
    case.gradients()
    if queue is not None:
        case.expect("out_queue_after", term.queue)


def cos_dv(case: Case) -> None:
    tau = case.tau()
    if case.has("input_ze1"):
        both = [[case.leaf(f"z{side}{i}") for side in "em"] for i in (1, 2)]
        learner = case.build("sdmi", both[0][0].shape[1], Side(0), Side(1), temperature=tau)
        for phase, step in ((0, "estep"), (1, "mstep")):
            for leaf in case.leaves.values():
                leaf.grad = None
            loss = case.run(learner, both, im.Clock(phase=phase)).loss
            case.expect(f"out_loss_{step}", loss)
            if phase == 0:
                case.expect("loss", loss)
            case.gradients(f"_{step}")
        return
    a, b = case.leaf("z1"), case.leaf("z2")
    learner = case.build("jmi", a.shape[1], nn.Identity(), temperature=tau)
    loss = case.run(learner, [a, b]).loss
    case.expect("loss", loss)
    case.gradients()
    cos = im.Cosine(tau)
    mean, variance = im.TaylorDonskerVaradhan(cos).moments(a, b)
    joint = im.Alignment(cos)(a, b)
    case.expect("out_dv_12", -learner.score({0: a}, {1: b}))
    case.expect("out_dv_21", -learner.score({0: b}, {1: a}))
    case.expect("out_joint_term", joint)
    case.expect("out_marginal_term", im.DonskerVaradhan(cos).penalty(a, b))
    case.expect("out_loss_times_temperature", loss * tau)
    case.expect("out_loss_all_pairs_marginal", im.DonskerVaradhan(cos, all_pairs=True).penalty(a, b) - joint)
    case.expect("out_marginal_mean_offdiag", mean)
    case.expect("out_marginal_var_offdiag_population", variance)
    for equation, coefficient in (("eq11", 1.0), ("eq24", 0.5)):
        taylor = case.build("taylor_jmi", a.shape[1], nn.Identity(), temperature=tau, coefficient=coefficient)
        case.expect(f"out_taylor_dv_loss_{equation}", taylor([a.detach(), b.detach()]).loss)


# ---- estimates -------------------------------------------------------------------------------------------------------
def estimate(case: Case) -> None:
    kind, options = case.method.removeprefix("mi_"), {}
    if kind.startswith("smile"):
        found = re.search(r"clip_?(inf|none|\d+\.?\d*)", kind.lower())
        clip = found[1] if found else case.meta.get("clip", 5.0)
        options = {"clip": math.inf if clip in ("inf", "none", None) else float(clip)}
        kind = "smile"
    read: Callable[..., Tensor] = getattr(mi, kind)
    if case.has("input_scores"):
        scores = case.leaf("scores")
        value = read(scores, **options)
        value.backward()  # type: ignore[no-untyped-call]
        case.expect("loss", value)
        case.gradients(only=["scores"])
        outs: dict[str, Callable[[], Tensor]] = {
            "out_literal_eq20": lambda: mi.infonce_literal(scores),
            "out_offdiag_denominator": lambda: mi.infonce(scores, positive_in_denominator=False),
            "out_loss_eq19": lambda: math.log(len(scores)) - mi.infonce(scores),
            "out_all_pairs_marginal": lambda: (mi.jsd if kind == "jsd" else mi.dv)(scores, all_pairs=True),
            "out_with_2log2_shift": lambda: mi.jsd_shifted(scores),
        }
        for key, compute in outs.items():
            if case.has(key):
                case.expect(key, compute())
    if case.has("input_z1"):
        a, b = case.leaf("z1"), case.leaf("z2")
        tau = case.tau()
        on_embeddings: Callable[..., Tensor] = getattr(mi, f"cos_{kind}")
        value = on_embeddings(a, b, tau=tau, **options)
        value.backward()  # type: ignore[no-untyped-call]
        case.expect("loss", value)
        case.gradients(only=["z1", "z2"])


# ---- optimisers and schedules ----------------------------------------------------------------------------------------
def ema_schedule(case: Case) -> None:
    key = "out_tau" if case.has("out_tau") else "out_momentum"
    found = next((k for k in ("input_steps", "input_step", "input_iteration", "input_epoch") if case.has(k)), None)
    steps = case.array(found).tolist() if found else list(range(len(case.array(key))))
    base = case.number("base", "base_ema", "momentum", "tau", "m", named="(?:tau|m)")
    total = case.number("max_steps", "total_steps", "total", "steps", "epochs", "T", named="T", default=len(steps))
    final = case.number("final", default=1.0)
    if final == 1.0:
        got = [ema_tau(step, int(total), base) for step in steps]
    else:
        got = [warmup_cosine(step, int(total), 0, base, final) for step in steps]
    case.expect(key, torch.tensor(got, dtype=torch.float64))


def ema_update(case: Case) -> None:
    names = [key.removeprefix("input_target") for key in case.arrays if key.startswith("input_target")]
    target = im.EMA(case.number("momentum", "m", named="m"), anneal=False)
    f, g = (nn.ParameterList([case.plain(side + n) for n in names]) for side in ("online", "target"))
    target.m_step(f, g, im.Clock())
    for name, p in zip(names, g, strict=True):
        case.expect(f"out_target_after{name}", p)


def lars(case: Case) -> None:
    names = [key.removeprefix("input_p0_") for key in case.arrays if key.startswith("input_p0_")]
    rates = case.array("input_lrs") if case.has("input_lrs") else None
    parameters = {name: nn.Parameter(case.plain(f"p0_{name}")) for name in names}
    grads = {name: case.plain(f"g_{name}") for name in names}
    optimizer = build_optimizer(
        parameters.values(),
        "lars",
        lr=0.0,
        weight_decay=case.number("weight_decay", "wd", named="wd", default=0.0),
        momentum=case.number("momentum", default=0.9),
        eta=case.number("eta", "trust_coefficient", default=0.001),
    )
    after: dict[str, list[Tensor]] = {name: [] for name in names}
    for step in range(len(grads[names[0]])):
        optimizer.param_groups[0]["lr"] = float(rates[step]) if rates is not None else case.number("lr")
        for name, p in parameters.items():
            p.grad = grads[name][step].clone()
        optimizer.step()
        for name, p in parameters.items():
            after[name].append(p.detach().clone())
    for name, path in after.items():
        case.expect(f"out_p_{name}", torch.stack(path))


def lr_schedule(case: Case) -> None:
    """MoCo v3's and BYOL's; their parameters stand in words in `meta.params`, or else are read off the curve's peak."""
    said: dict[str, str] = case.meta.get("params", {})
    digits = r"(\d*\.?\d+(?:e-?\d+)?)"
    for name in ("mocov3", "byol"):
        if not case.has(f"out_{name}"):
            continue
        curve = case.array(f"out_{name}")
        total, warmup, peak = len(curve), int(curve.argmax()), float(curve.max())
        text = str(said.get(name, ""))
        epochs = re.search(rf"lr ?=? ?{digits} .*?warm-?up {digits} of {digits} epochs, {digits} it", text)
        steps = re.search(rf"batch {digits} base {digits} warm-?up {digits} steps of {digits}", text)
        if epochs:
            peak, total = float(epochs[1]), round(float(epochs[3]) * float(epochs[4]))
            warmup = round(float(epochs[2]) * float(epochs[4]))
        elif steps:
            peak = float(steps[2]) * float(steps[1]) / 256
            warmup, total = int(float(steps[3])), int(float(steps[4]))
        at = case.array("input_iteration").tolist() if case.has("input_iteration") else list(range(len(curve)))
        got = np.array([warmup_cosine(step, total, warmup, peak) for step in at])
        # 1e-6 of the largest and of each: the authors of BYOL compute theirs in float32
        worst = float((np.abs(got - curve) / np.maximum(np.abs(curve), 1e-9 * np.abs(curve).max())).max())
        case.seen.add(f"out_{name}")
        case.compared.append(Compared(name, worst, 1e-6))


METHODS: dict[str, Callable[[Case], None]] = {
    "simclr": simclr,
    "moco_v1_v2": moco,
    "moco_v1": moco,
    "moco_v2": moco,
    "moco_v3": moco_v3,
    "byol": predicted,
    "simsiam": predicted,
    "bgrl": predicted,
    "barlow_twins": barlow_twins,
    "vicreg": vicreg,
    "wmse": w_mse,
    "w_mse": w_mse,
    "dino": dino,
    "swav": swav,
    "cos_dv": cos_dv,
    **{f"mi_{name}": estimate for name in ("dv", "infonce", "jsd", "nwj")},
    "ema_schedule": ema_schedule,
    "ema_update": ema_update,
    "lars": lars,
    "lr_schedule": lr_schedule,
}


def check(path: Path, dtype: torch.dtype = torch.float64) -> tuple[bool, str]:
    """Check one file: whether all of it agrees, and the line that says so."""
    try:
        case = Case(path, dtype)
        handler = estimate if case.method.startswith("mi_smile") else METHODS.get(case.method)
        if handler is None:
            raise Unsupported(f"no method {case.method!r} here, only {', '.join(METHODS)} and mi_smile_*")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            handler(case)
        if missed := case.unread():
            raise Unsupported(f"{', '.join(missed)} not compared")
        if not case.compared:
            raise Unsupported(f"nothing to compare among {sorted(case.arrays)}")
    except Unsupported as why:
        return False, f"{path.stem}: unsupported: {why}"
    except Exception as error:
        # A checker goes on to the next file and reports this one: whatever the library raised is its verdict.
        return False, f"{path.stem}: FAIL: {type(error).__name__}: {error}"
    worst: dict[str, Compared] = {}
    for one in case.compared:
        if one.what not in worst or not one.ok or one.error > worst[one.what].error:
            worst[one.what] = one
    said = [one.said() for one in worst.values()]
    ok = all(one.ok for one in case.compared)
    return ok, f"{path.stem}: {' '.join(said)} {'ok' if ok else 'FAIL'}"


def files(paths: Iterable[Path]) -> list[Path]:
    """The files named, and those inside the folders named."""
    return [f for p in paths for f in (sorted(p.rglob("*.npz")) if p.is_dir() else [p])]


def main(argv: Sequence[str] | None = None) -> int:
    """Check them all; 0 only if every one agrees."""
    parser = argparse.ArgumentParser(description="Compare infomax with numbers from the methods' own programs.")
    parser.add_argument("paths", nargs="+", type=Path, metavar="DIR_OR_FILE")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    asked = parser.parse_args(argv)
    found = files(asked.paths)
    if not found:
        print(f"no .npz file in {', '.join(map(str, asked.paths))}")
        return 1
    agreed = 0
    for path in found:
        ok, line = check(path, getattr(torch, asked.dtype))
        agreed += ok
        print(line, flush=True)
    print(f"{agreed} of {len(found)} ok in {asked.dtype}")
    return 0 if agreed == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
