"""Where and in which numbers a run computes. Lightning Fabric places, launches and scales; it is imported only where there
is something for it to do, as that takes 20 seconds: several processes, or 16 bits that are scaled."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from infomax.errors import ConfigError, nearest
from infomax.heap import keep_freed
from infomax.parallel import world
from infomax.precision import FULL, Precision
from infomax.words import many

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PrecisionName = Literal["32-true", "16-mixed", "bf16-mixed", "bf16-true", "64-true", "auto"]
PRECISIONS: dict[PrecisionName, torch.dtype | None] = {
    "32-true": None,
    "16-mixed": None,
    "bf16-mixed": None,
    "bf16-true": torch.bfloat16,
    "64-true": torch.float64,
}
"""Each precision, with the type that weights and views are brought to; None: they stay as they are. The objective is
always read in at least 32 bits."""


class Narrow(Precision):
    """bf16-mixed: matrix products in 16 bits, by torch's autocast."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def forward(self) -> AbstractContextManager[Any]:
        """Autocast."""
        return torch.autocast(self.device.type, torch.bfloat16)


class Throughout(Precision):
    """bf16-true, 64-true: one type for weights, views, and whatever a module makes as it runs."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    @contextmanager
    def forward(self) -> Iterator[None]:
        """With the type as the default."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


class Scaled(Precision):
    """16-mixed: the loss is scaled, so that small gradients do not vanish, as Lightning Fabric does it."""

    scales = True

    def __init__(self, fabric: "Fabric") -> None:
        self.fabric = fabric

    def forward(self) -> AbstractContextManager[Any]:
        """Fabric's autocast."""
        return self.fabric.autocast()

    def backward(self, loss: Tensor) -> None:
        """With the loss scaled, where 16 bits need it."""
        self.fabric.backward(loss)

    def unscale(self, optimizer: Optimizer) -> None:
        """Divide the gradients by the loss's scale."""
        self.fabric.strategy.precision.unscale_gradients(optimizer)

    def step(self, optimizer: Optimizer) -> None:
        """Move the weights; a scaler leaves the step out where a gradient overflowed."""
        self.fabric.strategy.optimizer_step(optimizer)

    def state(self) -> dict[str, Any]:
        """The scaler's numbers."""
        return dict(self.fabric.strategy.precision.state_dict())

    def load(self, state: dict[str, Any]) -> None:
        """Take them up."""
        self.fabric.strategy.precision.load_state_dict(state)


@dataclass(frozen=True)
class Place:
    """A device, the type of the weights, and the precision of the steps."""

    device: torch.device
    dtype: torch.dtype | None
    precision: Precision


def compile_branch(branch: nn.Module, *, graphs: bool = False) -> None:
    """Have torch compile a branch, in place; with `graphs` into CUDA graphs, so that a slow host does not hold up a GPU."""
    if graphs:
        importlib.import_module(
            "torch._inductor.cudagraph_trees"
        )  # by which `precision.begins` knows, from the first step on
    branch.compile(mode="reduce-overhead" if graphs else None)


def uncompiled() -> AbstractContextManager[Any]:
    """The context in which what was compiled runs as it is written: for a shape or a mode that comes but once."""
    # without anything compiled torch's compiler need not be loaded, which takes a second
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


def launched_processes() -> int | None:
    """Processes of this machine that torchrun started; None where it did not."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else None


def _one_task_of_slurm() -> bool:
    """Whether this is the only process of its kind in a job of SLURM, though the job may have been given more tasks."""
    return "SLURM_NTASKS" in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) == 1


def chosen(precision: PrecisionName, device: str = "auto") -> PrecisionName:
    """What `auto` comes to: bf16-mixed where the processor or GPU multiplies in 16 bits by itself, else 32-true.

    Any other precision is itself. Processors that do have AVX512-BF16 or AMX (AMD since Zen 4, Intel's Xeons since Sapphire
    Rapids); GPUs, since Ampere. Elsewhere bf16-mixed works too, and is slower than 32-true.

    Example:
        >>> chosen("64-true"), chosen("auto", "cpu") in ("bf16-mixed", "32-true")
        ('64-true', True)
    """
    if precision != "auto":
        return precision
    if str(device).startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        native = _gpu_is_native("cuda" if device == "auto" else str(device))
    else:  # what torch dispatches by, under names of its own; an older one may lack a name
        native = any(
            getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        )
    return "bf16-mixed" if native else "32-true"


def _gpu_is_native(device: str) -> bool:
    """Whether the GPU that is named, and not the one in use, multiplies in 16 bits; False of one that is not there."""
    try:
        where = torch.device(device)
    except RuntimeError:  # `checked` says so
        return False
    if not torch.cuda.is_available() or (where.index or 0) >= torch.cuda.device_count():
        return False
    with torch.cuda.device(where):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def checked(device: str, devices: int, precision: PrecisionName) -> tuple[torch.device, int]:
    """The device that is meant, and how many processes of this machine; nothing is started.

    Raises:
        ConfigError: a device, number or precision that is not there.

    Example:
        >>> checked("cpu", 0, "32-true")
        Traceback (most recent call last):
        infomax.errors.ConfigError: devices=0: give at least 1
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"no precision {precision!r}: {nearest(precision, (*PRECISIONS, 'auto'))}")
    try:
        where = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    except RuntimeError:
        raise ConfigError(f"no device {device!r}: give cpu, cuda, cuda:0 or auto") from None
    if where.type not in ("cpu", "cuda"):
        raise ConfigError(f"device {device!r} is none that runs are tried on: give cpu, cuda, cuda:0 or auto")
    there = torch.cuda.device_count() if where.type == "cuda" else 0
    seen = f"torch sees {many(there, 'CUDA device')}"
    if where.type == "cuda" and (where.index or 0) >= there:
        raise ConfigError(f"device {device!r} is asked for, but {seen}")
    if precision == "16-mixed" and where.type != "cuda":
        raise ConfigError(f"precision '16-mixed' needs a CUDA device, not {where.type}: take bf16-mixed")
    processes = launched_processes() or devices
    if processes < 1:
        raise ConfigError(f"devices={processes}: give at least 1")
    if where.type == "cuda" and processes > there:
        raise ConfigError(f"devices={processes}: {seen}")
    return where, processes


def place(device: str = "auto", devices: int = 1, precision: PrecisionName = "32-true") -> Place:
    """Choose the device, and start the other processes where several are asked for.

    Args:
        device: cpu, cuda, cuda:1, or auto.
        devices: processes of this machine, one a GPU (on CPU: processes that share it). Under torchrun its number counts.
        precision: one of `PRECISIONS`, or auto (see `chosen`).

    Raises:
        ConfigError: a device, number or precision that is not there.

    Example:
        >>> place("cpu").device
        device(type='cpu')
    """
    precision = chosen(precision, device)
    where, processes = checked(device, devices, precision)
    if where.type == "cuda":
        torch.backends.cudnn.benchmark = True  # a run's views have one size: the fastest convolution is sought once
    else:
        keep_freed()
    nodes = int(os.environ.get("GROUP_WORLD_SIZE", 1)) if launched_processes() else 1
    dtype = PRECISIONS[precision]
    # a process group that is there already was made by the caller, who has placed the processes
    if (processes * nodes == 1 or world() > 1) and precision != "16-mixed":
        return Place(where, dtype, _unscaled(precision, where))

    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment

    alone = [where.index] if where.type == "cuda" and where.index is not None and processes * nodes == 1 else processes
    fabric = Fabric(
        accelerator=where.type,
        devices=alone,
        num_nodes=nodes,
        strategy="ddp" if processes * nodes > 1 else "auto",
        precision="16-mixed" if precision == "16-mixed" else "32-true",
        # Fabric takes a job of SLURM's for one whose tasks are the processes, and would start none, or wait for them
        plugins=[LightningEnvironment()] if launched_processes() is None and _one_task_of_slurm() else None,
    )
    fabric.launch()
    if fabric.world_size != processes * nodes:
        raise ConfigError(
            f"devices={processes}, but this process is one of {fabric.world_size}: give devices as many as there are tasks, or "
            "start them by torchrun"
        )
    scaled = precision == "16-mixed"
    return Place(fabric.device, dtype, Scaled(fabric) if scaled else _unscaled(precision, fabric.device))


def _unscaled(precision: PrecisionName, device: torch.device) -> Precision:
    if (dtype := PRECISIONS[precision]) is not None:
        return Throughout(dtype)
    return Narrow(device) if precision == "bf16-mixed" else FULL
