"""Three methods that the package does not have, each in at most fifteen lines: `python examples/own_method.py`.

A method is a sentence, Learner(branch, target, joint, *marginals). A new one is a new word in it: NNCLR a marginal (one side
becomes its nearest remembered neighbours), two towers a target (g is a network for another modality, and both climb),
VIbCReg one known marginal read on each view by itself.
"""

import torch
import torch.nn.functional as F
from torch import nn

import infomax as im
from infomax.taxonomy import describe


# ---- NNCLR (Dwibedi et al. 2021, arXiv:2104.14548, eq. 2): a view's nearest remembered neighbour is what meets the other ---
class NearestNeighbours(im.Marginal):
    symmetric = False

    def __init__(self, width, size):
        super().__init__()
        self.predictor = im.mlp(width, 2 * width, width)
        self.register_buffer("queue", F.normalize(torch.randn(size, width), dim=1))

    def constrain(self, z, k, clock):
        nearest = {i: self.queue[(v.detach() @ self.queue.T).argmax(1)] for i, v in z.items()}
        return nearest, {j: self.predictor(v) for j, v in k.items()}

    def observe(self, k, clock):
        self.queue = torch.cat([F.normalize(k[0], dim=1), self.queue])[: len(self.queue)]


def nnclr(branch, queue=512, temperature=0.1):
    cos = im.Cosine(temperature)
    words = NearestNeighbours(branch.width, queue), im.InfoNCE(cos)
    return im.Learner(branch, im.Shared(), im.Alignment(cos), *words, name="nnclr")


# ---- two towers, as CLIP (Radford et al. 2021, arXiv:2103.00020): each of two modalities has a network of its own ----------
class Towers(im.Target):
    is_g = "a tower for the other modality"

    def __init__(self, other):
        super().__init__()
        self.other = other

    def second(self, f):
        return self.other

    def look(self, f, g, views, clock):
        both = {0: f(views[0]), 1: g(views[1])}
        return both, both


def two_towers(one, other, temperature=0.1):
    cos = im.Cosine(temperature)
    return im.Learner(one, Towers(other), im.Alignment(cos), im.InfoNCE(cos), name="two_towers")


# ---- VIbCReg (Lee & Aune 2021, arXiv:2109.00783): VICReg with correlations in the place of covariances ---------------------
class WithinViews(im.Decorrelation):
    symmetric = True

    def penalty(self, a, b):
        return super().penalty(a, a) + super().penalty(b, b)


def vibcreg(branch, invariance=25.0, variance=25.0, correlation=200.0):
    # the paper sums the hinge over the views, VarianceCovariance averages it; the paper's IterNorm is a layer of the branch
    words = im.VarianceCovariance(2 * variance, covariance=0.0), WithinViews(correlation / branch.width**2)
    return im.Learner(branch, im.Shared(), im.Alignment(im.Euclidean(), invariance), *words, name="vibcreg")


# ---- they run ------------------------------------------------------------------------------------------------------------
def train(learner, x, views, steps):
    optimizer = torch.optim.Adam(learner.parameters(), lr=2e-3)
    for step in range(steps):
        batch = x[torch.randint(len(x), (256,))]
        im.step(learner, views(batch), optimizer, im.Clock(step, total=steps))


def noisy(x):
    return [x + 0.2 * torch.randn_like(x) for _ in range(2)]


def halves(x):
    return [x[:, :32], x[:, 32:]]


def branch(width):
    return im.Branch(nn.Sequential(nn.Linear(width, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 64)), (64, 32))


@torch.no_grad()
def same_digit(features, labels):
    """How often the nearest other sample shows the same digit."""
    features = F.normalize(features, dim=1)
    return (labels[(features @ features.T).fill_diagonal_(-2).argmax(1)] == labels).float().mean().item()


@torch.no_grad()
def found(learner, x):
    """How often the upper half of an image finds its own lower half among all of them."""
    learner.eval()
    upper, lower = (
        F.normalize(tower(half), dim=1) for tower, half in zip((learner.f, learner.g), halves(x), strict=True)
    )
    return ((upper @ lower.T).argmax(1) == torch.arange(len(x))).float().mean().item()


def main(steps=200):
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    data = load_digits()
    x, labels = torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)
    scores = {}
    for make in (nnclr, vibcreg):
        learner = make(branch(64))
        train(learner, x, noisy, steps)
        scores[learner.name] = same_digit(learner.eval().encoder(x), labels)
        print(f"{learner.name}: the nearest neighbour is the same digit in {scores[learner.name]:.1%}")
        print(f"  {describe(learner).optimisation}, {describe(learner).objective}: {describe(learner).marginal}")
    learner = two_towers(branch(32), branch(32))
    train(learner, x[:1500], halves, steps)
    scores[learner.name] = found(learner, x[1500:])
    print(f"{learner.name}: an unseen upper half finds its lower half in {scores[learner.name]:.1%} of 297")
    print(f"  {describe(learner).optimisation}, {describe(learner).objective}: {describe(learner).marginal}")
    return scores


if __name__ == "__main__":
    torch.set_num_threads(1)  # networks this small are not worth sharing out
    main()
