"""What is tiled, fused or compiled, each beside its readable reference and tested against it."""

from infomax.kernels.partition import log_mean_exp, mean_log_sum_exp

__all__ = ["log_mean_exp", "mean_log_sum_exp"]
