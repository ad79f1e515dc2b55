"""Every method trains on real data, and without its marginal it collapses."""

import math

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

import infomax as im
from infomax import Clock

STEPS, ROWS, BATCH = 120, 1024, 256

SMALL = {
    "moco_v1": {"queue": 512, "momentum": 0.95},
    "moco_v2": {"queue": 512, "momentum": 0.95},
    "moco_v3": {"momentum": 0.95},
    "byol": {"momentum": 0.95},
    "dino": {"prototypes": 30, "target_temperature": 0.02, "momentum": 0.99, "freeze_epochs": 0},
    "swav": {"prototypes": 30, "freeze_epochs": 0},
    "w_mse": {"whitening_size": 128},
    "bgrl": {"momentum": 0.95},
}


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return torch.tensor(data.data[:ROWS] / 16, dtype=torch.float32), torch.tensor(data.target[:ROWS])


def view(x, rng):
    """Shift by at most one pixel, add noise."""
    windows = F.pad(x.view(-1, 8, 8), (1, 1, 1, 1)).unfold(1, 8, 1).unfold(2, 8, 1)
    dy, dx = torch.randint(0, 3, (2, len(x)), generator=rng)
    return windows[torch.arange(len(x)), dy, dx].flatten(1) + 0.1 * torch.randn(x.shape, generator=rng)


def hidden(x, rng):
    """A local view: four pixels in ten are hidden."""
    return view(x, rng) * (torch.rand(x.shape, generator=rng) < 0.6)


class GCN(nn.Module):
    """Two graph convolutions: each node becomes the mean of its neighbours and itself, then a layer."""

    width = 32

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(16, 32), nn.Linear(32, 32)])
        self.norm = nn.BatchNorm1d(32)

    def forward(self, graph):
        x, edges = graph
        mean = (edges + torch.eye(len(x))) / (edges.sum(1, keepdim=True) + 1)
        return self.layers[1](mean @ self.norm(self.layers[0](mean @ x)).relu())


def two_blocks():
    """120 nodes in two communities; features say little about which."""
    rng = torch.Generator().manual_seed(0)
    block = torch.arange(120) % 2
    p = torch.where(block[:, None] == block, 0.15, 0.02)
    edges = (torch.rand(120, 120, generator=rng) < p).float().triu(1)
    return (torch.randn(120, 16, generator=rng) + 0.3 * block[:, None], edges + edges.T), block


def corrupt(graph, rng):
    """Drop a third of the edges, hide a third of the features."""
    x, edges = graph
    kept = (torch.rand(edges.shape, generator=rng) < 0.67).triu(1)
    return x * (torch.rand(x.shape[1], generator=rng) < 0.67), edges * (kept + kept.T)


def build(name):
    torch.manual_seed(0)
    known = im.methods.options(name)
    encoder = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64))
    small = {"projector": (64, 32), "predictor": (64,) if name == "bgrl" else (16,)}
    chosen = {n: v for n, v in small.items() if n in known}
    return im.methods.build(name, GCN() if name == "bgrl" else encoder, **chosen, **SMALL.get(name, {}))


class Unbalanced(im.Sinkhorn):
    """Codes without the balance: a plain softmax."""

    @torch.no_grad()
    def codes(self, b, queue):
        return F.softmax(self.prototypes(b) / self.epsilon, -1)


def ablate(learner):
    """The same method without what guards it: no marginal; codes not balanced; a centre that never moves."""
    if learner.name == "swav":
        return learner.edit(marginals=(Unbalanced(learner.marginals[0].prototypes),))
    if learner.name == "dino":
        return learner.edit(marginals=(im.Centering(30, target_temperature=0.02, momentum=1.0),))
    with pytest.warns(im.CollapseWarning):
        return learner.edit(marginals=())


def train(learner, x):
    """Losses of STEPS updates."""
    rng = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam([p for p in learner.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    while len(losses) < STEPS:
        graph = learner.name == "bgrl"
        batches = [None] if graph else torch.randperm(ROWS, generator=rng).view(-1, BATCH)
        for batch, phase in learner.target.order(len(batches)):
            views = [corrupt(x, rng) if graph else view(x[batches[batch]], rng) for _ in range(2)]
            if learner.name in ("swav", "dino"):
                views.append(hidden(x[batches[batch]], rng))
            losses.append(im.step(learner, views, optimizer, Clock(len(losses), 4, STEPS, phase)).loss.item())
    return losses


@torch.no_grad()
def embed(learner, x):
    return learner.f(x), learner.encoder(x)


def spread(z):
    """Deviation of the unit rows: 1 on a centred sphere, 0 at a point."""
    return F.normalize(z, dim=1).std(0).norm().item()


def effective_rank(z):
    s = torch.linalg.svdvals(z - z.mean(0))
    p = s / s.sum()
    return math.exp(-(p * p.clamp_min(1e-12).log()).sum())


def neighbours_agree(h, labels):
    """Leave-one-out accuracy of the nearest neighbour."""
    h = F.normalize(h, dim=1)
    nearest = (h @ h.T).fill_diagonal_(-2).argmax(1)
    return (labels[nearest] == labels).float().mean().item()


@pytest.mark.parametrize("name", im.methods.METHODS)
def test_it_trains_and_its_ablation_collapses(name, digits):
    x, labels = two_blocks() if name == "bgrl" else digits
    learner, bare = build(name), ablate(build(name))
    losses = train(learner, x)
    train(bare, x)
    (z, h), (z_bare, _) = embed(learner, x), embed(bare, x)
    settled = (
        20 if name == "dino" else 0
    )  # before its centre is known, all targets are alike, and predicting them is trivial
    assert sum(losses[-10:]) < sum(losses[settled : settled + 10]), "the loss falls"
    assert neighbours_agree(h, labels) > 0.8
    assert spread(z) > 0.3, "the embedding is open"
    closed, thin = spread(z_bare) / spread(z), effective_rank(z_bare) / effective_rank(z)
    assert min(closed, thin) < 0.7, "the ablation is a point, or few directions"
