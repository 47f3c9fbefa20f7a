"""Choose the task, the network and what it starts from, where the recipe leaves them open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import nn

from hubel.core.errors import OptionError, UnknownNameError
from hubel.data.annotation import AnnotatedSource
from hubel.data.augment import Policy
from hubel.data.dataset import Dataset
from hubel.data.loading import Images
from hubel.models.backbone import backbone_options
from hubel.models.catalogue import find, list_models, options_of
from hubel.models.variant import Variant
from hubel.nn.dense import DenseNetwork
from hubel.nn.freezing import NONE
from hubel.nn.frozen_backbone import backbone_boundaries
from hubel.tasks.catalogue import TASKS, find_task
from hubel.tasks.task import FromScratch, Task
from hubel.training.freeze_policy import views_for
from hubel.training.frozen_backbone import check_frozen_backbone
from hubel.training.initial_weights import InitialWeights, default_network, find_initial_weights
from hubel.training.own_network import own_variant
from hubel.training.plan import InitialBackbone
from hubel.training.recipe import Recipe

__all__ = ["NetworkChoice", "check_settings", "choose_backbone_freeze", "choose_network", "choose_task", "task_of_data"]

_MOST_NAMES = 20  # of networks in a message


@dataclass(frozen=True, kw_only=True)
class NetworkChoice:
    """A network, and what its training starts from.

    Attributes:
        name: its exact name, or that of the user's own class.
        variant: its description.
        options: of the network, but for those that its weights need.
        initial: the weights of the whole network.
        backbone: the weights of its backbone alone; None where it has none, or no weights.
        from_scratch: the settings for a task's default network whose backbone has no weights; None otherwise.
    """

    name: str
    variant: Variant
    options: Mapping[str, str]
    initial: InitialWeights
    backbone: InitialBackbone | None = None
    from_scratch: FromScratch | None = None

    @property
    def tuned(self) -> bool:
        """True where the whole network is pretrained."""
        return self.initial.weights is not None

    @property
    def weights(self) -> str:
        """The tag or the file of what training starts from; "none" from scratch."""
        return str(self.initial.weights or (self.backbone.weights if self.backbone else "none"))


def choose_network(recipe: Recipe, dataset: Dataset, task: Task, module: nn.Module | None) -> NetworkChoice:
    """Return the network that the recipe names, or that suits the task and the data.

    Args:
        recipe: the request.
        dataset: the images.
        task: of which the network is.
        module: a network of a user's own, which is trained as it is; None for one of the catalogue.

    Raises:
        UnknownNameError: there is no such network, or there are no such weights.
        OptionError: a network without pretrained weights cannot be frozen.
    """
    options = recipe.network.options
    if module is not None:
        variant = own_variant(task)
        return NetworkChoice(name=type(module).__name__, variant=variant, options=options, initial=InitialWeights())
    name, variant = find(recipe.network.model or task.default_model or default_network(dataset, recipe))
    backbone = _backbone(name, options)
    initial = find_initial_weights(recipe.transfer, *find(backbone or name))
    chosen = NetworkChoice(name=name, variant=variant, options=options, initial=initial)
    if initial.weights is None:
        alone = recipe.network.model is None and "backbone" not in options
        if not alone or task.from_scratch is None:
            return chosen
        return replace(chosen, options={**task.from_scratch.options, **options}, from_scratch=task.from_scratch)
    if not backbone:
        return chosen
    needed = {"backbone_options": backbone_options(initial.options)} if initial.options else {}
    return replace(
        chosen,
        initial=replace(initial, weights=None, options=needed),
        backbone=InitialBackbone(name=backbone, weights=initial.weights),
    )


def _backbone(name: str, options: Mapping[str, str]) -> str:
    """Return the exact name of a network's backbone; "" for one without."""
    chosen = (options_of(name) | dict(options)).get("backbone")
    return find(chosen)[0] if chosen else ""


def choose_backbone_freeze(
    recipe: Recipe, backbone: InitialBackbone, network: nn.Module, policy: Policy, policy_name: str, images: Images
) -> InitialBackbone:
    """Return what a backbone starts from with the part of it that stays frozen.

    Raises:
        UnknownNameError: the backbone has no such part.
        OptionError: what is to be stored changes with the epoch.
    """
    assert isinstance(network, DenseNetwork), "only these have a backbone"
    freeze = recipe.transfer.freeze or NONE
    if freeze not in (known := backbone_boundaries(network)):
        raise UnknownNameError("part to freeze", freeze, ("auto", *known))
    check_frozen_backbone(freeze, policy, images)
    views = recipe.transfer.views or (1 if policy_name == "none" else views_for(len(images)))
    return replace(backbone, freeze=freeze, views=views)


def choose_task(recipe: Recipe) -> Task:
    """Return the task that the recipe names, or that its network is for.

    Raises:
        UnknownNameError: there is no such task, or no such network.
        OptionError: the network is for another task.
    """
    name, model = recipe.task, recipe.network.model
    if model is None:
        task = find_task(name) if name else TASKS[0]
    else:
        if ":" in model:
            own = model.rpartition(":")[2].rpartition(".")[2]
            raise OptionError(f"{model} is a class of your own: hubel.train(data, model={own}(...)) in Python")
        exact, variant = find(model)
        fitting = [task for task in TASKS if task.output == variant.output]
        if not fitting:
            raise OptionError(f"{exact} is a network for {variant.output}, which no task of hubel learns yet")
        task = find_task(name) if name else fitting[0]
        if task.output != variant.output:
            able = [name for name in list_models() if find(name)[1].output == task.output]
            shown = ", ".join(able[:_MOST_NAMES]) + (", ..." if len(able) > _MOST_NAMES else "")
            raise OptionError(f"{exact} is not for the task {task.name}; networks that are: {shown}")
    return task


def check_settings(task: Task, recipe: Recipe) -> None:
    """Refuse settings without a meaning.

    Raises:
        OptionError: a setting has no meaning for the task.
    """
    given, defaults = recipe.settings(), Recipe().settings()
    for setting in task.unused:
        if given[setting] != defaults[setting]:
            raise OptionError(f"{setting} has no meaning for the task {task.name}; leave it out")


def task_of_data(dataset: Dataset, usual: Task) -> Task:
    """Return the task that the annotations of a dataset are for; the usual one where it has none."""
    kinds = dataset.source.annotated if isinstance(dataset.source, AnnotatedSource) else ()
    return next((task for kind in kinds for task in TASKS if task.annotations == kind), usual)
