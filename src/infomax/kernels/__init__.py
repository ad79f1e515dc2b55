"""What is tiled, fused or compiled, each beside its readable reference and tested against it."""

from infomax.kernels.partition import log_mean_exp, mean_log_sum_exp
from infomax.kernels.rows import log_sum_exp, self_mean_log_sum_exp
from infomax.kernels.softplus import mean_softplus

__all__ = ["log_mean_exp", "log_sum_exp", "mean_log_sum_exp", "mean_softplus", "self_mean_log_sum_exp"]
