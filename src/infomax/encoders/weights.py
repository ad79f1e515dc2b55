"""The initial weights of an encoder: published by its library, from another run, or from a file."""

import contextlib
import hashlib
import pickle
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from infomax.errors import ConfigError, DataError, beside

PRETRAINED = "pretrained"
"""What asks for the published weights, in place of a path."""

OF_A_RUN = "learner.safetensors"
_PREFIXES = ("f.encoder.", "f.")
"""Where the encoder stands among a run's weights: within its branch, or as the branch itself."""

NONE_READ = (
    "no weights can be read from it ({}): give .safetensors, or an encoder's state_dict() by torch.save, tensors alone"
)
"""Of a file that is none, with the name of what it raised."""

_WITHIN = ("state_dict", "model", "model_state_dict")
"""Where the tensors stand in a checkpoint."""


def begin(encoder: nn.Module, source: str | Path) -> None:
    """Load the weights of another run's encoder, or of a file, into an encoder; nothing in the file is executed.

    Args:
        encoder: an encoder of the same architecture.
        source: the folder of a run; or a file of tensors by name, `.safetensors` or a `state_dict` written by
            `torch.save`. It may hold the encoder's own tensors or those of a larger model that contains it (`found`).

    Raises:
        DataError: a path that does not exist, or holds no weights that can be read.
        ConfigError: weights of another architecture; the message names the first difference.

    Example:
        >>> import tempfile
        >>> a, b = nn.Linear(2, 3), nn.Linear(2, 3)
        >>> with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        ...     torch.save(a.state_dict(), file.name)
        ...     begin(b, file.name)
        >>> bool((a.weight == b.weight).all())
        True
    """
    path, run = located(source), run_of(source)
    tensors = found(encoder, _of_file(path), str(path)) if run is None else _of_run(run)
    fill(encoder, tensors, str(path))


def located(source: str | Path) -> Path:
    """Find the weights; called before the data are read, which takes long.

    Raises:
        DataError: a path that does not exist, or a folder that is not a run.
    """
    path = Path(source).expanduser()
    if path.is_dir() and not (path / OF_A_RUN).is_file():
        raise DataError(f"{path} is no run with weights: it holds no {OF_A_RUN}")
    if not path.exists():
        raise DataError(f"no weights {path}: name a run's folder or a file; {beside(path)}".rstrip("; "))
    return path


def known_by(source: str | Path) -> str | None:
    """The hash of the file that an encoder begins with; None of published weights, which stay what they are.

    Raises:
        DataError, OSError: see `located`; or a file that cannot be read.

    Example:
        >>> print(known_by("pretrained"))
        None
    """
    if str(source) == PRETRAINED:
        return None
    path = located(source)
    with (path / OF_A_RUN if path.is_dir() else path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def run_of(source: str | Path) -> Path | None:
    """The folder of the run whose weights are named, by its path or by that of the file in it; None: of no run.

    Example:
        >>> run_of("runs/a/learner.safetensors").as_posix(), run_of("pretrained"), run_of("resnet18.pth")
        ('runs/a', None, None)
    """
    path = Path(source).expanduser()
    return path if path.is_dir() else path.parent if path.name == OF_A_RUN else None


def found(encoder: nn.Module, tensors: Mapping[str, Tensor], source: str) -> Mapping[str, Tensor]:
    """An encoder's tensors among those of a larger model: a model with its classifier, such as the files of torchvision
    and timm, or a learner of another library, with its backbone behind a prefix (`backbone.conv1.weight`).

    The layers may also be numbered, as `nn.Sequential(*list(resnet.children())[:-1])` numbers them
    (`backbone.4.0.conv1.weight` is `layer1.0.conv1.weight`).

    A prefix matches if every tensor of the encoder is found behind it, in its shape, and no others of the same parts (a
    ResNet-34 has all tensors of a ResNet-18, and more in each layer). If several match, the one whose name is part of
    the others is taken, which excludes a moving average (`momentum_backbone.`, `backbone_momentum.`). If none matches,
    all tensors are returned, to be compared.

    Raises:
        ConfigError: several prefixes match, none of which is part of the others.

    Example:
        >>> whole = {"net.weight": torch.ones(3, 2), "net.bias": torch.zeros(3), "head.weight": torch.ones(1, 3)}
        >>> list(found(nn.Linear(2, 3), whole, "a.pt"))
        ['weight', 'bias']
    """
    own = encoder.state_dict()
    if difference(own, tensors) is None:
        return tensors
    mine = {name: tuple(t.shape) for name, t in own.items()}
    bodies = {name: name.removeprefix("body.") for name in mine}  # what `Features` puts before the names of its library
    for names in ({name: name for name in mine}, bodies, _numbered(encoder, bodies)):
        first = next(iter(names.values()), "")
        prefixes = [key.removesuffix(first) for key in tensors if key.endswith(first)]
        prefixes = [p for p in prefixes if not p or p.endswith(".")]
        whole = [p for p in prefixes if all(_fits(tensors, p + names[n], shape) for n, shape in mine.items())]
        short = sorted((p for p in whole if not _goes_on(p, names.values(), tensors)), key=len)
        if other := next((p for p in short[1:] if short[0].rstrip(".") not in p or p == short[0]), None):
            raise ConfigError(
                f"{source} holds such an encoder twice, behind {short[0]!r} and {other!r}: load the one that you mean by "
                "encoder.load_state_dict"
            )
        if short:
            return {name: tensors.get(short[0] + names[name], own[name]) for name in mine}
    return tensors


def _numbered(encoder: nn.Module, names: Mapping[str, str]) -> dict[str, str]:
    """The names of an encoder's tensors where a sequence of its parts has their numbers.

    Example:
        >>> from collections import OrderedDict
        >>> net = nn.Sequential(OrderedDict(stem=nn.Linear(2, 3), act=nn.ReLU(), top=nn.Linear(3, 4, bias=False)))
        >>> _numbered(net, {name: name for name in net.state_dict()})
        {'stem.weight': '0.weight', 'stem.bias': '0.bias', 'top.weight': '2.weight'}
    """
    body = encoder.body if any(name.startswith("body.") for name in names) else encoder
    assert isinstance(body, nn.Module)
    number = {name: str(k) for k, (name, _) in enumerate(body.named_children())}
    parts = {mine: name.split(".", 1) for mine, name in names.items()}
    return {mine: ".".join([number.get(part[0], part[0]), *part[1:]]) for mine, part in parts.items()}


def _goes_on(prefix: str, names: Collection[str], tensors: Mapping[str, Tensor]) -> bool:
    """Whether the parts of an encoder have more tensors behind a prefix than the encoder has."""
    parts, known = {name.split(".")[0] for name in names}, set(names)
    behind = (key.removeprefix(prefix) for key in tensors if key.startswith(prefix))
    return any(name.split(".")[0] in parts and name not in known for name in behind)


def _fits(tensors: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> bool:
    """Whether there is such a tensor; batch norms' counts of updates, which older files lack, may be missing."""
    return _shape(tensors, name) == shape or (name.endswith(".num_batches_tracked") and name not in tensors)


def _shape(tensors: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None


def fill(encoder: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy tensors into an encoder by name: all that it has, and no others.

    Raises:
        ConfigError: where a name or a shape differs, naming the first.
    """
    if differs := difference(encoder.state_dict(), tensors):
        raise ConfigError(
            f"{source} are the weights of another encoder: {differs}; ask for the same encoder, channels and size"
        )
    encoder.load_state_dict(dict(tensors))


def difference(here: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> str | None:
    """The first tensor, by name, that one side lacks or has in another shape; None: there is none.

    Example:
        >>> difference({"a": torch.zeros(2)}, {"a": torch.zeros(3)})
        'a is (3,) there and (2,) here'
    """
    for name in {**here, **there}:
        ours, theirs = (_shape(side, name) for side in (here, there))
        if ours != theirs:
            said = ("missing" if shape is None else str(shape) for shape in (theirs, ours))
            return f"{name} is {' there and '.join(said)} here"
    return None


def _of_run(folder: Path) -> dict[str, Tensor]:
    tensors = _of_file(folder / OF_A_RUN)
    prefix = next(p for p in _PREFIXES if p == _PREFIXES[-1] or any(name.startswith(p) for name in tensors))
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


class Inert:
    """What stands for anything but tensors in a file of weights: takes whatever it is given, and does nothing with it.

    Example:
        >>> made = Inert("rm -rf", a=1)
        >>> made.__setstate__({"b": 2})
        >>> vars(made)
        {}
    """

    def __new__(cls, *_: Any, **__: Any) -> "Inert":
        """One without anything in it."""
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _beside_tensors(file: Path) -> list[str]:
    """Names of what a file of torch.save holds beside tensors, such as the options of a checkpoint (argparse.Namespace).

    The file is not loaded for it, and what the names stand for is neither imported nor called.
    """
    with contextlib.suppress(ValueError, RuntimeError, OSError, EOFError, pickle.UnpicklingError):
        return torch.serialization.get_unsafe_globals_in_checkpoint(file)
    return []  # of a format of before, or no such file: loading it says so


def _of_file(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        with torch.serialization.safe_globals([(Inert, name) for name in _beside_tensors(file)]):
            held: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DataError(
            f"{file} holds more than tensors, which only its own code can read: where you trust it, write its tensors alone, "
            "torch.save(torch.load(FILE, weights_only=False)['state_dict'], 'weights.pt')"
            if zipfile.is_zipfile(file)
            else f"{file}: {NONE_READ.format('UnpicklingError')}"
        ) from None
    except Exception as error:  # of pickle, zipfile or safetensors: whatever a file that is none may raise
        raise DataError(f"{file}: {NONE_READ.format(type(error).__name__)}") from None
    if isinstance(held, Mapping):  # a checkpoint of Lightning, or of what others write
        held = next((held[key] for key in _WITHIN if isinstance(held.get(key), Mapping)), held)
    if not isinstance(held, Mapping) or not all(isinstance(t, Tensor) for t in held.values()):
        raise DataError(f"{file} holds no tensors by name: give what torch.save made of an encoder's state_dict()")
    return dict(held)
