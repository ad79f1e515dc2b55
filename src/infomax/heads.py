"""Modules on top of an encoder: projectors, predictors, prototypes."""

import copy
import itertools
from collections.abc import Callable, Mapping
from typing import Literal, TypeVar, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infomax.encoders.width import CLASSES, classifier_of, width_of
from infomax.errors import ConfigError, check_number, nearest, warn
from infomax.words import with_article

M = TypeVar("M", bound=nn.Module)
Head = tuple[int, ...] | nn.Module
"""A network given by the widths of its layers, `(2048, 256)`; `()` for none; or a module of your own."""


LastNorm = Literal["none", "affine", "plain"]
"""Batch norm after the last layer: `none`, with `affine` part, or `plain` (without affine part)."""


def mlp(
    *widths: int,
    norm: bool = True,
    last_norm: LastNorm = "none",
    activation: Callable[[], nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Linear layers with batch norm and activation between them.

    Args:
        widths: widths of the input and of each layer's output.
        norm: batch norm after each hidden layer (whose bias is then left out).
        last_norm: batch norm after the last layer: `none`, with `affine` part, or without (`plain`, as in SimSiam).
        activation: function that returns a module.

    Raises:
        ConfigError: an unknown `last_norm`.

    Example:
        >>> mlp(8, 32, 4)(torch.randn(16, 8)).shape
        torch.Size([16, 4])
    """
    if last_norm not in get_args(LastNorm):
        raise ConfigError(f"no last norm {last_norm!r}: {nearest(str(last_norm), get_args(LastNorm))}")
    layers: list[nn.Module] = []
    last = len(widths) - 2
    for n, (i, o) in enumerate(itertools.pairwise(widths)):
        normed = norm if n < last else last_norm != "none"
        layers.append(nn.Linear(i, o, bias=not normed))
        if normed:
            layers.append(nn.BatchNorm1d(o, affine=n < last or last_norm == "affine"))
        if n < last:
            layers.append(activation())
    return nn.Sequential(*layers)


def head(
    spec: Head,
    width: int | Callable[[], int],
    *,
    norm: bool = True,
    last_norm: LastNorm = "none",
    activation: Callable[[], nn.Module] = nn.ReLU,
) -> nn.Module:
    """Build a head from the widths of its layers, for an input of the given width; a module is returned as it is."""
    if isinstance(spec, nn.Module):
        return spec
    if not isinstance(spec, tuple | list) or any(not isinstance(w, int) or w < 1 for w in spec):
        raise ConfigError(f"a head is a tuple of layer widths such as (2048, 256), or a module, not {spec!r}")
    if not spec:
        return nn.Identity()
    return mlp(
        width if isinstance(width, int) else width(), *spec, norm=norm, last_norm=last_norm, activation=activation
    )


def _module(encoder: object) -> nn.Module:
    """The encoder itself, raising where it is none, as by its name."""
    if isinstance(encoder, nn.Module):
        return encoder
    made = f", such as im.encoders.get({encoder!r})" if isinstance(encoder, str) else ""
    raise ConfigError(f"an encoder is a module that maps a batch to N x width, not {encoder!r}{made}")


class Branch(nn.Module):
    """An encoder and its projector: view -> N x D. The features for later use are the encoder's, before the projector.

    Args:
        encoder: any module that maps a batch of views to N x width.
        projector: widths of its layers, `()` for none, or a module.
        norm, last_norm, activation: as in `mlp`.

    Example:
        >>> Branch(nn.Linear(8, 16), (32, 4))(torch.randn(10, 8)).shape
        torch.Size([10, 4])
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: Head = (),
        *,
        norm: bool = True,
        last_norm: LastNorm = "none",
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.encoder = _module(encoder)
        if place := classifier_of(encoder):
            warn(
                f"{type(encoder).__name__} has its classifier on, so that its features are {CLASSES} scores of classes: "
                f"take it off, encoder.{place} = torch.nn.Identity()"
            )
        self.projector = head(
            projector, lambda: width_of(encoder), norm=norm, last_norm=last_norm, activation=activation
        )

    @property
    def width(self) -> int:
        """D, the width of the embedding."""
        return width_of(self.encoder if isinstance(self.projector, nn.Identity) else self.projector)

    def forward(self, view: object) -> Tensor:
        """One view of every sample -> N x D."""
        h = self.encoder(view)
        if not isinstance(h, Tensor):
            raise ConfigError(
                f"{type(self.encoder).__name__} gives {with_article(type(h).__name__)}: an encoder gives one tensor, N x D; "
                "take the features out of what it gives in a module of your own around it"
            )
        z: Tensor = self.projector(h)
        return z


class Prototypes(nn.Module):
    """K rows that an embedding is scored against: z/|z| . p_k; ... D -> ... K.

    Args:
        width: D, the width of the embedding.
        count: K, the number of prototypes.
        unit: score against p_k/|p_k|, with the gradient through that norm (DINO); otherwise against p_k as they are
            (SwAV, which re-normalises them in place with `normalize_` after each step).
        frozen_epochs: number of epochs at the start in which they are not updated.

    Example:
        >>> Prototypes(4, 7)(torch.randn(2, 4)).shape
        torch.Size([2, 7])
    """

    def __init__(self, width: int, count: int, *, unit: bool = False, frozen_epochs: int = 0) -> None:
        super().__init__()
        if count < 1:
            raise ConfigError(f"{count} prototypes: give at least 1")
        check_number("frozen_epochs", frozen_epochs)
        self.unit, self.frozen_epochs, self.out_features = unit, frozen_epochs, count
        self.weight = nn.Parameter(torch.empty(count, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Random directions."""
        with torch.no_grad():
            self.weight.copy_(F.normalize(torch.randn_like(self.weight), dim=1))

    @torch.no_grad()
    def normalize_(self) -> None:
        """Normalise the rows to length 1, in place and outside the gradient."""
        self.weight.copy_(F.normalize(self.weight, dim=1))

    def forward(self, z: Tensor) -> Tensor:
        """... D -> ... K."""
        return F.linear(F.normalize(z, dim=-1), F.normalize(self.weight, dim=1) if self.unit else self.weight)


def drawn(module: nn.Module) -> nn.Module:
    """The same module, where it has weights that a second encoder can be made of.

    Raises:
        ConfigError: a lazy layer that has seen no batch.

    Example:
        >>> drawn(nn.Linear(2, 1))
        Linear(in_features=2, out_features=1, bias=True)
    """
    for m in module.modules():
        if any(nn.parameter.is_lazy(p) for p in m.parameters(recurse=False)):
            raise ConfigError(f"{type(m).__name__} has no weights yet: run the encoder on a batch first")
    return module


def copied(module: M, instead: Mapping[nn.Module, nn.Module] | None = None) -> M:
    """A copy with weights of its own, also where a part holds a tensor that it computes of its parameters.

    So do `torch.nn.utils.weight_norm`, which has `weight` of `weight_g` and `weight_v` anew before each forward pass, and
    lightly's DINO head by it: torch copies no such tensor, for its graph. Here the copy holds its values until then.

    Args:
        module: any.
        instead: what stands in the copy in the place of some of its parts.

    Example:
        >>> net = nn.Linear(2, 3)
        >>> net.twice = 2 * net.weight
        >>> bool((copied(net).twice == net.twice).all())
        True
    """
    held = [t for m in module.modules() for t in vars(m).values() if isinstance(t, Tensor) and t.grad_fn is not None]
    others = {id(part): other for part, other in (instead or {}).items()}
    return copy.deepcopy(module, {id(t): t.detach().clone() for t in held} | others)


@torch.no_grad()
def reset(module: nn.Module) -> nn.Module:
    """Give every weight a new value of the same law, in place: how a second encoder becomes independent of the first.

    Layers draw anew by their `reset_parameters`. Where that is not the law that the encoder's constructor gave a parameter
    (a scaled normal, a constant), or a layer has none, the parameter's own entries are shuffled instead.

    Raises:
        ConfigError: a lazy layer that has seen no batch.
    """
    for m in drawn(module).modules():
        before = [p.clone() for p in m.parameters(recurse=False)]
        again = getattr(m, "reset_parameters", None)
        if callable(again):
            again()
        for p, old in zip(m.parameters(recurse=False), before, strict=True):
            if p.is_meta or p.numel() == 0:
                continue
            if bool((old == old.flatten()[0]).all()):
                p.copy_(old)
            elif not callable(again) or not _alike(p, old) or torch.equal(p, old):  # a weight of others was drawn
                p.copy_(old.flatten()[torch.randperm(p.numel(), device=p.device)].view_as(p))
    return module


def _alike(new: Tensor, old: Tensor) -> bool:
    """Whether two draws may come from one law: where there are entries enough to tell, they are of the same size."""
    return old.numel() < 64 or 0.8 < float(new.norm() / old.norm()) < 1.25
