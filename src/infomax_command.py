"""The command `infomax`: beside the package, since whatever lies in that begins by importing torch, which takes seconds."""

import signal
import sys


def main() -> int:
    """Run `infomax.cli`; Ctrl-C, while torch is still being imported too, is one line and status 130."""
    try:
        from infomax.cli import main as run

        status = run()
    except KeyboardInterrupt:
        print("infomax: stopped", file=sys.stderr)
        status = 130
    if status >= 128:  # who sends the signal twice would else have Python's shutdown end in a traceback
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return status
