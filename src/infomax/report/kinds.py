"""Runs of a page that differ in their seed alone: they have one name, one colour, and a mean."""

from collections.abc import Sequence
from typing import NamedTuple

from infomax.evaluate import seeds
from infomax.report.looks import CLASSES, Style, style
from infomax.report.subject import Subject
from infomax.words import many

DASHES = ("solid", "dash", "dot", "dashdot")


class Kind(NamedTuple):
    """Runs that differ in their seed alone, at least one.

    Attributes:
        name: the method's, with what tells it from others of that method.
        subjects: the runs.
    """

    name: str
    subjects: list[Subject]


def kinds(subjects: Sequence[Subject]) -> list[Kind]:
    """The kinds of the runs of a page, by what they were asked.

    Example:
        >>> asked = {"method": {"method": "jmi"}, "encoder": {"name": "mlp"}}
        >>> runs = [(0.1, 0), (0.1, 1), (0.2, 0)]
        >>> page = [Subject("", "jmi", asked | {"training": {"lr": lr, "seed": seed}}, []) for lr, seed in runs]
        >>> [(kind.name, len(kind.subjects)) for kind in kinds(page)]
        [('JMI, lr 0.1', 2), ('JMI, lr 0.2', 1)]
    """
    places = seeds.kinds([s.config for s in subjects])
    first = [subjects[kind[0]] for kind in places]
    made = seeds.names([style(s.method).label for s in first], [s.config for s in first])
    return [Kind(name, [subjects[k] for k in kind]) for name, kind in zip(made, places, strict=True)]


def named_apart(subjects: Sequence[Subject]) -> dict[str, Style]:
    """Give every run a name of its own, and a look: its method's for one run; of several a colour each kind, a dash each seed.

    The colours are those of the methods, where no two kinds have the same.
    """
    if len(subjects) == 1:
        return {subjects[0].name: style(subjects[0].method)._replace(label=subjects[0].name)}
    for subject in subjects:
        twins = [other for other in subjects if other.name == subject.name]
        for number, twin in enumerate(twins, 1):
            if len(twins) > 1:
                parents = [str(t.path.resolve().parent.name) if t.path else "" for t in twins]
                here = parents[number - 1]
                twin.name = f"{here}/{twin.name}" if len(set(parents)) == len(twins) else f"{twin.name} ({number})"
    of_page = kinds(subjects)
    colours = [style(kind.subjects[0].method).colour for kind in of_page]
    if len(set(colours)) < len(colours):
        colours = [CLASSES[k % len(CLASSES)] for k in range(len(of_page))]
    looks = {}
    for k, (name, of) in enumerate(of_page):
        group = f"{name}, {many(len(of), 'seed')}" if len(of) > 1 else ""
        for j, s in enumerate(of):
            looks[s.name] = Style(s.name, colours[k], DASHES[(k // len(CLASSES) + j) % len(DASHES)], group)
    return {s.name: looks[s.name] for s in subjects}
