"""The command `infomax`: beside the package, since whatever lies in that begins by importing torch, which takes seconds."""

import sys


def main() -> int:
    """Run `infomax.cli`; Ctrl-C, while torch is still being imported too, is one line and status 130."""
    try:
        from infomax.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("infomax: stopped", file=sys.stderr)
        return 130
