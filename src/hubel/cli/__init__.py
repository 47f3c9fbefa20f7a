"""The command: one file a verb, which parses flags, calls the package, prints. No logic.

Nothing heavy is imported here or at the top of a verb's file, so that help and version answer at once.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError, Parameter
from cyclopts.config import Dict

from hubel import __version__
from hubel.cli.verbs import VERBS
from hubel.cli.wording import in_words
from hubel.core.errors import HubelError, MismatchError
from hubel.core.process import tune
from hubel.training.recipe_file import read_settings

__all__ = ["app", "main"]

# Exit codes, also in the documentation of `hubel predict`.
OK, FAILED, WRONG_USE, SOME_UNREADABLE, INTERRUPTED = 0, 1, 2, 3, 130


def app() -> App:
    """The command line. A verb's module is imported when the verb is used."""
    root = App(
        name="hubel",
        help="Convolutional image classifiers: train them on a folder of photos, see what they do, ship them.",
        help_epilogue="Start with `hubel demo`, then `hubel train PHOTOS`: a folder with one folder for each class.",
        version=__version__,
        help_format="markdown",
        default_parameter=Parameter(negative="", show_default=_shown_default),
        suppress_keyboard_interrupt=False,
    )
    groups = {verb.partition(" ")[0]: App() for verb in VERBS if " " in verb}  # verbs of two words, and of one or two
    for verb, (summary, *examples) in VERBS.items():
        shown = "Examples:\n\n```console\n" + "\n".join(examples) + "\n```"
        module, _, name = verb.partition(" ")
        place = f"hubel.cli.{module}:{name or module}".replace("-", "_")
        group = groups.get(module)
        if group is not None and module not in root:
            group.help, group.help_epilogue = summary, None if name else shown
            root.command(group, name=module)
        if group is not None and not name:
            # A group's own function cannot be named by its place; to import its module costs a millisecond.
            group.default(getattr(import_module(place.partition(":")[0]), module))
        else:
            (root if group is None else group).command(place, name=name or module, help=summary, help_epilogue=shown)
    return root


def _shown_default(value: Any) -> str | None:
    """A default value in the help, where it says anything: that a flag is off goes without saying."""
    return None if value is None or value is False or value in ("", {}) else str(value)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with one of the codes above."""
    tune()
    # Warnings are for programmers; what a person must know, hubel says itself.
    warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):
        # Names of files and classes may hold what the terminal's encoding has no bytes for.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _run(list(sys.argv[1:] if arguments is None else arguments))
    except HubelError as error:
        summary, *lines = [error.summary, *error.lines] if isinstance(error, MismatchError) else [str(error)]
        _complain(summary)
        for line in lines:
            print(f"  {line}", file=sys.stderr)
        status = WRONG_USE
    except CycloptsError as error:
        _complain(in_words(error))
        status = WRONG_USE
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith("hubel"):
            raise
        _complain(f"this needs {error.name}, which is not installed: pip install {error.name}")
        status = WRONG_USE
    except KeyboardInterrupt:
        _complain("interrupted")
        status = INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = OK
    except OSError as error:
        _complain(f"{error.filename or 'the system'}: {error.strerror or error}")
        status = FAILED
    sys.exit(status if isinstance(status, int) else OK)


def _run(tokens: list[str]) -> Any:
    command = app()
    tokens, config = _without_config(_with_standard_input(tokens))
    if config is not None:
        command.config = (Dict(read_settings(Path(config)), source=config, use_commands_as_keys=False),)
    return command(tokens, exit_on_error=False, print_error=False)


def _with_standard_input(tokens: list[str]) -> list[str]:
    """The words with "-" where it cannot be taken for an option: after "--", behind all others."""
    if tokens[:1] != ["predict"] or "-" not in tokens:
        return tokens
    others = [token for token in tokens if token != "-"]
    return [*others, *([] if "--" in others else ["--"]), "-"]


def _without_config(tokens: list[str]) -> tuple[list[str], str | None]:
    """The words of a training without `--config FILE`, which must be known before they are parsed; the file."""
    for place, token in enumerate(tokens):
        name, joined, value = token.partition("=")
        if name == "--config" and tokens[0] in ("train", "lr-find"):
            if joined:
                return [*tokens[:place], *tokens[place + 1 :]], value
            if place + 1 < len(tokens):
                return [*tokens[:place], *tokens[place + 2 :]], tokens[place + 1]
    return tokens, None


def _complain(text: str) -> None:
    """One line, whatever the error's own text looks like."""
    print("hubel: " + " ".join(text.split()), file=sys.stderr)
