"""`hubel completion`."""

from __future__ import annotations

from typing import Literal

EXAMPLES = (
    'eval "$(hubel completion bash)"',
    "hubel completion bash > ~/.local/share/bash-completion/completions/hubel",
    "hubel completion zsh > ~/.zfunc/_hubel",
    "hubel completion fish > ~/.config/fish/completions/hubel.fish",
)


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print a script for a shell's completion of verbs, flags and file names.

    Args:
        shell: bash, zsh (whose fpath must contain the folder of the file) or fish.
    """
    from hubel.cli import app

    print(app().generate_completion(prog_name="hubel", shell=shell))
    return 0
