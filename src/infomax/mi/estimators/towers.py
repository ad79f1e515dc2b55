r"""Trained critics, many at once: every fold of a cross-fit and every variant is one slice of a batched product.

A critic T(x, y) is fitted on some pairs and read on others, so that what it learnt by heart does not count. Axes: K
critics, B pairs of a batch, P features in, H hidden, E embedding.
"""

import math
from collections.abc import Callable, Iterator
from copy import copy
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

CriticName = Literal["separable", "cosine", "bilinear", "concatenated"]
Objective = Callable[[Tensor], Tensor]


class Shape(NamedTuple):
    """How large the critics are and how they are trained.

    Args:
        hidden: H, of two layers.
        embedding: E.
        batch: pairs a step, at most half of those to train on.
        epochs: passes over the training pairs.
        most: steps, whatever the epochs say.
        rate: of Adam; it falls as a cosine.
        decay: of the weights, decoupled: a step of rate r takes off r x decay of them.
        tau: temperature of a cosine critic.
    """

    hidden: int = 128
    embedding: int = 32
    batch: int = 512
    epochs: int = 32
    most: int = 240
    rate: float = 2e-3
    decay: float = 3.0
    tau: float = 0.1


class Side:
    """K networks from features to embeddings: two hidden layers beside a linear path."""

    def __init__(self, k: int, features: int, out: int, hidden: int, g: torch.Generator) -> None:
        def normal(rows: int, columns: int) -> Tensor:
            return torch.randn(k, rows, columns, generator=g) / math.sqrt(rows)

        self.hidden = hidden
        self.weights = [normal(features, out) * (0.3 if hidden else 1.0)]
        self.biases = [torch.zeros(k, 1, out)]
        if hidden:
            self.weights += [normal(features, hidden), normal(hidden, hidden), normal(hidden, out)]
            self.biases += [0.5 * torch.randn(k, 1, hidden, generator=g), torch.zeros(k, 1, hidden)]

    def only(self, k: int) -> "Side":
        """Network k alone."""
        one = copy(self)
        one.weights, one.biases = ([p[k : k + 1] for p in ps] for ps in (self.weights, self.biases))
        return one

    def __call__(self, x: Tensor) -> Tensor:
        """K B P -> K B out."""
        z = torch.baddbmm(self.biases[0], x, self.weights[0])
        if not self.hidden:
            return z
        for bias, weight in zip(self.biases[1:], self.weights[1:3], strict=True):
            x = torch.baddbmm(bias, x, weight).relu()
        return torch.baddbmm(z, x, self.weights[3])


class Critics:
    """K critics of one kind.

    | kind | T(x, y) |
    |---|---|
    | separable | $f(x) \\cdot g(y) / \\sqrt{E}$ |
    | cosine | $\\cos(f(x), g(y)) / \\tau$ |
    | bilinear | $x^T W y$ |
    | concatenated | one network of (x, y): B^2 passes, the slowest by far |
    """

    def __init__(self, kind: CriticName, k: int, dx: int, dy: int, shape: Shape, g: torch.Generator) -> None:
        self.kind, self.shape = kind, shape
        hidden = shape.hidden
        if kind == "bilinear":
            self.x = self.y = self.top = Side(k, dx, dy, 0, g)
            self.sides = [self.x]
            self.x.weights[0].zero_()
        elif kind == "concatenated":
            self.x = Side(k, dx, hidden, 0, g)
            self.y = Side(k, dy, hidden, 0, g)
            self.top = Side(k, hidden, 1, hidden, g)
            self.sides = [self.x, self.y, self.top]
        else:
            self.x, self.y = (Side(k, d, shape.embedding, hidden, g) for d in (dx, dy))
            self.top = self.y
            self.sides = [self.x, self.y]
        for parameter in self.parameters():
            parameter.requires_grad_()

    def only(self, k: int) -> "Critics":
        """Critic k alone, sharing its weights."""
        one = copy(self)
        one.sides = [side.only(k) for side in self.sides]
        one.x, one.y, one.top = one.sides[0], one.sides[min(1, len(one.sides) - 1)], one.sides[-1]
        return one

    def weights(self) -> list[Tensor]:
        """What is decayed."""
        return [w for side in self.sides for w in side.weights]

    def parameters(self) -> list[Tensor]:
        """All of them, each with the K critics in front."""
        return self.weights() + [b for side in self.sides for b in side.biases]

    def embed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """K B P, K M P -> K B E, K M E, whose product is the score (of a concatenated critic: the first layer's halves)."""
        if self.kind == "bilinear":
            return self.x(x), y
        a, b = self.x(x), self.y(y)
        if self.kind == "cosine":
            return F.normalize(a, dim=-1) / self.shape.tau, F.normalize(b, dim=-1)
        return (a, b) if self.kind == "concatenated" else (a / math.sqrt(a.shape[-1]), b)

    def scores(self, x: Tensor, y: Tensor) -> Tensor:
        """K B P, K M P -> K B M."""
        a, b = self.embed(x, y)
        if self.kind != "concatenated":
            return a @ b.mT
        both = (a.unsqueeze(2) + b.unsqueeze(1)).relu()
        return self.top(both.flatten(1, 2)).view(both.shape[:3])


def train(
    critics: Critics,
    x: Tensor,
    y: Tensor,
    rows: Tensor,
    objective: Objective,
    *,
    seed: int,
    decay: Tensor | None = None,
    base: tuple[Tensor, Tensor] | None = None,
    looks: int = 4,
) -> Iterator[int]:
    """Climb the objective, and stop to look: at each yield the critics hold the moving average of their weights.

    Args:
        critics: K of them.
        x: K N P, all pairs, of which `rows` are used. y: K N P.
        rows: K n, whom each critic may see.
        objective: score matrices K B B to K bounds, climbed.
        seed: of batches.
        decay: K, each critic's own; by default that of their shape.
        base: K N R each, whose product is added to the scores.
        looks: how often to yield, at steps that double.

    Yields:
        The step.
    """
    shape, g = critics.shape, torch.Generator().manual_seed(seed)
    k, n = rows.shape
    batch = min(shape.batch, max(2, n // 2))
    steps = max(looks, min(shape.most, shape.epochs * (n // batch)))
    at = {max(1, round(steps * 2.0**-i)) for i in range(looks)}
    parameters = critics.parameters()
    average = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.Adam(parameters, lr=shape.rate, betas=(0.9, 0.99))
    critic = torch.arange(k)[:, None]
    shrink = torch.full((k,), shape.decay) if decay is None else decay
    order, used = rows, n
    for step in range(1, steps + 1):
        if used + batch > n:
            order, used = rows.gather(1, torch.rand(k, n, generator=g).argsort(1)), 0
        index = order[:, used : used + batch]
        used += batch
        scores = critics.scores(x[critic, index], y[critic, index])
        if base is not None:
            scores = scores + base[0][critic, index] @ base[1][critic, index].mT
        rate = shape.rate * min(1.0, step / 20) * (0.5 + 0.5 * math.cos(math.pi * (step - 1) / steps))
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        (-objective(scores).sum()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            for weight in critics.weights():
                weight *= (1 - rate * shrink)[:, None, None]
            torch._foreach_lerp_(average, parameters, 1 - min(0.98, step / (step + 9)))
            if step in at:
                raw = [p.detach().clone() for p in parameters]
                torch._foreach_copy_(parameters, average)
                yield step
                torch._foreach_copy_(parameters, raw)
