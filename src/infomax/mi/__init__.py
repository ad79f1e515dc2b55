"""Mutual information: estimates from scores and from embeddings, their ceilings, and fast estimates for training curves."""

from infomax.mi import tasks
from infomax.mi.baselines import (
    MINE,
    barber_agakov,
    barber_agakov_upper,
    interpolated,
    leave_one_out_upper,
    local,
    tuba,
)
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
    "MINE",
    "Estimate",
    "MIMetric",
    "Reading",
    "barber_agakov",
    "barber_agakov_upper",
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
    "interpolated",
    "jsd",
    "jsd_lower",
    "jsd_shifted",
    "leave_one_out_upper",
    "local",
    "nwj",
    "readings",
    "smile",
    "tasks",
    "taylor_dv",
    "tuba",
    "uniform_dv",
    "xi",
    "xi_jsd",
]
