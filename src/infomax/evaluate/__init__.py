"""Evaluation of an embedding: linear probe, nearest neighbours, and gauges of collapse and spread."""

from infomax.evaluate.features import encode
from infomax.evaluate.gauges import (
    AngleGaps,
    alignment,
    angle_gaps,
    cluster_centres,
    effective_rank,
    lidar,
    spectrum,
    spread,
    std_per_dimension,
    uniformity,
)
from infomax.evaluate.knn import knn_accuracy, knn_predict
from infomax.evaluate.probe import LinearProbe, ProbeResult, fit_probe, linear_probe
from infomax.evaluate.sgd import sgd_probe, sgd_probes

__all__ = [
    "AngleGaps",
    "LinearProbe",
    "ProbeResult",
    "alignment",
    "angle_gaps",
    "cluster_centres",
    "effective_rank",
    "encode",
    "fit_probe",
    "knn_accuracy",
    "knn_predict",
    "lidar",
    "linear_probe",
    "sgd_probe",
    "sgd_probes",
    "spectrum",
    "spread",
    "std_per_dimension",
    "uniformity",
]
