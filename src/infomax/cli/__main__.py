"""`python -m infomax.cli`, which torchrun takes."""

import sys

from infomax.cli import main

sys.exit(main())
