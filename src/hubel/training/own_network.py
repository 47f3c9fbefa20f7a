"""Networks of a user's own class in training: what a recipe may say of them, and what they look at."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from hubel.core.errors import OptionError
from hubel.core.files import user_path
from hubel.data.preprocess import Preprocess
from hubel.models.stack_table import is_stack_file, read_stack_file
from hubel.models.variant import InputShape, Variant
from hubel.tasks.task import Task
from hubel.training.recipe import Recipe

__all__ = ["check_own_settings", "own_preprocess", "own_variant", "with_network", "with_table"]

_CHANNELS = (1, 3)  # grey and colour


def with_network(recipe: Recipe, model: object) -> tuple[Recipe, nn.Module | None]:
    """Return the recipe, with the network's name if `model` is one, and the module if it is a user's own.

    Raises:
        OptionError: it is neither.
    """
    if model is None or isinstance(model, nn.Module):
        return recipe, model
    if not isinstance(model, str):
        what = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise OptionError(f"model is a name, or a module such as MyNet(); not {what}")
    return recipe.with_settings(model=model), None


def with_table(recipe: Recipe) -> Recipe:
    """Return the recipe with the table of layers itself, where it names a file of one.

    Raises:
        OptionError: the file cannot be read, or is no table of layers.
    """
    if not is_stack_file(path := recipe.network.model):
        return recipe
    assert path is not None, "None is no file"
    if recipe.network.options:
        raise OptionError(f"options are of networks of the catalogue; write them into {path}")
    name = "stack_autoencoder" if recipe.task == "reconstruct" else "stack"
    return recipe.with_settings(model=name, options={"layers": read_stack_file(user_path(path))})


def check_own_settings(recipe: Recipe, module: nn.Module) -> None:
    """Refuse settings of networks of the catalogue.

    Raises:
        OptionError: the recipe has some.
    """
    name, wanted = type(module).__name__, recipe.network.model
    if wanted is not None and ":" not in wanted:  # the config.json of a run names the class
        raise OptionError(f"two networks: {wanted} in the recipe, and the module {name}; leave one out")
    if recipe.network.options:
        raise OptionError(f"options are of networks of the catalogue; build {name} with the arguments that you want")
    if recipe.transfer.weights not in (None, "none"):
        raise OptionError(f"training starts from the weights that {name} has; load {recipe.transfer.weights} into it")
    if recipe.transfer.freeze not in (None, "none"):
        raise OptionError(f"freeze a part of {name} by its own .requires_grad_(False), and leave freeze out")


def own_variant(task: Task) -> Variant:
    """Return the description of a user's module for a task.

    Raises:
        OptionError: the outputs of the task are not one number a class.
    """
    if task.output != "vector":
        raise OptionError(
            f"a module of one's own gives one number a class; the task {task.name} needs a network of hubel"
        )
    return Variant(layout=None, summary="a module of one's own", shape=InputShape(3, 64, 64))


def own_preprocess(module: nn.Module, preprocess: Preprocess) -> Preprocess:
    """Return the preprocessing with the channels that the module's first convolution takes, if these are 1 or 3."""
    first = next((layer for layer in module.modules() if isinstance(layer, nn.Conv2d)), None)
    if first is None or first.in_channels not in _CHANNELS:
        return preprocess
    channels = first.in_channels
    return replace(preprocess, channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels)
