r"""Gauges of an embedding: whether it has collapsed, and how it is spread over the sphere.

All take `... N D` (rows are samples; leading dimensions are independent problems, such as the seeds of an ensemble) and
return `...`. Only `cluster_centres` needs labels.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from infomax.errors import DataError, NumericsError
from infomax.evaluate.numbers import finite, unit


@torch.no_grad()
def effective_rank(z: Tensor, *, center: bool = False) -> Tensor:
    r"""Number of dimensions that an embedding effectively uses (RankMe): $\exp(-\sum_k p_k \log p_k)$, $p_k = \sigma_k /
    \sum_l
    \sigma_l$.

    The singular values are those of z as it is, so a common offset counts as one dimension unless `center` is set. 1
    means that all rows lie on a line through the origin, D that all directions are used equally.

    Args:
        z: `... N D`.
        center: subtract the mean row first.

    Returns:
        `...`, between 1 and min(N, D), float64.

    Raises:
        DataError: not `... N D`.
        NumericsError: NaN or infinity in z.

    Example:
        >>> effective_rank(torch.eye(4)), effective_rank(torch.ones(9, 4))
        (tensor(4., dtype=torch.float64), tensor(1., dtype=torch.float64))

    Source: Garrido et al. 2023, RankMe (arXiv:2210.02885), eq. 1, whose 1e-7 on each p_k is left out; Roy & Vetterli 2007.
    """
    z = _checked(z, "effective_rank").double()
    if z.shape[-1]:  # squares of float64 overflow, too; by a power of two, no digit changes
        most = z.abs().amax((-2, -1), keepdim=True)
        z = z / torch.where(most > 0, 2.0 ** (torch.frexp(most).exponent.double() - 1), 1.0)
    if center:
        z = z - z.mean(-2, keepdim=True)
    # Eigenvalues of the smaller Gram matrix: for N >> D far cheaper than singular values, and eight digits remain.
    gram = z.mT @ z if z.shape[-2] > z.shape[-1] else z @ z.mT
    eigenvalues = torch.linalg.eigvalsh(gram)
    floor = eigenvalues[..., -1:] * 1e-14
    sigma = torch.where(eigenvalues > floor, eigenvalues, 0.0).sqrt()
    p = sigma / sigma.sum(-1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    entropy: Tensor = torch.special.entr(p).sum(-1)
    return entropy.exp()


@torch.no_grad()
def std_per_dimension(z: Tensor) -> Tensor:
    r"""Standard deviation of each dimension of the L2-normalised rows, times $\sqrt D$: `... N D -> ... D`.

    It is 0 if all rows coincide, and about 1 in every dimension if they fill the sphere.

    Raises:
        DataError: not `... N D`.
        NumericsError: NaN or infinity in z.

    Example:
        >>> std_per_dimension(torch.tensor([[2.0, 0.0], [-1.0, 0.0]]))
        tensor([1.4142, 0.0000])

    Source: Chen & He 2021, SimSiam (arXiv:2011.10566), section 4.1.
    """
    z = unit(_checked(z, "std_per_dimension"))
    return z.std(-2, correction=0) * math.sqrt(z.shape[-1])


@torch.no_grad()
def spread(z: Tensor) -> Tensor:
    r"""Mean of `std_per_dimension`: near 1 on a filled sphere, 0 after a collapse to a point.

    Raises:
        DataError: not `... N D`.
        NumericsError: NaN or infinity in z.

    Example:
        >>> spread(torch.ones(5, 3)), spread(torch.tensor([[1.0], [-1.0]]))
        (tensor(0.), tensor(1.))
    """
    return std_per_dimension(z).mean(-1)


@torch.no_grad()
def alignment(z_a: Tensor, z_b: Tensor, *, power: float = 2.0) -> Tensor:
    r"""Mean distance of the two views of a sample on the unit sphere: $E |a_i - b_i|^\alpha$; 0 is best.

    Args:
        z_a: `... N D`, any scale.
        z_b: `... N D`.
        power: $\alpha$.

    Returns:
        `...`; at $\alpha = 2$ it is 2 - 2 cos, between 0 and 4.

    Raises:
        DataError: shapes differ. NumericsError: NaN or infinity.

    Example:
        >>> alignment(torch.eye(2), -torch.eye(2))
        tensor(4.)

    Source: Wang & Isola 2020 (arXiv:2005.10242).
    """
    if z_a.shape != z_b.shape:
        raise DataError(f"alignment: the two views must have one shape, got {tuple(z_a.shape)} and {tuple(z_b.shape)}")
    a, b = (unit(_checked(z, "alignment")) for z in (z_a, z_b))
    distance: Tensor = torch.linalg.vector_norm(a - b, dim=-1)
    return torch.mean(distance**power, -1)


@torch.no_grad()
def uniformity(z: Tensor, *, t: float = 2.0, chunk: int = 1024) -> Tensor:
    r"""Logarithm of the mean Gaussian potential of all pairs: $\log E_{i \ne j} e^{-t |z_i - z_j|^2}$; lower is more
    uniform.

    It is 0 after a collapse to a point or to the origin; on a uniform circle with t = 2 it is about -1.57, and it tends
    to -4 as D grows. A row of zeros has no direction and stays as it is: at distance 0 from other such rows, 1 from the
    sphere.

    Args:
        z: `... N D`, any scale.
        t: inverse width of the potential.
        chunk: rows compared at a time.

    Returns:
        `...`

    Raises:
        DataError: not `... N D`.
        NumericsError: NaN, infinity, or fewer than two rows.

    Example:
        >>> uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))  # one pair at distance 2
        tensor(-8.)
        >>> uniformity(torch.zeros(3, 2))
        tensor(0.)

    Source: Wang & Isola 2020 (arXiv:2005.10242).
    """
    z = unit(_checked(z, "uniformity", least=2))
    n, half = z.shape[-2], 0.5 * z.square().sum(-1)
    parts = []
    for start in range(0, n, chunk):
        rows = slice(start, start + chunk)
        potential = (2.0 * t) * (z[..., rows, :] @ z.mT - half[..., rows, None] - half[..., None, :])
        potential.diagonal(start, -2, -1).fill_(-math.inf)
        parts.append(potential.logsumexp((-2, -1)))
    return torch.stack(parts).logsumexp(0) - math.log(n * (n - 1))


@torch.no_grad()
def cluster_centres(z: Tensor, labels: Tensor) -> Tensor:
    """Centre of each class on the unit sphere: the mean of its normalised rows, normalised again.

    Args:
        z: `... N D`.
        labels: N integers.

    Returns:
        `... C D`, classes in ascending order.

    Raises:
        DataError: as many labels as rows are needed. NumericsError: NaN or infinity in z.

    Example:
        >>> z = torch.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 0.0]])
        >>> cluster_centres(z, torch.tensor([0, 1, 0]))
        tensor([[1., 0.],
                [0., 1.]])
    """
    z = unit(_checked(z, "cluster_centres"))
    if labels.shape != z.shape[-2:-1]:
        raise DataError(f"cluster_centres: {z.shape[-2]} rows need as many labels, got {tuple(labels.shape)}")
    classes, index = torch.unique(labels, return_inverse=True)
    member = F.one_hot(index, len(classes)).to(z)
    return F.normalize(member.mT @ z, dim=-1)


class AngleGaps(NamedTuple):
    """Statistics, over the centres, of the angle to the nearest other centre, in degrees, each of shape `...`."""

    mean: Tensor
    min: Tensor
    max: Tensor
    sd: Tensor


@torch.no_grad()
def angle_gaps(centres: Tensor) -> AngleGaps:
    """Angle from each centre to its nearest neighbour: mean, min, max and (population) standard deviation, in degrees.

    `min` says how well the closest two are separated (at best 90 for five points on a sphere); the mean may
    exceed it.

    Args:
        centres: `... C D`, any scale.

    Returns:
        An `AngleGaps` of float64.

    Raises:
        DataError: not `... C D`.
        NumericsError: NaN, infinity, or fewer than two centres.

    Example:
        >>> [round(float(x), 1) for x in angle_gaps(torch.eye(3))]
        [90.0, 90.0, 90.0, 0.0]
    """
    c = unit(_checked(centres, "angle_gaps", least=2).double())
    x, y = c.unsqueeze(-2), c.unsqueeze(-3)
    # The half-angle form keeps its digits near 0 and 180 degrees, where an arc cosine loses half of them.
    angles = torch.rad2deg(2.0 * torch.atan2((x - y).norm(dim=-1), (x + y).norm(dim=-1)))
    angles.diagonal(0, -2, -1).fill_(math.inf)
    nearest = angles.amin(-1)
    return AngleGaps(nearest.mean(-1), nearest.amin(-1), nearest.amax(-1), nearest.std(-1, correction=0))


@torch.no_grad()
def lidar(z: Tensor, *, delta: float = 1e-4) -> Tensor:
    r"""Number of dimensions that distinguish samples rather than views of a sample (LiDAR): the effective rank of
    $\Sigma_w^{-1/2} \Sigma_b \Sigma_w^{-1/2}$, $\exp(-\sum_k p_k \log p_k)$ with $p_k = \lambda_k / \sum_l \lambda_l$.

    $\Sigma_b$ is the covariance of the samples' mean embeddings, $\Sigma_w$ that of views around their sample's mean,
    plus
    $\delta I$. Unlike the rank of the embedding it does not count dimensions that only carry the augmentation.

    Args:
        z: N Q D, Q views of each of N samples, at least two of either.
        delta: $\delta$, added to the diagonal of $\Sigma_w$.

    Returns:
        Between 1 and D, float64.

    Raises:
        DataError: not N Q D, or fewer than two samples or views.
        NumericsError: NaN or infinity in z.

    Example:
        >>> means = torch.eye(4).repeat(2, 1) * torch.tensor([1.0, -1.0]).repeat_interleave(4)[:, None]
        >>> round(float(lidar(means[:, None].repeat(1, 2, 1))))
        4

    Source: Thilak et al. 2024, LiDAR (arXiv:2312.04000), eqs. 1-3. There 1e-7 is added to p, here it sums to 1 exactly;
    the within-sample covariance here is the unbiased one, over n (q - 1), there a mean over views.
    """
    if z.ndim != 3 or min(z.shape[:2]) < 2:
        raise DataError(f"lidar: need N Q D, at least two views of at least two samples, got {tuple(z.shape)}")
    z = finite(z, "lidar").double()
    n, q, d = z.shape
    means = z.mean(1)
    centred = means - means.mean(0)
    around = (z - means[:, None]).reshape(-1, d)
    within = around.T @ around / (n * (q - 1)) + delta * torch.eye(d, dtype=z.dtype, device=z.device)
    factor = torch.linalg.cholesky(within)
    # the eigenvalues of the whitened covariance are the squared singular values of the whitened means
    whitened = torch.linalg.solve_triangular(factor, centred.T, upper=False)
    values = torch.linalg.svdvals(whitened).square()
    p = values / values.sum().clamp_min(torch.finfo(torch.float64).tiny)
    entropy: Tensor = torch.special.entr(p).sum()
    return entropy.exp()


@torch.no_grad()
def spectrum(z: Tensor) -> Tensor:
    """Eigenvalues of the covariance of the rows, largest first: N D -> D, float64.

    Example:
        >>> spectrum(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).tolist()
        [1.0, 0.0]
    """
    z = _checked(z, "spectrum").double()
    centred = z - z.mean(-2, keepdim=True)
    values: Tensor = torch.linalg.eigvalsh(centred.mT @ centred / z.shape[-2]).flip(-1).clamp_min(0.0)
    return values


def _checked(z: Tensor, name: str, least: int = 1) -> Tensor:
    if z.ndim < 2:
        raise DataError(f"{name}: an embedding must be ... N D, got {tuple(z.shape)}")
    if z.shape[-2] < least:
        raise NumericsError(f"{name}: needs at least {least} rows, got {z.shape[-2]}")
    return finite(z, name)
