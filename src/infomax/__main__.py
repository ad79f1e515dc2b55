"""`python -m infomax`, which is `infomax`."""

import sys

from infomax.cli import main

sys.exit(main())
