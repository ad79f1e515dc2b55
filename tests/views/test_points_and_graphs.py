import pytest
import torch

from infomax.errors import ConfigError, DataError
from infomax.views import Gaussian, GraphViews


def test_noise_has_its_law_and_its_key() -> None:
    x = torch.zeros(20_000, 2)
    ids = torch.arange(20_000)
    a, b = Gaussian(sigma=0.1)(x, ids, seed=1, epoch=0)
    noise = torch.cat([a, b], dim=1) / 0.1
    assert noise.mean(dim=0).abs().max() < 0.03
    assert (torch.cov(noise.T) - torch.eye(4)).abs().max() < 0.04
    assert abs((noise**4).mean() - 3) < 0.15
    assert torch.equal(Gaussian(sigma=0.1)(x[7:9], ids[7:9], seed=1, epoch=0)[1], b[7:9])
    assert not torch.equal(Gaussian(sigma=0.1)(x, ids, seed=1, epoch=1)[0], a)


def test_noise_can_stay_for_the_whole_run() -> None:
    views = Gaussian(sigma=0.1, every_epoch=False)
    x, ids = torch.randn(5, 3), torch.arange(5)
    assert torch.equal(views(x, ids, seed=2, epoch=0)[1], views(x, ids, seed=2, epoch=9)[1])


def ring(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    a = torch.arange(n)
    forth = torch.stack([a, (a + 1) % n])
    return torch.ones(n, 400), torch.cat([forth, forth.flip(0)], dim=1)


def test_graph_views_drop_their_share() -> None:
    x, edges = ring(4000)
    (x1, e1), (x2, e2) = GraphViews(edge_drop=(0.2, 0.5), feature_mask=(0.1, 0.4))((x, edges), seed=3)
    assert abs(e1.shape[1] / 8000 - 0.8) < 0.02 and abs(e2.shape[1] / 8000 - 0.5) < 0.02
    assert abs(x1[0].mean() - 0.9) < 0.06 and abs(x2[0].mean() - 0.6) < 0.08
    assert torch.equal(x1, x1[:1].expand_as(x1))


def test_directions_fall_together_only_if_told() -> None:
    graph = ring(2000)
    for undirected in (True, False):
        views = GraphViews(edge_drop=(0.5, 0.5), feature_mask=(0.0, 0.0), undirected=undirected)
        for _, kept in views(graph, seed=1, epoch=4):
            pairs = {tuple(e) for e in kept.T.tolist()}
            both = sum((b, a) in pairs for a, b in pairs) / len(pairs)
            assert both == 1.0 if undirected else abs(both - 0.5) < 0.05


def test_an_edge_falls_by_its_ends_not_by_its_place() -> None:
    x, edges = ring(100)
    order = torch.randperm(200)
    views = GraphViews()
    for (_, a), (_, b) in zip(views((x, edges)), views((x, edges[:, order])), strict=True):
        assert {tuple(e) for e in a.T.tolist()} == {tuple(e) for e in b.T.tolist()}


def test_wrong_noise_and_graphs_say_what_to_do() -> None:
    with pytest.raises(ConfigError, match="not negative"):
        Gaussian(sigma=-1.0)
    with pytest.raises(ConfigError, match="at least one view"):
        Gaussian(sigma=1.0, n=0)
    with pytest.raises(DataError, match="give N x D floats"):
        Gaussian(sigma=1.0)(torch.zeros(3), [0, 1, 2])
    with pytest.raises(DataError, match="one int64 id a point"):
        Gaussian(sigma=1.0)(torch.zeros(3, 2), [0, 1])
    with pytest.raises(ConfigError, match="one probability a view"):
        GraphViews(edge_drop=(0.1,), feature_mask=(0.1, 0.2))
    with pytest.raises(ConfigError, match=r"lie in \[0, 1\)"):
        GraphViews(edge_drop=(0.1, 1.0), feature_mask=(0.1, 0.2))
    with pytest.raises(DataError, match="edge_index of 2 x E"):
        GraphViews()((torch.zeros(3, 2), torch.zeros(5, 3, dtype=torch.int64)))
