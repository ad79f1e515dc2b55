"""A run's encoder as one file for use elsewhere: a program that includes its normalisation, or its weights.

| file | holds | read by |
|---|---|---|
| .onnx | a program | ONNX Runtime and similar programs |
| .pt2 | a program | `torch.export.load(file).module()`, without this package |
| .safetensors | weights by name, without `body.` before those of torchvision or timm | `load_state_dict`, `--init` |

A program takes samples as they are, in float32: images N x C x H x W in [0, 1], signals N x C x L, rows N x D. The file
contains a description of its encoder, as text; its key `normalisation` says whether mean and std are applied `inside`.
"""

import io
import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from infomax.encoders.bridges import Features
from infomax.errors import ConfigError, InfomaxError, NumericsError, warn
from infomax.evaluate.example_inputs import alike, kind_of
from infomax.evaluate.features import features, fits
from infomax.extras import getting, installed
from infomax.files import write_bytes
from infomax.heads import copied
from infomax.training.defaults import standardises

if TYPE_CHECKING:
    from infomax.data import Dataset
    from infomax.training.run import Run

KINDS = (".onnx", ".pt2", ".safetensors")
NEEDED = ("onnx", "onnxscript", "onnxruntime")
"""Packages that an .onnx file takes: to write it, and to hear what it says."""

ENCODERS = ("f", "g")
CHECKED = 3
"""Samples by which a file is held against the encoder."""

APART = 1e-3
"""By how much of the largest feature it may differ: float32 in another order of sums stays below a hundredth of that."""

_OF_HERE = ("init", "init_known_by", "checkpoint_path")
"""Options of an encoder that are paths, and what lay there."""


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Args:
        path: path of the file.
        takes: the input shape, with a word for each free dimension (one word twice if the sides must be equal); empty if
            the file holds only weights.
        width: number of features.
        size: side in pixels at which whole images are to be shown to the encoder; None for other data.
        difference: largest absolute difference between its features and the encoder's.
        largest: largest absolute value among the encoder's features.
        seen: the inputs on which they were compared.
        normalised: whether the encoder takes normalised samples.
    """

    path: Path
    takes: tuple[str, ...]
    width: int
    size: int | None
    difference: float
    largest: float
    seen: str
    normalised: bool = True

    def __str__(self) -> str:
        """A few lines for a terminal."""
        what = f"float32 {' x '.join(self.takes)} to N x {self.width}" if self.takes else "weights"
        whole = "" if self.size is None else f"; images in [0, 1], resized to {self.size} x {self.size}"
        inside = "normalised inside" if self.takes else "mean and std in its metadata"
        inside = inside if self.normalised else "not normalised"
        return (
            f"wrote {self.path}: {what}{whole}; {inside}\n"
            f"largest difference from the encoder: {self.difference:.1e}, of features up to {self.largest:.3g} ({self.seen})"
        )


class Program(nn.Module):
    """An encoder with its normalisation in front.

    Args:
        encoder: takes normalised samples.
        mean, std: mean and standard deviation of each channel; None: no normalisation.
        axes: number of axes after the channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: nn.Module, mean: Tensor | None, std: Tensor | None, axes: int) -> None:
        super().__init__()
        self.encoder, self.plain = encoder, mean is None
        shape = (-1, *[1] * axes)
        self.register_buffer("mean", None if mean is None else mean.reshape(shape))
        self.register_buffer("std", None if std is None else std.reshape(shape))

    def forward(self, samples: Tensor) -> Tensor:
        """Features of samples as they are."""
        out: Tensor = self.encoder(samples if self.plain else (samples - self.mean) / self.std)
        return out


def export(run: "Run", out: str | Path, *, encoder: str = "f", size: int | None = None) -> Exported:
    """Write a run's encoder to a new file, a program or weights by the file's ending, and compare it with the encoder.

    A warning says if the run is not finished.

    Args:
        run: a run with its learner.
        out: a new `.onnx`, `.pt2` or `.safetensors` file.
        encoder: f, or g, the second encoder: SDMI trains it, and in other methods it follows f as a moving average.
        size: side in pixels at which whole images are to be shown to the encoder; None: `Run.size`. If an encoder takes
            images of any size, so does its program.

    Returns:
        A description of the file, with the largest difference between its features and the encoder's on noise; it
            prints as two lines.

    Raises:
        ConfigError: a file that exists or has another ending, missing packages, no second encoder, an encoder of a
            graph, or one that torch cannot export.
        DataError: a size that the encoder cannot take.
        NumericsError: the file's outputs differ from the encoder's; the file is then not kept.
    """
    path = new_file(out)
    if kind_of(run) == "nodes":
        raise ConfigError(
            f"the encoder of {run.config['data']['name']!r} takes a graph's edges beside its nodes, as no such file does: "
            "infomax embed writes the features themselves"
        )
    net = chosen(run, encoder)
    side = fits(run, alike(run), size)
    some = alike(run, CHECKED, side)
    about = {
        "infomax": _version(),
        "method": run.learner.name,
        "encoder": _name(net),
        "recipe": json.dumps({k: v for k, v in _recipe(net).items() if k not in _OF_HERE}, default=str),
        "of": encoder,
        "mean": json.dumps(list(some.mean) if standardises(some) else None),
        "std": json.dumps(list(some.std) if standardises(some) else None),
        "normalisation": ("outside" if path.suffix == ".safetensors" else "inside") if standardises(some) else "none",
        "size": json.dumps(side),
    }
    if path.suffix == ".safetensors":
        data, done = _weights(net, some, side, about, path)
    else:
        data, done = _program(run, net, some, side, about, path)
    done = replace(done, normalised=standardises(some))
    if run.unfinished:
        warn(run.unfinished)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, data)
    return done


def new_file(out: str | Path) -> Path:
    """The file that an encoder is to be written to, untouched: asked before anything is read.

    Raises:
        ConfigError: a file that exists, or of another kind, or an `.onnx` file without what writes it.
    """
    path = Path(out)
    if path.suffix not in KINDS:
        raise ConfigError(f"{path}: encoders are written as {', '.join(KINDS[:-1])} or {KINDS[-1]}: name such a file")
    if path.exists():
        raise ConfigError(f"{path} exists: nothing is overwritten; name another file")
    if path.suffix == ".onnx" and (missing := [name for name in NEEDED if not installed(name)]):
        raise ConfigError(f"{path}: an .onnx file takes {', '.join(missing)}: {getting('onnx')}; or name a .pt2 file")
    if path.suffix == ".onnx" and torch.__version__ < "2.7":
        raise ConfigError(
            f"{path}: torch {torch.__version__} writes no batch norm to ONNX, 2.7 does; or name a .pt2 file"
        )
    return path


def chosen(run: "Run", which: str) -> nn.Module:
    """A copy of one of a run's encoders, on the CPU and in 32 bits, as it behaves in evaluation.

    Raises:
        ConfigError: another name, or no second encoder.
    """
    if which not in ENCODERS:
        raise ConfigError(f"encoder={which!r}: give {' or '.join(ENCODERS)}")
    net, g = run.learner.encoder, run.learner.g
    if which == "g":
        if g is None:
            raise ConfigError(f"{run.learner.name} has one encoder, f: leave encoder='g' out (--encoder g)")
        net = getattr(g, "encoder", g)
    found: nn.Module = copied(net).cpu().float().to(memory_format=torch.contiguous_format).eval()
    for p in found.parameters():
        p.requires_grad_(False)
    return found


def _weights(
    net: nn.Module, some: "Dataset", side: int | None, about: dict[str, str], path: Path
) -> tuple[bytes, Exported]:
    from safetensors.torch import load, save

    prefix = "body." if isinstance(net, Features) else ""  # the library's own names
    tensors = {name.removeprefix(prefix): t.clone().contiguous() for name, t in net.state_dict().items()}
    data = save(tensors, about)
    again = copied(net)
    with torch.no_grad():
        for t in again.state_dict().values():
            t.zero_()
    again.load_state_dict({prefix + name: t for name, t in load(data).items()})
    own, read = (_features(one, some, side) for one in (net, again))
    return data, _held(path, (), own, read, side, _said(some))


def _program(
    run: "Run", net: nn.Module, some: "Dataset", side: int | None, about: dict[str, str], path: Path
) -> tuple[bytes, Exported]:
    """The program as bytes, its sides free where the encoder and what exports it allow."""
    mean, std = (torch.tensor(v, dtype=torch.float32) for v in (some.mean, some.std))
    axes = some.images[0].ndim - 1
    program = Program(net, mean, std, axes) if standardises(some) else Program(net, None, None, axes)
    others = _others(run, net, some, side)
    for free in (True, False) if others else (False,):
        try:
            exported, takes = _traced(program.eval(), _given(some), free)
            data, read = _onnx(exported, about) if path.suffix == ".onnx" else _pt2(exported, about)
            word = all(not one.isdigit() for one in takes[2:])
            seen = [some, *(others if free and word else ())]
            own = [_features(net, one, _side(one, side)) for one in seen]
            told = [read(_given(one)) for one in seen]
            done = _held(path, takes, torch.cat(own), torch.cat(told), side, _said(*seen))
            return data, done
        except Exception as error:  # of torch, onnx or onnxruntime: whatever what they cannot do may raise
            if free:
                continue
            if isinstance(error, InfomaxError):
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise ConfigError(
                f"{path}: torch cannot export the encoder {about['encoder']} ({reason}): its weights alone go into .safetensors"
            ) from error
    raise AssertionError("the last of the loop returns or raises")


def _others(run: "Run", net: nn.Module, some: "Dataset", side: int | None) -> list["Dataset"]:
    """Samples of another size, where the encoder takes them and has the same features; none where it takes one alone."""
    if not (some.is_images or some.is_signals):
        return []
    if some.is_images and side is not None:
        other = alike(run, CHECKED, 2 * side)
    else:
        x = torch.as_tensor(some.images)
        other = replace(some, images=x[..., : math.ceil(3 * x.shape[-1] / 4)])
    try:
        z = _features(net, other, _side(other, side))
        return [other] if z.shape[1] == _features(net, some, side).shape[1] else []
    except Exception:  # an encoder of the user's may say anything; one of torchvision's asserts
        return []


def _side(some: "Dataset", side: int | None) -> int | None:
    return None if side is None else some.size


def _features(net: nn.Module, some: "Dataset", side: int | None) -> Tensor:
    """As `infomax embed` has them."""
    return features(net, some, side, statistics=(some.mean, some.std), progress=False)


def _given(some: "Dataset") -> Tensor:
    """Samples as a program takes them."""
    if some.is_images:
        return torch.as_tensor(some.images).permute(0, 3, 1, 2).contiguous().float() / 255
    return torch.as_tensor(some.images)


def _traced(program: nn.Module, example: Tensor, free: bool) -> tuple[Any, tuple[str, ...]]:
    """The program, and what it takes."""
    from torch.export import Dim

    dims: dict[int, Any] = {0: Dim("n")} | (dict.fromkeys(range(2, example.ndim), Dim.AUTO) if free else {})
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        exported = torch.export.export(program, (example,), dynamic_shapes=(dims,))
    for node in exported.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    (taken,) = (node.meta["val"] for node in exported.graph.nodes if node.name == "samples")
    words = ("N", "", *("HW" if example.ndim == 4 else "L"))
    sizes = [str(one) for one in taken.shape]
    # an encoder may take equal sides alone, which are one size then, under the first one's word
    return exported, tuple(size if size.isdigit() else words[sizes.index(size)] for size in sizes)


def _pt2(exported: Any, about: Mapping[str, str]) -> tuple[bytes, Any]:
    buffer = io.BytesIO()
    torch.export.save(exported, buffer, extra_files={"infomax.json": json.dumps(dict(about))})
    module = torch.export.load(io.BytesIO(buffer.getvalue())).module()

    def read(x: Tensor) -> Tensor:
        with torch.no_grad():
            made: Tensor = module(x)
            return made

    return buffer.getvalue(), read


def _onnx(exported: Any, about: Mapping[str, str]) -> tuple[bytes, Any]:
    import onnxruntime

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: Any = torch.onnx.export(
            exported, (), dynamo=True, input_names=["samples"], output_names=["features"], verbose=False
        )
    model = made.model_proto
    _named(model.graph, ("N", "C", *("HW" if len(model.graph.input[0].type.tensor_type.shape.dim) == 4 else "L")))
    for key, value in about.items():
        model.metadata_props.add(key=key, value=value)
    data = model.SerializeToString()
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, quiet, providers=["CPUExecutionProvider"])
    return data, lambda x: torch.from_numpy(session.run(None, {"samples": x.numpy()})[0])


def _named(graph: Any, words: Sequence[str]) -> None:
    """Name the free axes of an ONNX program by what they are, wherever its values have them; torch numbers them."""
    axes = graph.input[0].type.tensor_type.shape.dim
    named: dict[str, str] = {}
    for dim, word in zip(axes, words, strict=False):
        if dim.dim_param.isidentifier():
            named.setdefault(dim.dim_param, word)
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_param"):
                dim.dim_param = re.sub(r"[A-Za-z_]\w*", lambda found: named.get(found[0], found[0]), dim.dim_param)


def _held(path: Path, takes: tuple[str, ...], own: Tensor, read: Tensor, side: int | None, seen: str) -> Exported:
    """What was written, held against the encoder.

    Raises:
        NumericsError: where it says another thing.
    """
    apart = float((own - read).abs().max()) if own.shape == read.shape else math.inf
    largest = float(own.abs().max())
    if not apart <= APART * largest:
        raise NumericsError(
            f"{path} is not written: its features are {apart:.1e} from the encoder's, of values up to {largest:.3g} ({seen})"
        )
    return Exported(path, takes, own.shape[1], side, apart, largest, seen)


def _said(*seen: "Dataset") -> str:
    """What was compared on."""
    sizes = " and ".join(str(one.size if one.is_images else one.images[0].shape[-1]) for one in seen)
    unit = {"images": "px", "signals": "readings"}.get(seen[0].kind)
    return f"{CHECKED} samples of noise" + (f", at {sizes} {unit}" if unit else "")


def _recipe(net: nn.Module) -> Mapping[str, Any]:
    recipe = getattr(net, "recipe", None)
    return recipe if isinstance(recipe, Mapping) else {}


def _name(net: nn.Module) -> str:
    return str(_recipe(net).get("name", type(net).__name__))


def _version() -> str:
    import infomax

    return infomax.__version__
