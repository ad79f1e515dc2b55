"""One update of a run, and what is done where it meets a NaN."""

import json

import torch
from torch import Tensor

from infomax.clock import Clock
from infomax.errors import DataError, warn
from infomax.files import write_bytes
from infomax.learner import NotFiniteError, Output, step
from infomax.marginal import Marginal
from infomax.parallel import rank
from infomax.training.checkpoint import Position
from infomax.training.prepare import Job


def update(job: Job, position: Position, clock: Clock, sweep: int, batch: int) -> Output | None:
    """One update; one that meets a NaN is noted, and left out (None) if that was asked for."""
    learner, options = job.learner, job.options
    views = job.feed(sweep, batch)
    # whatever draws at random while it trains depends on the step alone; dropout differs from process to process
    _seed(((options.seed * 1_000_003 + clock.step) * 4099 + rank()) % 2**63)
    kept: list[tuple[Tensor, Tensor]] = []
    if options.on_nan == "skip":  # a forward pass of NaNs would stay in the running statistics of batch norms
        passive = (m for m in learner.modules() if not isinstance(m, Marginal))  # a marginal's own move after the step
        kept = [(b, b.clone()) for m in passive for b in m.buffers(recurse=False)]
    try:
        output = step(learner, views, job.optimizer, clock, clip_norm=options.clip_norm, precision=job.place.precision)
    except NotFiniteError as error:
        if options.on_nan == "stop":
            _note(job, clock, sweep, batch, str(error))
            raise
        position.skipped += 1
        if position.skipped == clock.steps_per_epoch:
            raise NotFiniteError(
                f"{error}; so were all updates of epoch {clock.epoch + 1}, and all were skipped"
            ) from error
        if position.skipped == 1:
            warn(f"skipped, and the others of this epoch will be without a word: {error}")
        with torch.no_grad():
            for buffer, was in kept:
                buffer.copy_(was)
        return None
    position.losses.append(output.loss.detach())
    position.bounds.append(output.bound.detach())
    return output


def _seed(seed: int) -> None:
    """`torch.manual_seed`, without the devices that are not in use: for each of them it writes down where it was called from,
    which takes a twentieth of a small network's update."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)


def _note(job: Job, clock: Clock, sweep: int, batch: int, message: str) -> None:
    """Keep which samples a NaN was met on, for `Feed.of(samples, sweep)` to make the very views again."""
    if job.run.path is not None and job.run.writes:
        said = clock._asdict() | {"epoch": clock.epoch, "sweep": sweep, "batch": batch, "message": message}
        said["samples"] = job.feed.index(sweep, batch).tolist()
        try:
            write_bytes(job.run.path / "nan.json", json.dumps(said, indent=1).encode())
        except DataError as error:  # where the NaN stands is said in any case
            warn(str(error))
