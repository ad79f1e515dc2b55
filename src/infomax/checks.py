"""What is checked of the views, embeddings and terms of an update, so that what cannot be compared is said where it stands."""

import re
from collections.abc import Sequence
from typing import Any, cast
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from infomax.errors import ConfigError, DataError
from infomax.marginal.base import Marginal, Views


def comparable(name: str, views: Any) -> None:
    """Refuse what is no list of two views or more.

    Args:
        name: of the method.
        views: the batch, once per view.

    Raises:
        DataError: saying what to give.
    """
    if isinstance(views, Tensor):  # its rows would be taken for views
        raise DataError(
            f"{name!r}: views is a list of tensors, one a view, and not one tensor, of shape {tuple(views.shape)}: a "
            "batch by itself is one view; of views that are stacked, V x N x ..., give views.unbind()"
        )
    if len(views) < 2:
        raise DataError(f"{name!r} compares views of the same samples: give at least 2, not {len(views)}")


def rows_of(name: str, views: Sequence[Any], z: Views, k: Views) -> int:
    """N, where the embeddings are N x D and can be compared.

    Args:
        name: of the method.
        views: that the students were made of.
        z: the students, by number of view.
        k: the targets.

    Raises:
        DataError: another shape, views of unlike numbers of rows, or a batch of one.
    """
    for v in (*z.values(), *k.values()):
        if v.ndim < 2:
            raise DataError(f"{name!r}: an embedding of shape {tuple(v.shape)}: an encoder gives N x D")
    rows = {v.shape[-2] for v in (*z.values(), *k.values())}
    if len(rows) > 1:
        raise DataError(f"the views differ in their number of rows: {sorted(rows)}")
    i, some = next(iter(z.items()))
    if isinstance(views[i], Tensor) and views[i].ndim == 4 and some.ndim != 2:
        raise DataError(
            f"{name!r}: images of shape {tuple(views[i].shape)} became {tuple(some.shape)}: an encoder gives N x D; "
            "add pooling or flattening"
        )
    (n,) = rows
    if n < 2:
        raise DataError(f"a batch of {n}: its samples are compared with each other, so it needs at least 2")
    return n


def of_one_type(name: str, embeddings: Sequence[Tensor]) -> None:
    """Refuse embeddings that are not of one floating-point type.

    Args:
        name: of the method.
        embeddings: of all views.

    Raises:
        DataError: naming the types.
    """
    for v in embeddings:
        if not v.is_floating_point():
            raise DataError(f"{name!r}: an embedding of {v.dtype}: an encoder gives floating-point numbers")
    if len(kinds := {str(v.dtype) for v in embeddings}) > 1:
        raise DataError(f"{name!r}: embeddings of {' and '.join(sorted(kinds))}: bring the views to one type")


def a_number(found: Any, a: Tensor, b: Tensor, verb: str) -> Tensor | float:
    """What a term says of a pair of views: one value a leading index. One a sample would be summed, as if each were a pair.

    Raises:
        ConfigError: another shape, or no number at all.
    """
    if isinstance(found, np.generic):
        found = found.item()
    if isinstance(found, int | float) or (isinstance(found, Tensor) and found.shape == a.shape[:-2]):
        return found
    lead = torch.Size(torch.broadcast_shapes(a.shape[:-2], b.shape[:-2]))  # type: ignore[no-untyped-call]
    if isinstance(found, Tensor) and found.shape == lead:
        return found
    if isinstance(found, Tensor) and found.numel() == 1:
        return found.reshape(()).expand(lead)
    gives = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
    raise ConfigError(
        f"{verb} gives {gives} for embeddings of shape {tuple(a.shape)}: return one number a pair of views, shape "
        f"{tuple(lead)}, such as the mean over the samples, .mean(-1)"
    )


def two_sides(found: Any, marginal: Marginal) -> tuple[Views, Views]:
    """The students and the targets that a marginal has changed.

    Raises:
        ConfigError: anything else.
    """
    if isinstance(found, tuple) and len(found) == 2 and all(isinstance(side, dict) for side in found):
        return cast(tuple[Views, Views], found)
    raise ConfigError(
        f"{type(marginal).__name__}.constrain gives {type(found).__name__}: return both sides, the students' and the targets' "
        "embeddings by view, as in `return z, k`"
    )


def an_output(output: Any, verb: str) -> None:
    """Refuse what is no output of a learner.

    Args:
        output: has targets by view.
        verb: of the learner, which is to read them.

    Raises:
        ConfigError: saying what to give.
    """
    if not isinstance(getattr(output, "k", None), dict):
        raise ConfigError(
            f"{verb}(output, clock): expected the Output that learner(views), climb or step gave, got {type(output).__name__}"
        )


_WRONG_TYPE = re.compile(r"same dtype|expected (m1|scalar type)|type \(.*should be the same|implemented for '")
"""How torch says that numbers are of the wrong type."""


def explained(name: str, views: Sequence[Any], error: RuntimeError) -> Exception:
    """The same error, or one that says of whole numbers what to give where the encoder cannot take them.

    Args:
        name: of the method.
        views: the batch, once per view.
        error: of torch.
    """
    whole = [v for v in views if isinstance(v, Tensor) and not v.is_floating_point()]
    of_a_table = "indices" in str(error)  # which takes whole numbers
    if not whole or of_a_table or not _WRONG_TYPE.search(str(error)):
        return error
    images = all(v.ndim >= 4 for v in whole)
    kinds = " and ".join(sorted({str(v.dtype) for v in whole}))
    then = "v.float() / 255, normalised" if images else "v.float()"
    return DataError(
        f"{name!r}: {'image ' if images else ''}views of {kinds}: views are floating point: {then} "
        f"(torch: {' '.join(str(error).split())[:200]})"
    )


_TRAINED_BY: WeakKeyDictionary[Optimizer, ReferenceType[nn.Module]] = WeakKeyDictionary()
"""The learner that an optimizer was last seen to hold parameters of: looked for once, and not at every step."""


def trained_by(optimizer: Any, learner: nn.Module, name: str, views: Sequence[Any]) -> None:
    """Refuse an optimizer that would move nothing.

    Args:
        optimizer: of an update.
        learner: whose parameters it is to hold.
        name: of the learner.
        views: embeddings of a module of the user's own carry their gradient to what the optimizer holds.

    Raises:
        ConfigError: it holds none of them.
    """
    if not isinstance(optimizer, Optimizer):  # a wrapper, which need not tell what it holds
        return
    known = _TRAINED_BY.get(optimizer)
    if known is not None and known() is learner:
        return
    own = {id(p) for p in learner.parameters()}
    held = any(id(p) in own for group in optimizer.param_groups for p in group["params"])
    if not held and own and not any(isinstance(v, Tensor) and v.requires_grad for v in views):
        raise ConfigError(
            f"the optimizer holds none of the parameters of {name!r}, so nothing would be learnt: make it from "
            "learner.parameters()"
        )
    _TRAINED_BY[optimizer] = ref(learner)
