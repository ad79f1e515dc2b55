"""What the parser refuses, in words of this package: what is missing, unknown or too much, and how the command is called."""

import inspect
import re
from difflib import get_close_matches

from cyclopts import (
    Argument,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from infomax.cli.options import options_given
from infomax.errors import command as typed
from infomax.errors import meant

PARTS = ("target", "joint", "marginals", "scale", "offset")
"""What of a learner `Learner.edit` changes, and no command does."""


def said_of(error: CycloptsError) -> str:
    """One line on a command line that cannot be read."""
    named = " ".join(error.command_chain or ())
    if isinstance(error, UnknownOptionError):
        return _unknown(error, named, error.token.keyword or error.token.value)
    if isinstance(error, UnusedCliTokensError):
        return f"{named}: {_listed(error)} too much: {_usage(error, named)}"
    if type(error) is MissingArgumentError and error.argument is not None:
        if error.keyword is not None:
            return f"{named}: {error.keyword} is given without a value"
        unknown = [token for token in error.unused_tokens or () if re.match("--?[a-zA-Z]", token)]
        if unknown:
            return _unknown(error, named, unknown[0])
        extra = f", and {_listed(error)} too much" if error.unused_tokens else ""
        return f"{named}: {_argument(error.argument)} is missing{extra}: {_usage(error, named)}"
    return " ".join(str(error).split())


def of_file(argv: list[str], error: CycloptsError) -> str | None:
    """One line on a value that cannot be read where it stands in the file of `--config`; None of one that was typed.

    Args:
        argv: the command line as it was typed.
        error: what the parser made of it, the file's options among them.
    """
    given = options_given(argv)
    if argv[:1] != ["train"] or "config" not in given or not isinstance(error, CoercionError) or error.argument is None:
        return None
    key = error.argument.name.removeprefix("--").replace("-", "_")
    if key in given or f"no_{key}" in given:
        return None
    return f"--config {given['config']}: {key}: {said_of(error).removeprefix(f'Invalid value for {error.argument.name}: ')}"


def spelt(said: str, argv: list[str]) -> str:
    """A message that begins with an option as Python has it, as it was typed.

    Example:
        >>> spelt("batch_size=0: give at least 1", ["train", "--batch-size", "0"])
        '--batch-size=0: give at least 1'
    """
    name, equals, rest = said.partition("=")
    return f"--{name.replace('_', '-')}={rest}" if equals and options_given(argv).get(name) else said


def _unknown(error: CycloptsError, named: str, token: str) -> str:
    option = token.split("=")[0]
    if (named, option) == ("train", "--resume"):  # with a value it would have been another command
        return f"train: --resume takes a run's folder: {typed('train --resume RUN')}"
    method = options_given(error.root_input_tokens or []).get("method") if named == "train" else None
    if said := of_another(method, option.removeprefix("--").removeprefix("no-").replace("-", "_"), option):
        return said
    part = option.removeprefix("--").removeprefix("no-")
    if named == "train" and part in PARTS:
        return f"train has no option {option}: in Python a learner has, im.train(learner.edit({part}=...), ...)"
    arguments = error.app.assemble_argument_collection() if error.app else ()
    by_word = {name.lstrip("-"): name for argument in arguments for name in argument.names}
    by_word |= {"config": "--config", "resume": "--resume"} if named == "train" else {}  # read before the others
    word = option.lstrip("-").lower()
    begun = [one for one in by_word if len(word) > 1 and one.startswith(word)]  # cut short, it is that and no other
    same = meant(word, by_word)
    close = begun if len(begun) == 1 else [same] if same else get_close_matches(word, by_word, n=1)
    hint = f"did you mean {by_word[close[0]]}?" if close else f"{typed(f'{named} --help')} lists them"
    return f"{named} has no option {option}: {hint}"


def of_another(method: str | None, option: str, shown: str) -> str:
    """Which methods have an option that one has not; nothing where none has, or no method is named.

    Args:
        method: that has not.
        option: its name.
        shown: as it was given.

    Example:
        >>> of_another("simclr", "momentum_end", "--momentum-end")
        'simclr has no --momentum-end (moco_v2 has)'
    """
    from infomax import methods

    others = sorted(name for name in methods.METHODS if option in methods.options(name)) if method else []
    return f"{method} has no {shown} ({', '.join(others)} {'has' if len(others) == 1 else 'have'})" if others else ""


def _argument(argument: Argument) -> str:
    """As it is typed: an option by its name, others by their place."""
    if not argument.field_info.is_positional:
        return argument.name
    place = ("first", "second", "third")[argument.index or 0]
    return f"{argument.name.lstrip('-').upper()}, the {place} argument,"


def _listed(error: CycloptsError) -> str:
    unused = error.unused_tokens or []
    return f"{' and '.join(map(repr, unused))} {'is' if len(unused) == 1 else 'are'}"


def _usage(error: CycloptsError, named: str) -> str:
    """The command with all that it needs."""
    words = [named]
    for name, p in inspect.signature(error.target).parameters.items() if error.target else ():
        option, value = f"--{name.replace('_', '-')}", name.upper()
        if p.kind is p.POSITIONAL_OR_KEYWORD:
            words.append(value if p.default is p.empty else f"[{value}]")
        elif p.kind is p.KEYWORD_ONLY and p.default is p.empty:
            words.append(f"{option} {value}")
    return typed(" ".join(words))
