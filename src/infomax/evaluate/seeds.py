"""The mean and spread of accuracies over runs: where they differ in their seed alone, else why there is none."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from infomax.data.content import changed, same_statistics
from infomax.evaluate.protocols import spread_of
from infomax.words import many

ACCURACIES = ("linear", "sgd", "knn", "knn_best", "few_1", "few_10", "finetune")
WITHOUT_EFFECT = {
    "training": ("seed", "gauge_samples", "intervals", "online_probe", "online_knn"),
    "views": ("made",),  # from the others and the data
}
"""Options that are the seed, or that only watch: runs that differ in them are of one kind."""
_UNTOLD = re.compile("<locals>|<lambda>| object>")
"""In the name of a function of views: that it does not tell what the function does."""


def summary(all_found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and deviation over runs, such as those of several seeds, of each accuracy they share; a second encoder's as `g`."""
    common: dict[str, Any] = {}
    for name in ACCURACIES:
        values = [f[name]["mean"] if isinstance(f[name], Mapping) else f[name] for f in all_found if name in f]
        if len(values) == len(all_found):
            common[name] = spread_of([v / 100 for v in values])
    if all("g" in f for f in all_found) and (of_g := summary([f["g"] for f in all_found])):
        common["g"] = of_g
    return common


def lengths(all_found: Sequence[Mapping[str, Any]]) -> str:
    """How far runs came, where that differs, as the tail of "3 runs"; else nothing.

    Example:
        >>> lengths([{"trained": {"epoch": epoch}} for epoch in (0.5, 0.25, 0.75)])
        ' of 0.25 to 0.75 epochs'
    """
    done = [f["trained"]["epoch"] for f in all_found]
    return f" of {min(done):g} to {max(done):g} epochs" if min(done) < max(done) else ""


def lines(over: Mapping[str, Any], of: str = "", came: str = "") -> list[str]:
    """A summary for a terminal.

    Args:
        over: of `summary`.
        of: what the lines begin with.
        came: how far the runs came (`lengths`).

    Example:
        >>> lines({"knn": {"mean": 90.0, "sd": 1.0, "n": 3}, "g": {"knn": {"mean": 91.0, "sd": 1.0, "n": 3}}})
        ['knn       90.00 % +- 1.00 (sd of 3 runs)', 'of g: knn       91.00 % +- 1.00 (sd of 3 runs)']
    """
    own = [
        f"{of}{name:9} {v['mean']:.2f} % +- {v['sd']:.2f} (sd of {many(v['n'], 'run')}{came})"
        for name, v in over.items()
        if name != "g"
    ]
    return own + (lines(over["g"], "of g: ", came) if "g" in over else [])


def kinds(configs: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Which runs differ in their seed alone, by what they were asked: the places of each kind, the kind of the first run first.

    A run whose method or encoder was put together by hand is a kind of its own: what it is was not kept. So is one whose views
    were a function made in a function, a lambda or an object: others of its name may have done something else.

    Args:
        configs: what each was asked.

    Example:
        >>> asked = {"method": {"method": "jmi"}, "encoder": {"name": "mlp"}}
        >>> kinds([asked | {"training": {"lr": lr, "seed": k}} for k, lr in enumerate((0.1, 0.2, 0.1))])
        [[0, 2], [1]]
    """
    made: list[list[int]] = []
    for k, config in enumerate(configs):
        own = (config.get("views") or {}).get("own") or ""
        known = config.get("method") and config.get("encoder") and not _UNTOLD.search(own)
        kin = next((kind for kind in made if known and not differences([configs[kind[0]], config])), None)
        if kin is None:
            made.append([k])
        else:
            kin.append(k)
    return made


def apart(
    names: Sequence[str], all_found: Sequence[Mapping[str, Any]], configs: Sequence[Mapping[str, Any]]
) -> str | None:
    """Why runs have no mean: in what they differ beside the seed; None where in nothing.

    Args:
        names: of the runs.
        all_found: what was found of each.
        configs: what each was asked.
    """
    if any(not {"method", "data", "source", "trained", "weights"} <= f.keys() for f in all_found):
        return "an earlier version evaluated them, and did not keep of what: evaluate them again"
    methods = list(dict.fromkeys(f["method"] for f in all_found))
    if len(methods) > 1:
        return f"the runs are of different methods ({', '.join(methods)})"
    on = {f["source"] or f["data"]: f["data"] for f in all_found}
    if len(on) > 1:
        said = on.values() if len(set(on.values())) == len(on) else on
        return f"the runs were evaluated on different data ({', '.join(said)}): give one to all by --data"
    if any(changed(all_found[0].get(key), f.get(key)) for key in ("content", "content_of_test") for f in all_found):
        return "the data have changed between their evaluations: evaluate them again"
    for key in ("size", "seed"):
        asked = list(dict.fromkeys(str(f[key]) for f in all_found if key in f))  # a version of before did not keep it
        if len(asked) > 1:
            return f"the runs were evaluated by different --{key} ({', '.join(asked)})"
    differ = differences(configs)
    budgets = {(c.get("training") or {}).get("budget") for c in configs}
    if budgets != {None} and len(budgets) == 1:  # of one time, in which each came as far as it could
        early = [n for n, f in zip(names, all_found, strict=True) if f["trained"]["finished"] is False]
        if early and len(early) < len(names):
            differ.append(f"{', '.join(early)} not finished")
    epochs = [] if budgets != {None} else list(dict.fromkeys(f["trained"]["epoch"] for f in all_found))
    if len(epochs) > 1 and not any(d.startswith("training epochs") for d in differ):
        differ.append(f"epochs done ({', '.join(f'{e:g}' for e in epochs)})")
    if differ:
        return f"the runs differ in more than their seed: {'; '.join(differ)}"
    for k, f in enumerate(all_found):
        for j in range(k):
            if f["weights"] == all_found[j]["weights"]:
                return f"{names[j]} and {names[k]} have the same weights, so they are one run"
    return None


def differences(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The options in which runs differ, with their values; those without an effect on what is learnt, and the seed, left out.

    Example:
        >>> differences([{"training": {"lr": 0.1, "seed": 0}}, {"training": {"lr": 0.2, "seed": 1}}])
        ['training lr (0.1, 0.2)']
    """
    found = [f"{what} ({', '.join(dict.fromkeys(map(_short, values)))})" for what, values in _varied(configs).items()]
    data = [c.get("data") or {} for c in configs]
    if any(d.get("samples") != data[0].get("samples") or not same_statistics(data[0], d) for d in data):
        named = list(dict.fromkeys(f"{d.get('name')}, {many(d.get('samples', 0), 'sample')}" for d in data))
        found.append(
            f"data trained on ({'; '.join(named)})" if len(named) > 1 else "data trained on (their statistics)"
        )
    return found


def told_by(configs: Sequence[Mapping[str, Any]], most: int = 3) -> list[str]:
    """By what each of some settings is told from the others, shortly: the data, then options, as far as it takes.

    Args:
        configs: what each was asked.
        most: things that are named.

    Returns:
        One text a setting; all are empty where nothing tells them apart.

    Example:
        >>> told_by([{"training": {"lr": lr}, "encoder": {"name": "mlp"}} for lr in (0.1, 0.2)])
        ['lr 0.1', 'lr 0.2']
    """
    things = {"data": [(c.get("data") or {}).get("name") for c in configs], **_varied(configs)}
    said: list[str] = [""] * len(configs)
    for what, values in things.items():
        short = what.removeprefix("training ").removeprefix("method ").removesuffix(" name")
        if all(value == values[0] for value in values) or len(set(said)) == len(said) or most == 0:
            continue
        said = [f"{before}{', ' * bool(before)}{short} {_short(v, 20)}" for before, v in zip(said, values, strict=True)]
        most -= 1
    return said


def names(labels: Sequence[str], configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names for kinds, no two alike: each its method's, with what tells it from others of that method.

    Args:
        labels: of the methods, one a kind.
        configs: what the first run of each kind was asked.

    Example:
        >>> names(["jmi", "jmi", "vicreg"], [{"training": {"lr": lr}} for lr in (0.1, 0.2, 0.1)])
        ['jmi, lr 0.1', 'jmi, lr 0.2', 'vicreg']
    """
    made = list(labels)
    for label in dict.fromkeys(labels):
        same = [k for k, other in enumerate(labels) if other == label]
        for k, by in zip(same, told_by([configs[k] for k in same]), strict=True):
            made[k] = f"{label}, {by}" if by else label
    return [  # what tells them apart may be too much to name
        f"{name} ({made[: k + 1].count(name)})" if made.count(name) > 1 else name for k, name in enumerate(made)
    ]


def over_kinds(
    runs: Sequence[str], all_found: Sequence[Mapping[str, Any]], configs: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The mean of each kind of several, where they are kinds of more than one run; else nothing.

    Args:
        runs: their names.
        all_found: what was found of each.
        configs: what each was asked.

    Returns:
        One a kind: its `name`, its `runs` and, of several, `over_runs` (`summary`) or `over_runs_left_out` (`apart`).

    Example:
        >>> asked = [{"method": {"method": m}, "encoder": {"name": "mlp"}} for m in ("jmi", "vicreg", "vicreg")]
        >>> found = [{"method": a["method"]["method"], "data": "d", "source": None, "knn": 90.0,
        ...           "trained": {"epoch": 1, "finished": True}, "weights": str(k)} for k, a in enumerate(asked)]
        >>> [(kind["name"], kind["runs"], "over_runs" in kind) for kind in over_kinds("abc", found, asked)]
        [('jmi', ['a'], False), ('vicreg', ['b', 'c'], True)]
    """
    places = kinds(configs)
    if len(places) < 2 or len(places) == len(configs):
        return []
    methods = [str(all_found[kind[0]].get("method")) for kind in places]
    made: list[dict[str, Any]] = []
    for name, kind in zip(names(methods, [configs[kind[0]] for kind in places]), places, strict=True):
        its, found = [runs[k] for k in kind], [all_found[k] for k in kind]
        one: dict[str, Any] = {"name": name, "runs": its}
        if len(kind) > 1:
            why_not = apart(its, found, [configs[k] for k in kind])
            one |= {"over_runs": summary(found)} if why_not is None else {"over_runs_left_out": why_not}
        made.append(one)
    return made


def kind_lines(of: Sequence[Mapping[str, Any]], all_found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The means of kinds for a terminal.

    Args:
        of: of `over_kinds`.
        all_found: what was found of each run, by its name.

    Example:
        >>> mean = {"knn": {"mean": 90.0, "sd": 1.0, "n": 2}}
        >>> of = [{"name": "jmi", "runs": ["a"]}, {"name": "vicreg", "runs": ["b", "c"], "over_runs": mean}]
        >>> kind_lines(of, dict.fromkeys("abc", {"trained": {"epoch": 1}}))
        ['jmi: a alone', 'vicreg: b, c', '  knn       90.00 % +- 1.00 (sd of 2 runs)']
    """
    said = []
    for kind in of:
        head = f"{kind['name']}: {', '.join(kind['runs'])}"
        if "over_runs" in kind:
            came = lengths([all_found[run] for run in kind["runs"]])
            means = lines(kind["over_runs"], came=came) or ["no mean over runs: no accuracy that each has"]
            said += [head, *(f"  {line}" for line in means)]
        elif "over_runs_left_out" in kind:
            said += [head, f"  no mean over runs: {kind['over_runs_left_out']}"]
        else:
            said.append(f"{head} alone")
    return said


def _varied(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The options in which runs differ, but for those without an effect and the data: of each its values, one a run."""
    found = {}
    for part in ("method", "encoder", "views", "training"):
        inner = [dict(c.get(part) or {}) for c in configs]
        for key in dict.fromkeys(k for one in inner for k in one if k not in WITHOUT_EFFECT.get(part, ())):
            values = [one.get(key) for one in inner]
            if any(value != values[0] for value in values):
                found[f"{part} {key}"] = values
    return found


def _short(value: Any, most: int = 60) -> str:
    text = str(value)
    return text if len(text) <= most else f"{text[:most]} ..."
