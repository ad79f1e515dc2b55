"""What a shell completes."""

from typing import Literal

from infomax.errors import ConfigError


def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print a shell's completion script: eval "$(infomax completion bash)" in ~/.bashrc, and likewise for zsh.

    For fish: infomax completion fish | source.

    Args:
        shell: bash, zsh or fish.
    """
    from infomax.cli import application

    app = application([])
    if not hasattr(app, "generate_completion"):
        raise ConfigError("completion needs a newer cyclopts: pip install --upgrade cyclopts")
    script = app.generate_completion(shell=shell)
    # zsh takes its script from a file of its path, and says so in its first line; read by eval it is to be announced
    print(script + ("\ncompdef _infomax infomax" if shell == "zsh" else ""))
