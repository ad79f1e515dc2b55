"""Commands on runs and on data: what was learnt, what it looks like, how much two sets share."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from infomax.errors import ConfigError
from infomax.errors import command as typed
from infomax.training import Run


def methods(*, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Print every method and its place in the paper's table 2, computed from its parts.

    Args:
        json: print a list of objects instead of a table.
    """
    from infomax import taxonomy

    if json:
        import json as encoder

        print(encoder.dumps(taxonomy.as_json(), indent=2))
        return
    print(taxonomy.as_text())


def recipes(name: str | None = None) -> None:
    """List the recipes of this package, with expected accuracy and cost; or print one as a file for `--config`.

    Args:
        name: name of a recipe, such as reference/simclr-cifar10.
    """
    from infomax import recipes as known

    if name is not None:
        print(known.get(name.lower()).as_yaml(), end="")
        return
    for one in map(known.get, known.names()):
        print(f"{one.name:32} {one.expects:36} {one.about['cost']}")
    print("what the accuracies are of:")
    for family, protocol in known.protocols().items():
        print(f"  {family:10} {protocol}")
    print(f"next: {typed('train --config reference/simclr-cifar10 --out runs/simclr')}; grids: {typed('sweep --list')}")


def probe(
    run: str,
    *,
    data: str | None = None,
    test: str | None = None,
    root: str | None = None,
    size: int | None = None,
    json: bool = False,
) -> None:
    """Evaluate a run's frozen encoder with a linear probe, nearest neighbours and gauges.

    Args:
        run: folder of a run.
        data: labelled data; by default the data that the run was trained on.
        test: other labelled data as test set. All of `data` is then used for fitting, and all of `test` for testing.
        root: folder of the named data sets.
        size: side in pixels at which whole images are shown to the encoder; by default the size at which objects appear
            about as large as in the run's views, at most the images' own.
        json: print one object instead of lines.
    """
    from infomax.evaluate.run import as_text

    found = Run.load(run).evaluate(data, test=test, root=root, size=size)
    if json:
        import json as encoder

        print(encoder.dumps(found, indent=2))
        return
    print(as_text(found))


def evaluate(
    *runs: str,
    data: str | None = None,
    test: str | None = None,
    root: str | None = None,
    protocols: str = "all",
    finetune: Annotated[bool, Parameter(negative="")] = False,
    size: int | None = None,
    seed: int = 0,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Evaluate frozen encoders with every protocol, keep features and findings in the runs' folders, and compare runs.

    Args:
        runs: folders of runs. Runs that differ only in their seed also give a mean and standard deviation, each kind its
            own.
        data: labelled data; by default the data that each run was trained on.
        test: other labelled data as test set. All of `data` is then used for fitting, and all of `test` for testing.
        root: folder of the named data sets.
        protocols: all, or several of these, separated by commas: linear, sgd, knn, knn-best, few, baselines (the
            untrained encoder and the raw samples), gauges (on views, without labels).
        finetune: also fine-tune the encoder on the labels, with three seeds: takes minutes on a CPU.
        size: side in pixels at which whole images are shown to the encoder; by default the size at which objects appear
            about as large as in the run's views, at most the images' own.
        seed: random seed of splits and draws.
        json: print one object instead of lines.
    """
    from infomax.data import NAMES
    from infomax.evaluate.command import evaluated

    if not runs:
        raise ConfigError(f"name a run: {typed('evaluate RUN')}")
    for name in runs[1:] if data is None else ():
        if name in NAMES or (Path(name).exists() and not (Path(name) / "config.json").exists()):
            raise ConfigError(f"{name} is no run: did you mean --data {name}?")
    names = f"{protocols},finetune" if finetune else protocols
    evaluated(list(runs), data, root, names, seed, test=test, size=size, as_json=json)


def embed(
    run: str,
    data: str,
    *,
    out: str,
    root: str | None = None,
    split: Literal["train", "test"] = "train",
    head: Annotated[bool, Parameter(negative="")] = False,
    size: int | None = None,
    outliers: int | None = None,
    duplicates: float | None = None,
    pairs: int | None = None,
) -> None:
    """Write the features of every sample to a file; optionally print outliers and near-duplicates.

    Args:
        run: folder of a run.
        data: as --data of `infomax train`.
        out: a new .npz or .parquet file.
        root: folder of the named data sets.
        split: train or test, for data that have both.
        head: write the embedding behind the projector instead of the encoder's features.
        size: as --size of `infomax evaluate`.
        outliers: print this many samples: those farthest from their neighbours.
        duplicates: print pairs of at least this cosine similarity, such as 0.99.
        pairs: how many of these pairs to print, the closest first; by default 20.
    """
    from infomax.evaluate.command import embedded

    embedded(
        run, data, out, root=root, split=split, head=head, size=size, lonely=outliers, twins=duplicates, most=pairs
    )


def export(run: str, *, out: str, encoder: Literal["f", "g"] = "f", size: int | None = None) -> None:
    """Write a run's encoder to one file for use elsewhere, and compare its outputs with the encoder's.

    Args:
        run: folder of a run.
        out: a new file. .onnx or .pt2 (torch.export): a program that includes the normalisation and takes float images
            N x C x H x W in [0, 1]; .safetensors: the weights, with mean, std and size.
        encoder: f, or g, the second encoder: sdmi trains it, and in other methods it follows f as a moving average.
        size: side in pixels at which whole images are to be shown to the encoder; by default as in `infomax evaluate`.
    """
    from infomax.evaluate.export import new_file

    new_file(out)
    print(Run.load(run).export(out, encoder=encoder, size=size))


def inspect(
    file: str,
    *,
    outliers: int | None = None,
    duplicates: float | None = None,
    pairs: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Print outliers and near-duplicates among features that `infomax embed` wrote; nothing is encoded again.

    Without --outliers and --duplicates it prints ten outliers and the pairs of cosine similarity 0.99 or more.

    Args:
        file: a .npz or .parquet file.
        outliers: print this many samples: those farthest from their neighbours.
        duplicates: print pairs of at least this cosine similarity, such as 0.99.
        pairs: how many of these pairs to print, the closest first; by default 20.
        json: print one object {file, rows, width, outliers, duplicates} instead of lines.
    """
    from infomax.evaluate.inspect import inspected

    inspected(file, outliers, duplicates, pairs, json_alone=json)


def report(
    *folders: str,
    out: str | None = None,
    data: str | None = None,
    root: str | None = None,
    umap: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Write one self-contained HTML page: of a run, of several runs side by side, of a sweep or of a study.

    Args:
        folders: folder of a run, of several runs to compare, of a sweep or of a study.
        out: path of the page; by default report.html in a run's folder, comparison.html in the first of several runs'
            folders, index.html in that of a sweep or study.
        data: data for thumbnails, neighbours and view pairs; by default the data that each run was trained on, if
            found.
        root: folder of the named data sets.
        umap: also show the features projected by UMAP (needs umap-learn).
    """
    from infomax.cli.pages import reported

    if not folders:
        raise ConfigError(f"name a run, a sweep or a study: {typed('report RUN')}")
    print(f"wrote {reported(folders, out, data, root, umap=umap)}")


def views(
    *,
    data: str,
    out: str,
    recipe: str = "auto",
    count: int = 8,
    size: int | None = None,
    local_views: int | None = None,
    seed: int = 0,
    epoch: int = 0,
    root: str | None = None,
) -> None:
    """Write a page that shows the views of some samples beside the originals, with the parameters drawn for each.

    Args:
        data: as --data of `infomax train`.
        out: path of the page; an existing file is never overwritten.
        recipe: as --views of `infomax train`.
        count: number of samples, spread over the data.
        size: as --size of `infomax train`.
        local_views: as --local-views of `infomax train`.
        seed: seed of the run whose views are shown.
        epoch: epoch of that run, counted from 0.
        root: folder of the named data sets.
    """
    from infomax.report.views import views_page

    written = views_page(
        data, out, recipe, count=count, size=size, local_views=local_views, seed=seed, epoch=epoch, root=root
    )
    print(f"wrote {written}")


def demo(*, out: str = "runs/demo", seed: int = 0) -> None:
    """Train five methods and a collapsing ablation on scikit-learn's digits, and write a page: about 3 minutes, one core.

    Args:
        out: folder for the page and the numbers; if it exists, a number is added to its name.
        seed: random seed of weights, shuffling and views.
    """
    from infomax.studies.demo import run

    run(out, seed=seed)


def mi(
    x: str,
    y: str | None = None,
    *,
    method: str = "auto",
    critic: Literal["separable", "cosine", "bilinear", "concatenated"] | None = None,
    margins: Literal["rank", "standard", "none"] | None = None,
    k: int | None = None,
    seed: int = 0,
    tau: float | None = None,
    data: str | None = None,
    root: str | None = None,
    samples: int | None = None,
    layer: str | None = None,
    layer_b: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Estimate the mutual information, in nats, between two files of samples or between two runs, with its uncertainty.

    Two runs are compared on two views of the same samples: the first run sees the first view, the second run the
    second.

    Args:
        x: a .npy file with one row per sample; file.npz:key, one array of an .npz; or the folder of a run.
        y: likewise; row i belongs to row i of x. Or the folder of a run, the same or another. Leave it out if x is an
            .npz with the two arrays x and y.
        method: auto; gaussian, ksg or discrete; or a bound, computed with a critic trained for it: infonce, dv, nwj,
            tuba, interpolated, jsd_lower, xi_jsd or smile.
        critic: critic of a bound (bounds only); by default separable.
        margins: how the margins are transformed first: rank (to Gaussian, by rank; the default), standard
            (standardised) or none. Not for auto, which tries its own, nor for discrete.
        k: number of neighbours of ksg (ksg only); by default 5.
        seed: random seed of folds and weights.
        tau: instead of an estimate, evaluate the bounds with the fixed critic cos/tau, as the training curves do. Both
            sides need the same width.
        data: for runs: data, as --data of `infomax train`; by default the data that the first run was trained on.
        root: folder of the named data sets.
        samples: for runs: number of pairs; by default 1000.
        layer: for runs: features (of the encoder), f or g (behind the projector), or the name of a submodule of f.
        layer_b: the same for the second run; by default as for the first.
        json: print one object {mi, lo, hi, open_ended, method, flags, readings, ...} instead of a table; what is
            unknown is null.
    """
    from infomax.mi.command import run

    run(
        x, y, as_json=json, tau=tau, data=data, root=root, samples=samples, layer=layer, layer_b=layer_b,
        method=method, critic=critic, margins=margins, k=k, seed=seed,
    )  # fmt: skip
