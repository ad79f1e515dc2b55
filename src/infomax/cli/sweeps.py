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
    """Train every cell of a grid, evaluate each on a held-out part of the training data, and keep all of them in one folder.

    Repeat the same command to continue a sweep that was stopped: finished cells are not run again, and unfinished ones
    resume. A cell that fails reports why and does not stop the others.

    Args:
        grid: a YAML file, or the name of a grid of this package, such as paper/sweep1-sdmi; see docs/sweeps.md.
        out: folder of the sweep; new, or that of the sweep to continue.
        runner: local (processes on this machine), ray (a cluster) or submitit (SLURM).
        workers: number of cells that run at once; by default as many as there are GPUs, or one without a GPU. With ray:
            as many as the cluster has room for.
        threads: CPU threads per cell.
        gpus: share of GPUs per cell, such as 0.25 for four cells on one GPU; by default one, if there are any.
        address: with ray: address of the cluster, or auto for the one that this machine belongs to; by default one is
            started here. With submitit: slurm, local or debug.
        retries: how often a cell is continued after its process or machine died, or after SLURM reported that its time
            was up.
        retry: run the failed cells again.
        set: override an option of the file with a fixed value, such as epochs=5; may be given several times.
        list: list the grids of this package.
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
    """Show how the cells of a sweep stand.

    Args:
        folder: folder of the sweep.
        json: print every cell with its options and metrics, as JSON.
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
    """Print the best setting of a sweep, chosen on a held-out part of the training data or by a gauge; by the mean over seeds.

    Args:
        folder: folder of the sweep.
        by: metric; by default that of the grid.
        goal: max or min; by default the grid's goal for its own metric, and the known direction for other metrics.
        json: print one object {options, mean, sd, n, tied, ...}; tied: the options of other settings that are as good.
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
    """Print the settings of a sweep, best first, with their spread over seeds.

    Args:
        folder: folder of the sweep.
        by: metric; by default that of the grid.
        goal: max or min; by default the grid's goal for its own metric, and the known direction for other metrics.
        csv: print one line per cell, with all of its metrics, as CSV.
    """
    from infomax.sweep import command

    command.table(folder, by, goal, csv=csv)


def page(folder: str, *, out: str | None = None, by: str | None = None, goal: Goal | None = None) -> None:
    """Write one self-contained HTML page of a sweep: parallel coordinates, the effect of each option, every cell.

    Args:
        folder: folder of the sweep.
        out: path of the page; by default index.html in the sweep's folder.
        by: metric; by default that of the grid.
        goal: max or min; by default the grid's goal for its own metric, and the known direction for other metrics.
    """
    from infomax.sweep.page import write

    print(f"wrote {write(folder, out, by, goal)}")
