r"""The same estimates read on embeddings with the cosine critic $T = \cos(a, b) / \tau$.

An estimate means nothing without the temperature it was read at, so `tau` has no default anywhere. Shapes: `... N D` on
either side give `...`, in nats; the leading dimensions are independent problems, such as the seeds of an ensemble.
"""

import torch.nn.functional as F
from torch import Tensor

from infomax.errors import ConfigError, DataError
from infomax.mi import bounds


def cosine_scores(z_a: Tensor, z_b: Tensor, *, tau: float) -> Tensor:
    r"""The score matrix $T_{ij} = \cos(a_i, b_j) / \tau$.

    Args:
        z_a: `... N D`, any scale.
        z_b: `... M D`.
        tau: temperature, > 0.

    Returns:
        `... N M`.

    Raises:
        ConfigError: tau is not positive. DataError: shapes that do not pair.

    Example:
        >>> import torch
        >>> cosine_scores(torch.tensor([[3.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 5.0]]), tau=0.5)
        tensor([[2., 0.]])
    """
    if not tau > 0:
        raise ConfigError(f"cosine scores: tau must be positive, got {tau}")
    if z_a.ndim < 2 or z_b.ndim < 2 or z_a.shape[-1] != z_b.shape[-1]:
        raise DataError(f"cosine scores: need ... N D and ... M D, got {tuple(z_a.shape)} and {tuple(z_b.shape)}")
    return F.normalize(z_a, dim=-1) @ F.normalize(z_b, dim=-1).transpose(-2, -1) / tau


def cos_dv(z_a: Tensor, z_b: Tensor, *, tau: float, all_pairs: bool = False) -> Tensor:
    """Read `bounds.dv` with the cosine critic; symmetric in the two sides.

    Example:
        >>> import torch
        >>> z = torch.eye(4)
        >>> cos_dv(z, z, tau=0.1)
        tensor(10.)
    """
    return bounds.dv(cosine_scores(z_a, z_b, tau=tau), all_pairs=all_pairs)


def cos_nwj(z_a: Tensor, z_b: Tensor, *, tau: float) -> Tensor:
    """Read `bounds.nwj` with the cosine critic; symmetric in the two sides.

    Example:
        >>> import torch
        >>> z = torch.ones(4, 2)
        >>> cos_nwj(z, z, tau=1.0)  # collapsed: nothing is told apart
        tensor(0.)
    """
    return bounds.nwj(cosine_scores(z_a, z_b, tau=tau))


def cos_infonce(z_a: Tensor, z_b: Tensor, *, tau: float) -> Tensor:
    """Read `bounds.infonce` with the cosine critic; the rows of `z_a` are the anchors.

    Example:
        >>> import torch
        >>> z = torch.eye(4)
        >>> print(f"{cos_infonce(z, z, tau=0.01):.4f}")  # log 4
        1.3863
    """
    return bounds.infonce(cosine_scores(z_a, z_b, tau=tau))


def cos_infonce_literal(z_a: Tensor, z_b: Tensor, *, tau: float) -> Tensor:
    """Read `bounds.infonce_literal` (log N too high) with the cosine critic.

    Example:
        >>> import torch
        >>> z = torch.ones(4, 2)
        >>> print(f"{cos_infonce_literal(z, z, tau=1.0):.4f}")  # collapsed, and yet log 4
        1.3863
    """
    return bounds.infonce_literal(cosine_scores(z_a, z_b, tau=tau))


def cos_jsd(z_a: Tensor, z_b: Tensor, *, tau: float, all_pairs: bool = False) -> Tensor:
    """Read `bounds.jsd` (not in units of MI) with the cosine critic; symmetric in the two sides.

    Example:
        >>> import torch
        >>> z = torch.eye(2)
        >>> print(f"{cos_jsd(z, -z, tau=1.0):.4f}")
        -2.0064
    """
    return bounds.jsd(cosine_scores(z_a, z_b, tau=tau), all_pairs=all_pairs)


def cos_jsd_lower(z_a: Tensor, z_b: Tensor, *, tau: float) -> Tensor:
    """Read `bounds.jsd_lower` with the cosine critic; symmetric in the two sides.

    Example:
        >>> import torch
        >>> z = torch.eye(2)
        >>> cos_jsd_lower(z, z, tau=0.5)
        tensor(2.)
    """
    return bounds.jsd_lower(cosine_scores(z_a, z_b, tau=tau))


def cos_xi_jsd(z_a: Tensor, z_b: Tensor, *, tau: float) -> Tensor:
    """Read `bounds.xi_jsd` with the cosine critic; symmetric in the two sides.

    Example:
        >>> import torch
        >>> z = torch.eye(2)
        >>> print(f"{cos_xi_jsd(z, z, tau=0.5):.4f}")
        0.9515
    """
    return bounds.xi_jsd(cosine_scores(z_a, z_b, tau=tau))


def cos_smile(z_a: Tensor, z_b: Tensor, *, tau: float, clip: float = 5.0) -> Tensor:
    """Read `bounds.smile` with the cosine critic; symmetric in the two sides.

    Example:
        >>> import torch
        >>> z = torch.eye(2)
        >>> cos_smile(z, z, tau=0.5)
        tensor(2.)
    """
    return bounds.smile(cosine_scores(z_a, z_b, tau=tau), clip=clip)


def cos_taylor_dv(z_a: Tensor, z_b: Tensor, *, tau: float, coefficient: float = 0.5) -> Tensor:
    """Read `bounds.taylor_dv` with the cosine critic; symmetric in the two sides.

    Example:
        >>> import torch
        >>> z = torch.eye(2)
        >>> cos_taylor_dv(z, z, tau=0.5)
        tensor(2.)
    """
    return bounds.taylor_dv(cosine_scores(z_a, z_b, tau=tau), coefficient=coefficient)
