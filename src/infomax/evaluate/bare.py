"""An encoder that no run here has trained, as a run: judged, embedded with and exported as any other."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from infomax.critic import Cosine
from infomax.data import Dataset, Graph
from infomax.data.content import content
from infomax.errors import ConfigError, InfomaxError
from infomax.evaluate.features import features
from infomax.heads import Branch
from infomax.joint import Alignment
from infomax.learner import Learner
from infomax.marginal import DonskerVaradhan
from infomax.target import Shared
from infomax.training.checkpoint import plain
from infomax.training.defaults import dataset, read_for, standardises, view_size
from infomax.words import many

if TYPE_CHECKING:
    from infomax.training.run import Run


def of(
    encoder: nn.Module,
    data: Any,
    size: int | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    root: str | None,
) -> "Run":
    """A run without a log and without views around an encoder; see `Run.of`."""
    from infomax.training.run import Run

    samples = dataset(data, root, how=read_for(size))
    learner = encoder if isinstance(encoder, Learner) else _around(encoder)
    mean, std = _statistics(samples, mean, std)
    if size is not None and not samples.is_images:
        raise ConfigError(
            f"size={size} of {samples.name!r} ({samples.kind}): only images are brought to a size; leave it out"
        )
    side = view_size(samples, size) if samples.is_images else None
    _try_out(learner.encoder, samples, side, (mean, std))
    config = {
        "method": learner.recipe,
        "encoder": getattr(learner.encoder, "recipe", {}),
        "data": {"name": samples.name, "samples": len(samples), "root": root, "mean": mean, "std": std}
        | {"source": samples.origin[0] if samples.origin else None, "content": content(samples)}
        | {"kind": samples.kind, "shape": samples.shape, "read_by": samples.read_by},
        "views": {"recipe": None, "own": None, "made": "", "size": side},
        "training": {},
    }
    return Run(learner, plain(config), data=samples)


def _around(encoder: Any) -> Learner:
    """A learner that is never trained."""
    cosine = Cosine()
    branch, name = Branch(encoder), type(encoder).__name__
    return Learner(branch, Shared(), Alignment(cosine), DonskerVaradhan(cosine), name=name)


def _statistics(
    data: Dataset, mean: tuple[float, ...] | None, std: tuple[float, ...] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Those that are given, else the data's own.

    Raises:
        ConfigError: one without the other, not one a channel, no deviation, or of samples that are taken as they are.
    """
    if mean is None and std is None:
        return data.mean, data.std
    if mean is None or std is None:
        raise ConfigError("a mean without a std, or a std without a mean: give both or neither")
    if not standardises(data):
        raise ConfigError(f"mean and std of {data.name!r} ({data.kind}): these are taken as they are; leave them out")
    mean, std = tuple(map(float, mean)), tuple(map(float, std))
    if not len(mean) == len(std) == data.channels or min(std) <= 0:
        raise ConfigError(
            f"mean={mean} and std={std} of {data.name!r}, of {many(data.channels, 'channel')}: give one of each a "
            "channel, every std above 0"
        )
    return mean, std


def _try_out(
    encoder: nn.Module, data: Dataset, side: int | None, statistics: tuple[tuple[float, ...], tuple[float, ...]]
) -> None:
    """Encode two samples, so that an encoder that cannot take them is told at once.

    Raises:
        ConfigError: an encoder that cannot, or gives no N x D.
    """
    some = data if isinstance(data, Graph) else Dataset(data.images[:2], mean=data.mean, std=data.std)
    gave: list[Any] = []
    hook = encoder.register_forward_hook(lambda _, __, out: gave.append(out))
    what = f"{type(encoder).__name__}: samples of {data.name!r}" + (f" at {side} pixels" if side is not None else "")
    failed: Exception | None = None
    try:
        features(encoder, some, side, statistics=statistics, progress=False)
    except InfomaxError:
        raise
    except Exception as error:  # a module of the user's may raise anything
        failed = error
    finally:
        hook.remove()
    if failed is not None and not gave:
        said = (str(failed) or type(failed).__name__).splitlines()[0]
        other = (
            f"; build it for {many(data.channels, 'channel')}: im.encoders.get(NAME, channels={data.channels}), timm's "
            f"in_chans={data.channels}"
        )
        raise ConfigError(
            f"{what} ({many(data.channels, 'channel')}) cannot be taken: {said}{other * ('channels' in said)}"
        ) from None
    out = gave[0]
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != len(some):
        shape = (
            f"shape {' x '.join(map(str, out.shape))}" if isinstance(out, torch.Tensor) else f"a {type(out).__name__}"
        )
        raise ConfigError(
            f"{what} become {shape}: an encoder gives N x D; add pooling or flattening, or take its classifier off"
        ) from failed
    if failed is not None:  # of what the encoder gave nothing is wrong
        raise failed
