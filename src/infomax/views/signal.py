"""Views of signals: the augmentation (`SignalView`), the parameters drawn (`SignalParams`), and their application.

A signal has one or several channels (the leads of an ECG, the microphones of a recording) with a common time axis.

Axes: N samples, C channels, L the signal's length, T the view's, both in time steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from infomax.errors import ConfigError, DataError
from infomax.views import rng

_SLOTS = 7


@dataclass(frozen=True)
class SignalView:
    """The augmentation that turns a signal into one view. Its operations are applied in this order:

    crop, stretch and reversal (one interpolation) -> scale -> noise -> mask. A zero (for crop: a one) switches an
    operation off.

    Args:
        crop: range of the segment's share of the view's length. The segment is stretched to that length by linear
            interpolation, its first and last time step on the view's first and last.
        stretch: non-uniformity of time: `p(u) = u + a u (1 - u)` on [0, 1], a uniform in [-stretch, stretch], so that
            the tempo changes from 1 + a at the start to 1 - a at the end; at most 1.
        flip: probability of reversing time.
        scale: the view is multiplied by a factor uniform in [1 - scale, 1 + scale]; below 1.
        noise: standard deviation of the Gaussian noise, in standard deviations of the channel (if `Signals` has them).
        mask: largest share of the view that is set to the channel's mean, in one piece, of a length uniform in [0,
            mask].

    Raises:
        ConfigError: an impossible range or probability.

    Example:
        >>> SignalView(noise=0.0).crop
        (0.5, 1.0)

    Source: Um et al. arXiv:1706.00527 (scaling, noise, warped time), Park et al. arXiv:1904.08779 (the mask).
    """

    crop: tuple[float, float] = (0.5, 1.0)
    stretch: float = 0.2
    flip: float = 0.0
    scale: float = 0.2
    noise: float = 0.1
    mask: float = 0.2

    def __post_init__(self) -> None:
        if not 0.0 < self.crop[0] <= self.crop[1] <= 1.0:
            raise ConfigError(f"crop={self.crop}: give (low, high) with 0 < low <= high <= 1")
        for name in ("stretch", "flip", "mask"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name}={getattr(self, name)}: give a number in [0, 1]")
        if not 0.0 <= self.scale < 1.0:
            raise ConfigError(f"scale={self.scale}: give a number in [0, 1)")
        if self.noise < 0:
            raise ConfigError(f"noise={self.noise}: a standard deviation is not negative")


class SignalParams(NamedTuple):
    """The parameters drawn for one view of N signals."""

    start: Tensor
    """N int64: first time step of the segment."""
    span: Tensor
    """N int64: number of time steps in the segment."""
    tempo: Tensor
    """N float64: a, the non-uniformity of time."""
    flip: Tensor
    """N bool."""
    factor: Tensor
    """N float32."""
    hidden: Tensor
    """N x 2 int64: first time step and number of time steps of the view that are masked."""
    noise: Tensor | None
    """N x C x T float32, standard normal; None if there is no noise."""


def draw_signal(
    spec: SignalView, index: Tensor, shape: tuple[int, int, int], *, seed: int = 0, epoch: int = 0, view: int = 0
) -> SignalParams:
    """Draw one view's parameters as a pure function of (spec, shape, seed, epoch, view, sample id).

    Args:
        spec: what may happen.
        index: N int64 sample ids.
        shape: C, L and T.
        seed: of the run.
        epoch: of the run.
        view: which of the views of a sample this is.

    Returns:
        `SignalParams` on the CPU.

    Example:
        >>> together = draw_signal(SignalView(), torch.arange(4), (1, 100, 100))
        >>> alone = draw_signal(SignalView(), torch.tensor([2]), (1, 100, 100))
        >>> bool((together.noise[2] == alone.noise[0]).all()), bool(together.start[2] == alone.start[0])
        (True, True)
    """
    channels, length, size = shape
    index = index.to("cpu", torch.int64)
    u = rng.uniform(rng.key(index, seed, epoch, view, 0), _SLOTS)
    share = spec.crop[0] + (spec.crop[1] - spec.crop[0]) * u[:, 0]
    span = torch.round(share * size).to(torch.int64).clamp(min=1)
    width = (u[:, 5] * (int(spec.mask * size) + 1)).to(torch.int64)
    return SignalParams(
        start=(u[:, 1] * (length - span + 1)).to(torch.int64),
        span=span,
        tempo=spec.stretch * (2.0 * u[:, 2] - 1.0),
        flip=u[:, 3] < spec.flip,
        factor=(1.0 + spec.scale * (2.0 * u[:, 4] - 1.0)).to(torch.float32),
        hidden=torch.stack([(u[:, 6] * (size - width + 1)).to(torch.int64), width], dim=1),
        noise=rng.noise(rng.key(index, seed, epoch, view, 1), channels * size).reshape(-1, channels, size)
        if spec.noise
        else None,
    )


def apply_signal(
    spec: SignalView,
    signals: Tensor,
    params: SignalParams,
    size: int,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Tensor:
    """Turn signals into one view each, as the parameters say.

    `v(t) = f s(p(t)) + noise * eps(t)`, zero where masked, s the signal `(x - mean) / std` by channel.

    Args:
        spec: gives the strength of the noise.
        signals: N x C x L floats.
        params: what was drawn, for the same N samples.
        size: T, at most L.
        mean: of each channel, or `None`.
        std: of each channel, or `None`.

    Returns:
        N x C x T, in the signals' type and on their device.

    Example:
        >>> ramp, still = torch.arange(5.0).reshape(1, 1, 5), SignalView(stretch=0, scale=0, noise=0, mask=0)
        >>> half = draw_signal(still, torch.tensor([0]), (1, 5, 5))._replace(start=torch.tensor([1]), span=torch.tensor([3]))
        >>> apply_signal(still, ramp, half, 5).tolist()
        [[[1.0, 1.5, 2.0, 2.5, 3.0]]]
    """
    device, dtype = signals.device, signals.dtype
    start, span, tempo, flip, factor, hidden = (p.to(device) for p in params[:6])
    # In float64: a position among 10^6 readings leaves float32 no digits for its fraction.
    step = torch.arange(size, device=device, dtype=torch.float64)
    most, last = (span - 1).to(torch.float64)[:, None], max(size - 1, 1)
    u = step / last
    place = step * (most / last) + most * tempo[:, None] * (u * (1.0 - u))
    place = torch.where(flip[:, None], place.flip(1), place)
    lower = place.floor().clamp(min=torch.zeros_like(most), max=most)
    share = (place - lower)[:, None].to(dtype)
    lower = lower.to(torch.int64)
    upper = torch.minimum(lower + 1, (span - 1)[:, None])

    def read(at: Tensor) -> Tensor:
        return signals.gather(2, (start[:, None] + at)[:, None].expand(-1, signals.shape[1], -1))

    x = read(lower)
    x = x + share * (read(upper) - x)
    if mean is not None and std is not None:
        x = standardised(x, mean, std)
    x = x * factor.to(dtype)[:, None, None]
    if params.noise is not None:
        x = x + spec.noise * params.noise.to(x)
    masked = (step >= hidden[:, :1]) & (step < hidden.sum(dim=1, keepdim=True))
    return x.masked_fill(masked[:, None], 0.0)


def standardised(x: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """`(x - mean) / std` along the second axis: of each channel of signals, or each column of a table."""
    shape = (-1, *[1] * (x.ndim - 2))
    moments = torch.tensor([[float(v) for v in values] for values in (mean, std)], dtype=torch.float32).to(x)
    centre, spread = (values.reshape(shape) for values in moments.unbind())
    made: Tensor = (x - centre) / spread
    return made


@dataclass(frozen=True)
class Signals:
    """Several views of each signal: one `SignalView` per view.

    Args:
        specs: the augmentation of each view.
        length: T, time steps per view; `None`: that of the signals. A crop is a share of it, so a view of a long
            recording is a piece of it at about its own tempo.
        mean: mean of each channel, or `None` to leave the units as they are.
        std: standard deviation of each channel, or `None`.

    Raises:
        ConfigError: no views, a length below 1, or a mean without a std.

    Example:
        >>> views = Signals(length=100)
        >>> a, b = views(torch.randn(8, 3, 400), torch.arange(8), seed=0, epoch=0)
        >>> a.shape, bool((a == b).all())
        (torch.Size([8, 3, 100]), False)
    """

    specs: tuple[SignalView, ...] = (SignalView(), SignalView())
    length: int | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not self.specs:
            raise ConfigError("views without a single SignalView: give at least one")
        if self.length is not None and self.length < 1:
            raise ConfigError(f"length={self.length}: a view has at least 1 reading")
        if (self.mean is None) != (self.std is None):
            raise ConfigError("a mean without a std, or a std without a mean: give both or neither")

    def __len__(self) -> int:
        """Number of views."""
        return len(self.specs)

    def __call__(
        self, signals: Tensor | np.ndarray, index: Tensor | np.ndarray | Sequence[int], seed: int = 0, epoch: int = 0
    ) -> list[Tensor]:
        """Draw and apply every view of N x C x L signals; a view depends on its sample's id, not on its position.

        Raises:
            DataError: signals of the wrong shape or type, shorter than the views, or not as many as ids.
        """
        x, ids = self._checked(signals, index)
        size = self.length or x.shape[2]
        drawn = self.draw(x, ids, seed=seed, epoch=epoch)
        return [apply_signal(spec, x, p, size, self.mean, self.std) for spec, p in zip(self.specs, drawn, strict=True)]

    def draw(
        self, signals: Tensor | np.ndarray, index: Tensor | np.ndarray | Sequence[int], seed: int = 0, epoch: int = 0
    ) -> list[SignalParams]:
        """Draw the parameters of every view; only the shape of the signals matters."""
        x, ids = self._checked(signals, index)
        shape = (x.shape[1], x.shape[2], self.length or x.shape[2])
        return [
            draw_signal(spec, ids, shape, seed=seed, epoch=epoch, view=view) for view, spec in enumerate(self.specs)
        ]

    def _checked(
        self, signals: Tensor | np.ndarray, index: Tensor | np.ndarray | Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        x, ids = torch.as_tensor(signals), torch.as_tensor(index, dtype=torch.int64).cpu()
        if x.ndim != 3 or not x.is_floating_point():
            raise DataError(f"signals of shape {tuple(x.shape)} and type {x.dtype}: give N x C x L floats")
        if ids.shape != x.shape[:1]:
            raise DataError(f"{len(x)} signals but ids of shape {tuple(ids.shape)}: give one int64 id a signal")
        if (self.length or 1) > x.shape[2]:
            raise DataError(f"views of {self.length} readings from signals of {x.shape[2]}: give at most as many")
        if self.mean is not None and len(self.mean) != x.shape[1]:
            raise DataError(f"signals of {x.shape[1]} channels, the normalisation has {len(self.mean)}: give one each")
        return x, ids
