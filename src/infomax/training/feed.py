"""What a run is fed: batches of views, a function of (seed, pass, batch) alone."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from infomax.data import Dataset, Graph, batches, gather
from infomax.data.encoded import Encoded
from infomax.data.machine import cores
from infomax.data.order import WINDOW_ROWS, spread
from infomax.errors import ConfigError, DataError, warn
from infomax.parallel import local_slice, world
from infomax.training.devices import uncompiled
from infomax.views import PerSample, Views
from infomax.words import with_article

ViewFunction = Callable[..., Sequence[Any]]
"""(batch, index, seed, epoch) -> views, each a batch."""

LET_PASS = 0.004  # seconds: as long as it takes to queue a step
RESIDENT = 0.25  # of a GPU's memory: the images of a set up to this size are kept there


class Feed:
    """Batches of views for one run. Of several processes each makes its slice of the one global batch, so that all of
    them together see the samples, and the bytes, that one would.

    Args:
        data: what the views are of.
        views: makes them.
        batch_size: samples a batch; at most the data set.
        seed: of shuffles and views.
        device: where the views go.
        dtype: of the views; by default as they are made.

    Raises:
        ConfigError: a batch that does not divide among the processes, or a graph among several.

    Example:
        >>> from infomax.views import Gaussian
        >>> data = Dataset(torch.zeros(10, 2))
        >>> feed = Feed(data, Gaussian(sigma=1.0), batch_size=4)
        >>> len(feed), [v.shape for v in feed(sweep=0, batch=1)]
        (2, [torch.Size([4, 2]), torch.Size([4, 2])])
    """

    def __init__(
        self,
        data: Dataset,
        views: ViewFunction,
        batch_size: int,
        seed: int = 0,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
    ) -> None:
        if batch_size < 2:
            raise ConfigError(
                f"a batch of {batch_size}: its samples are compared with each other, so it needs at least 2"
            )
        if len(data) < 2:
            raise DataError(f"{data.name!r} has {len(data)} sample: at least 2 are needed")
        self.data, self.views, self.seed, self.device, self.dtype = data, views, seed, torch.device(device), dtype
        self.whole = isinstance(data, Graph)  # a graph is one batch: its rows hang together
        self.batch_size = len(data) if self.whole else min(batch_size, len(data))
        if world() > 1 and (self.whole or self.batch_size % world()):
            what = "a graph is one batch" if self.whole else f"a batch of {self.batch_size}"
            raise ConfigError(f"{what}: it does not divide among {world()} processes")
        # a function of the user's own may draw at random or count its calls: only its images are fetched ahead of time
        self._ours = type(views).__module__.startswith("infomax.views") and not isinstance(views, PerSample)
        self._beside: Any = None
        if self.device.type == "cuda":
            self._beside = torch.cuda.Stream(self.device, priority=-1)  # type: ignore[no-untyped-call]
        self._called = self._rhythm = 0.0  # seconds: when a batch was last asked for, and after how long
        self.images = data.images
        if isinstance(views, Views) and self._fits(data.images):
            self.images = data.images.to(self.device)
        self._order: tuple[int, Tensor] = (-1, torch.arange(0))
        self._next: tuple[tuple[int, int], Future[Any]] | None = None
        self._submit: Callable[[], None] | None = None

    def __len__(self) -> int:
        """Batches a pass; the last, smaller one is left out."""
        return len(self.data) // self.batch_size

    def __call__(self, sweep: int, batch: int) -> list[Any]:
        """The views of one batch of one pass over the data."""
        if self._next is None or self._next[0] != (sweep, batch):
            return self._finish(self._begin(sweep, batch), sweep)
        begun = self._next[1]
        now = time.perf_counter()
        self._rhythm, self._called = now - self._called, now
        if self._submit is not None:
            self._submit()
        return self._finish(begun.result(), sweep)

    @contextmanager
    def ahead(self, plan: Iterable[tuple[int, int]]) -> Iterator[None]:
        """Make each batch of a plan while the one before is computed on, by one more thread: the same bytes, sooner.

        An exception comes out where its batch is asked for. At the end the samples are named that could not be decoded.

        Args:
            plan: (sweep, batch) of every call to come, in their order.
        """
        steps = iter(plan)
        with ThreadPoolExecutor(1, "infomax-feed", torch.set_num_threads, (torch.get_num_threads(),)) as worker:

            def submit() -> None:
                step = next(steps, None)
                self._next = None if step is None else (step, worker.submit(self._later, *step))

            if self._worthwhile():
                self._submit = submit
                submit()
            try:
                yield
            finally:
                if self._next is not None:
                    self._next[1].cancel()
                self._next = self._submit = None
                self._tell_replaced()

    def index(self, sweep: int, batch: int) -> Tensor:
        """The samples of one global batch."""
        if self.whole:
            return torch.arange(len(self.data))
        return self._rows(sweep)[batch * self.batch_size : (batch + 1) * self.batch_size]

    def of(self, index: Tensor, sweep: int) -> list[Any]:
        """The views of some samples."""
        with uncompiled():  # a batch size that comes once
            return self._to_device(self._made(gather(self.images, index), index, sweep))

    def fixed(self, count: int) -> list[Any]:
        """Views that stay the same throughout a run, of up to `count` samples spread over the data: for its gauges."""
        if self.whole:
            return self._to_device(self.views(self.data, None, seed=self.seed, epoch=-1))
        return self.of(spread(self.images, count), sweep=-1)

    def _worthwhile(self) -> bool:
        """Whether another thread has something to win: a device or a disk to keep busy, or a core to spare."""
        spare = cores() > torch.get_num_threads()
        return self.device.type == "cuda" or isinstance(self.data.images, Encoded) or spare

    def _rows(self, sweep: int) -> Tensor:
        known, rows = self._order
        if known != sweep:
            images = self.data.images
            blocks = images.blocks if isinstance(images, Encoded) else None
            parts = batches(len(self.data), self.batch_size, seed=self.seed, epoch=sweep, blocks=blocks)
            rows = torch.cat(list(parts))
            self._order = (sweep, rows)
        return rows

    def _later(self, sweep: int, batch: int) -> Any:
        if (
            self._beside is not None
        ):  # a GPU is idle until this step has been queued, and Python runs one thread at a time
            time.sleep(min(self._rhythm / 4, LET_PASS))
        return self._begin(sweep, batch)

    def _begin(self, sweep: int, batch: int) -> Any:
        """What may be done by another thread: the views; of a function of the user's own, the images and their rows."""
        if self.whole:
            return self.views(self.data, None, seed=self.seed, epoch=sweep) if self._ours else None
        images = self.data.images
        if isinstance(images, Encoded):
            done = (batch + 1) * self.batch_size
            images.expect(self._rows(sweep)[done : done + WINDOW_ROWS // 2].tolist())
        index = self.index(sweep, batch)[local_slice(self.batch_size)]
        if not self._ours:
            return gather(self.images, index), index
        if self._beside is None:
            return self._made(gather(self.images, index), index, sweep)
        # a stream of its own: the views of the next batch do not wait for the steps on this one, nor this thread for either
        with torch.cuda.stream(self._beside):
            views = self._to_device(self._made(gather(self.images, index), index, sweep))
            return views, self._beside.record_event()

    def _of_ones_own(self, samples: Any, index: Tensor | None, sweep: int) -> Sequence[Any]:
        """The views of a function of the user's, looked at before anything is computed from them."""
        made = self.views(samples, index, seed=self.seed, epoch=sweep)
        name = getattr(self.views, "__name__", type(self.views).__name__)
        if not isinstance(made, tuple | list) or len(made) < 2:
            got = f"{len(made)}" if isinstance(made, tuple | list) else with_article(type(made).__name__)
            raise ConfigError(f"views={name} gave {got}: give a tuple or list of at least 2 views of the batch")
        for number, view in enumerate(made):
            if isinstance(view, np.ndarray):
                raise ConfigError(
                    f"views={name}: view {number} is a numpy array of {view.dtype}: give torch tensors, as by "
                    "torch.from_numpy(view).float()"
                )
            one_a_sample = index is not None and isinstance(view, list) and len(view) == len(index)
            if one_a_sample and self.data.is_images:  # other lists may be parts of an input of the user's own encoder
                raise ConfigError(
                    f"views={name}: view {number} is a list of {len(view)}: views must be a tensor N x C x H x W each, as by "
                    "torch.stack(view)"
                )
        rows = [len(v) for v in made if isinstance(v, Tensor)]
        if index is not None and any(n != len(index) for n in rows):
            raise ConfigError(f"views={name} gave views of {rows} rows for {len(index)} samples: give one a sample")
        return made

    def _made(self, samples: Any, index: Tensor, sweep: int) -> Sequence[Any]:
        # small nets run up to 1.4 times faster with the channels last, on CPU and GPU
        layout = {"channels_last": True} if isinstance(self.views, Views) else {}
        if not self._ours:
            return self._of_ones_own(samples, index, sweep)
        made: Sequence[Any] = self.views(samples, index, seed=self.seed, epoch=sweep, **layout)
        return made

    def _finish(self, begun: Any, sweep: int) -> list[Any]:
        if self._ours and self._beside is not None and not self.whole:
            views, ready = begun
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(ready)
            self._each(
                views, lambda view: view.record_stream(stream)
            )  # its memory is not reused before this stream is done
            return list(views)
        if self._ours:
            return self._to_device(begun)
        samples, index = (self.data, None) if self.whole else begun
        return self._to_device(self._of_ones_own(samples, index, sweep))

    def _to_device(self, views: Sequence[Any]) -> list[Any]:
        return [self._each(view, self._moved) for view in views]

    def _moved(self, view: Tensor) -> Tensor:
        if self._beside is not None and view.device.type == "cpu":
            view = view.pin_memory()  # else a copy to the device waits for it
        layout = torch.channels_last if view.ndim == 4 else torch.preserve_format
        dtype = self.dtype if view.is_floating_point() else None
        return view.to(self.device, dtype, memory_format=layout, non_blocking=True)

    def _fits(self, images: Any) -> TypeGuard[Tensor]:
        """Whether the images may be kept on the GPU."""
        if self._beside is None or not isinstance(images, Tensor):
            return False
        room = torch.cuda.get_device_properties(self.device).total_memory
        return images.numel() * images.element_size() <= RESIDENT * room

    def _each(self, view: Any, function: Callable[[Tensor], Any]) -> Any:
        if isinstance(view, Tensor):
            return function(view)
        return type(view)(self._each(part, function) for part in view) if isinstance(view, tuple | list) else view

    def _tell_replaced(self) -> None:
        if told := self.data.undecoded("and the next whole one took the place of each"):
            warn(told)
