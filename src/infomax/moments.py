"""Batch moments that several terms share; each works on `... N D`."""

import torch
from torch import Tensor


def standardize(z: Tensor, eps: float = 1e-5) -> Tensor:
    """(z - mean) / sqrt(var + eps) per column, with the biased variance: a batch norm without affine part, by its kernel."""
    columns = (
        z.mT.contiguous()
    )  # along a contiguous axis the kernel's sums stay exact for many rows; down columns they do not
    rows = columns.view(1, -1, z.shape[-2])
    normed = torch.batch_norm(rows, None, None, None, None, True, 0.0, eps, torch.backends.cudnn.enabled)
    return normed.view_as(columns).mT


def covariance(z: Tensor) -> Tensor:
    """Unbiased covariance of the columns: ... N D -> ... D D."""
    centred = z - z.mean(-2, keepdim=True)
    return centred.mT @ centred / (z.shape[-2] - 1)


def off_diagonal(m: Tensor) -> Tensor:
    """Everything but the diagonal: ... D D -> ... D(D-1).

    Example:
        >>> import torch
        >>> off_diagonal(torch.arange(9).view(3, 3))
        tensor([1, 2, 3, 5, 6, 7])
    """
    d = m.shape[-1]
    rows = m.flatten(-2)[..., :-1].reshape(*m.shape[:-2], d - 1, d + 1)  # each row now starts on the diagonal
    return rows[..., 1:].flatten(-2)


def off_diagonal_squares(a: Tensor, b: Tensor) -> Tensor:
    """sum_{i != j} (A'B)_ij^2: ... N D, ... N D -> ... .

    With few rows, sum_ij (A'B)_ij^2 = sum_nm (AA')_nm (BB')_nm needs no D x D matrix, and its diagonal is a small part of it.

    Example:
        >>> import torch
        >>> a, b = torch.ones(2, 3), torch.ones(2, 3)
        >>> off_diagonal_squares(a, b), off_diagonal_squares(torch.ones(2, 5), torch.ones(2, 5))
        (tensor(24.), tensor(80.))
    """
    n, d = a.shape[-2:]
    if 2 * n > d:
        return off_diagonal(a.mT @ b).square().sum(-1)
    whole = ((a @ a.mT) * (b @ b.mT)).sum((-2, -1))
    return whole - (a * b).sum(-2).square().sum(-1)
