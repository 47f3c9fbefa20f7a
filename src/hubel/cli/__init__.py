"""The command: one file a verb, which parses flags, calls the package, prints. No logic.

Nothing heavy is imported here or at the top of a verb's file, so that help and version answer at once.
"""

from __future__ import annotations

import io
import json
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
from hubel.cli.wording import in_words
from hubel.core.errors import HubelError, MismatchError, OptionError
from hubel.core.process import tune

__all__ = ["app", "main"]

# Exit codes, also in the documentation of `hubel predict`.
OK, FAILED, WRONG_USE, SOME_UNREADABLE, INTERRUPTED = 0, 1, 2, 3, 130

# Each verb in a line, and examples of its use; its own file says the rest.
_VERBS = {
    "train": (
        "Train a classifier on labelled images, measure it, and write a report.",
        "hubel train PHOTOS",
        "hubel train PHOTOS --freeze all",
        "hubel train PHOTOS --model resnet50 --weights default --freeze stage3",
        "hubel train PHOTOS --model convnet --size 96 --epochs 30",
        "hubel train photos.csv --model resnet20 --max-minutes 10",
        "hubel train digits --model lenet5",
        "hubel train PHOTOS --options.filters 16,32,64 --options.dense 128",
        "hubel train xo --xo.size 15 --xo.noise 0.05 --loss sigmoid",
        "hubel train PHOTOS --task reconstruct",
        "hubel train PHOTOS --config runs/PHOTOS-efficientnet_lite0-1/config.json --epochs 50",
        "hubel train --resume",
    ),
    "evaluate": (
        "Measure a model on labelled images: accuracy, each class, confusions, calibration, the worst mistakes.",
        "hubel evaluate runs/PHOTOS-efficientnet_lite0-1 PHOTOS",
        "hubel evaluate model.safetensors other-photos --split all",
        "hubel evaluate model.safetensors photos.csv --json",
    ),
    "predict": (
        "Say what is on images. A file that cannot be read is named with its reason, and the others go on. "
        "Exit code: 0 all well, 3 some files unreadable, 2 wrong use.",
        "hubel predict runs/PHOTOS-efficientnet_lite0-1 photo.jpg",
        "hubel predict efficientnet_lite0 photo.jpg",
        "hubel predict model.safetensors holiday/ --csv > classes.csv",
        'hubel predict model.safetensors "photos/**/*.jpg" --top 1 --jsonl',
        "hubel predict model.onnx holiday/ -o answers.parquet --resume",
        "hubel predict model.onnx holiday/ --shard 1/3 -o answers-1.csv",
        "cat photo.jpg | hubel predict model.safetensors -",
        'find . -name "*.png" | hubel predict model.safetensors - --jsonl',
    ),
    "export": (
        "Write a model as one file that hubel predict runs without torch, and any ONNX tool opens.",
        "hubel export runs/PHOTOS-efficientnet_lite0-1",
        "hubel export runs/PHOTOS-efficientnet_lite0-1 --int8 --data PHOTOS",
        "hubel export efficientnet_lite0 -o lite0.onnx",
    ),
    "bench": (
        "Measure how fast models are on this machine, with each engine: single images, many images, start, memory.",
        "hubel bench resnet18 efficientnet_lite0 --int8",
        "hubel bench model.onnx model.int8.onnx",
        "hubel bench runs/PHOTOS-efficientnet_lite0-1 --int8 --data PHOTOS --json",
    ),
    "serve": (
        "Offer models over HTTP, on this computer only unless told otherwise, with a page to try them on a photo.",
        "hubel serve runs/PHOTOS-efficientnet_lite0-1",
        "hubel serve efficientnet_lite0 model.onnx --port 8080",
        "HUBEL_TOKEN=secret hubel serve model.onnx --host 0.0.0.0 --allow-host photos.example.org",
    ),
    "demo": (
        "Train, measure and predict on data that needs no download, in a minute: LeNet-5 on 1,797 real handwritten "
        "digits, beside two networks without convolution; then a network with two outputs that tells X from O.",
        "hubel demo",
        "hubel demo --out my-demo",
    ),
    "data": (
        "Look at a data set: classes, sizes, splits, files that cannot be read. Nothing of it is changed.",
        "hubel data PHOTOS",
        "hubel data PHOTOS --unreadable > bad-files.txt",
        "hubel data digits",
    ),
    "data check": (
        "Find labels that are probably wrong, pictures that are there twice, and pictures that do not belong.",
        "hubel data check PHOTOS",
        "hubel data check PHOTOS --model runs/PHOTOS-efficientnet_lite0-1",
        "hubel data check photos.csv --json > found.json",
    ),
    "data preview": (
        "See what augmentation makes of some images before training: variants of each, and every change alone.",
        "hubel data preview PHOTOS",
        "hubel data preview PHOTOS --policy strong --out strong.png",
        "hubel data preview PHOTOS --policy my.toml --size 128",
    ),
    "models": (
        "List the networks, or describe one: options, parameters, published facts.",
        "hubel models",
        'hubel models "*net*"',
        "hubel models lenet5",
    ),
    "summary": (
        "Show what each layer costs and sees: output, parameters, multiply-adds, memory, receptive field.",
        "hubel summary resnet50",
        "hubel summary googlenet --depth 0",
        "hubel summary runs/PHOTOS-efficientnet_lite0-1 --csv > layers.csv",
        "hubel summary mobilenet_v2 --input 3x160x160 --json",
    ),
    "compare": (
        "Compare networks side by side: parameters, multiply-adds, depth, field, size, accuracy, speed.",
        "hubel compare resnet50 mobilenet_v2 efficientnet_b0",
        'hubel compare "vgg*" --time',
        "hubel compare runs/PHOTOS-efficientnet_lite0-1 resnet18 --figure comparison.png",
    ),
    "verify": (
        "Compute every published fact of the networks again: parameters, multiply-adds, shapes of maps.",
        "hubel verify",
        'hubel verify "*resnet*" --all',
    ),
    "robust": (
        "Measure a model on changed images: noise, blur, weather, compression, shifts, crops, turns.",
        "hubel robust runs/PHOTOS-efficientnet_lite0-1 PHOTOS",
        "hubel robust runs/PHOTOS-efficientnet_lite0-1 PHOTOS --quick",
        "hubel robust runs/PHOTOS-efficientnet_lite0-1 PHOTOS --baseline runs/PHOTOS-linear-1",
    ),
    "explain": (
        "Show where on an image a class comes from, and what a network sees and looks for, as pictures and arrays.",
        "hubel explain runs/PHOTOS-efficientnet_lite0-1 photo.jpg",
        "hubel explain efficientnet_lite0 photo.jpg --class goldfish --method layercam",
        "hubel explain efficientnet_lite0 holiday/ --compare",
        "hubel explain model.safetensors photo.jpg --maps",
        "hubel explain model.safetensors photo.jpg --maps --layer stage2.block1",
        "hubel explain model.safetensors photo.jpg --unit stage3:17 --patches PHOTOS",
        "hubel explain model.safetensors --filters",
        "hubel explain runs/digits-linear-1 --templates --beside runs/digits-lenet5-1",
    ),
    "embed": (
        "Place all images of a data set by what a network makes of them: PCA and t-SNE of its features.",
        "hubel embed efficientnet_lite0 PHOTOS",
        "hubel embed runs/PHOTOS-efficientnet_lite0-1 PHOTOS --layer stage2",
    ),
    "similar": (
        "Find the images of a folder that look most like another one, as a network sees them.",
        "hubel similar efficientnet_lite0 holiday/ photo.jpg",
        "hubel similar runs/PHOTOS-efficientnet_lite0-1 holiday/ photo.jpg --top 20 --sheet found.png",
    ),
    "lr-find": (
        "Find a learning rate: raise it step by step until the loss explodes, and see where it falls fastest.",
        "hubel lr-find PHOTOS",
        "hubel lr-find PHOTOS --model resnet20 --optimizer adamw",
    ),
    "conv": (
        "Explain a convolution: its arithmetic and what others would cost, its steps, or its effect on a photo.",
        "hubel conv 28x28x192 --out-channels 32 --kernel-size 5 --bottleneck 16",
        "hubel conv 7x7x256 --out-channels 128 --kernel-size 4 --stride 2 --padding 1 --transposed",
        "hubel conv --show",
        "hubel conv 0,1,2,3,4 --kernel -1,0,1 --padding same --show",
        "hubel conv --kernel sharpen photo.jpg --out sharpened.png",
    ),
    "walkthrough": (
        "Write a page that explains from first principles how a network tells pictures apart, every number computed.",
        "hubel walkthrough xo",
        "hubel walkthrough xo --out xo.html",
    ),
    "weights convert": (
        "Turn weights of torchvision, timm or others into a model file of hubel's.",
        "hubel weights convert resnet50-11ad3fa6.pth --model resnet50",
        "hubel weights convert mine.pth --model resnet20 --classes names.txt --out mine.safetensors",
    ),
    "runs": (
        "Compare the runs of a folder side by side, the best of each data set first.",
        "hubel runs",
        "hubel runs experiments",
    ),
    "cache": (
        "Show or remove what hubel keeps on the disk because making it again takes time.",
        "hubel cache",
        "hubel cache --clear activations",
    ),
    "info": (
        "Print versions, device, threads and caches: what belongs into a report of a problem.",
        "hubel info",
    ),
}


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
    groups = {verb.partition(" ")[0]: App() for verb in _VERBS if " " in verb}  # verbs of two words, and of one or two
    for verb, (summary, *examples) in _VERBS.items():
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
        command.config = (Dict(_recipe_in(config), source=config, use_commands_as_keys=False),)
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


def _recipe_in(file: str) -> dict[str, Any]:
    """The settings in the config.json of a run."""
    try:
        recipe = json.loads(Path(file).read_text(encoding="utf-8"))["recipe"]
    except FileNotFoundError:
        raise OptionError(f"--config {file}: no such file; expected the config.json of a run") from None
    except (ValueError, LookupError, TypeError, RecursionError):
        recipe = None
    if not isinstance(recipe, dict):
        raise OptionError(f'--config {file}: not the config.json of a run, which has its settings under "recipe"')
    return recipe


def _complain(text: str) -> None:
    """One line, whatever the error's own text looks like."""
    print("hubel: " + " ".join(text.split()), file=sys.stderr)
