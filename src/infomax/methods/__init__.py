"""Every method is a plain function of keyword arguments that returns a `Learner`; its signature is its configuration."""

# in the order of the paper's table 2; each import enters a method in METHODS
# ruff: noqa: I001
from infomax.methods.sdmi import sdmi
from infomax.methods.jmi import jmi
from infomax.methods.simsiam import simsiam
from infomax.methods.byol import byol
from infomax.methods.moco_v1 import moco_v1
from infomax.methods.moco_v2 import moco_v2
from infomax.methods.moco_v3 import moco_v3
from infomax.methods.dino import dino
from infomax.methods.swav import swav
from infomax.methods.bgrl import bgrl
from infomax.methods.simclr import simclr
from infomax.methods.barlow_twins import barlow_twins
from infomax.methods.vicreg import vicreg
from infomax.methods.w_mse import w_mse
from infomax.methods.taylor_jmi import taylor_jmi
from infomax.errors import nearest
from infomax.methods.registry import METHODS, build, get, method, options

__all__ = [
    "METHODS",
    "barlow_twins",
    "bgrl",
    "build",
    "byol",
    "dino",
    "get",
    "jmi",
    "method",
    "moco_v1",
    "moco_v2",
    "moco_v3",
    "options",
    "sdmi",
    "simclr",
    "simsiam",
    "swav",
    "taylor_jmi",
    "vicreg",
    "w_mse",
]


def __getattr__(name: str) -> object:
    what = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(what if name.startswith("_") else f"{what}: {nearest(name, METHODS)}")
