"""The command line: the package's functions, their signatures read as options."""

import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from infomax.errors import ConfigError, InfomaxError
from infomax.training.optim import OptimizerName


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


def head(text: str) -> tuple[int, ...]:
    """Read a head as its layers' widths: 2048-256, or none.

    Example:
        >>> head("2048-256"), head("none")
        ((2048, 256), ())
    """
    if text in ("", "none"):
        return ()
    parts = text.replace(",", "-").split("-")
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(f"a head is the widths of its layers, such as 2048-256, or none; not {text!r}")
    return tuple(int(part) for part in parts)


def train(
    *,
    method: str,
    data: str,
    out: str,
    encoder: str = "auto",
    views: str = "auto",
    epochs: int = 100,
    batch_size: int = 256,
    optimizer: OptimizerName = "adamw",
    lr: float = 1e-3,
    weight_decay: float = 1e-4,
    warmup_epochs: float | None = None,
    size: int | None = None,
    seed: int = 0,
    root: str | None = None,
    device: str = "auto",
    **options: Any,
) -> None:
    """Train a method on unlabeled data and keep the run in a new folder.

    Args:
        method: see `infomax methods`; its own options are listed below, after `--method NAME --help`.
        data: digits, gaussians, fashion-mnist, cifar10, cora, sbm; a folder of images; a .npy or .npz file.
        out: folder of the run, made anew.
        encoder: resnet8, resnet18, resnet50, mlp, toy, gcn, timm/NAME, torchvision/NAME; auto takes a small one.
        views: simclr, weak, byol, vicreg, w-mse, swav, dino, none; auto: simclr for images.
        epochs: passes over the data; of sdmi an epoch is an E- and an M-pass.
        batch_size: samples a batch.
        optimizer: sgd (momentum 0.9), lars, adam or adamw.
        lr: peak learning rate, at this batch size.
        weight_decay: as the optimizer takes it.
        warmup_epochs: of the learning rate; by default a tenth of the run, at most 10.
        size: side of the views in pixels; by default that of the images, at most 96.
        seed: of weights, shuffles and views.
        root: where named data sets lie; official files there are used before anything is downloaded.
        device: cpu, cuda or auto.
    """
    import torch

    import infomax as im
    from infomax.training.feed import dataset, encoder_for

    torch.manual_seed(seed)
    samples = dataset(data, root)
    learner = im.methods.build(method, encoder_for(samples, encoder, size), **options)
    run = im.train(
        learner,
        samples,
        views=views,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=lr,
        weight_decay=weight_decay,
        warmup_epochs=warmup_epochs,
        size=size,
        seed=seed,
        out=out,
        root=root,
        device=device,
    )
    last = run.history[-1]
    print(
        f"{method}: bound {last['bound']:.3f}, InfoNCE {last['mi_infonce']:.2f} of at most {last['ceiling_infonce']:.2f} nats, "
        f"effective rank {last['effective_rank']:.1f}"
    )
    print(f"wrote {out}; next: infomax probe {out}")


def probe(run: str, *, data: str | None = None, root: str | None = None, json: bool = False) -> None:
    """Judge a run's frozen encoder by a linear probe, nearest neighbours and gauges.

    Args:
        run: folder of a run.
        data: labelled data; by default what it was trained on.
        root: where named data sets lie.
        json: print one object instead of lines.
    """
    from infomax.evaluate.run import as_text
    from infomax.training import Run

    found = Run.load(run).evaluate(data, root=root)
    if json:
        import json as encoder

        print(encoder.dumps(found, indent=2))
        return
    print(as_text(found))


def report(run: str, *, out: str | None = None) -> None:
    """Write one self-contained page of a run.

    Args:
        run: folder of a run.
        out: the page; by default report.html in the run's folder.
    """
    from infomax.training import Run

    print(f"wrote {Run.load(run).report(out)}")


def demo(*, out: str = "runs/demo", seed: int = 0) -> None:
    """Train five methods on scikit-learn's digits, watch one collapse, and write a page: two minutes on two cores.

    Args:
        out: folder for the page and the numbers; a number is added where it exists.
        seed: of weights, shuffles and views.
    """
    from infomax.studies.demo import run

    run(out, seed=seed)


def toy(
    *,
    out: str,
    seeds: int = 10,
    n: int = 2500,
    epochs: int = 100,
    mini_batch: int | None = None,
) -> None:
    """The five Gaussians: trajectories on the sphere, MI curves, angle gaps, ablations (figs. 3-7, table 3).

    Args:
        out: folder for results.json, figures and the page, made anew.
        seeds: independent repetitions of every method, trained at once.
        n: samples.
        epochs: of the full-batch and of the mini-batch runs.
        mini_batch: samples a batch in the mini-batch runs; by default a fifth of n, 500 of 2500.
    """
    from infomax.studies.toy import run

    run(out, seeds=seeds, n=n, epochs=epochs, mini_batch=mini_batch)


def theory(*, out: str, seed: int = 0, draws: int = 200) -> None:
    """Measure what the paper proves or assumes: bounds, ceilings, surrogates, monotonicity; a verdict for each.

    Args:
        out: folder for results.json and figures, made anew.
        seed: of every sample and weight.
        draws: repetitions of a cheap check; dearer ones take a share of them.
    """
    from infomax.studies.theory import run

    run(out, seed=seed, draws=draws)


def train_command(argv: list[str]) -> Callable[..., None]:
    """The command `train`, with the options of the method that argv names beside its own."""
    from infomax import methods as known

    own = inspect.signature(train)
    fixed = [p for p in own.parameters.values() if p.kind is p.KEYWORD_ONLY]
    name = next(
        (
            a.split("=", 1)[1] if "=" in a else b
            for a, b in zip(argv, [*argv[1:], ""], strict=True)
            if a.split("=")[0] == "--method"
        ),
        None,
    )
    chosen = known.options(name) if name else {}
    heads = {n for n, p in chosen.items() if "Head" in str(p.annotation) or "Module" in str(p.annotation)}
    about = _arguments(inspect.getdoc(known.get(name)) or "") if name else {}
    extra = []
    for n, p in chosen.items():
        default = ("-".join(map(str, p.default)) or "none") if n in heads else p.default
        annotation: Any = str if n in heads else p.annotation
        shown = Parameter(help=about.get(n, ""), group=f"Options of {name}")
        extra.append(p.replace(default=default, annotation=Annotated[annotation, shown]))

    def command(**given: Any) -> None:
        arguments: dict[str, Any] = {n: head(v) if n in heads else v for n, v in given.items()}
        train(**arguments)

    command.__name__, command.__doc__ = "train", inspect.getdoc(train)
    command.__signature__ = inspect.Signature([*fixed, *extra])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*fixed, *extra)}
    return command


def _arguments(doc: str) -> dict[str, str]:
    """What a docstring says of each argument."""
    found: dict[str, str] = {}
    name, inside = "", False
    for line in doc.splitlines():
        if not line.startswith(" "):
            inside = line == "Args:"
        elif inside and line.startswith("    ") and not line.startswith("     ") and ":" in line:
            name, text = line.strip().split(":", 1)
            for one in name.split(", "):
                found[one] = text.strip()
        elif inside and name:
            for one in name.split(", "):
                found[one] += " " + line.strip()
    return found


def application(argv: list[str]) -> App:
    """Every command; `train` with the options of the method that argv names."""
    app = App(name="infomax", help="Self-supervised representation learning as mutual-information maximisation.")
    study = App(name="study", help="The paper's studies, each one command: numbers, figures and a page.")
    for command in (demo, methods, train_command(argv), probe, report):
        app.command(command)
    study.command(toy)
    study.command(theory)
    app.command(study)
    return app


def main(argv: list[str] | None = None) -> int:
    """Run one command; what a user can mend is one line on the error stream, with exit status 2."""
    tokens = sys.argv[1:] if argv is None else argv
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, category, *_: print(f"warning: {message}", file=sys.stderr)
        return _run(tokens)


def _run(tokens: list[str]) -> int:
    try:
        application(tokens)(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        print(f"infomax: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except InfomaxError as error:
        print(f"infomax: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninfomax: stopped; what had been written stays", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
