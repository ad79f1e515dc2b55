"""The command line: the package's functions, their signatures read as options.

| module | commands |
|---|---|
| train | train, with --config, --print-config and --resume |
| runs | methods, recipes, probe, evaluate, embed, export, inspect, report, views, mi, demo |
| studies | study toy, theory, mi, table1, ... |
| sweeps | sweep, and its status, best, table, page |
| completion | completion |
"""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from difflib import get_close_matches
from pathlib import Path
from types import FrameType

from cyclopts import App, CycloptsError

from infomax.cli.completion import completion
from infomax.cli.options import options_given, strict
from infomax.cli.phrases import of_file, said_of, spelt
from infomax.cli.resume import continued, resumed
from infomax.cli.runs import demo, embed, evaluate, export, inspect, methods, mi, probe, recipes, report, views
from infomax.cli.studies import (
    claims,
    collapse,
    fig2,
    fig7,
    periodic_table,
    study_mi,
    table1,
    table4,
    table5,
    table6,
    table7,
    theory,
    toy,
)
from infomax.cli.sweeps import best, page, status, sweep, table
from infomax.cli.train import from_file, train_command
from infomax.errors import DataError, InfomaxError, Unreachable, begun_as, nearest, reason
from infomax.parallel import launched_rank
from infomax.progress import say
from infomax.training.interrupt import Stopped, leave, whole_process

__all__ = ["application", "main"]

SWEEPS = (status, best, table, page)
"""Commands below `infomax sweep`."""


def application(argv: list[str]) -> App:
    """Every command; `train` with the options of the method that argv names."""
    app = App(
        name="infomax",
        help="Self-supervised representation learning as mutual-information maximisation.",
        suppress_keyboard_interrupt=False,  # a stopped run has something to say
    )
    study = App(name="study", help="The paper's studies, each one command: numbers, figures and a page.")
    training = continued if _continues(argv) else train_command(argv if argv[:1] == ["train"] else [])
    app.command(strict(training), name="train")
    for command in (
        demo,
        methods,
        recipes,
        probe,
        evaluate,
        embed,
        export,
        inspect,
        report,
        views,
        mi,
        completion,
    ):
        app.command(strict(command))
    for each in (toy, theory, fig2, fig7, collapse, table1, table4, table5, table6, table7, claims, periodic_table):
        study.command(strict(each))
    study.command(strict(study_mi), name="mi")
    app.command(study)
    sweeps = App(name="sweep")
    sweeps.default(strict(sweep))
    for each in SWEEPS:
        sweeps.command(strict(each))
    app.command(sweeps)
    return app


def _continues(argv: list[str]) -> bool:
    return argv[:1] == ["train"] and bool(options_given(argv).get("resume"))


def main(argv: list[str] | None = None) -> int:
    """Run one command; what a user can mend is one line on the error stream, with exit status 2."""
    if argv is None:
        begun_as(sys.argv[0])
    tokens = sys.argv[1:] if argv is None else argv
    with warnings.catch_warnings(), whole_process() if argv is None else nullcontext():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, category, *_: say(f"warning: {message}")
        with _terminated(tokens) as asked:
            status = _run(tokens)
        return 128 + asked[0] if asked and status == 128 + signal.SIGINT else status


@contextmanager
def _terminated(tokens: list[str]) -> Iterator[list[int]]:
    """SIGTERM ends a demo or a study as Ctrl-C does, with a word; runs and sweeps hear it themselves. The list has it."""
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        if os.getpid() != ours:  # a child by fork has this handler, and nothing to say
            os._exit(128 + number)
        heard.append(number)
        # a plain KeyboardInterrupt in the middle of an import Python answers by SIGINT to itself, at its end
        raise Stopped(_stopped(tokens), number)

    ours = os.getpid()
    if tokens[:1] not in (["demo"], ["study"]) or threading.current_thread() is not threading.main_thread():
        yield heard
        return
    before = signal.signal(signal.SIGTERM, hear)
    try:
        yield heard
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _run(tokens: list[str]) -> int:
    typed = tokens
    try:
        tokens = from_file(tokens)
        if _continues(tokens):
            tokens = resumed(tokens)
        application(tokens)(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _say(_misspelt(tokens) or of_file(typed, error) or said_of(error), 2)
    except Unreachable as error:  # it may be the first one that is gone, which speaks else
        cause = " ".join(str(error.__cause__).split()).split(". ")[0]
        return _say(f"{error} (torch: {cause})", 2, alone=False)
    except InfomaxError as error:
        return _failed(error, typed)
    except Stopped as stopped:
        return _say(str(stopped), 128 + stopped.number)
    except BrokenPipeError:  # who read along, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # a path that cannot be made, read or written
        return _say(f"{error.filename}: {reason(error)}" if error.filename else reason(error), 2)
    except KeyboardInterrupt:
        status = _say(_stopped(tokens), 128 + signal.SIGINT)
        if tokens[:1] == ["train"]:  # of other commands there may be processes, which are ended on the way out
            leave(signal.SIGINT)
        return status
    return 0


def _failed(error: InfomaxError, tokens: list[str]) -> int:
    from infomax.parallel import rank, world

    if isinstance(error, DataError) and world() > 1:  # of this process's slice, it may be: the others do not know of it
        return _say(f"process {rank()}: {error}", 2, alone=False)
    return _say(spelt(str(error), tokens), 2)


def _stopped(tokens: list[str]) -> str:
    """What to say of a command that was interrupted: a run before its first update has left nothing that could be resumed."""
    if tokens[:1] == ["demo"]:
        return "stopped; of a demo nothing is kept, and the same command begins it anew"
    out = options_given(tokens).get("out") if tokens[:1] == ["train"] else None
    with suppress(OSError):  # a closed folder is not to take the word's place
        if out and not (Path(out).is_dir() and any(Path(out).iterdir())):
            return "stopped before the first update: nothing had been written, and the same command begins it"
    return "stopped; what had been written stays"


def _misspelt(tokens: list[str]) -> str | None:
    """What to say of `sweep statu FOLDER`, whose second word was read as a grid, and the third as too much."""
    of_sweeps = [each.__name__ for each in SWEEPS]
    if tokens[:1] != ["sweep"] or len(tokens) < 3 or tokens[1] in of_sweeps or Path(tokens[1]).exists():
        return None
    if tokens[2].startswith("-") or not get_close_matches(tokens[1], of_sweeps):
        return None
    return f"no command 'sweep {tokens[1]}': {nearest(tokens[1], of_sweeps)}"


def _say(message: str, status: int, *, alone: bool = True) -> int:
    if launched_rank() == 0 or not alone:
        print(f"infomax: {message}", file=sys.stderr)
    return status
