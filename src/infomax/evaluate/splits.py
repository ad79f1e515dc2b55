"""Which samples an accuracy is learnt from, and which it is tested on."""

import copy
import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from infomax.data import Dataset, Graph
from infomax.data.content import NAMED as PARTS
from infomax.data.content import changed, content
from infomax.data.given import with_labels
from infomax.errors import ConfigError, DataError, NoSuchSplit, warn
from infomax.training.defaults import dataset
from infomax.words import many

HELD_OUT = 5  # every fifth sample of a class is the test set of data that come without one
NAMED = 5  # classes that a warning names
AS_GIVEN = "train and test as given"
PUBLIC = ("cora", "citeseer")  # graphs whose split is everybody's


def splits(
    data: Dataset, test: Dataset | None, how: str = "the test split of the data set"
) -> tuple[Tensor, Tensor, str]:
    """Rows of train and test within their sets, and how the split came about: where there is a test set, as `how` says.

    Raises:
        DataError: a graph with a node in both.
    """
    if isinstance(data, Graph) and (len(data.train) or len(data.val) or len(data.test)):
        whose = "public" if data.origin is not None and data.origin[0] in PUBLIC else "own"
        train, test_nodes = own_nodes(data, "train", "test")
        bare = len(data.train) + len(data.test) - len(train) - len(test_nodes)
        but = f" (without {many(bare, 'node')} that have no label)" if bare else ""
        return train, test_nodes, f"the graph's {whose} split{but}"
    n = len(data)
    if test is not None:
        return torch.arange(n), torch.arange(len(test)), how
    held = torch.arange(n) % HELD_OUT == 0 if data.labels is None else every_fifth(data.labels)
    told = torch.ones(n, dtype=torch.bool)
    if isinstance(data, Graph) and data.labels is not None:
        told = data.labels >= 0  # others mark nodes without a label
        held &= told
    which = "" if data.labels is None else " of each class"
    lone = len(_untested(data, held)) if data.labels is not None else 0
    but = f" (none of {many(lone, 'class', 'classes')} of one sample)" if lone else ""
    one = "node" if isinstance(data, Graph) else "sample"
    return (
        (told & ~held).nonzero()[:, 0],
        held.nonzero()[:, 0],
        f"every {HELD_OUT}th {one}{which} held out as test{but}",
    )


def own_nodes(data: Graph, *parts: str) -> list[Tensor]:
    """The nodes with a label in parts of a graph's own split, none of them in two.

    Args:
        data: the graph.
        parts: `train`, `val` or `test`, those that are to have no node in common.

    Raises:
        DataError: naming two that have.

    Example:
        >>> graph = Graph(torch.eye(3), torch.zeros(2, 0), torch.tensor([0, -1, 1]), train=[0, 1], test=[2])
        >>> [nodes.tolist() for nodes in own_nodes(graph, "train", "test")]
        [[0], [2]]
    """
    nodes = {part: getattr(data, part) for part in parts}
    for a, b in itertools.combinations(parts, 2):
        if both := int(torch.isin(nodes[a], nodes[b]).sum()):
            raise DataError(
                f"{data.name!r}: {many(both, 'node')} in {a} and in {b}: no accuracy would say anything of other nodes; give "
                "each node in one of train, val and test"
            )
    return [n if data.labels is None else n[data.labels[n] >= 0] for n in nodes.values()]


def every_fifth(labels: Tensor) -> Tensor:
    """Which rows are held out: the second, seventh, ... of each class, so that a class of one is learnt from, and of a class of
    two one is tested.

    Args:
        labels: N whole numbers.

    Example:
        >>> every_fifth(torch.tensor([0, 1, 1, 0, 2])).tolist()
        [False, False, True, True, False]
    """
    rank = torch.zeros_like(labels)
    for c in torch.unique(labels):
        members = labels == c
        rank[members] = torch.arange(int(members.sum()))
    return rank % HELD_OUT == 1


def _untested(data: Dataset, held: Tensor) -> list[int]:
    """The labels that no sample has which is held out."""
    assert data.labels is not None
    every = torch.unique(data.labels[data.labels >= 0] if isinstance(data, Graph) else data.labels)
    lone: list[int] = every[~torch.isin(every, data.labels[held])].tolist()
    return lone


def some_held(data: Dataset, held: Tensor, test: Dataset | None = None) -> None:
    """Refuse data of which nothing is left to be tested on, and warn of classes that are not tested.

    Args:
        data: labelled.
        held: rows that are tested on, of the data, or of `test`.
        test: their test split, where they have one.

    Raises:
        DataError: naming what they lack.
    """
    if not len(held):
        if isinstance(data, Graph) and len(data.train) + len(data.val):
            raise DataError(
                f"{data.name!r} names no test nodes: there is nothing to test on; give im.data.Graph(..., test=...), or no "
                f"split at all, for every {HELD_OUT}th node of a class"
            )
        raise DataError(f"{data.name!r} has no class of two samples, to hold one out of: there is nothing to test on")
    if test is None and not isinstance(data, Graph) and (lone := _untested(data, held)):
        names = [repr(data.classes[c] if data.classes and 0 <= c < len(data.classes) else c) for c in lone[:NAMED]]
        more = f" and {len(lone) - NAMED:,} more" if len(lone) > NAMED else ""
        warn(
            f"{data.name!r}: a class of one sample is learnt from and never tested, so no accuracy says anything of "
            f"{', '.join(names)}{more}: give more samples of it, or a test split"
        )


def some_classes(data: Dataset, fit: Tensor, otherwise: str = "") -> None:
    """Refuse labels of one class, of which every accuracy would be 100 %.

    Args:
        data: with labels.
        fit: rows to learn from.
        otherwise: what else can be asked, as the tail of the error.

    Raises:
        DataError: naming the class.
    """
    assert data.labels is not None
    classes = torch.unique(data.labels[fit]).tolist()
    if not classes:
        raise DataError(f"{data.name!r} names no nodes to learn from: give im.data.Graph(..., train=...)")
    if len(classes) == 1:
        raise DataError(
            f"{data.name!r}: all {len(fit)} training labels are {classes}; an accuracy needs two classes: give data with "
            f"more{otherwise}"
        )


def whole_rows(data: Dataset, rows: Tensor) -> Tensor:
    """The rows that were decoded themselves, of those given."""
    return rows[~torch.isin(rows, torch.tensor(data.replaced, dtype=rows.dtype))]


def test_of(train: Dataset) -> Dataset | None:
    """The labelled test split of a data set that was loaded by name or path, where it has one."""
    if train.origin is None or isinstance(train, Graph):
        return None
    try:
        test = dataset(*train.origin, split="test", how=train.read_by)
    except NoSuchSplit:
        return None  # `splits` holds rows out and says so
    return None if test.labels is None else test


def one_of_two(data: Any) -> None:
    """Refuse data to learn from and data to test on that are given as one.

    Raises:
        ConfigError: saying how both are given.

    Example:
        >>> one_of_two(({"a": 1}, {"b": 2}))
        Traceback (most recent call last):
        infomax.errors.ConfigError: data=(train, test) are two: give data=train, test=test
    """
    if isinstance(data, Mapping) and {"train", "test"} <= data.keys():
        raise ConfigError("data={'train': ..., 'test': ...} are two: give data=data['train'], test=data['test']")
    if (
        isinstance(data, tuple)
        and len(data) == 2
        and not with_labels(data)
        and all(hasattr(one, "__len__") for one in data)
        and not any(type(one) is tuple and not with_labels(one) for one in data)  # (picture, label), (picture, label)
    ):
        raise ConfigError("data=(train, test) are two: give data=train, test=test")


def as_given(train: Dataset, test: Any, root: str | None, how: Mapping[str, Any]) -> tuple[Dataset, dict[str, Any]]:
    """Data that are tested on as a whole, their labels those of train, and what they are known by.

    Args:
        train: labelled data, which are learnt from.
        test: whatever data may be; of a name or path with two splits the test split.
        root: where named data sets lie.
        how: other options of `load`.

    Raises:
        DataError: data of another kind, without labels, or of a class that train has not. ConfigError: train is a graph.
    """
    if isinstance(train, Graph):
        raise ConfigError(f"{train.name!r} is a graph, whose nodes are split by itself: leave test out")
    try:
        found = dataset(test, root, split="test", how=how)
    except NoSuchSplit:
        found = dataset(test, root, how=how)
    if found.kind != train.kind:
        raise DataError(
            f"test {found.name!r} are {found.kind}, and {train.name!r}, which are learnt from, {train.kind}"
        )
    if found.labels is None:
        raise DataError(f"test {found.name!r} {found.no_labels}, so nothing can be tested on them")
    assert train.labels is not None
    known = content(found)
    found = copy.copy(found)
    found.labels = _numbered(found, train)
    _check_known(found, train)
    if known["images"] is not None and known["images"] == content(train)["images"]:
        warn(f"test are the data that are learnt from, {train.name!r}: such accuracies say nothing of other samples")
    return found, known


def _numbered(test: Dataset, train: Dataset) -> Tensor:
    """The labels of test by the numbers that train has for the classes of their names, where both have names."""
    assert test.labels is not None
    if not test.classes or not train.classes or test.classes == train.classes:
        return test.labels
    for one in (test, train):
        if twice := next((name for k, name in enumerate(one.classes or ()) if name in (one.classes or ())[:k]), None):
            raise DataError(
                f"{one.name!r} has two classes {twice!r}, so that the labels of train and test cannot be matched by name"
            )
    beyond = len(train.classes)  # a number that train has not, of each class that it has not
    numbers = [
        train.classes.index(name) if name in train.classes else beyond + k for k, name in enumerate(test.classes)
    ]
    return torch.tensor(numbers)[test.labels]


def _check_known(test: Dataset, train: Dataset) -> None:
    """Refuse classes of test that no sample of train has."""
    assert test.labels is not None and train.labels is not None
    unknown = ~torch.isin(test.labels, train.labels)
    if not bool(unknown.any()):
        return
    row = int(unknown.nonzero()[0, 0])
    number = int(test.labels[row])
    names = train.classes or []
    if number < len(names):
        name = repr(names[number])
    elif test.classes and names:
        name = repr(test.classes[number - len(names)]) if number >= len(names) else repr(number)
    else:
        name = str(number)
    some = ", ".join(map(repr, names[:NAMED])) + " ..." * (len(names) > NAMED)
    raise DataError(
        f"test {test.name!r}: {many(int(unknown.sum()), 'sample')} of classes that no sample of {train.name!r} has, the first "
        f"of class {name}{f' (there: {some})' * bool(names)}: leave such samples out, or learn from some"
    )


def known_by(train: Dataset) -> dict[str, Any]:
    """What data are known by that are learnt from, and their test split; None: they have none."""
    test = test_of(train)
    return {"train": content(train), "test": None if test is None else content(test)}


def other_splits(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In what data differ from those that they were, by what they are known by.

    Example:
        >>> was = {"train": {"images": "a", "labels": "b"}, "test": {"images": "c", "labels": "d"}}
        >>> other_splits(was, was), other_splits(was, was | {"test": {"images": "c", "labels": "e"}})
        ([], ['other test labels'])
        >>> other_splits(was, was | {"test": None})
        ['a test split then, none now']
    """
    if (then["test"] is None) != (now["test"] is None):
        return ["no test split then, one now" if now["test"] else "a test split then, none now"]
    return [f"other {split} {PARTS[part]}" for split in now for part in changed(then[split], now[split])]
