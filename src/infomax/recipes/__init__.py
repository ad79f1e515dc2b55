"""Recipes: settings that come with the package, with expected accuracy, cost, and differences from their source.

    infomax recipes                                                     # every one, with what it should reach
    infomax train --config reference/simclr-cifar10 --out runs/simclr   # further options override the recipe's

In Python: `im.recipes.get("reference/simclr-cifar10").train("photos/", out="runs/simclr")`.

| family | what |
|---|---|
| paper | the eight methods of the paper, as its tables 6 and 7 select them; `paper/sweep1-METHOD` are grids |
| reference | the best published with code: solo-learn's, on CIFAR |
| cpu | a few minutes on a CPU: small views, batches and heads, and a time budget instead of epochs |

A file holds options of the method and of `infomax train`; under `sets` it holds what is specific to a data set.
"""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infomax.errors import ConfigError, nearest

if TYPE_CHECKING:
    from infomax.training.loop import OnEpoch
    from infomax.training.run import Run

__all__ = ["Recipe", "files", "get", "names", "protocols"]

SAID = ("expected", "cost", "cost_how", "source", "protocol", "differs")
"""What a recipe says of itself, beside its options."""


@dataclass(frozen=True)
class Recipe:
    """Options of a run, and what is known about it.

    Args:
        name: family/method-data.
        options: options of `infomax train`, without `out`.
        about: `expected` ({accuracy, sd} in percent, for SDMI's second encoder accuracy_g and sd_g), `cost`,
            `cost_how`, `source`, `protocol` (of the expected accuracy), `differs` (list of differences from the
            source).
    """

    name: str
    options: Mapping[str, Any]
    about: Mapping[str, Any]

    @property
    def expects(self) -> str:
        """The expected accuracy, as text."""
        found = self.about["expected"]

        def one(key: str, sd: str) -> str:
            return f"{found[key]:.2f}" + (f" ± {found[sd]:.2f}" if sd in found else "") + " %"

        second = f" (g {one('accuracy_g', 'sd_g')})" if "accuracy_g" in found else ""
        return one("accuracy", "sd") + second

    def train(
        self,
        data: Any = None,
        out: str | Path | None = None,
        *,
        progress: bool = True,
        on_epoch: "OnEpoch | None" = None,
        **changes: Any,
    ) -> "Run":
        """Train what `infomax train --config` trains with this recipe.

        Args:
            data: as in `im.train`: a name, a folder, an array, a data set; None: the recipe's own.
            out: folder of the run; None: nothing is written.
            progress: show a progress bar, with speed and time left.
            on_epoch: function called with the run after every epoch, as in `im.train`.
            **changes: options of `infomax train` and of the method, which override the recipe's. `epochs` replaces
                `budget`, and `budget` replaces `epochs`. `views` may be a function and `encoder` a module, as in
                `im.train`. None keeps the recipe's option.

        Returns:
            The run, with its trained learner.

        Raises:
            ConfigError: an unknown option (the message names the nearest), and all that `im.train` raises.

        Example:
            >>> run = get("cpu/simclr-cifar10").train("digits", epochs=1, size=8, encoder="mlp", progress=False)
            >>> run.config["training"]["optimizer"], len(run.history)
            ('muon', 1)
        """
        from infomax.sweep.grid import resolved
        from infomax.training.configured import configured
        from infomax.training.defaults import dataset

        changes = {k: list(v) if isinstance(v, tuple) else v for k, v in changes.items() if v is not None}
        length = {"epochs", "budget"} if {"epochs", "budget"} & set(changes) else set()
        # what has no name goes by the words of the command line
        own: dict[str, Any] = {
            k: changes.pop(k) for k in ("views", "encoder") if k in changes and not isinstance(changes[k], str)
        }
        own |= {k: changes.pop(k) for k in ("devices", "strategy") if k in changes}
        asked = {k: v for k, v in self.options.items() if k not in length} | changes
        named = data is None or isinstance(data, str | os.PathLike)
        if data is not None:
            asked["data"] = os.fspath(data) if named else "given"
        options = resolved(asked, self.name)
        given = None if named else dataset(data, on_error=options["on_error"])
        where = None if out is None else Path(out)
        return configured(options | own, where, given, progress=progress, on_epoch=on_epoch)

    def as_yaml(self) -> str:
        """The recipe as a file for `--config`, with its description in comments."""
        import yaml

        said = yaml.safe_dump({"recipe": self.name, **self.about}, sort_keys=False, allow_unicode=True, width=120)
        return "".join(f"# {line}\n" for line in said.splitlines()) + yaml.safe_dump(
            dict(self.options), sort_keys=False
        )


def files() -> dict[str, Traversable]:
    """Every file of the package's recipes: paper/simclr, paper/sweep1-simclr, reference/simclr and so on."""
    root = resources.files(__name__)
    found = {
        f"{family.name}/{file.name.removesuffix('.yaml')}": file
        for family in root.iterdir()
        if family.is_dir()
        for file in family.iterdir()
        if file.name.endswith(".yaml")
    }
    return dict(sorted(found.items()))


@functools.cache
def _read(name: str) -> Mapping[str, Any]:
    import yaml  # takes some 50 ms, which `import infomax` need not

    return dict(yaml.safe_load(files()[name].read_text(encoding="utf-8")))


def names() -> list[str]:
    """The names of all recipes for one run; grids are listed by `infomax sweep --list`.

    Example:
        >>> [name for name in names() if "simclr" in name][:3]
        ['cpu/simclr-cifar10', 'paper/simclr-cifar10', 'paper/simclr-cifar100']
    """
    return [f"{name}-{data}" for name in files() if "/sweep" not in name for data in _read(name)["sets"]]


def protocols() -> dict[str, str]:
    """What the expected accuracies refer to, by family: how and on what they were measured, without the command.

    Example:
        >>> protocols()["reference"]
        'linear probe trained along with the encoder (online), test set, last epoch of 1000, one run'
    """
    found: dict[str, list[str]] = {}
    for name in names():
        said = get(name).about["protocol"].split(": benchmarks/")[0]
        family = found.setdefault(name.split("/")[0], [])
        family += [said] if said not in family else []
    return {family: "; or ".join(said) for family, said in found.items()}


def get(name: str) -> Recipe:
    """Get a recipe by name; `_` and `-` are the same.

    Raises:
        ConfigError: there is no recipe of that name; the message names the nearest.

    Example:
        >>> recipe = get("reference/simclr-cifar10")
        >>> recipe.options["optimizer"], recipe.options["data"], recipe.expects
        ('larc', 'cifar10', '90.74 %')
    """
    known, asked = names(), name.replace("_", "-")
    if asked not in known:
        family = [n for n in known if n.startswith(asked.split("/")[0] + "/")]
        raise ConfigError(f"no recipe {name!r}: {nearest(asked, family or known)}")
    # a method's name may begin another's, so that the data set has to fit too
    file = next(f for f in files() if any(asked == f"{f}-{data}" for data in _read(f).get("sets", ())))
    whole, data = _read(file), asked[len(file) + 1 :]
    shared = {key: value for key, value in whole.items() if key not in ("sets", "about")}
    own = whole["sets"][data]
    about = {**whole["about"], **{key: own[key] for key in SAID if key in own}}
    return Recipe(asked, {**shared, "data": data, **{k: v for k, v in own.items() if k not in SAID}}, about)
