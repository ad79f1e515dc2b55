"""What may be samples: arrays and tensors as images, points or signals."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from infomax.errors import DataError, warn
from infomax.views.image import plane_by_plane
from infomax.words import many


def as_samples(given: np.ndarray | Tensor, name: str) -> Tensor:
    """Check an array or a tensor and give it as uint8 images N x H x W x C, float points N x D, or float signals N x C x L: a
    tensor that is such already as it is.

    | array | taken for |
    |---|---|
    | N x D, any numbers | points or the rows of a table |
    | N x C x L floats | signals of C channels and L readings (one channel: N x 1 x L) |
    | N x H x W integers in 0..255 or bool | grey images, which gain a channel |
    | N x H x W x C integers in 0..255, bool, or floats in [0, 1] | images; N x C x H x W with 1, 3 or 4 channels is turned |

    Args:
        given: the samples along the first axis.
        name: for the error messages.

    Raises:
        DataError: a rank, type or range that is neither images nor signals nor points; no sample, or none with a number;
            NaN or infinity; masked entries.

    Example:
        >>> as_samples(np.zeros((2, 3, 8, 8)), "mine").shape
        torch.Size([2, 8, 8, 3])
        >>> as_samples(np.zeros((2, 12, 500)), "ecg").dtype
        torch.float32
    """
    low, high = _range(given, name)
    if isinstance(given, Tensor):
        given = given.detach() if given.requires_grad else given
        if (given.dtype, given.ndim) in ((torch.uint8, 4), (torch.float32, 2), (torch.float32, 3)):
            _warn_of_squares(given, low, high, name)
            return given.permute(0, 2, 3, 1).contiguous() if plane_by_plane(given.shape) else given
        # numpy knows no bfloat16, whose every value a float32 holds
        array = (given.float() if given.dtype == torch.bfloat16 else given).numpy(force=True)
    else:
        array = given
    if array.ndim == 2 or (array.ndim == 3 and array.dtype.kind == "f"):
        _warn_of_squares(array, low, high, name)
        if max(-low, high) > float(np.finfo(np.float32).max):
            raise DataError(f"{name}: values range over [{low:g}, {high:g}], beyond what 32 bits hold: scale them")
        held = array.astype(np.float32)
        _warn_of_steps(array, held, name)
        return torch.from_numpy(held)
    if array.dtype.kind == "f":
        if low < 0 or high > 1:
            raise DataError(
                f"{name}: float images range over [{low:g}, {high:g}]: scale them to [0, 1], or give uint8 in "
                "0..255; images are N x H x W x C uint8"
            )
        array = np.rint(array * 255)
    elif array.dtype == np.bool_:
        array = array * np.uint8(255)
    elif low < 0 or high > 255:
        raise DataError(
            f"{name}: integer images range over [{low:g}, {high:g}]: give values in 0..255; "
            "of signals N x C x L floats, x.astype('float32')"
        )
    if array.ndim == 3:
        array = array[..., None]
    elif plane_by_plane(array.shape):
        array = array.transpose(0, 2, 3, 1)
    return torch.from_numpy(np.ascontiguousarray(array.astype(np.uint8)))


def _range(given: np.ndarray | Tensor, name: str) -> tuple[float, float]:
    """The least and the greatest value of what may be samples: finite numbers in 2 to 4 dimensions, and at least one."""
    if isinstance(given, Tensor):
        dense(given, name)
        numbers = not given.is_complex() and not (given.is_floating_point() and given.dtype.itemsize < 2)
    else:
        if np.ma.is_masked(given):
            raise DataError(f"{name}: an array with masked entries: fill them, or leave such samples out")
        numbers = given.dtype.kind in "fiub"
    if not numbers:
        unequal = "; signals of unequal lengths: cut or pad them to one" if given.dtype == object else ""
        raise DataError(f"{name}: an array of type {given.dtype}: give numbers (floats of 16 bits or more){unequal}")
    if given.ndim not in (2, 3, 4) or 0 in given.shape:
        raise DataError(
            f"{name}: an array of shape {tuple(given.shape)}: give images N x H x W (x C), points N x D or "
            "signals N x C x L, at least one, and of at least one number each"
        )
    low, high = map(float, torch.aminmax(given.detach()) if isinstance(given, Tensor) else (given.min(), given.max()))
    if not np.isfinite(low + high):
        whole = torch.isfinite(given).numpy(force=True) if isinstance(given, Tensor) else np.isfinite(given)
        rows = np.flatnonzero(~whole.reshape(len(given), -1).all(1))
        raise DataError(
            f"{name}: NaN or infinite values in {len(rows):,} of {len(given):,} samples, the first {rows[0]}"
            f"{_columns(whole) if given.ndim == 2 else ': clean them'}, or leave such samples out"
        )
    return low, high


def _columns(whole: np.ndarray) -> str:
    """Which columns of a table have gaps and how many cells are such, and how they are filled."""
    gaps = ~whole
    columns, share = np.flatnonzero(gaps.any(0)).tolist(), float(f"{100 * gaps.mean():.2g}")
    some = ", ".join(map(str, columns[:5])) + f", ... ({len(columns)} in all)" * (len(columns) > 5)
    return (
        f"; {share:g} % of the cells, in {'column' if len(columns) == 1 else 'columns'} {some}: fill them, as by the "
        "columns' medians with a mask of the gaps as further columns (docs/data.md)"
    )


def _warn_of_squares(samples: np.ndarray | Tensor, low: float, high: float, name: str) -> None:
    """Warn of signals that look like grey images."""
    if samples.ndim == 3 and samples.shape[1] == samples.shape[2] and low >= 0 and high <= 1:
        warn(
            f"{name}: floats of shape {tuple(samples.shape)} are taken for signals of {samples.shape[1]} channels; "
            "grey images are uint8, or N x H x W x 1"
        )


def _warn_of_steps(array: np.ndarray, held: np.ndarray, name: str) -> None:
    """Warn of columns (signals: channels) that 32 bits round to fewer steps than an image's levels, or to a constant."""
    if array.dtype.itemsize < 4 or array.dtype == np.float32:
        return
    others = (0, 2)[: array.ndim - 1]
    low, high = (end.astype(np.float64) for end in (array.min(others), array.max(others)))
    far = np.maximum(-low, high)
    coarse = (high > low) & (high - low < 256 * np.spacing(far.astype(np.float32), dtype=np.float32))
    lost = [c for c in np.flatnonzero(coarse).tolist() if (array[:, c] != held[:, c]).any()]
    if lost:
        c, what = lost[0], "column" if array.ndim == 2 else "channel"
        warn(
            f"{name}: 32 bits round {len(lost)} of {len(far)} {what}s to fewer than 256 steps, the first {what} {c}, whose "
            f"values of about {far[c]:.3g} span {high[c] - low[c]:.3g}: subtract a constant from each beforehand"
        )


_SEEN = 4096
"""Values of a channel that stand for all of them."""
_FAR = 1e6
"""Beyond so many times the distance of nine tenths of the values from the median, the rest is not told from the mean."""


def warn_of_odd(samples: Tensor, name: str) -> None:
    """Warn of signals whose readings stand where channels do, and of one value so large that its channel is lost to all others.

    Args:
        samples: N x D or N x C x L floats, finite.
        name: of the data.

    Warns:
        UserWarning: naming the channel, the sample and the value.

    Example:
        >>> import warnings
        >>> x = torch.randn(50, 3)
        >>> x[7, 1] = 1e30
        >>> with warnings.catch_warnings(record=True, action="always") as said:
        ...     warn_of_odd(x, "mine")
        >>> str(said[0].message).partition(":")[2].partition(",")[0]
        ' sample 7 holds 1e+30 in column 1'
    """
    if samples.ndim == 3 and (shape := tuple(samples.shape[1:]))[0] > shape[1]:
        warn(
            f"{name}: {shape[0]} channels of {many(shape[1], 'reading')} each: if it is N x L x C, transpose: "
            "x.transpose(0, 2, 1) of an array, x.transpose(1, 2) of a tensor"
        )
    values = samples.numpy(force=True)  # numpy selects faster than torch, and by one thread, which waits for no other
    wide = values if values.ndim == 3 else values[..., None]
    n, length = len(wide), wide.shape[2]
    most = min(_SEEN, max(512, 2**20 // wide.shape[1]))  # of a wide table fewer
    if n * length > most:  # drawn, as steps would beat with what is periodic
        places = torch.randint(n * length, (most,), generator=torch.Generator().manual_seed(0)).numpy()
    else:
        places = np.arange(n * length)
    seen = np.ascontiguousarray(wide[places // length, :, places % length].T)
    median = _ranked(seen, (len(places) - 1) // 2)
    spread = _ranked(np.abs(seen - median[:, None]), max(1, int(0.9 * len(places))) - 1)
    high, low = (values, values) if values.ndim == 2 else (values.max(2), values.min(2))
    over, under = high.max(0) - median, median - low.min(0)
    lost = np.flatnonzero((np.maximum(over, under) > _FAR * spread) & (spread > 0)).tolist()
    if lost:
        c, what = lost[0], "column" if values.ndim == 2 else "channel"
        column = wide[:, c].ravel()
        at = int(column.argmax() if over[c] >= under[c] else column.argmin())
        more = f" (so it is in {len(lost)} {what}s)" * (len(lost) > 1)
        warn(
            f"{name}: sample {at // length} holds {float(column[at]):g} in {what} {c}, where nine tenths of the values lie "
            f"within {float(spread[c]):.3g} of {float(median[c]):.3g}{more}: divided by the standard deviation that it makes, "
            "all others are the same: clip it, or leave the sample out"
        )


def _ranked(values: np.ndarray, k: int) -> np.ndarray:
    """Of each row the value of rank k, counted from 0, in 64 bits, where a difference of two does not overflow."""
    return np.partition(values, k, 1)[:, k].astype(np.float64)


def dense(given: Tensor, name: str) -> None:
    """Refuse tensors whose numbers do not lie in memory one by one.

    Raises:
        DataError: a sparse or quantized tensor, or one without data.
    """
    kind = "quantized" if given.is_quantized else "meta" if given.is_meta else str(given.layout).removeprefix("torch.")
    if kind != "strided":
        raise DataError(f"{name}: a {kind} tensor: give a dense one with its numbers, such as x.to_dense()")


def not_sparse(given: Any, name: str) -> None:
    """Refuse SciPy's sparse matrices, which have a length for nobody.

    Raises:
        DataError: saying what to give of a table, and of a graph.
    """
    if hasattr(given, "toarray") and hasattr(given, "nnz"):
        raise DataError(
            f"{name}: a sparse matrix of shape {tuple(given.shape)}: of a table give x.toarray(); of a graph "
            "infomax.data.Graph(x, edge_index), edge_index being numpy.stack(x.nonzero()) of the adjacency"
        )
