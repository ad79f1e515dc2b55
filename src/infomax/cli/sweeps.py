"""`infomax sweep`: grids of runs."""

from typing import Annotated, Literal

from cyclopts import Parameter

from infomax.errors import ConfigError

Goal = Literal["max", "min"]


def sweep(
    grid: str | None = None,
    *,
    out: str | None = None,
    runner: Literal["local", "ray", "submitit"] = "local",
    workers: int | None = None,
    threads: int = 1,
    gpus: float | None = None,
    address: str | None = None,
    retries: int = 3,
    retry: Annotated[bool, Parameter(negative="")] = False,
    set: Annotated[tuple[str, ...], Parameter(consume_multiple=False)] = (),
    list: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train every cell of a grid, judge each on a held-out part of train, and keep them all in one folder.

    The same command goes on where it was stopped: finished cells are not run again, half-finished ones resume, and a cell
    that fails says why and does not stop the others.

    Args:
        grid: a YAML file, or a grid that the package brings, such as paper/sweep1-sdmi; see docs/sweeps.md.
        out: folder of the sweep, made anew or gone on with.
        runner: local (processes of this machine), ray (a cluster) or submitit (SLURM).
        workers: cells at once; by default as many as there are GPUs; without one, one. With ray: as many as have room.
        threads: CPU threads a cell.
        gpus: a cell's share of GPUs, such as 0.25 for four on one; by default one where there are any.
        address: of a Ray cluster, or auto for the one this machine belongs to; by default one is started here.
        retries: how often a cell goes on whose process or machine died, or whose time SLURM said was up.
        retry: run the failed cells again.
        set: a fixed option in place of the file's, as epochs=5; may be given several times.
        list: print the grids that the package brings.
    """
    from infomax.sweep import command

    if list:
        command.listed()
        return
    if grid is None or out is None:
        raise ConfigError("give a grid and a folder: infomax sweep GRID.yaml --out DIR (or --list)")
    options = {"workers": workers, "threads": threads, "gpus": gpus, "address": address}
    command.start(grid, out, set, {"runner_name": runner, "retries": retries, "retry": retry, **options})


def status(folder: str, *, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Say how the cells of a sweep stand.

    Args:
        folder: of the sweep.
        json: every cell with its options and metrics.
    """
    from infomax.sweep import command

    command.status(folder, as_json=json)


def best(
    folder: str,
    *,
    by: str | None = None,
    goal: Goal | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Print the best setting of a sweep, chosen on a held-out part of train, or by a gauge; over seeds, by its mean.

    Args:
        folder: of the sweep.
        by: metric; by default the grid's.
        goal: max or min; by default the grid's of its own metric, and of others what is known of them.
        json: one object {options, mean, sd, n, tied, ...}; tied: the options of others that are as good.
    """
    from infomax.sweep import command

    command.best(folder, by, goal, as_json=json)


def table(
    folder: str,
    *,
    by: str | None = None,
    goal: Goal | None = None,
    csv: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Print the settings of a sweep, the best first, with their spread over seeds.

    Args:
        folder: of the sweep.
        by: metric; by default the grid's.
        goal: max or min; by default the grid's of its own metric, and of others what is known of them.
        csv: a line a cell, with all of its metrics.
    """
    from infomax.sweep import command

    command.table(folder, by, goal, csv=csv)


def page(folder: str, *, out: str | None = None, by: str | None = None, goal: Goal | None = None) -> None:
    """Write one self-contained page of a sweep: parallel coordinates, what each option does, every cell.

    Args:
        folder: of the sweep.
        out: the page; by default index.html in the folder.
        by: metric; by default the grid's.
        goal: max or min; by default the grid's of its own metric, and of others what is known of them.
    """
    from infomax.sweep.page import write

    print(f"wrote {write(folder, out, by, goal)}")
