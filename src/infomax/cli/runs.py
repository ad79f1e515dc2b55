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
        json: a list of objects instead of a table.
    """
    from infomax import taxonomy

    if json:
        import json as encoder

        print(encoder.dumps(taxonomy.as_json(), indent=2))
        return
    print(taxonomy.as_text())


def recipes(name: str | None = None) -> None:
    """List the recipes that the package brings, with the accuracy to expect and the cost; or print one as a file.

    Args:
        name: of a recipe, as reference/simclr-cifar10.
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
    """Judge a run's frozen encoder by a linear probe, nearest neighbours and gauges.

    Args:
        run: folder of a run.
        data: labelled data; by default what it was trained on.
        test: other labelled data: all of the first are learnt from then, and all of these tested on.
        root: where named data sets lie.
        size: side in pixels at which whole images are seen; by default, at which things are about as large as in the run's
            views, at most the images' own.
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
    """Judge frozen encoders by every protocol, keep features and findings in their folders, and say the spread over runs.

    Args:
        runs: folders of runs; several that differ in their seed alone also give mean and deviation.
        data: labelled data; by default what each was trained on.
        test: other labelled data: all of the first are learnt from then, and all of these tested on.
        root: where named data sets lie.
        protocols: linear, sgd, knn, knn-best, few, baselines (the encoder untrained, raw pixels), gauges (off views, without
            labels), several with commas between, or all.
        finetune: also train the encoder itself on the labels, over three seeds: minutes on a CPU.
        size: side in pixels at which whole images are seen; by default, at which things are about as large as in the run's
            views, at most the images' own.
        seed: of splits and draws.
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
    """Write the features of every sample to a file; name the samples that stand alone, or come twice.

    Args:
        run: folder of a run.
        data: as in `infomax train`.
        out: a new .npz or .parquet file.
        root: where named data sets lie.
        split: train or test, of data that have both.
        head: the embedding behind the projector, in place of the encoder's features.
        size: as of evaluate.
        outliers: print so many samples that are farthest from their neighbours.
        duplicates: print pairs of at least this cosine similarity, such as 0.99.
        pairs: of them so many, the closest; 20 by default.
    """
    from infomax.evaluate.command import embedded

    embedded(
        run, data, out, root=root, split=split, head=head, size=size, lonely=outliers, twins=duplicates, most=pairs
    )


def export(run: str, *, out: str, encoder: Literal["f", "g"] = "f", size: int | None = None) -> None:
    """Write a run's encoder to one file for elsewhere, and hold what it says against the encoder.

    Args:
        run: folder of a run.
        out: a new file: .onnx or .pt2 (torch.export), a program with the normalisation inside, which takes float images N x C x
            H x W in [0, 1]; or .safetensors, the weights, with mean, std and size.
        encoder: f, or g: the second one, which sdmi trains and others move slowly behind f.
        size: side in pixels at which whole images are to be seen; by default as of evaluate.
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
    """Name the samples that stand alone, or come twice, in features that `infomax embed` wrote; nothing is encoded.

    Without an option: ten that stand alone, and pairs of cosine 0.99.

    Args:
        file: .npz or .parquet.
        outliers: print so many samples that are farthest from their neighbours.
        duplicates: print pairs of at least this cosine similarity, such as 0.99.
        pairs: of them so many, the closest; 20 by default.
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
    """Write one self-contained page: of a run, of several side by side, of a sweep or of a study.

    Args:
        folders: of a run, of several runs to compare, of a sweep or of a study.
        out: the page; by default report.html in the (first) run's folder, index.html in a sweep's or study's.
        data: for thumbnails, neighbours and view pairs; by default what each run was trained on, where it is found.
        root: where named data sets lie.
        umap: lay the features out by UMAP as well (needs umap-learn).
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
    """Write a page that shows the views of some samples beside their sources, and what was drawn for each.

    Args:
        data: as of train.
        out: the page; an existing file is never overwritten.
        recipe: as --views of train.
        count: samples, spread over the data.
        size: as of train.
        local_views: as of train.
        seed: of the run whose views these are.
        epoch: of that run, counted from 0.
        root: where named data sets lie.
    """
    from infomax.report.views import views_page

    written = views_page(
        data, out, recipe, count=count, size=size, local_views=local_views, seed=seed, epoch=epoch, root=root
    )
    print(f"wrote {written}")


def demo(*, out: str = "runs/demo", seed: int = 0) -> None:
    """Train five methods on scikit-learn's digits, watch one collapse, and write a page: some three minutes on one core.

    Args:
        out: folder for the page and the numbers; a number is added where it exists.
        seed: of weights, shuffles and views.
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
    """Estimate the mutual information between two files of samples, or two runs, in nats, with what is known of its error.

    Two runs are read off two views of the same samples, the first seen by the one and the second by the other.

    Args:
        x: a .npy file, one row a sample; file.npz:key, one array of several; or the folder of a run.
        y: likewise; row i belongs to row i of x. Or the folder of a run, the same or another. Left out where x is an .npz of
            the two arrays x and y.
        method: auto; gaussian, ksg or discrete; or a bound, read from a critic trained for it: infonce, dv, nwj, tuba,
            interpolated, jsd_lower, xi_jsd, smile.
        critic: of a bound, and of no other method; by default separable.
        margins: coordinates to read in: ranks made Gaussian (by default), standardised, or as they are; not of auto, which
            tries its own, nor of discrete.
        k: neighbours of ksg, and of no other method; by default 5.
        seed: of folds and weights.
        tau: read with the fixed critic cos/tau, as curves of training are, in place of an estimate; sides of one width.
        data: of runs, as of train; by default what the first was trained on.
        root: where named data sets lie.
        samples: of runs, how many pairs; by default 1000.
        layer: of runs: features (the encoder's), f or g (behind the projector), or a submodule of f by its name.
        layer_b: of the second run; by default as the first.
        json: one object {mi, lo, hi, open_ended, method, flags, readings, ...} instead of a table; what is unknown is null.
    """
    from infomax.mi.command import run

    run(
        x, y, as_json=json, tau=tau, data=data, root=root, samples=samples, layer=layer, layer_b=layer_b,
        method=method, critic=critic, margins=margins, k=k, seed=seed,
    )  # fmt: skip
