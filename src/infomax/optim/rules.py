"""Rules: another learning rate or weight decay for some of the parameters.

    rules={"predictor": {"lr": "constant"}, "bias": {"weight_decay": 0}, "f.encoder.*": {"lr": 0.1}}

A rule applies to a part of the learner, or to a pattern of parameter names. `lr` is a factor of the run's learning
rate, or "constant". `bias` is every parameter named as a bias (also `bias_ih_l0` and `in_proj_bias`), `norm` the gain
and shift of every torch normalisation layer. If two rules match one parameter, the later one counts. A method may have
rules of its own (SimSiam's predictor keeps a constant learning rate); a user's rule of the same name replaces them.
"""

import math
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from infomax.critic import Critic
from infomax.errors import ConfigError, nearest
from infomax.heads import Branch, Prototypes
from infomax.learner import Learner, Rules
from infomax.marginal import Predictor
from infomax.parallel import is_shard

PARTS = ("encoder", "projector", "predictor", "prototypes", "critic", "bias", "norm")
SETTINGS = ("lr", "weight_decay")


def read_rules(text: str | None) -> Rules:
    """Read rules from YAML, as the command line gives them.

    Raises:
        ConfigError: the text is not a mapping of mappings.

    Example:
        >>> read_rules("{bias: {weight_decay: 0}}")
        {'bias': {'weight_decay': 0}}
        >>> read_rules("{bias: {weight_decay: 1e-5}}")
        {'bias': {'weight_decay': 1e-05}}
    """
    import yaml

    try:
        rules = {} if text is None else yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--rules {text!r} is no YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(rules, dict):
        raise ConfigError(f'--rules {text!r}: give parts with settings, "{{bias: {{weight_decay: 0}}}}"')
    return {
        part: {setting: _number(value) for setting, value in rule.items()} if isinstance(rule, dict) else rule
        for part, rule in rules.items()
    }


def _number(value: Any) -> Any:
    """A number that YAML 1.1 takes for text, since it has no point: 1e-5; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def resolved(learner: Learner, asked: Rules) -> dict[str, dict[str, float | str]]:
    """The method's own rules, where the learner has such parameters, and those that were asked for.

    Raises:
        ConfigError: a part or setting that does not exist, an impossible value, or a rule that matches no parameter.

    Example:
        >>> import infomax as im
        >>> learner = im.methods.simsiam(nn.Linear(8, 4), projector=(4,), predictor=(2,))
        >>> resolved(learner, {"bias": {"weight_decay": 0}})
        {'predictor': {'lr': 'constant'}, 'bias': {'weight_decay': 0}}
    """
    names = dict(learner.named_parameters())
    check(asked)
    for part in asked:
        if not any(_for(learner, part, name) for name in names):
            raise ConfigError(f"a rule for {part!r}: {learner.name!r} has no such parameter")
    own = {p: r for p, r in learner.rules.items() if any(_for(learner, p, name) for name in names)}
    return {part: dict(rule) for part, rule in {**own, **asked}.items()}


def check(asked: Rules) -> None:
    """Refuse rules that no learner can have.

    Raises:
        ConfigError: a part or setting that does not exist, or an impossible value.
    """
    for part, rule in asked.items():
        if part not in PARTS and not any(c in part for c in ".*?["):
            raise ConfigError(
                f"a rule for {part!r}: {nearest(part, PARTS)}; or a pattern of names such as 'f.encoder.*'"
            )
        if not isinstance(rule, Mapping):
            raise ConfigError(f"the rule for {part!r} is {rule!r}: give settings, such as {{'weight_decay': 0}}")
        for setting, value in rule.items():
            if setting not in SETTINGS:
                raise ConfigError(f"the rule for {part!r} sets {setting!r}: {nearest(setting, SETTINGS)}")
            number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
            if not number and not (setting == "lr" and value == "constant"):
                said = "a factor >= 0 of the learning rate, or 'constant'" if setting == "lr" else "a number >= 0"
                raise ConfigError(f"the rule for {part!r} sets {setting}={value!r}: give {said}")


def grouped(learner: Learner, rules: Rules) -> list[dict[str, Any]]:
    """The learner's parameters in groups for an optimiser, each with `factor` and `constant` of its learning rate.

    Example:
        >>> import infomax as im
        >>> learner = im.methods.jmi(nn.Linear(8, 4), projector=())
        >>> [(len(g["params"]), g.get("weight_decay")) for g in grouped(learner, {"bias": {"weight_decay": 0}})]
        [(1, None), (1, 0)]
    """
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, p in learner.named_parameters():
        rule: dict[str, float | str] = {}
        for part, settings in rules.items():
            if _for(learner, part, name):
                rule |= settings
        lr = rule.get("lr", 1.0)
        group = {"factor": 1.0 if lr == "constant" else lr, "constant": lr == "constant"}
        group |= {"weight_decay": rule["weight_decay"]} if "weight_decay" in rule else {}
        key = (
            is_shard(p),
            *group.values(),
        )  # the optimisers of torch do not take shards and whole tensors in one group
        groups.setdefault(key, group | {"params": []})["params"].append(p)
    return list(groups.values())


def rate(group: Mapping[str, Any], scheduled: float, peak: float) -> float:
    """Learning rate of a group: the scheduled one, or the constant peak, times its factor."""
    return float(group["factor"] * (peak if group["constant"] else scheduled))


def _for(learner: Learner, part: str, name: str) -> bool:
    """Whether a rule for this part is for the parameter of this name."""
    if part == "bias":
        last = name.rpartition(".")[2]
        return last == "bias" or last.startswith("bias_") or last.endswith("_bias")
    if part in PARTS:
        return any(name == n or name.startswith(f"{n}.") for n in _places(learner, part))
    return fnmatchcase(name, part)


def _places(learner: Learner, part: str) -> Iterator[str]:
    """Names of the modules that a part is made of."""
    norms = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
    kinds: dict[str, Any] = {"predictor": Predictor, "prototypes": Prototypes, "critic": Critic, "norm": norms}
    for name, m in learner.named_modules():
        if part in kinds and isinstance(m, kinds[part]):
            yield name
        elif part in ("encoder", "projector") and isinstance(m, Branch):
            yield f"{name}.{part}"
        elif part == "encoder" and name in ("f", "g"):
            yield name
