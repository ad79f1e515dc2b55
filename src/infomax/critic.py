"""Critics T(a, b): how strongly two embeddings are judged to belong together.

Shapes in this package: N pairs in a batch, D width of an embedding, M other rows to compare with, K prototypes.
A critic scores either the N true pairs (`paired`) or every combination (`crossed`); the diagonal of `crossed(a, b)` is
`paired(a, b)`. Leading dimensions (`... N D`) are a batch of independent problems, such as the seeds of an ensemble.
"""

from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infomax.errors import ConfigError, DataError, check_number


def unsaid(kind: type, *verbs: str) -> None:
    """Have a class that writes one of these verbs be symmetric only where it says so itself: it does not inherit that.

    Args:
        kind: of a critic, joint term or marginal.
        verbs: names of the methods on which its symmetry hangs.

    Example:
        >>> class Asymmetric(Dot):
        ...     def factors(self, a, b): return super().factors(a.relu(), b)
        >>> Dot().symmetric, Asymmetric().symmetric
        (True, False)
    """
    if "symmetric" not in vars(kind) and any(verb in vars(kind) for verb in verbs):
        kind.symmetric = False  # type: ignore[attr-defined]


class Critic(nn.Module):
    """T(a, b) in nats; subclass it and define `paired` and `crossed`.

    Example:
        >>> class Laplace(Critic):
        ...     symmetric = True
        ...     def paired(self, a, b): return -(a - b).abs().sum(-1)
        ...     def crossed(self, a, b): return -torch.cdist(a, b, p=1)
        >>> Laplace().crossed(torch.eye(2), torch.eye(2)).diagonal()
        tensor([-0., -0.])
    """

    symmetric = False  # T(a, b) = T(b, a): say True only where it holds, and each pair is then read once
    of_directions = False  # T(a, b) = T(a/|a|, b/|b|): a queue then keeps unit rows, as MoCo's does

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        unsaid(cls, "paired", "crossed", "factors")

    def paired(self, a: Tensor, b: Tensor) -> Tensor:
        """T of each true pair: ... N D, ... N D -> ... N."""
        raise NotImplementedError(f"{type(self).__name__} defines no paired(a, b)")

    def crossed(self, a: Tensor, b: Tensor) -> Tensor:
        """T of every combination: ... N D, ... M D -> ... N M."""
        raise NotImplementedError(f"{type(self).__name__} defines no crossed(a, b)")


def partners(critic: Critic, a: Tensor, b: Tensor) -> None:
    """Refuse two sides of which torch would stretch one row or column over the other's: N pairs are N D and N D.

    Args:
        critic: which is to read them.
        a, b: ... N D each.

    Raises:
        DataError: another number of rows or columns.

    Example:
        >>> partners(Dot(), torch.ones(4, 2), torch.ones(4, 1))
        Traceback (most recent call last):
            ...
        infomax.errors.DataError: Dot: pairs of embeddings are N x D on both sides, not (4, 2) and (4, 1)
    """
    if a.shape[-2:] != b.shape[-2:]:
        raise DataError(
            f"{type(critic).__name__}: pairs of embeddings are N x D on both sides, not {tuple(a.shape)} and {tuple(b.shape)}"
        )


def alike(critic: Critic, a: Tensor, b: Tensor) -> None:
    """Refuse two sides of different width, of which torch would stretch one of a single column.

    Raises:
        DataError: another number of columns.
    """
    if a.shape[-1] != b.shape[-1]:
        raise DataError(
            f"{type(critic).__name__}: embeddings are N x D and M x D, of one width, not {tuple(a.shape)} and {tuple(b.shape)}"
        )


def paired_scores(critic: Critic, a: Tensor, b: Tensor) -> Tensor:
    """`critic.paired(a, b)`, where it is one score a pair; a sum or one a column would be averaged as if it were.

    Args:
        critic: any.
        a, b: ... N D each.

    Raises:
        ConfigError: another shape than ... N.

    Example:
        >>> class Columns(Critic):
        ...     def paired(self, a, b): return a * b
        >>> paired_scores(Columns(), torch.ones(8, 4), torch.ones(8, 4))
        Traceback (most recent call last):
            ...
        infomax.errors.ConfigError: Columns.paired gives shape (8, 4) for N x D of (8, 4) and (8, 4): return one score ...
    """
    return _of_shape(critic.paired(a, b), critic, "paired", a, b, a.shape[-2:-1])


def crossed_scores(critic: Critic, a: Tensor, b: Tensor) -> Tensor:
    """`critic.crossed(a, b)`, where it is one score a combination of rows.

    Args:
        critic: any.
        a: ... N D.
        b: ... M D.

    Raises:
        ConfigError: another shape than ... N M.

    Example:
        >>> crossed_scores(Dot(), torch.ones(8, 4), torch.ones(5, 4)).shape
        torch.Size([8, 5])
    """
    return _of_shape(critic.crossed(a, b), critic, "crossed", a, b, (a.shape[-2], b.shape[-2]))


def _of_shape(found: Any, critic: Critic, verb: str, a: Tensor, b: Tensor, scores: tuple[int, ...]) -> Tensor:
    if isinstance(found, Tensor):
        if found.shape == (*a.shape[:-2], *scores):
            return found
        lead = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])  # type: ignore[no-untyped-call]
        if found.shape == (*lead, *scores):
            return found
    gives = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
    sides, of = ("N x D", "pair, N") if verb == "paired" else ("N x D and M x D", "combination of rows, N x M")
    raise ConfigError(
        f"{type(critic).__name__}.{verb} gives {gives} for {sides} of {tuple(a.shape)} and {tuple(b.shape)}: return one score "
        f"a {of} = {' x '.join(map(str, scores))}"
    )


class Dot(Critic):
    """T(a, b) = a . b / temperature (paper, eq. 12).

    Args:
        temperature: divisor of the product; > 0, without unit.

    Raises:
        ConfigError: the temperature is not positive.

    Example:
        >>> a = torch.eye(2)
        >>> Dot(temperature=0.5).crossed(a, a)
        tensor([[2., 0.],
                [0., 2.]])
    """

    symmetric = True

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        check_number("a temperature", temperature, above=True)
        self.temperature = temperature

    def factors(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Two matrices whose product is the score: T = left @ right^T."""
        return a / self.temperature, b

    def paired(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... N D -> ... N."""
        partners(self, a, b)
        left, right = self.factors(a, b)
        return (left * right).sum(-1)

    def crossed(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... M D -> ... N M."""
        left, right = self.factors(a, b)
        return left @ right.mT

    def extra_repr(self) -> str:
        """The temperature."""
        return f"temperature={float(torch.as_tensor(self.temperature).detach()):g}"  # it may be one that learns


class Cosine(Dot):
    """T(a, b) = cos(a, b) / temperature (paper, eq. 14; the temperature as in Algorithms 1 and 2).

    Args:
        temperature: divisor of the cosine; T lies in [-1/temperature, 1/temperature].

    Raises:
        ConfigError: the temperature is not positive.

    Example:
        >>> a = torch.tensor([[3.0, 4.0]])
        >>> Cosine(temperature=0.1).paired(a, 7 * a)
        tensor([10.])
    """

    symmetric = True
    of_directions = True

    def factors(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Unit rows, the left ones divided by the temperature."""
        return F.normalize(a, dim=-1) / self.temperature, F.normalize(b, dim=-1)


def is_product(critic: nn.Module) -> TypeGuard[Dot]:
    """Whether T is the product of the critic's `factors`, which kernels read in the place of `paired` and `crossed`.

    A critic derived from `Dot` or `Cosine` is, as long as it changes `factors` alone.

    Args:
        critic: any.

    Example:
        >>> class Margin(Cosine):
        ...     def paired(self, a, b): return super().paired(a, b) - 0.1
        >>> is_product(Cosine(temperature=0.1)), is_product(Margin(temperature=0.1)), is_product(Euclidean())
        (True, False, False)
    """
    return isinstance(critic, Dot) and all(
        getattr(type(critic), verb) is getattr(Dot, verb) for verb in ("paired", "crossed")
    )


class Chord(Critic):
    """T(a, b) = 1 - |a/|a| - b/|b||^2 / 2, BYOL's regression of unit vectors (arXiv:2006.07733, eq. 2).

    Equal to the cosine, except if a row is all zero: then it is 1/2, as in the authors' code, and not 0.

    Example:
        >>> a = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
        >>> Chord().paired(a, torch.tensor([[3.0, 4.0], [3.0, 4.0]]))
        tensor([1.0000, 0.5000])
    """

    symmetric = True
    of_directions = True

    def paired(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... N D -> ... N."""
        partners(self, a, b)
        return 1 - (F.normalize(a, dim=-1) - F.normalize(b, dim=-1)).square().sum(-1) / 2

    def crossed(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... M D -> ... N M."""
        alike(self, a, b)
        return 1 - (F.normalize(a, dim=-1).unsqueeze(-2) - F.normalize(b, dim=-1).unsqueeze(-3)).square().sum(-1) / 2


class Euclidean(Critic):
    """T(a, b) = -|a - b|^2 / D, VICReg's invariance (arXiv:2105.04906, eq. 5).

    Example:
        >>> Euclidean().paired(torch.zeros(1, 4), torch.ones(1, 4))
        tensor([-1.])
    """

    symmetric = True

    def paired(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... N D -> ... N."""
        partners(self, a, b)
        return -(a - b).square().mean(-1)

    def crossed(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... M D -> ... N M."""
        alike(self, a, b)
        return -(a.unsqueeze(-2) - b.unsqueeze(-3)).square().mean(-1)


class Bilinear(Critic):
    """T(a, b) = a^T W b / temperature with a learned W (arXiv:1807.03748, eq. 3).

    Args:
        width: D, the width of both embeddings; W starts as the identity.
        temperature: divisor of the product.

    Raises:
        ConfigError: the temperature is not positive.

    Example:
        >>> Bilinear(3).crossed(torch.ones(2, 3), torch.ones(4, 3)).shape
        torch.Size([2, 4])
    """

    def __init__(self, width: int, temperature: float = 1.0) -> None:
        super().__init__()
        check_number("a temperature", temperature, above=True)
        self.weight = nn.Parameter(torch.eye(width))
        self.temperature = temperature

    def paired(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... N D -> ... N."""
        partners(self, a, b)
        self._fits(a, b)
        return (a @ self.weight * b).sum(-1) / self.temperature

    def crossed(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... M D -> ... N M."""
        self._fits(a, b)
        return a @ self.weight @ b.mT / self.temperature

    def _fits(self, a: Tensor, b: Tensor) -> None:
        width, given = len(self.weight), (a.shape[-1], b.shape[-1])
        if given != (width, width):
            raise DataError(
                f"{type(self).__name__}: made for embeddings of width {width}, and given {' and '.join(map(str, given))}"
            )
