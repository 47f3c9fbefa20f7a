"""Command line: one file per verb, which parses flags, calls the package and prints. No logic.

Nothing heavy is imported here or at the top of a verb's file, so that help and version print at once.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

from cyclopts import App, ArgumentCollection, CoercionError, CycloptsError, Group, Parameter
from cyclopts.config import Dict

from hubel.cli.renamed import with_new_names
from hubel.cli.usage_errors import explain_usage_error
from hubel.cli.verbs import VERBS
from hubel.core.errors import HubelError, MismatchError, OptionError
from hubel.core.outputs import holding_folders
from hubel.core.packages import missing_package
from hubel.core.process import open_missing_streams, tune_process
from hubel.core.shell import shell_command
from hubel.core.status_line import Activity, sharing_terminal, showing
from hubel.core.text import printable
from hubel.core.version import __version__

__all__ = ["app", "main"]

_FRACTION = re.compile(r"[+-]?[0-9]*\.[0-9]*[1-9][0-9]*")
_ASSIGNMENT = re.compile(r"[a-z]\w*=[^=]", re.ASCII)

# Exit codes, also in the help of `hubel predict` and `hubel evaluate`.
OK, FAILED, WRONG_USE, SOME_UNREADABLE, GATE_FAILED, INTERRUPTED = 0, 1, 2, 3, 4, 130


def app(words: Sequence[str] | None = None) -> App:
    """Build the command line.

    Args:
        words: the command line; only the file of the verb that it names is imported. None imports all.
    """
    root = App(
        name="hubel",
        help="Convolutional image classifiers: train them on a folder of photos, inspect them, ship them.",
        help_epilogue="Start with `hubel demo`, then `hubel train PHOTOS`: a folder with one subfolder per class.",
        version=__version__,
        help_format="markdown",
        default_parameter=Parameter(negative="", show_default=_shown_default),
        suppress_keyboard_interrupt=False,
    )
    asked = next((word for word in words or () if not word.startswith("-")), None)
    families = {verb.name.partition(" ")[0] for verb in VERBS}
    headings = dict.fromkeys(verb.heading for verb in VERBS)
    groups = {heading: Group.create_ordered(heading) for heading in (*headings, "Options")}
    for position, verb in enumerate(VERBS):
        family, _, second = verb.name.partition(" ")
        loaded = words is None or family == asked
        if not loaded and asked in families:
            continue
        if family not in root:
            group, summary = groups[verb.heading], verb.summary()
            root.command(App(name=family, help=summary, help_epilogue="", group=group, sort_key=position))
        if loaded:
            examples = "Examples:\n\n```console\n" + "\n".join(verb.examples()) + "\n```"
            if second:
                root[family].command(verb.function(), name=second, help_epilogue=examples)
            else:
                root[family].help, root[family].help_epilogue = None, examples
                root[family].default(verb.function())
    for flag in (*root.help_flags, *root.version_flags):
        root[flag].group = groups["Options"]
    return root


def _shown_default(value: Any) -> str | None:
    """Return the text of a default value; None for defaults that need no mention, such as a flag that is off."""
    return None if value is None or value is False or value in ("", {}, ()) else str(value)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with one of the codes above."""
    open_missing_streams()
    tune_process()
    # Warnings are for programmers; hubel prints what users must know itself.
    warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):
        # Names of files and classes may hold what the terminal's encoding has no bytes for.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with sharing_terminal(), showing(Activity("working")), holding_folders():
            status = _run(list(sys.argv[1:] if arguments is None else arguments))
            sys.stdout.flush()
    except HubelError as error:
        summary, *lines = [error.summary, *error.lines] if isinstance(error, MismatchError) else [str(error)]
        _complain(summary)
        for line in lines:
            print(f"  {printable(line)}", file=sys.stderr)
        status = WRONG_USE
    except CycloptsError as error:
        _complain(explain_usage_error(error))
        status = WRONG_USE
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is error:
            raise
        _complain(str(missing))
        status = WRONG_USE
    except KeyboardInterrupt:
        _complain("interrupted")
        status = INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = OK
    except OSError as error:
        _complain(_describe(error))
        status = FAILED
    sys.exit(status if isinstance(status, int) else OK)


def _describe(error: OSError) -> str:
    """Describe an error of the system with its file; that of a full disk with the disk, too."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    if error.filename is None:
        return "no space left on the disk"
    disk = Path(error.filename).absolute()
    while not os.path.ismount(disk):
        disk = disk.parent
    return f"{error.filename}: no space left on the disk {disk}"


def _run(tokens: list[str]) -> Any:
    tokens, hints = with_new_names(tokens)
    for hint in hints:
        _complain(hint)
    _refuse_empty_values(tokens)
    _refuse_assignments(tokens)
    tokens = _with_standard_input(tokens)
    config, recipe = (_file_of(tokens, flag) for flag in ("--config", "--recipe"))
    command = app(tokens)
    if config is not None and recipe is not None:
        raise OptionError("--config and --recipe both bring settings; give one of them")
    settings, source = dict[str, Any](), config or recipe or ""
    if config is not None:
        from hubel.training.recipe_file import read_settings

        settings = read_settings(Path(config))
    if recipe is not None:
        from hubel.training.named_recipes import find_recipe

        settings = dict(find_recipe(recipe).settings)
    command.config = (Dict(settings, source=source, use_commands_as_keys=False), _refuse_fractions)
    return command(tokens, exit_on_error=False, print_error=False)


def _refuse_fractions(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse a fraction where a whole number belongs, which cyclopts would round."""
    for argument in arguments:
        kinds = get_args(argument.hint) or (argument.hint,)
        for token in argument.tokens if int in kinds and float not in kinds else ():
            if _FRACTION.fullmatch(token.value):
                raise CoercionError(argument=argument, token=token, target_type=int)


def _refuse_empty_values(tokens: list[str]) -> None:
    """Refuse an empty argument or value, such as that of a shell's variable that is not set: '' is no path."""
    end = tokens.index("--") if "--" in tokens else len(tokens)
    for token, following in pairwise([*tokens[:end], "."]):
        name, joined, value = token.partition("=")
        empty = not value if joined else not following
        if name.startswith("-") and empty and not name.startswith("--options."):
            raise OptionError(f"{name} is empty; give it a value or leave it out")
    for before, token in pairwise(tokens):
        if not token and not before.startswith("--options."):
            raise OptionError(f"an argument of hubel {tokens[0]} is empty; give a name or a path")


def _refuse_assignments(tokens: list[str]) -> None:
    """Explain how options are written to those who write `data=PHOTOS epochs=3`, as other programs have it."""
    pairs = [
        token.partition("=")
        for before, token in pairwise(tokens)
        if _ASSIGNMENT.match(token) and not before.startswith("-") and not Path(token).exists()
    ]
    if pairs:
        data = [value for name, _, value in pairs if name == "data"]
        flags = [word for name, _, value in pairs if name != "data" for word in (f"--{name.replace('_', '-')}", value)]
        meant = shell_command("hubel", tokens[0], *data, *flags)
        raise OptionError(f"options are not written as {''.join(pairs[0])}; did you mean: {meant}")


def _with_standard_input(tokens: list[str]) -> list[str]:
    """Move "-" behind "--" at the end, where it cannot be taken for an option."""
    if tokens[:1] != ["predict"] or "-" not in tokens:
        return tokens
    others = [token for token in tokens if token != "-"]
    return [*others, *([] if "--" in others else ["--"]), "-"]


def _file_of(tokens: list[str], flag: str) -> str | None:
    """Return FILE of `--config FILE` or `--recipe FILE`, which must be read before the command line is parsed."""
    for index, token in enumerate(tokens):
        name, joined, value = token.partition("=")
        if name == flag and tokens[0] in ("train", "lr-find", "tune"):
            return value if joined else next(iter(tokens[index + 1 :]), None)
    return None


def _complain(text: str) -> None:
    """Print a message on one line, even if the text of the error has several."""
    print("hubel: " + printable(" ".join(text.split())), file=sys.stderr)
