"""Packages that are needed by those alone who ask for what they do: the extras of pyproject.toml, and how to get one."""

import sys
from importlib.util import find_spec

PACKAGES = {
    "graph": "torch-geometric",
    "timm": "timm",
    "streams": "datasets",
    "ray": "ray",
    "slurm": "submitit",
    "tpe": "optuna",
    "umap": "umap-learn",
    "onnx": "onnx onnxscript onnxruntime",
}
"""By extra: the package, or packages, that it brings."""


def getting(extra: str) -> str:
    """How to get an extra, in a clone or anywhere else, as the tail of an error message.

    Example:
        >>> getting("streams")
        'uv sync --inexact --extra streams, or uv pip install datasets'
    """
    return f"uv sync --inexact --extra {extra}, or uv pip install {PACKAGES[extra]}"


def installed(module: str) -> bool:
    """Whether a module could be imported, without importing it.

    Example:
        >>> installed("torch"), installed("no_such_module")
        (True, False)
    """
    if module in sys.modules:
        return sys.modules[module] is not None
    return find_spec(module) is not None
