"""What the estimators take: two checked matrices, and the coordinates they are read in."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomax.errors import DataError, NumericsError

Array = NDArray[np.float64]

FEWEST = 20
"""Pairs below which nothing is said."""

BY_CHANCE, MATTERS = 6.0, 0.05  # of correlations of rows with the rows before: over sqrt N; the product of both sides'


def matrix(data: Any, side: str) -> Array:
    """Check one side and return it as N x D, float64; names and truth values become whole numbers.

    Args:
        data: N or N x ..., an array, a tensor or nested lists.
        side: its name in messages.

    Raises:
        DataError: no numbers and no names, rows of unequal length, no rows or no columns, or missing entries: masked, or
            None or NaN among names. NumericsError: NaN or infinity.

    Example:
        >>> matrix(["b", "a", "b"], "x")
        array([[1.],
               [0.],
               [1.]])
    """
    try:
        data = [_plain(row) for row in data] if isinstance(data, list | tuple) else _plain(data)
    except (TypeError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise DataError(f"{side}: a tensor that is no plain array ({reason}); give x.to_dense() or an array") from None
    unmasked(data, side)
    try:
        array = np.asarray(data)
        if array.dtype.kind in "US" and not isinstance(data, np.ndarray):
            array = np.asarray(data, dtype=object)  # a list's NaN is a name no more in an array of text
    except ValueError:
        raise DataError(f"{side}: rows of unequal length; give N rows of as many numbers each") from None
    except (TypeError, RuntimeError) as error:  # of tensors within lists within the list
        raise DataError(
            f"{side}: no array of numbers ({str(error).splitlines()[0]}); give an array or a tensor"
        ) from None
    if array.ndim == 0 or array.size == 0:
        plain = array.ndim > 0 or isinstance(data, np.ndarray)
        got = f"shape {array.shape}" if plain else f"a single {type(data).__name__}"
        raise DataError(f"{side}: need N rows of numbers, got {got}")
    array = array.reshape(len(array), -1)
    if array.dtype.kind in "USO":
        try:
            holes = sum(_missing(entry) for entry in array.flat)
        except ValueError:  # whether arrays differ has no one answer
            raise DataError(f"{side}: entries that are arrays; give N rows of numbers, as np.stack makes") from None
        if holes:
            raise DataError(f"{side}: {holes} of {array.size} entries are None or NaN; drop those rows from both sides")
        array = np.stack([_numbers(column) for column in array.T], 1)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{side}: need real numbers or names, got {array.dtype}")
    array = array.astype(np.float64)
    bad = ~np.isfinite(array)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise NumericsError(
            f"{side}: {bad.sum()} of {array.size} entries are NaN or infinite, the first in row {row}, column {column}; "
            "drop those rows from both sides"
        )
    return array


def _plain(data: Any) -> Any:
    """A tensor as an array; those in bfloat16 have no NumPy type."""
    if not hasattr(data, "detach"):
        return data
    tensor = data.detach().cpu()
    return (tensor.double() if tensor.is_floating_point() else tensor).numpy(force=True)


def unmasked(data: Any, side: str) -> None:
    """Refuse an array of which entries are masked, which `numpy.asarray` would show.

    Args:
        data: anything. side: its name in the message.

    Raises:
        DataError: masked entries.
    """
    if masked := int(np.ma.getmaskarray(data).sum()) if isinstance(data, np.ma.MaskedArray) else 0:
        raise DataError(f"{side}: {masked} of {data.size} entries are masked; drop those rows from both sides")


def _missing(entry: Any) -> bool:
    try:
        return entry is None or bool(entry != entry)
    except TypeError:  # pandas's NA is neither equal nor unequal to anything
        return True


def _numbers(column: NDArray[Any]) -> NDArray[Any]:
    """Numbers kept as objects or written as text are numbers; names become their place in the alphabet."""
    try:
        return column.astype(np.float64)
    except (TypeError, ValueError):
        return np.unique(column.astype(str), return_inverse=True)[1]


def sides(x: Any, y: Any) -> tuple[Array, Array, list[str]]:
    """Check two sides against each other and drop the columns that never change.

    Returns:
        N x dx, N x dy, and what was dropped, in words; no columns are left of a side that never changes.

    Raises:
        DataError: unequal lengths or fewer than `FEWEST` rows. NumericsError: NaN or infinity.
    """
    a, b = matrix(x, "x"), matrix(y, "y")
    if len(a) != len(b):
        raise DataError(f"x has {len(a)} rows and y {len(b)}: row i of both must belong together")
    if len(a) < FEWEST:
        raise DataError(f"{len(a)} pairs are too few to say anything about mutual information; give at least {FEWEST}")
    kept, flags = [], []
    for side, z in (("x", a), ("y", b)):
        moving = np.ptp(z, axis=0) > 0
        if not moving.any():
            flags.append(f"{side}: constant in all {len(z)} rows, so that its mutual information with anything is 0")
        elif not moving.all():
            flags.append(f"{side}: {int((~moving).sum())} constant columns dropped")
        kept.append(z[:, moving])
    return kept[0], kept[1], flags


def levels(z: Array) -> NDArray[np.intp] | None:
    """The class of each row, where rows repeat so often that they are classes and no points; else None.

    Example:
        >>> levels(np.arange(100.0)[:, None]) is None, levels(np.arange(100.0)[:, None] % 2)[:4]
        (True, array([0, 1, 0, 1]))
    """
    distinct, found = np.unique(z, axis=0, return_inverse=True)
    return found.reshape(-1) if len(distinct) <= len(z) / 20 else None


def once(a: Array, b: Array) -> tuple[Array, Array, list[str]]:
    """Keep one of each pair of rows where whole pairs repeat: copies are no evidence, and near neighbours of themselves.

    Rounded numbers repeat on one side without the other, and levels are meant to repeat: both stay as they are.

    Returns:
        x, y, and what was dropped, in words.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 1))
        >>> once(np.repeat(x, 2, 0), np.repeat(-x, 2, 0))[2]
        ['50 of 100 pairs are copies of others: one of each was kept']
    """
    n = len(a)
    _, first = np.unique(np.concatenate([a, b], 1), axis=0, return_index=True)
    distinct = [len(np.unique(z, axis=0)) for z in (a, b)]
    if not max(FEWEST, n / 20) < len(first) == distinct[0] == distinct[1] < n:
        return a, b, []
    first.sort()
    return a[first], b[first], [f"{n - len(first)} of {n} pairs are copies of others: one of each was kept"]


def in_series(a: Array, b: Array) -> bool:
    r"""Whether rows are like the rows before them on both sides, as in windows of a time series.

    Then the pairs are fewer than they seem: a mean over them varies by $1 + 2 \sum_k \rho_a(k) \rho_b(k)$ more than over
    independent ones (Bartlett 1935), and shuffles vary less than the true order. Both correlations must be beyond chance and
    their product matter.

    Example:
        >>> walk = np.random.default_rng(0).normal(size=(2, 500, 1)).cumsum(1)
        >>> steps = np.random.default_rng(0).normal(size=(2, 500, 1))
        >>> in_series(*walk), in_series(*steps), in_series(walk[0], steps[0])
        (True, False, False)
    """
    found = []
    for z in (a, b):
        ranks = rank_gaussian(z)
        square = np.square(ranks).mean(0)
        found.append(float(np.max(np.abs((ranks[1:] * ranks[:-1]).mean(0)) / np.where(square > 0, square, 1.0))))
    return min(found) > BY_CHANCE / math.sqrt(len(a)) and found[0] * found[1] > MATTERS


def rank_gaussian(z: Array) -> Array:
    r"""Each column by its ranks: $\Phi^{-1}((\text{rank} - \tfrac12) / N)$, ties sharing the mean rank.

    Example:
        >>> rank_gaussian(np.array([[1.0], [100.0], [3.0]])).round(2).T
        array([[-0.97,  0.97,  0.  ]])
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    gaussian: Array = ndtri((rankdata(z, axis=0) - 0.5) / len(z))
    return gaussian


def standardized(z: Array) -> Array:
    """Each column with mean 0 and variance 1."""
    sized = z / np.abs(z).max(0)  # else the squares of 1e200 and of 1e-200 are no numbers any more
    centred = sized - sized.mean(0)
    centred /= np.abs(centred).max(0)
    scaled: Array = centred / np.sqrt(np.square(centred).mean(0))
    return scaled


def log_radius(z: Array) -> Array:
    """log |z| of each row about the medians, columns scaled by their median distance from them: N x 1.

    What a shared scale leaves to see: heavy tails have it in common though no coordinate correlates.
    """
    centred = np.abs(z - np.median(z, axis=0))
    scale = np.median(centred, axis=0)
    scale = np.where(scale > 0, scale, centred.mean(0))
    tiny = np.finfo(np.float64).tiny
    logs = np.maximum(np.log(np.maximum(centred, tiny)) - np.log(scale), math.log(tiny) / 2)
    largest = logs.max(1, keepdims=True)
    radius: Array = largest + 0.5 * np.log(np.exp(2 * (logs - largest)).sum(1, keepdims=True))
    return radius


def dithered(z: Array, rng: np.random.Generator) -> tuple[Array, bool]:
    """Spread repeated values evenly over their half of the way to the next ones.

    Rounding undoes it, and the noise knows nothing of the other side: mutual information stays exactly as it is, while
    neighbours at equal distances, which mislead estimates of density, are gone.

    Args:
        z: N x D.
        rng: draws the noise.

    Returns:
        N x D, and whether anything was spread.

    Example:
        >>> spread, tied = dithered(np.array([[1.0], [1.0], [2.0], [2.0]]), np.random.default_rng(0))
        >>> tied, spread.round().T
        (True, array([[1., 1., 2., 2.]]))
    """
    out, tied = z.copy(), False
    for column in out.T:
        values = np.unique(column)
        if len(values) > 0.95 * len(column) or len(values) < 2:
            continue
        gaps = np.diff(values)
        below, above = np.append(gaps[0], gaps), np.append(gaps, gaps[-1])
        room = np.minimum(below, above)[np.searchsorted(values, column)]
        column += rng.uniform(-0.49, 0.49, len(column)) * room
        tied = True
    return out, tied
