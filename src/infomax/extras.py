"""Packages that are needed by those alone who ask for what they do: the extras of pyproject.toml, and how to get one."""

import sys
from importlib.machinery import ModuleSpec
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
    """Whether a module could be imported, without importing it; a folder of its name alone, such as a run's log, is none.

    Example:
        >>> installed("torch"), installed("no_such_module")
        (True, False)
    """
    if module in sys.modules:
        there = sys.modules[module]
        return there is not None and not _bare(getattr(there, "__spec__", None))  # a stub has none
    spec = find_spec(module)
    return spec is not None and not _bare(spec)


def _bare(spec: ModuleSpec | None) -> bool:
    """Whether it is a folder without code of its own, which Python takes for a package all the same."""
    return spec is not None and spec.origin is None and spec.submodule_search_locations is not None
