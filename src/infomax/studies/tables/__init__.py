"""Tables 1 and 4 to 7 of the paper, each one command that shows the paper's numbers beside what came out here.

    infomax study table1 --out runs/tables                # or infomax.studies.tables.table1("runs/tables")
    infomax study table6 --out runs/tables --data digits

One folder serves all five. What is trained in it are cells of sweeps (`infomax sweep status runs/tables/final`): the same
command goes on where it was stopped, and what is finished is never run again.

| in the folder | what |
|---|---|
| final | runs of tables 1 and 7, judged on the test set once, after training (`cells/NAME/test.json`) |
| sweep1, sweep2 | the grids of tables 4 to 6, judged on a held-out part of train |
| data | rows of a data set, where not all of them were taken |
| tableN.json, .md, .html | the table: every number with its run's options; as text; as a page |
| index.html | one page of all of them, once `infomax report` is asked for it |
"""

from infomax.studies.tables.plan import BUDGETS
from infomax.studies.tables.probing import table1, table7
from infomax.studies.tables.selection import table4, table5, table6

TABLES = {"table1": table1, "table4": table4, "table5": table5, "table6": table6, "table7": table7}

__all__ = ["BUDGETS", "TABLES", "table1", "table4", "table5", "table6", "table7"]
