"""How words on a command line are read: whole numbers, heads, options by name."""

import functools
import inspect
import itertools
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import Parameter, convert

from infomax.errors import ConfigError
from infomax.words import with_dashes


def whole(type_: Any, tokens: Any) -> int | None:
    """Read a whole number; 1.5 epochs are none, and nothing is rounded in silence."""
    text = tokens[0].value
    if text.lower() in ("none", "null") and type_ is not int:
        return None
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None
    if abs(number) >= 2**63:
        raise ValueError(f"{text} is beyond what 64 bits hold")
    return number


def word(type_: Any, tokens: Any) -> Any:
    """Read one of some words, in capitals too: AdamW is adamw."""
    known = {str(one).lower(): str(one) for one in get_args(type_)}
    token = tokens[0]
    return convert(type_, [token.evolve(value=known.get(token.value.lower(), token.value))])


def head(text: str) -> tuple[int, ...]:
    """Read a head as its layers' widths: 2048-256, or none.

    Example:
        >>> head("2048-256"), head("none")
        ((2048, 256), ())
    """
    if text in ("", "none"):
        return ()
    parts = text.replace(",", "-").split("-")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"a head is the widths of its layers, such as 2048-256, or none; not {text!r}")
    return tuple(int(part) for part in parts)


def is_head(parameter: inspect.Parameter) -> bool:
    """Whether an option of a method is the widths of a head's layers."""
    return "Head" in str(parameter.annotation) or "Module" in str(parameter.annotation)


def as_token(name: str, value: Any) -> str:
    """An option of a file as the command line has it.

    Example:
        >>> as_token("projector", [64, 32]), as_token("compile", False)
        ('--projector=64-32', '--no-compile')
    """
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option}=" + (with_dashes(value) if isinstance(value, list) else str(value))


def strict(command: Callable[..., None]) -> Callable[..., None]:
    """The command, its whole numbers read by `whole`, its words by `word`, and a line of help for every argument."""
    signature = inspect.signature(command)

    def read(p: inspect.Parameter) -> inspect.Parameter:
        bare = p.annotation.__origin__ if hasattr(p.annotation, "__metadata__") else p.annotation
        if get_origin(bare) is Literal:
            return p.replace(annotation=Annotated[p.annotation, Parameter(converter=word)])
        if bare not in (int, int | None):
            return p
        return p.replace(annotation=Annotated[p.annotation, Parameter(converter=whole)])

    parameters = [read(p) for p in signature.parameters.values()]

    @functools.wraps(command)
    def asked(*args: Any, **given: Any) -> None:
        command(*args, **given)

    asked.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    asked.__annotations__ = {p.name: p.annotation for p in parameters}
    asked.__doc__ = ungrouped(command.__doc__ or "")
    return asked


def ungrouped(doc: str) -> str:
    """A docstring whose arguments that are described together are described one by one, as help shows them.

    Example:
        >>> print(ungrouped("Args:\\n        low, high: the ends,\\n            both of them.\\n        step: between."))
        Args:
                low: the ends,
                    both of them.
                high: the ends,
                    both of them.
                step: between.
    """
    made: list[str] = []
    group: list[str] = []
    body: list[str] = []

    def close() -> None:
        for name in group:
            made.extend([f"        {name}:{body[0]}", *body[1:]])
        group.clear()

    for line in doc.splitlines():
        if group and line.startswith(" " * 12):
            body.append(line)
            continue
        close()
        names, colon, text = line.strip().partition(":")
        if colon and re.fullmatch(r" {8}\w+(, \w+)+", line[: line.index(":")]):
            group.extend(names.split(", "))
            body[:] = [text]
        else:
            made.append(line)
    close()
    return "\n".join(made)


def options_given(argv: list[str]) -> dict[str, str]:
    """The options on a command line, by name: a flag's value is empty.

    Example:
        >>> options_given(["train", "--batch-size", "64", "--lr=-1", "--compile"])
        {'batch_size': '64', 'lr': '-1', 'compile': ''}
    """
    found = {}
    for token, after in itertools.pairwise([*argv, "--"]):
        if token.startswith("--"):
            name, equals, value = token[2:].partition("=")
            found[name.replace("-", "_")] = value if equals else "" if after.startswith("--") else after
    return found


def as_number(text: str) -> float | None:
    """The number that a text is, where it is one."""
    try:
        return float(text)
    except ValueError:
        return None


def described_arguments(doc: str) -> dict[str, str]:
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
