"""Sweeps: many runs from one file, on this machine, a Ray cluster or SLURM; interrupted runs are continued.

    infomax sweep grid.yaml --out sweeps/digits --workers 4

The same in Python, in a script guarded by `if __name__ == "__main__":`, as every program that starts processes:

    grid = infomax.sweep.read({"method": "simclr", "data": "digits", "grid": {"lr": [1e-3, 3e-3]}})
    rows = infomax.sweep.run(grid, "sweeps/digits", workers=2)
"""

from infomax.sweep.folder import Folder, Row
from infomax.sweep.grid import Cell, Grid, Range, read
from infomax.sweep.ranking import Setting, settings, varied
from infomax.sweep.run import run

__all__ = ["Cell", "Folder", "Grid", "Range", "Row", "Setting", "read", "run", "settings", "varied"]
