r"""Nearest-neighbour classification of frozen features: without training, so the quickest check of what was learnt."""

from typing import Literal

import torch
from torch import Tensor

from infomax.errors import ConfigError, DataError, nearest
from infomax.evaluate.numbers import Rows, finite, tensors, unit

Vote = Literal["weighted", "majority"]


@torch.no_grad()
def knn_predict(
    train: Rows,
    train_labels: Rows,
    queries: Rows,
    *,
    k: int = 20,
    temperature: float = 0.07,
    vote: Vote = "weighted",
    chunk: int | None = None,
) -> Tensor:
    r"""Predict the class of each query from its k nearest training rows in cosine similarity.

    The class with the largest $\sum e^{\cos / \tau}$ over its members among the k wins ("weighted"), or the one with
    the most members ("majority"; in a tie, the one whose members are nearer).

    Args:
        train: N D features, any scale.
        train_labels: N integers.
        queries: M D features.
        k: number of neighbours; all N if there are fewer.
        temperature: $\tau$ of the weights.
        vote: how neighbours are counted: "weighted" or "majority".
        chunk: queries at a time; by default as many as fill 64 MiB with similarities.

    Returns:
        M labels.

    Raises:
        ConfigError: k or temperature not positive, or an unknown vote.
        DataError: shapes that do not fit, or no rows.
        NumericsError: NaN or infinity in the features.

    Example:
        >>> train = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
        >>> knn_predict(train, torch.tensor([7, 7, 4]), torch.tensor([[2.0, 0.3], [0.1, 5.0]]), k=1)
        tensor([7, 4])

    Source: Wu et al. 2018 (arXiv:1805.01978).
    """
    train, train_labels, queries = tensors(train, train_labels, queries)
    if vote not in ("weighted", "majority"):
        raise ConfigError(f"unknown vote {vote!r}: {nearest(vote, ('weighted', 'majority'))}")
    if k < 1 or not temperature > 0:
        raise ConfigError(f"knn: k and temperature must be positive, got k={k}, temperature={temperature}")
    if train.ndim != 2 or queries.ndim != 2 or train.shape[1] != queries.shape[1] or len(train) == 0:
        raise DataError(
            f"knn: need features N D and M D with N >= 1, got {tuple(train.shape)} and {tuple(queries.shape)}"
        )
    if train_labels.shape != train.shape[:1]:
        raise DataError(f"knn: {len(train)} training rows need as many labels, got {tuple(train_labels.shape)}")
    k = min(k, len(train))
    classes, index = torch.unique(train_labels, return_inverse=True)
    train, queries = finite(train, "knn", "the training features"), finite(queries, "knn", "the queries")
    both = torch.promote_types(train.dtype, queries.dtype)
    train, queries = train.to(both), queries.to(both)
    bank = unit(train).T.contiguous()
    rows = chunk or max(1, 2**24 // len(train))
    predicted = []
    for start in range(0, len(queries), rows):
        block = unit(queries[start : start + rows])
        similarity, neighbour = (block @ bank).topk(k, dim=-1)
        # Cosines lie within [-1, 1]: in a majority, nearness can break a tie of counts but never outvote one member.
        # The nearest neighbour weighs 1, so that no temperature is too small for all k.
        weight = (
            ((similarity - similarity[:, :1]) / temperature).exp()
            if vote == "weighted"
            else 1.0 + similarity / (4.0 * k)
        )
        votes = block.new_zeros(len(block), len(classes)).scatter_add_(1, index[neighbour], weight)
        predicted.append(classes[votes.argmax(1)])
    return torch.cat(predicted) if predicted else train_labels.new_empty(0)


def knn_accuracy(
    train: Rows,
    train_labels: Rows,
    test: Rows,
    test_labels: Rows,
    *,
    k: int = 20,
    temperature: float = 0.07,
    vote: Vote = "weighted",
    chunk: int | None = None,
) -> float:
    """Share of test rows that `knn_predict` classifies correctly.

    Args:
        train: N D features.
        train_labels: N integers.
        test: M D features, M at least 1.
        test_labels: M integers.
        k: number of neighbours.
        temperature: temperature of the weights.
        vote: "weighted" or "majority".
        chunk: test rows at a time.

    Returns:
        Between 0 and 1.

    Raises:
        ConfigError, DataError, NumericsError: as in `knn_predict`; also without a test row, or without one label per
            row.

    Example:
        >>> z, y = torch.eye(4), torch.arange(4)
        >>> knn_accuracy(z, y, z[:2], torch.tensor([0, 3]), k=1)
        0.5
    """
    train, train_labels, test, test_labels = tensors(train, train_labels, test, test_labels)
    if len(test) == 0 or test_labels.shape != test.shape[:1]:
        raise DataError(f"knn: {len(test)} test rows need as many labels and one row at least, got {len(test_labels)}")
    predicted = knn_predict(train, train_labels, test, k=k, temperature=temperature, vote=vote, chunk=chunk)
    return (predicted == test_labels).double().mean().item()
