"""What is tiled, fused or compiled, each beside its readable reference and tested against it."""

from infomax.kernels.cosine import cosine_dv
from infomax.kernels.partition import log_mean_exp, mean_log_sum_exp
from infomax.kernels.rows import log_sum_exp, self_mean_log_sum_exp
from infomax.kernels.softplus import mean_softplus

__all__ = ["cosine_dv", "log_mean_exp", "log_sum_exp", "mean_log_sum_exp", "mean_softplus", "self_mean_log_sum_exp"]
