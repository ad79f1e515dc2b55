"""What is asked for by name or left to the data: the data set itself, its views, its encoder."""

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from infomax.data import NAMES, Dataset, Graph, load
from infomax.data.content import changed, content
from infomax.data.encoded import SHRINK
from infomax.data.folder import OnError
from infomax.data.given import of_given
from infomax.encoders import check, get
from infomax.encoders.weights import PRETRAINED, located
from infomax.errors import ConfigError, DataError, nearest, warn
from infomax.training.feed import ViewFunction
from infomax.views import RECIPES, Corruption, Gaussian, GraphViews, Signals, recipe
from infomax.words import many

LARGEST_DEFAULT_SIZE = 96  # larger pictures are for those who ask: --size 224
TABLE_FROM = 4
"""Columns from which on N x D floats are the rows of a table; fewer are points in space, whose units mean something."""
VIEWS = ("auto", *RECIPES, "signals", "tabular", "noise", "graph")
"""Every name of the package's views; which of them some data have, is said by `view_function`."""


def dataset(
    data: Any,
    root: str | None = None,
    split: str = "train",
    on_error: OnError = "skip",
    how: Mapping[str, Any] | None = None,
) -> Dataset:
    """A data set from its name or path, from an array or tensor, from what gives samples by number, or as it is.

    Args:
        data, root, split, on_error: see `load`.
        how: other options of `load`, for what is given by name or path.

    Raises:
        DataError: anything else, or what `load` cannot read.
    """
    if isinstance(data, Dataset):
        return data
    named = isinstance(data, str | os.PathLike)
    found = load(data, root=root, split=split, on_error=on_error, **(how or {})) if named else of_given(data, on_error)
    if found.skipped:
        what = many(found.n_skipped, *(_left_out(found.skipped) if named else ("sample",)))
        why = found.why_skipped or ("",) * found.n_skipped
        some = [f"{name} ({said})" if said else name for name, said in zip(found.skipped[:5], why, strict=False)]
        every = f"; all of them: im.data.load({_as_given(data, root, split)}).skipped" if named else ""
        more = f" ...{every}" if found.n_skipped > 5 else ""
        warn(f"{found.name}: {what} could not be read, left out: {', '.join(some)}{more}")
    return found


def unchanged(data: Dataset, asked: Mapping[str, Any], known_by: Mapping[str, Any]) -> bool:
    """Whether data are as many as those that a run was begun with, and nothing differs that is known of both.

    Args:
        data: what there is.
        asked: the part `data` of the run's configuration.
        known_by: the data's `content`.
    """
    return len(data) == asked.get("samples", len(data)) and not changed(asked.get("content"), known_by)


def source_of(asked: Mapping[str, Any], root: str | None = None) -> str:
    """The name or path by which a run's own data are had again.

    Args:
        asked: the part `data` of the run's configuration.
        root: where named data sets lie now.

    Raises:
        DataError: they were given in Python and are not the set of that name, as `infomax.data.sbm(nodes=60)` is not "sbm".

    Example:
        >>> source_of({"name": "photos", "source": "/data/photos"})
        '/data/photos'
        >>> source_of({"name": "gaussians", "source": None, "samples": 10})
        Traceback (most recent call last):
        infomax.errors.DataError: 'gaussians' was given in Python, and is not the set of that name: give it again, ...
    """
    name = str(asked.get("name"))
    source: str | None = asked.get("source", name)  # a run of before does not tell
    if source is not None:
        return source
    if name in NAMES:
        found = load(name, root or asked.get("root"))
        if unchanged(found, asked, content(found)):
            return name
    why = "is not the set of that name" if name in NAMES else "lies under no name"
    raise DataError(
        f"{name!r} was given in Python, and {why}: give it again, in Python as the argument data, or as a file (--data FILE)"
    )


def read_for(size: int | None) -> dict[str, Any]:
    """The options of `load` by which pictures are read for views of a size, as far as they are larger than views need.

    The shorter side keeps four times the views', as much as no crop of a usual recipe has to be magnified by, between 256
    pixels, as sets are kept, and `SHRINK`, which it keeps where no size is asked for; of views above 256 pixels twice theirs.

    Args:
        size: side of the views in pixels; None: left to the data.

    Example:
        >>> [read_for(size)["shrink"] for size in (16, 96, 224, 1024, None)]
        [256, 384, 512, 2048, 512]
    """
    return {"shrink": SHRINK if size is None else max(256, min(SHRINK, 4 * size), 2 * size)}


def read_by(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `load` by which a run found its data, of what it wrote down of them; a run of before read pictures whole.

    Example:
        >>> read_by({"read_by": {"resize": 64}}), read_by({"name": "photos"})
        ({'resize': 64}, {'shrink': None})
    """
    return dict(asked.get("read_by", {"shrink": None}))


def begun_by(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `load` by which a run that goes on reads its data; when a run of before was begun, pictures beside folders
    of classes were none to leave out.

    Example:
        >>> begun_by({"read_by": {"resize": 64}}), begun_by({"name": "photos"})
        ({'resize': 64}, {'shrink': None, 'stray': True})
    """
    return read_by(asked) | ({} if "read_by" in asked else {"stray": True})


def read_like(asked: Mapping[str, Any], size: int | None = None) -> dict[str, Any]:
    """The options of `load` by which pictures are read for the encoder of a run: as its own were, or larger for a size.

    What `resize` made smaller stays so: it is a square of the user's own choice.

    But for `stray`, which says which pictures there are: those beside folders of classes would cost the others their labels.

    Args:
        asked: the part `data` of the run's configuration.
        size: side in pixels at which whole images are to be seen; None: none is asked for.

    Example:
        >>> read_like({"read_by": {"resize": 64}}), read_like({"read_by": {"shrink": 256, "stray": True}})
        ({'resize': 64}, {'shrink': 256})
        >>> [read_like({"read_by": {"shrink": least}}, 512) for least in (256, None)]
        [{'shrink': 1024}, {'shrink': None}]
    """
    how = {option: value for option, value in read_by(asked).items() if option != "stray"}
    least = how.get("shrink", SHRINK)
    if size is not None and least is not None and (needed := read_for(size)["shrink"]) > least:
        how["shrink"] = needed
    return how


def _as_given(data: Any, root: str | None, split: str) -> str:
    """The arguments of `load` with which data of a name or path were read.

    Example:
        >>> _as_given("photos", "data", "test"), _as_given("tiny-imagenet", "data", "train")
        ("'photos', split='test'", "'tiny-imagenet', root='data'")
    """
    name = os.fsdecode(data)
    place = f", root={str(root)!r}" if root is not None and name in NAMES else ""
    return f"{name!r}{place}" + (f", split={split!r}" if split != "train" else "")


def _left_out(names: Sequence[str]) -> tuple[str, str]:
    """What was left out, one and several: the names of folders end as such."""
    folders = sum(name.endswith(os.sep) for name in names)
    if not folders:
        return "file", "files"
    return ("folder", "folders") if folders == len(names) else ("file or folder", "files or folders")


def view_size(data: Dataset, size: int | None = None) -> int:
    """Side of the views in pixels: as asked; else that of the images, up to LARGEST_DEFAULT_SIZE."""
    if size is not None and size < 1:
        raise ConfigError(f"views of {size} pixels: give a size of at least 1")
    return size or min(data.size or LARGEST_DEFAULT_SIZE, LARGEST_DEFAULT_SIZE)


def standardises(data: Dataset) -> bool:
    """Whether views bring the channels or columns to mean 0 and standard deviation 1: of images, signals, tables."""
    return not isinstance(data, Graph) and (data.is_images or data.is_signals or data.channels >= TABLE_FROM)


def check_names(
    *, encoder: str = "auto", views: Any = "auto", init: str | Path | None = None, size: int | None = None
) -> None:
    """Refuse an encoder or views that no data have, or weights that are not there: asked before any are read, which takes long.

    Raises:
        ConfigError: naming the nearest. DataError: no such weights.

    Example:
        >>> check_names(views="simclear")
        Traceback (most recent call last):
        infomax.errors.ConfigError: no views 'simclear': did you mean 'simclr'? (one of: ...)
    """
    if encoder != "auto":
        check(encoder, init, size)
    elif init is not None and str(init) == PRETRAINED:
        raise ConfigError(
            "encoder auto is a small one, without published weights: take another, as torchvision/resnet18"
        )
    if init is not None and init != PRETRAINED:
        located(init)
    if isinstance(views, str) and views not in (known := {*VIEWS, *RECIPES}):  # some may have been entered since
        raise ConfigError(f"no views {views!r}: {nearest(views, known)}")


def view_function(
    data: Dataset, views: str | ViewFunction = "auto", size: int | None = None, local_views: int | None = None
) -> ViewFunction:
    """Views by name, normalised with the data set's own statistics; a function is taken as it is.

    | data | names, the first of them `auto` |
    |---|---|
    | images | `simclr`, and every other recipe |
    | signals | `signals` |
    | a table (N x D, D >= 4) | `tabular`, `noise` of a tenth of a column's standard deviation |
    | points (D <= 3) | `noise` of 0.1 (the paper's toy), `tabular` |
    | a graph | `graph`: edges and features dropped |

    Args:
        data: what the views are of.
        views: a name, `auto`, or a function.
        size: side of image views in pixels, length of signals' views in readings.
        local_views: of the recipes with multi-crop; None: as published.

    Raises:
        ConfigError: a name that this kind of data does not have.
    """
    if not isinstance(views, str):
        if local_views is not None:
            raise ConfigError(f"local_views={local_views} of a function: it makes its own views")
        _check_call(views)
        return views
    name = auto_views(data) if views == "auto" else views
    if data.is_images:
        return recipe(name, size=view_size(data, size), mean=data.mean, std=data.std, local_views=local_views)
    if local_views is not None:
        raise ConfigError(f"local_views={local_views}: {data.name!r} are no images, which alone have local views")
    statistics = (data.mean, data.std) if standardises(data) else (None, None)
    made: dict[str, Callable[[], ViewFunction]] = {
        "tabular": lambda: Corruption(cast(Tensor, data.images), mean=statistics[0], std=statistics[1]),
        "noise": lambda: Gaussian(0.1, mean=statistics[0], std=statistics[1]),
    }
    if isinstance(data, Graph):
        kind, made = "a graph", {"graph": GraphViews}
    elif data.is_signals:
        kind, made = "signals", {"signals": lambda: Signals(length=size, mean=data.mean, std=data.std)}
    else:
        kind = "a table" if standardises(data) else "points"
    if name not in made:
        raise ConfigError(
            f"no views {views!r} of {data.name!r}, which is {kind}: give {' or '.join(('auto', *made))}, or a function"
        )
    return made[name]()


def _check_call(views: ViewFunction) -> None:
    """Refuse a function that cannot be called as views are."""
    if not callable(views):
        raise ConfigError(f"views={views!r}: give a name, or a function (batch, index, seed, epoch) -> views")
    try:
        takes = inspect.signature(views.forward if isinstance(views, nn.Module) else views)
    except ValueError:  # some are written in C and do not tell
        return
    try:
        takes.bind(None, None, seed=0, epoch=0)
    except TypeError as error:
        name = getattr(views, "__name__", type(views).__name__)
        raise ConfigError(
            f"views={name}{takes}: a function is called as views(batch, index, seed=0, epoch=0) and gives two or more views: "
            f"{error}; of a transform of one picture, such as torchvision's, views=im.views.per_sample(transform) makes one"
        ) from None


def encoder_for(
    data: Dataset, name: str = "auto", size: int | None = None, init: str | Path | None = None
) -> nn.Module:
    """An encoder by name, for the channels and size of some data.

    `auto` is small enough for a CPU: resnet8 for images (mlp below 16 pixels), resnet1d for signals, mlp for points and
    tables, gcn for a graph. `init` is what its weights begin with, see `infomax.encoders.get`.
    """
    side = view_size(data, size) if data.is_images else 1
    return get(auto_encoder(data, size) if name == "auto" else name, channels=data.channels, size=side, init=init)


def auto_encoder(data: Dataset, size: int | None = None) -> str:
    """The name of the encoder that `auto` stands for."""
    if data.is_images:
        return auto_of_images(view_size(data, size))
    return "gcn" if isinstance(data, Graph) else "resnet1d" if data.is_signals else "mlp"


def auto_of_images(size: int) -> str:
    """The same, for images of so many pixels a side."""
    return "resnet8" if size >= 16 else "mlp"


def could_be_auto(encoder: Mapping[str, Any]) -> bool:
    """Whether an encoder may be what `auto` stood for, by its recipe alone: of images it knows their side.

    Example:
        >>> [could_be_auto({"name": name, "size": 32}) for name in ("resnet8", "resnet18", "mlp")]
        [True, False, False]
    """
    name, size = encoder.get("name"), encoder.get("size", 1)
    return name == auto_of_images(size) if size > 1 else name in ("mlp", "resnet1d", "gcn")


def auto_views(data: Dataset) -> str:
    """The name of the views that `auto` stands for."""
    if data.is_images:
        return "simclr"
    if isinstance(data, Graph):
        return "graph"
    return "signals" if data.is_signals else "tabular" if standardises(data) else "noise"
