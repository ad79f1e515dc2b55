"""Mutual information, read: estimates on scores and on embeddings, their ceilings, and a fast reading for curves."""

from infomax.mi import tasks
from infomax.mi.bounds import (
    dv,
    infonce,
    infonce_literal,
    jsd,
    jsd_lower,
    jsd_shifted,
    nwj,
    smile,
    taylor_dv,
    xi,
    xi_jsd,
)
from infomax.mi.ceilings import ceiling, uniform_dv
from infomax.mi.cosine import (
    cos_dv,
    cos_infonce,
    cos_infonce_literal,
    cos_jsd,
    cos_jsd_lower,
    cos_nwj,
    cos_smile,
    cos_taylor_dv,
    cos_xi_jsd,
    cosine_scores,
)
from infomax.mi.estimate import Estimate, estimate_mi
from infomax.mi.metric import MIMetric, Reading, between
from infomax.mi.readings import readings

__all__ = [
    "Estimate",
    "MIMetric",
    "Reading",
    "between",
    "ceiling",
    "cos_dv",
    "cos_infonce",
    "cos_infonce_literal",
    "cos_jsd",
    "cos_jsd_lower",
    "cos_nwj",
    "cos_smile",
    "cos_taylor_dv",
    "cos_xi_jsd",
    "cosine_scores",
    "dv",
    "estimate_mi",
    "infonce",
    "infonce_literal",
    "jsd",
    "jsd_lower",
    "jsd_shifted",
    "nwj",
    "readings",
    "smile",
    "tasks",
    "taylor_dv",
    "uniform_dv",
    "xi",
    "xi_jsd",
]
