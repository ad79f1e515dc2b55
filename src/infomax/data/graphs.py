"""Graphs: Cora and CiteSeer from files, and a generated one with communities."""

import warnings
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torch import Tensor

from infomax.data.arrays import read_arrays
from infomax.data.sets import Graph
from infomax.errors import ConfigError, DataError
from infomax.extras import getting
from infomax.views import rng

_CORA_CLASSES = [
    "Theory",
    "Reinforcement_Learning",
    "Genetic_Algorithms",
    "Neural_Networks",
    "Probabilistic_Methods",
    "Case_Based",
    "Rule_Learning",
]


def sbm(
    nodes: int = 300,
    communities: int = 3,
    features: int = 32,
    within: float = 0.08,
    between: float = 0.005,
    signal: float = 1.0,
    seed: int = 0,
) -> Graph:
    """Generate a stochastic block model with noisy node features.

    Nodes i < j are joined with probability `within` inside a community and `between` across two communities;
    `x_i = signal * e_(c_i) + N(0, I)`, with e_c a unit vector of the community.

    Args:
        nodes: N, split evenly among the communities.
        communities: number of communities, which are the labels.
        features: F, at least the number of communities.
        within: probability of an edge inside a community.
        between: probability of an edge across communities.
        signal: strength of the community in the features, in standard deviations of the noise.
        seed: random seed of the graph.

    Returns:
        A `Graph` with a tenth of the nodes for training, a tenth for validation and the rest for testing.

    Raises:
        ConfigError: fewer features or nodes than communities, or numbers that are not probabilities.

    Example:
        >>> graph = sbm(nodes=60, communities=3)
        >>> graph.x.shape, bool((graph.edge_index[0] != graph.edge_index[1]).all())
        (torch.Size([60, 32]), True)

    Source: Holland, Laskey & Leinhardt, "Stochastic blockmodels", Social Networks 1983.
    """
    if not 1 <= communities <= min(features, nodes):
        raise ConfigError(
            f"{communities} communities of {nodes} nodes with {features} features: needs at least as many of both"
        )
    if not (0 <= within <= 1 and 0 <= between <= 1):
        raise ConfigError(f"within={within}, between={between}: probabilities lie in [0, 1]")
    ids = torch.arange(nodes)
    labels = ids * communities // nodes
    noise = rng.normal(rng.key(ids, seed, 0), features).to(torch.float32)
    x = noise + signal * torch.nn.functional.one_hot(labels, features).to(torch.float32)
    a, b = torch.triu_indices(nodes, nodes, offset=1)
    chance = torch.where(labels[a] == labels[b], within, between)
    joined = rng.uniform(rng.key(a * nodes + b, seed, 1), 1)[:, 0] < chance
    forth = torch.stack([a[joined], b[joined]])
    order = rng.permutation(nodes, seed, 2)
    tenth = nodes // 10
    return Graph(
        x,
        torch.cat([forth, forth.flip(0)], dim=1),
        labels,
        train=order[:tenth].sort().values,
        val=order[tenth : 2 * tenth].sort().values,
        test=order[2 * tenth :].sort().values,
        classes=[f"community {c}" for c in range(communities)],
        name="sbm",
    )


def cora(root: Path) -> Graph:
    """Read the citation graph Cora with the public split of Planetoid (2,708 nodes, 1,433 features, 5,278 edges, 7
    classes).

    Looks in `root` for `cora_planetoid.npz` or `cora.npz` (arrays `feat_row_col`, `n_nodes`, `n_feat`, `labels`,
    `edges`, `train`, `val`, `test`), then for the Planetoid files that torch-geometric reads (`Cora/raw` or `raw`).

    Args:
        root: the folder to look in.

    Raises:
        DataError: neither is there, or a file that is not Cora's.

    Source: Yang et al. arXiv:1603.08861 (the split).
    """
    for name in ("cora_planetoid.npz", "cora.npz"):
        if (root / name).is_file():
            return _from_npz(root / name)
    found = _from_planetoid(root, "cora", ("Cora", "cora"), _CORA_CLASSES)
    if found is not None:
        return found
    raise DataError(
        f"cora: not found; looked for cora_planetoid.npz, cora.npz and Cora/raw/ind.cora.* in {root}: "
        "put one of them there, or give the folder as root"
    )


def citeseer(root: Path) -> Graph:
    """Read the citation graph CiteSeer with the public split of Planetoid (3,327 nodes, 3,703 features, 4,552 edges, 6
    classes).

    Looks in `root` for the Planetoid files that torch-geometric reads (`CiteSeer/raw` or `raw`).

    Args:
        root: the folder to look in.

    Raises:
        DataError: they are not there.

    Source: Yang et al. arXiv:1603.08861 (the split).
    """
    found = _from_planetoid(root, "citeseer", ("CiteSeer", "citeseer"), None)
    if found is None:
        raise DataError(
            f"citeseer: not found; looked for CiteSeer/raw/ind.citeseer.* in {root}: fetch the files of "
            "https://github.com/kimiyoung/planetoid/tree/master/data, or give the folder as root"
        )
    return found


def _from_npz(path: Path) -> Graph:
    z = read_arrays(path)
    wanted = {"feat_row_col", "n_nodes", "n_feat", "labels", "edges", "train", "val", "test"}
    if missing := sorted(wanted - set(z)):
        raise DataError(f"{path}: no array named {', '.join(missing)} (seen: {', '.join(sorted(z))})")
    try:
        nodes, width = z["n_nodes"].item(), z["n_feat"].item()
        x = torch.zeros(nodes, width)
        ones = _whole(z["feat_row_col"], "feat_row_col")
        rows, columns = ones.T
        x[_ids(rows, nodes, "row of feat_row_col"), _ids(columns, width, "column of feat_row_col")] = 1.0
        edges = _whole(z["edges"], "edges")
        if edges.ndim != 2 or len(edges) != 2:
            raise DataError(f"edges of shape {tuple(edges.shape)}, not 2 x E")
        edges = edges[:, edges[0] != edges[1]]
        labels = _whole(z["labels"], "labels")
        train, val, test = (_ids(_whole(z[k], k), nodes, f"node of {k}") for k in ("train", "val", "test"))
        both = torch.cat([edges, edges.flip(0)], dim=1)
        return Graph(x, both, labels, train, val, test, _CORA_CLASSES, "cora")
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        raise DataError(f"{path}: its arrays do not make a graph ({' '.join(str(error).split())})") from error


def _whole(array: np.ndarray, name: str) -> Tensor:
    if array.dtype.kind not in "iu":
        raise DataError(f"{name} is of type {array.dtype}, not integers")
    return torch.from_numpy(array.astype(np.int64))


def _ids(ids: Tensor, n: int, what: str) -> Tensor:
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < n:
        raise DataError(f"a {what} lies outside 0..{n - 1}")
    return ids


def _from_planetoid(root: Path, name: str, folders: tuple[str, ...], classes: list[str] | None) -> Graph | None:
    """The graph of the eight Planetoid files, where they are below a folder."""
    places = (*(root / folder / "raw" for folder in folders), root / "raw", root)
    raw = next((place for place in places if (place / f"ind.{name}.x").is_file()), None)
    if raw is None:
        return None
    try:
        with warnings.catch_warnings():
            # Its import still calls torch.jit.script, which newer torch calls deprecated; a user can do nothing about
            # it.
            warnings.filterwarnings("ignore", message=".*torch.jit.script", category=Warning)
            from torch_geometric.io import read_planetoid_data
    except ImportError as error:
        raise DataError(f"{raw}: Planetoid files need torch-geometric: {getting('graph')}") from error
    try:
        data = read_planetoid_data(str(raw), name)
    except (OSError, EOFError, ValueError, IndexError, RuntimeError, UnpicklingError) as error:
        raise DataError(f"{raw}: its ind.{name}.* are not whole ({' '.join(str(error).split())})") from error

    def ids(mask: Tensor) -> Tensor:
        return mask.nonzero()[:, 0]

    masks = (ids(data.train_mask), ids(data.val_mask), ids(data.test_mask))
    return Graph(data.x, data.edge_index, data.y, *masks, classes, name)
