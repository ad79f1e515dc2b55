"""The paper's table 2, computed from the parts of a learner.

EM if the target has an M-step, Joint if it has none. Explicit if the marginals have exactly one penalty, and that is
the log-partition of the very critic that the joint term averages: joint - marginal is then a bound on the mutual
information, and attains it with the optimal critic. EM is the SDMI paradigm, Joint the JMI paradigm.

With two different critics, E_p[T] - log E[e^S] is not a bound: both terms of the paper's eq. 14 use one T, and with S =
T - c the difference is too high by c, whatever c is. So it is a surrogate. The same holds for a weighted joint term
with an unweighted log-partition (there S = T / weight), and for a joint term without a critic. Two critics count as one
if they are the same object, or of the same class and settings and, if they learn, with the same parameters. A second
penalty makes a surrogate too: with T + c, one joint term minus two log-partitions is lower by c, whatever c is, and two
bounds (a joint term of weight 2) read twice the information.
"""

from numbers import Real
from typing import Any, NamedTuple

import torch
from torch import nn

from infomax.critic import Critic
from infomax.joint import Joint
from infomax.learner import Learner
from infomax.marginal import Marginal

PRINTED = {
    "byol": ("EM", "MI surrogate", "SDMI"),
    "simsiam": ("EM", "MI surrogate", "SDMI"),
    "moco_v1": ("EM", "explicit MI", "SDMI"),
    "moco_v2": ("EM", "explicit MI", "SDMI"),
    "moco_v3": ("EM", "explicit MI", "SDMI"),
    "dino": ("EM", "MI surrogate", "SDMI"),
    "simclr": ("Joint", "explicit MI", "JMI"),
    "barlow_twins": ("Joint", "MI surrogate", "JMI"),
    "vicreg": ("Joint", "MI surrogate", "JMI"),
    "w_mse": ("Joint", "MI surrogate", "JMI"),
    "swav": ("Joint", "MI surrogate", "JMI"),
    "bgrl": ("Joint", "MI surrogate", "JMI"),
}
"""The rows as the paper prints them, for comparison: the only thing here that is copied."""

WHY = {
    "swav": "its codes carry no gradient: one side is held while the other climbs",
    "bgrl": "its target is a moving average behind a stop-gradient",
}
"""Why the computed row differs from the printed one."""


class Row(NamedTuple):
    """One method in table 2. `paper` is the printed row, if the paper has one; `differs` the reason, if it disagrees."""

    name: str
    branches: str
    m_step: str
    optimisation: str
    objective: str
    paradigm: str
    marginal: str
    paper: str
    differs: str


def describe(learner: Learner) -> Row:
    """The place of a learner in the taxonomy.

    Example:
        >>> import infomax as im
        >>> row = describe(im.methods.byol(nn.Linear(8, 4), projector=(4,), predictor=(4,)))
        >>> row.optimisation, row.objective, row.paradigm
        ('EM', 'MI surrogate', 'SDMI')
    """
    em = learner.target.m_step_is is not None
    # a second price, even a second log-partition, moves the number away from the information that it reads at best
    priced = [m for m in learner.marginals if type(m).penalty is not Marginal.penalty]
    explicit = len(priced) == 1 and priced[0].explicit and _of_the_joint(priced[0], learner.joint)
    marginal = " + ".join(type(m).__name__ for m in learner.marginals) or "none"
    objective = "explicit MI" if explicit else "MI surrogate" if learner.marginals else "none"
    computed = ("EM" if em else "Joint", objective, "SDMI" if em else "JMI")
    printed = PRINTED.get(learner.name)
    return Row(
        name=learner.name,
        branches=learner.target.is_g,
        m_step=learner.target.m_step_is or "none",
        optimisation=computed[0],
        objective=computed[1],
        paradigm=computed[2],
        marginal=marginal,
        paper=", ".join(printed) if printed else "not in table 2",
        differs=WHY.get(learner.name, "unexplained") if printed and printed != computed else "",
    )


def _of_the_joint(marginal: Marginal, joint: Joint) -> bool:
    """Whether a log-partition is that of the joint term's critic; one that names no critic is taken at its word."""
    critic = getattr(marginal, "critic", None)
    if critic is None:
        return True
    read = getattr(joint, "critic", None)
    return isinstance(read, Critic) and getattr(joint, "weight", 1.0) == 1.0 and _what(read) == _what(critic)


def _what(critic: Critic) -> list[Any]:
    """What a critic computes: the classes and settings of its parts, and which parameters these have."""

    def said(v: Any) -> Any:  # 1 and 1.0, and numpy's 0.1, are the numbers that they are
        return float(v) if isinstance(v, Real) else repr(v)

    settings = [
        (type(m), {k: said(v) for k, v in vars(m).items() if k[0] != "_" and k != "training"}) for m in critic.modules()
    ]
    return [settings, [id(t) for t in (*critic.parameters(), *critic.buffers())]]


def table() -> list[Row]:
    """Table 2 for every method of the package; each is built (without memory) and described."""
    from infomax.methods import METHODS

    rows = []
    for method in METHODS.values():
        with torch.device("meta"):
            rows.append(describe(method(nn.Linear(8, 256))))
    return rows


def as_json() -> list[dict[str, Any]]:
    """The rows as plain dictionaries."""
    return [row._asdict() for row in table()]


def as_text() -> str:
    """The table for a terminal, followed by the rows that the paper prints differently, with the reason.

    Example:
        >>> print(as_text().splitlines()[2].split("|")[0].strip())
        sdmi
    """
    rows = table()
    head = ("method", "g", "M-step", "EM/Joint", "objective", "paradigm", "marginal")
    cells = [head]
    cells += [(r.name, r.branches, r.m_step, r.optimisation, r.objective, r.paradigm, r.marginal) for r in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = [" | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    lines.insert(1, "-+-".join("-" * w for w in widths))
    odd = [
        f"{r.name}: the paper prints {r.paper}; computed {r.optimisation}, {r.objective}, {r.paradigm}: {r.differs}"
        for r in rows
        if r.differs
    ]
    same = sum(1 for r in rows if r.name in PRINTED and not r.differs)
    return "\n".join(
        [*lines, "", f"{same} of {len(PRINTED)} methods agree with the paper's table 2. The others:", *odd]
    )
