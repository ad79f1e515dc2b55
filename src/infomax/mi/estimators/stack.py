r"""Cross-fitted critics for the automatic reading: two-tower networks at several regularisations and stages of training,
a Gaussian log-ratio where that helps, and their best mixture.

Each fold's critics never saw its pairs; the weights of the mixture come from the other folds. What is read on a fold is a
lower bound on MI on average, whatever the networks learnt.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infomax.mi.bounds import dv
from infomax.mi.estimators.folds import Folds, Read, chunks, jackknife, symmetric_infonce
from infomax.mi.estimators.gaussian import canonical, log_ratio, shrunk
from infomax.mi.estimators.inputs import log_radius, rank_gaussian
from infomax.mi.estimators.ksg import Ksg, ksg
from infomax.mi.estimators.towers import Critics, Shape, train

Array = NDArray[np.float64]

SHAPE = Shape()
DECAYS = (3.0, 0.3)
FITTED = 512  # pairs of a fold that the mixture's weights are fitted on
LARGEST = 60.0  # nats: a Gaussian log-ratio beyond it on data says that they are not Gaussian


class Stack(NamedTuple):
    """What the critics read on held-out pairs.

    `base`: InfoNCE of the fitted Gaussian alone; `gain`: of the mixture over it; `p`: how often shuffled pairs score as
    high as the true ones; `embedded`: KSG in 1 to 3 learned coordinates.
    """

    infonce: Read
    dv: Read
    base: Read
    gain: Read
    p: float
    candidates: int
    embedded: list[Ksg]


class Base(NamedTuple):
    """A Gaussian log-ratio for each fold as a product of factors, V N R+2 each, and the fold's canonical coordinates."""

    left: Tensor
    right: Tensor
    u: Tensor
    v: Tensor


def gaussian_base(x: Array, y: Array, folds: Folds) -> Base:
    """Fit a Gaussian on each fold's training rows. x and y have Gaussian margins."""
    parts: list[list[Tensor]] = [[], [], [], []]
    for rows in folds.train:
        fit = canonical(x[rows], y[rows])
        u, v = fit.project(x, y)
        left, right, a, b = log_ratio(u, v, shrunk(fit, len(rows)))
        one = np.ones((len(x), 1))
        both = np.concatenate([left, a[:, None], one], 1), np.concatenate([right, one, b[:, None]], 1)
        for part, found in zip(parts, (*both, u, v), strict=True):
            part.append(torch.from_numpy(found).float())
    return Base(*(torch.stack(part) for part in parts))


def features(x: Array, gaussian_x: Array, u: Tensor) -> Tensor:
    """V N P: ranks made Gaussian, the log radius likewise, and canonical coordinates."""
    fixed = np.concatenate([gaussian_x, rank_gaussian(log_radius(x))], 1)
    return torch.cat([torch.from_numpy(fixed).float().expand(len(u), -1, -1), u], -1)


def fit_stack(x: Array, y: Array, folds: Folds, *, seed: int) -> Stack:
    """Train the critics, mix them, and read them.

    Args:
        x: N x dx, as given. y: N x dy.
        folds: of the N rows.
        seed: of weights and batches.
    """
    g_x, g_y = rank_gaussian(x), rank_gaussian(y)
    base = gaussian_base(g_x, g_y, folds)
    f_x, f_y = features(x, g_x, base.u), features(y, g_y, base.v)
    pieces = [[(v, rows) for rows in chunks(held)] for v, held in enumerate(folds.held)]
    alone = [base.left[v, rows] @ base.right[v, rows].T for fold in pieces for v, rows in fold]
    of_base = jackknife(alone, lambda s: symmetric_infonce(s)[None])[0]
    honest = of_base.value > 3 * of_base.se and max(float(s.max()) for s in alone) < LARGEST

    count, copies = len(folds.held), 2
    generator = torch.Generator().manual_seed(seed)
    critics = Critics("separable", count * copies, f_x.shape[-1], f_y.shape[-1], SHAPE, generator)
    factors = [f.repeat(copies, 1, 1) for f in (base.left, base.right)]
    factors[0][:count] = 0.0  # the first copy of each fold learns without the Gaussian
    steps = train(
        critics,
        f_x.repeat(copies, 1, 1),
        f_y.repeat(copies, 1, 1),
        folds.train.repeat(copies, 1),
        symmetric_infonce,
        seed=seed + 1,
        decay=torch.tensor(DECAYS).repeat_interleave(count),
        base=(factors[0], factors[1]) if honest else None,
    )
    embedded: list[tuple[Tensor, Tensor]] = []
    for _ in steps:
        with torch.no_grad():
            embedded.append(critics.embed(f_x.repeat(copies, 1, 1), f_y.repeat(copies, 1, 1)))

    def candidates(v: int, rows: Tensor) -> Tensor:
        """C M M: the score matrices of every candidate on rows of fold v."""
        found = []
        for a, b in embedded:
            for copy in range(copies):
                score = a[copy * count + v, rows] @ b[copy * count + v, rows].T
                if honest and copy:
                    score += factors[0][count + v, rows] @ factors[1][count + v, rows].T
                found.append(score)
        if honest:
            found.append(base.left[v, rows] @ base.right[v, rows].T)
        return torch.stack(found)

    small = [candidates(v, held[:FITTED]) for v, held in enumerate(folds.held)]
    weights = [mixture([s for u, s in enumerate(small) if u != v]) for v in range(count)]
    mixed = [torch.einsum("c,cij->ij", weights[v], candidates(v, rows)) for fold in pieces for v, rows in fold]
    infonce, bound = jackknife(mixed, lambda s: torch.stack([symmetric_infonce(s), dv(s)]))
    gain = jackknife(
        [torch.stack([m, a]) for m, a in zip(mixed, alone, strict=True)],
        lambda s: (symmetric_infonce(s[0]) - symmetric_infonce(s[1]))[None],
    )[0]
    a, b = embedded[-1]
    return Stack(
        infonce,
        bound,
        of_base,
        gain,
        shuffled(mixed, seed),
        min(map(len, mixed)),
        _embedded(a[:count], b[:count], folds),
    )


def mixture(scores: list[Tensor]) -> Tensor:
    """Weights >= 0 of the candidates whose mixture reads the highest InfoNCE on the matrices: a concave problem.

    Args:
        scores: C M M each.

    Returns:
        C.
    """
    from scipy.optimize import minimize

    def negative(w: Array) -> tuple[float, Array]:
        weights = torch.from_numpy(w).float().requires_grad_()
        value = torch.stack([symmetric_infonce(torch.einsum("c,cij->ij", weights, s)) for s in scores]).mean()
        value.backward()  # type: ignore[no-untyped-call]
        assert weights.grad is not None
        return -float(value.detach()), -weights.grad.double().numpy()

    count = len(scores[0])
    found = minimize(
        negative,
        np.full(count, 1 / count),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, 3)] * count,
        options={"maxiter": 30},
    )
    return torch.from_numpy(found.x).float()


def shuffled(scores: list[Tensor], seed: int, draws: int = 2000) -> float:
    """Share of random pairings that score at least as high as the true one, all matrices together: a permutation test."""
    rng = np.random.default_rng(seed)
    true, drawn = 0.0, np.zeros(draws)
    for matrix in scores:
        s = matrix.double().numpy()
        m = len(s)
        orders = rng.permuted(np.tile(np.arange(m), (draws, 1)), axis=1)
        true += float(np.trace(s))
        drawn += s[np.arange(m), orders].sum(1)
    return float((1 + (drawn >= true - 1e-9).sum()) / (1 + draws))


def _embedded(a: Tensor, b: Tensor, folds: Folds) -> list[Ksg]:
    """KSG of the first 1, 2 and 3 canonical pairs of the embeddings, fitted on training rows, read on held-out ones."""
    found: list[list[Ksg]] = [[], [], []]
    for v, held in enumerate(folds.held):
        rows = folds.train[v]
        f, g = (_leading(z[v].double().numpy(), rows, len(rows) // 4) for z in (a, b))
        p, q = canonical(f[rows], g[rows]).project(f[held], g[held])
        for i, values in enumerate(found):
            if p.shape[1] > i:
                values.append(ksg(p[:, : i + 1], q[:, : i + 1], k=3))
    return [
        Ksg(sum(k.value for k in each) / len(each), math.sqrt(sum(k.se**2 for k in each)) / len(each))
        for each in found
        if each
    ]


def _leading(z: Array, rows: Tensor, most: int) -> Array:
    """The leading principal components over some rows: with as many columns as rows any two sides seem to correlate."""
    if z.shape[1] <= most:
        return z
    _, _, directions = np.linalg.svd(z[rows] - z[rows].mean(0), full_matrices=False)
    projected: Array = z @ directions[:most].T
    return projected
