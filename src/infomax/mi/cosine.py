r"""The same estimates on embeddings, with the cosine critic $T = \cos(a, b) / \tau$.

An estimate means nothing without its temperature, so `tau` has no default anywhere; it may be a tensor that is learned.
Shapes: `... N D` on either side give `...`, in nats; the leading dimensions are independent problems, such as the seeds
of an ensemble. Row i of one side belongs to row i of the other. The second side may have more rows (`... M D`, M >= N),
which are candidates without a partner.

Each is differentiable. Above 256 rows the score matrix is not stored: the kernels of `infomax.kernels` compute it in
blocks, exactly, in memory O(N D); below, the formula of `infomax.mi.bounds` is used. Embeddings have one floating-point
type; those of 16 bits are compared in 32. Every row is divided by its length, whose square must be representable: in 32
bits a row with entries of 1e19 or more counts as a row of zeros, so scale it first.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from infomax.errors import ConfigError, DataError, NumericsError
from infomax.kernels import cosine_dv, log_mean_exp, log_sum_exp, mean_log_sum_exp, mean_softplus, self_mean_log_sum_exp
from infomax.kernels.blocks import exact
from infomax.kernels.softplus import clipped_log_mean_exp, softplus
from infomax.mi import bounds

TILED_ABOVE = 256
"""Rows above which the kernels are the faster way."""


def cosine_scores(z_a: Tensor, z_b: Tensor, *, tau: float | Tensor) -> Tensor:
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
    _of_one_type("cosine_scores", z_a, z_b)
    left, right = _factors(z_a, z_b, tau)
    with exact(left):
        return left @ right.mT


def cos_dv(z_a: Tensor, z_b: Tensor, *, tau: float | Tensor, all_pairs: bool = False) -> Tensor:
    """`bounds.dv` with the cosine critic; symmetric in the two sides.

    Args:
        z_a, z_b: `... N D` and `... M D`, M >= N, any scale; row i belongs to row i.
        tau: temperature, > 0.
        all_pairs: take the marginal over all pairs, including the true ones.

    Returns:
        Nats, `...`.

    Example:
        >>> import torch
        >>> z = torch.eye(4)
        >>> cos_dv(z, z, tau=0.1)
        tensor(10.)
    """
    _of_one_type("cos_dv", z_a, z_b)
    _in_pairs("cos_dv", z_a, z_b, alone=all_pairs)
    if not _large(z_a, z_b):
        return bounds.dv(cosine_scores(z_a, z_b, tau=tau), all_pairs=all_pairs)
    if z_a.shape == z_b.shape and z_a.dtype == z_b.dtype and not all_pairs:
        if not tau > 0:
            raise ConfigError(f"cosine scores: tau must be positive, got {tau}")
        return cosine_dv(z_a, z_b, tau)
    left, right = _factors(z_a, z_b, tau, "dv")
    return _paired(left, right).mean(-1) - _log_marginal(left, right, all_pairs)


def cos_nwj(z_a: Tensor, z_b: Tensor, *, tau: float | Tensor) -> Tensor:
    """`bounds.nwj` with the cosine critic; symmetric in the two sides.

    Args:
        z_a, z_b: `... N D` and `... M D`, M >= N, any scale; row i belongs to row i.
        tau: temperature, > 0.

    Returns:
        Nats, `...`.

    Example:
        >>> import torch
        >>> z = torch.ones(4, 2)
        >>> cos_nwj(z, z, tau=1.0)  # collapsed: nothing is told apart
        tensor(0.)
    """
    _of_one_type("cos_nwj", z_a, z_b)
    _in_pairs("cos_nwj", z_a, z_b)
    if not _large(z_a, z_b):
        return bounds.nwj(cosine_scores(z_a, z_b, tau=tau))
    left, right = _factors(z_a, z_b, tau, "nwj")
    return _paired(left, right).mean(-1) - (_log_marginal(left, right) - 1.0).exp()


def cos_infonce(
    z_a: Tensor,
    z_b: Tensor,
    *,
    tau: float | Tensor,
    own_view: bool = False,
    two_sided: bool = False,
    queue: Tensor | None = None,
) -> Tensor:
    """`bounds.infonce` with the cosine critic; the rows of `z_a` are the anchors.

    Args:
        z_a: `... N D`, the anchors.
        z_b: `... M D`, their candidates, M >= N: row i is the partner of anchor i.
        tau: temperature.
        own_view: the other rows of `z_a` are candidates as well (SimCLR): never above log(M + N - 1).
        two_sided: the mean of both directions (CLIP; with `own_view` it is NT-Xent, log(2N - 1) - its cross-entropy).
        queue: `K D`, candidates instead of the other rows of `z_b` (MoCo): never above log(K + 1).

    Raises:
        ConfigError: a queue together with the other options.
        DataError: shapes that do not pair.

    Example:
        >>> import torch
        >>> z = torch.eye(4)
        >>> print(f"{cos_infonce(z, z, tau=0.01):.4f}")  # log 4
        1.3863
        >>> print(f"{cos_infonce(z, z, tau=0.01, own_view=True, two_sided=True):.4f}")  # log 7
        1.9459
    """
    _of_one_type("cos_infonce", z_a, z_b)
    if queue is not None and (own_view or two_sided):
        raise ConfigError("cos_infonce: a queue stands for the other candidates; leave out own_view and two_sided")
    if queue is not None:
        _of_one_type("cos_infonce", z_a, queue)
    left, right = _factors(z_a, z_b, tau, "infonce", alone=queue is not None)
    n, m = left.shape[-2], right.shape[-2]
    z_a, z_b = (z.expand(*left.shape[:-2], -1, -1) for z in (z_a, z_b))
    if two_sided and n != m:
        raise DataError(f"cos_infonce: both directions need as many rows on either side, got {n} and {m}")
    large = _large(z_a, z_b) or (queue is not None and _large(z_a, queue))
    positives = _paired(left, right)
    if queue is not None:
        _, keys = _factors(z_a, queue, tau)
        keys = keys.expand(*left.shape[:-2], *keys.shape[-2:])
        others = log_sum_exp(left, keys)[0] if large else (left @ keys.mT).logsumexp(-1)
        return (positives - torch.logaddexp(positives, others)).mean(-1) + math.log(len(queue) + 1)
    if not large and not own_view:
        scores = cosine_scores(z_a, z_b, tau=tau)
        one = bounds.infonce(scores)
        return (one + bounds.infonce(scores.mT)) / 2 if two_sided else one
    if own_view and two_sided:
        both = torch.cat([F.normalize(_wide(z), dim=-1) for z in (z_a, z_b)], -2)
        root = torch.as_tensor(tau, dtype=both.dtype, device=both.device).sqrt()
        return positives.mean(-1) - self_mean_log_sum_exp(both / root) + math.log(2 * n - 1)
    if own_view:
        own = F.normalize(_wide(z_a), dim=-1)
        if n == m:
            return positives.mean(-1) - mean_log_sum_exp(left, right, own) + math.log(2 * n - 1)
        rows = torch.logaddexp(log_sum_exp(left, right)[0], log_sum_exp(left, own, true_pairs=False)[0])
        return (positives - rows).mean(-1) + math.log(m + n - 1)
    if two_sided:
        rows, columns = log_sum_exp(left, right)
        return (positives - (rows + columns) / 2).mean(-1) + math.log(m)
    partition = mean_log_sum_exp(left, right) if n == m else log_sum_exp(left, right)[0].mean(-1)
    return positives.mean(-1) - partition + math.log(m)


def cos_infonce_literal(z_a: Tensor, z_b: Tensor, *, tau: float | Tensor) -> Tensor:
    """`bounds.infonce_literal` (too high by log N) with the cosine critic.

    Args:
        z_a, z_b: `... N D` and `... M D`, M >= N, any scale; row i belongs to row i.
        tau: temperature, > 0.

    Returns:
        Nats, `...`.

    Example:
        >>> import torch
        >>> z = torch.ones(4, 2)
        >>> print(f"{cos_infonce_literal(z, z, tau=1.0):.4f}")  # collapsed, and yet log 4
        1.3863
    """
    _of_one_type("cos_infonce_literal", z_a, z_b)
    _in_pairs("cos_infonce_literal", z_a, z_b)
    return cos_infonce(z_a, z_b, tau=tau) + math.log(z_b.shape[-2])


def cos_jsd(z_a: Tensor, z_b: Tensor, *, tau: float | Tensor, all_pairs: bool = False) -> Tensor:
    """`bounds.jsd` (not in units of MI) with the cosine critic; symmetric in the two sides.

    Args:
        z_a, z_b: `... N D` and `... M D`, M >= N, any scale; row i belongs to row i.
        tau: temperature, > 0.
        all_pairs: take the marginal over all pairs, including the true ones.

    Returns:
        `...`; see `bounds.jsd`.

    Example:
        >>> import torch
        >>> z = torch.eye(2)
        >>> print(f"{cos_jsd(z, -z, tau=1.0):.4f}")
        -2.0064
    """
    _of_one_type("cos_jsd", z_a, z_b)
    _in_pairs("cos_jsd", z_a, z_b, alone=all_pairs)
    if not _large(z_a, z_b) or z_a.shape != z_b.shape:
        return bounds.jsd(cosine_scores(z_a, z_b, tau=tau), all_pairs=all_pairs)
    left, right = _factors(z_a, z_b, tau, "jsd")
    positives, marginal, n = _paired(left, right), mean_softplus(left, right), left.shape[-2]
    if all_pairs:
        marginal = ((n - 1) * marginal + softplus(positives).mean(-1)) / n
    return F.logsigmoid(positives).mean(-1) - marginal


def cos_jsd_lower(z_a: Tensor, z_b: Tensor, *, tau: float | Tensor) -> Tensor:
    """`bounds.jsd_lower` with the cosine critic; symmetric in the two sides.

    Args:
        z_a, z_b: `... N D` and `... M D`, M >= N, any scale; row i belongs to row i.
        tau: temperature, > 0.

    Returns:
        Nats, `...`.

    Example:
        >>> import torch
        >>> z = torch.eye(2)
        >>> cos_jsd_lower(z, z, tau=0.5)
        tensor(2.)
    """
    _of_one_type("cos_jsd_lower", z_a, z_b)
    _in_pairs("cos_jsd_lower", z_a, z_b)
    if not _large(z_a, z_b):
        return bounds.jsd_lower(cosine_scores(z_a, z_b, tau=tau))
    left, right = _factors(z_a, z_b, tau, "jsd_lower")
    return 1.0 + _paired(left, right).mean(-1) - _log_marginal(left, right).exp()


def cos_xi_jsd(z_a: Tensor, z_b: Tensor, *, tau: float | Tensor) -> Tensor:
    """`bounds.xi_jsd` with the cosine critic; symmetric in the two sides.

    Args:
        z_a, z_b: `... N D` and `... M D`, M >= N, any scale; row i belongs to row i.
        tau: temperature, > 0.

    Returns:
        Nats, `...`.

    Example:
        >>> import torch
        >>> z = torch.eye(2)
        >>> print(f"{cos_xi_jsd(z, z, tau=0.5):.4f}")
        0.9515
    """
    _of_one_type("cos_xi_jsd", z_a, z_b)
    _in_pairs("cos_xi_jsd", z_a, z_b)
    return bounds.xi(cos_jsd(z_a, z_b, tau=tau))


def cos_smile(z_a: Tensor, z_b: Tensor, *, tau: float | Tensor, clip: float = 5.0) -> Tensor:
    """`bounds.smile` with the cosine critic; symmetric in the two sides.

    The value is SMILE's and the gradient is that of `cos_jsd`, by design, since clipped scores have no gradient. As an
    objective it maximises JSD, and finite differences of its value give another gradient.

    Args:
        z_a, z_b: `... N D` and `... M D`, M >= N, any scale; row i belongs to row i.
        tau: temperature, > 0.
        clip: clip of the marginal's scores, nats.

    Returns:
        Nats, `...`.

    Example:
        >>> import torch
        >>> z = torch.eye(2)
        >>> cos_smile(z, z, tau=0.5)
        tensor(2.)
    """
    _of_one_type("cos_smile", z_a, z_b)
    _in_pairs("cos_smile", z_a, z_b)
    if not _large(z_a, z_b) or z_a.shape != z_b.shape:
        return bounds.smile(cosine_scores(z_a, z_b, tau=tau), clip=clip)
    if not clip > 0:
        raise ConfigError(f"smile: clip must be positive, got {clip}")
    left, right = _factors(z_a, z_b, tau, "smile")
    trained = cos_jsd(z_a, z_b, tau=tau)
    value = _paired(left, right).detach().mean(-1) - clipped_log_mean_exp(left, right, clip)
    return value + (trained - trained.detach())


def cos_taylor_dv(z_a: Tensor, z_b: Tensor, *, tau: float | Tensor, coefficient: float = 0.5) -> Tensor:
    """`bounds.taylor_dv` with the cosine critic; symmetric in the two sides; O(N D^2) above 256 rows.

    Args:
        z_a, z_b: `... N D` and `... M D`, M >= N, any scale; row i belongs to row i.
        tau: temperature, > 0.
        coefficient: coefficient of the variance.

    Returns:
        Nats, `...`.

    Example:
        >>> import torch
        >>> z = torch.eye(2)
        >>> cos_taylor_dv(z, z, tau=0.5)
        tensor(2.)
    """
    from infomax.critic import Dot
    from infomax.marginal.partition import TaylorDonskerVaradhan

    _of_one_type("cos_taylor_dv", z_a, z_b)
    _in_pairs("cos_taylor_dv", z_a, z_b)
    if not _large(z_a, z_b) or z_a.shape != z_b.shape:
        return bounds.taylor_dv(cosine_scores(z_a, z_b, tau=tau), coefficient=coefficient)
    left, right = _factors(z_a, z_b, tau, "taylor_dv")
    with exact(left):
        marginal = TaylorDonskerVaradhan(Dot(), coefficient=coefficient).penalty(left, right)
    return _paired(left, right).mean(-1) - marginal


def _of_one_type(called: str, z_a: Tensor, z_b: Tensor) -> None:
    """Refuse what the formula and the kernels would each refuse in words of their own; `called` is what the user asked."""
    if all(isinstance(z, Tensor) and z.is_floating_point() for z in (z_a, z_b)) and (
        z_a.dtype == z_b.dtype
        or torch.promote_types(z_a.dtype, torch.float32) == torch.promote_types(z_b.dtype, torch.float32)
    ):
        return
    got = " and ".join(str(z.dtype) if isinstance(z, Tensor) else type(z).__name__ for z in (z_a, z_b))
    raise DataError(
        f"{called}: need tensors of one floating-point type, got {got}; cast them, as by torch.as_tensor(z).float()"
    )


def _in_pairs(called: str, z_a: Tensor, z_b: Tensor, *, alone: bool = False) -> None:
    """Refuse rows of the first side without a partner, and a single pair, unless it will do `alone`."""
    if min(z_a.ndim, z_b.ndim) < 2:
        return
    n, m = z_a.shape[-2], z_b.shape[-2]
    if n > m:
        raise DataError(
            f"{called}: row i of the first side belongs to row i of the second, which may hold more rows, and not fewer; got "
            f"{tuple(z_a.shape)} and {tuple(z_b.shape)}"
        )
    if m < 2 and not alone:
        raise NumericsError(f"{called}: {n} pair holds no false pair to compare with; give at least two rows")


def _wide(z: Tensor) -> Tensor:
    return z.float() if z.dtype in (torch.float16, torch.bfloat16) else z


def _factors(
    z_a: Tensor, z_b: Tensor, tau: float | Tensor, paired: str = "", *, alone: bool = False
) -> tuple[Tensor, Tensor]:
    """Unit rows, the left ones divided by the temperature; `paired` names an estimate that needs true and false pairs.

    `alone`: one pair will do, as the false ones come from elsewhere.
    """
    if not tau > 0:
        raise ConfigError(f"cosine scores: tau must be positive, got {tau}")
    if z_a.ndim < 2 or z_b.ndim < 2 or z_a.shape[-1] != z_b.shape[-1]:
        raise DataError(f"cosine scores: need ... N D and ... M D, got {tuple(z_a.shape)} and {tuple(z_b.shape)}")
    n, m = z_a.shape[-2], z_b.shape[-2]
    if paired and m < n:
        raise DataError(
            f"{paired}: row i of the one side belongs to row i of the other; got {n} rows and then only {m}"
        )
    if paired and m < 2 and not alone:
        raise NumericsError(f"{paired}: {n} pair holds no false pair to compare with; give at least two rows")
    left, right = F.normalize(_wide(z_a), dim=-1) / tau, F.normalize(_wide(z_b), dim=-1)
    if not paired or z_a.shape[:-2] == z_b.shape[:-2]:
        return left, right
    try:
        lead = torch.broadcast_shapes(z_a.shape[:-2], z_b.shape[:-2])  # type: ignore[no-untyped-call]
    except RuntimeError:
        raise DataError(
            f"{paired}: leading dimensions must be alike or broadcast, got {tuple(z_a.shape)} and {tuple(z_b.shape)}"
        ) from None
    return left.expand(*lead, -1, -1), right.expand(*lead, -1, -1)


def _large(z_a: Tensor, z_b: Tensor) -> bool:
    tall = z_a.ndim > 1 and z_b.ndim > 1 and max(z_a.shape[-2], z_b.shape[-2]) > TILED_ABOVE
    return tall and min(z_a.numel(), z_b.numel()) > 0  # of no problem at all there is nothing to pass over


def _paired(left: Tensor, right: Tensor) -> Tensor:
    return (left * right[..., : left.shape[-2], :]).sum(-1)


def _log_marginal(left: Tensor, right: Tensor, all_pairs: bool = False) -> Tensor:
    """log mean e^T over the false pairs, or over all."""
    n, m = left.shape[-2], right.shape[-2]
    if n == m and not all_pairs:
        return log_mean_exp(left, right)
    rows, _ = log_sum_exp(left, right, true_pairs=all_pairs)
    return rows.logsumexp(-1) - math.log(n * m if all_pairs else n * (m - 1))
