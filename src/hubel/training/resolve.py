"""Resolve a recipe, in which None means "decide", into a plan, in which nothing is open."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import HubelError, OptionError, UnknownNameError
from hubel.core.group import current_group
from hubel.core.language import plural, sentence
from hubel.core.progress import counted
from hubel.core.resources import usable_cores
from hubel.core.version import __version__
from hubel.data.annotation import AnnotatedSource
from hubel.data.augment import Policy, find_policy
from hubel.data.dataset import Dataset, open_dataset
from hubel.data.decode_cache import CacheMode
from hubel.data.loading import Images, Labelled, blank_input, steps_per_epoch
from hubel.data.preprocess import Preprocess
from hubel.data.sources.builtin import XO
from hubel.data.sources.kind import NESTED
from hubel.data.sources.listing import SPLITS
from hubel.data.sources.parents import read_parents
from hubel.data.splits import Splits, split
from hubel.data.taught import Taught
from hubel.evaluation.folds import assign_folds
from hubel.features.views import views_policy
from hubel.inference.costs import with_costs
from hubel.inference.device import device_of, pick_device, pick_precision
from hubel.inference.engines.registry import AUTO, EngineChoice
from hubel.inference.threads import probe_threads
from hubel.metrics.imbalance import balance_record
from hubel.models.backbone import backbone_options
from hubel.models.catalogue import find, list_models, options_of
from hubel.models.neighbours import NeighboursLayout
from hubel.models.variant import Variant
from hubel.nn.dense import DenseNetwork
from hubel.nn.freezing import ALL, NONE, boundaries, last_stages
from hubel.nn.frozen_backbone import backbone_boundaries
from hubel.nn.network import Network
from hubel.tasks.catalogue import TASKS, find_task
from hubel.tasks.task import Task
from hubel.training.distillation.choose import (
    check_distillation,
    choose_distillation,
    choose_teachers,
    images_to_teach,
    taught_by,
    train_what_taught,
    tuned_whole,
)
from hubel.training.freeze_policy import holds_norms, views_for
from hubel.training.frozen_backbone import check_frozen_backbone
from hubel.training.initial_weights import (
    InitialWeights,
    default_network,
    find_initial_weights,
)
from hubel.training.named_recipes import recipe_notes
from hubel.training.network_input import choose_preprocess, shows_small_images
from hubel.training.optimization import balanced_loss, choose_balance, choose_loop, choose_loss, choose_optimizer
from hubel.training.own_network import check_own_settings, own_preprocess, own_variant, with_table
from hubel.training.plan import InitialBackbone, Plan, TransferPlan
from hubel.training.processes.settings import (
    choose_sharding,
    device_of_rank,
    engine_of_ranks,
    pinned_sharding,
    threads_of_rank,
)
from hubel.training.recipe import Recipe, parse_size
from hubel.weights.card import ModelCard
from hubel.weights.class_tree import parents_of
from hubel.weights.own_class import OwnClass
from hubel.weights.own_module import check_outputs

__all__ = ["plan_training", "resolve"]

_ENOUGH_TO_SELECT = 50  # validation images; the accuracy on fewer is mostly noise
_MOST_NAMES = 20  # of networks in a message


def plan_training(
    data: Any,
    recipe: Recipe | Mapping[str, Any] | str | None = None,
    *,
    xo: XO | None = None,
    module: nn.Module | None = None,
) -> Plan:
    """Open and index the data, and resolve the recipe. Whatever cannot work is refused here, before a run has a folder.

    Args:
        data: see `hubel.data.open_dataset`.
        recipe: the request, as `hubel.train` takes it.
        xo: settings of the built-in dataset "xo".
        module: a network of a user's own, which is copied; None for one of the catalogue.

    Raises:
        DataError: the data cannot be used.
        UnknownNameError: there is no such network, option, policy, task or engine.
        OptionError: settings contradict each other, or the device is not there.
    """
    recipe = with_table(Recipe.of(recipe))
    if module is not None:
        check_own_settings(recipe, module)
    task = _task(recipe) if module is None else find_task(recipe.task) if recipe.task else TASKS[0]
    named = recipe.task is not None or recipe.network.model is not None
    _check_settings(task, recipe)
    pick_precision(recipe.machine.precision or "auto", pick_device(recipe.machine.device or "auto"))
    threads = recipe.data.loading_threads
    dataset = open_dataset(
        data,
        multi_label=task.multi_label,
        labelled=task.labelled,
        xo=xo,
        root=recipe.data.root,
        void=recipe.data.void,
        threads=threads,
        parents=NESTED if recipe.data.parents == NESTED else _parents_of_file(recipe),
    )
    if not named and (found := _task_of_data(dataset, task)) != task:
        _check_settings(task := found, recipe)
    return resolve(recipe, dataset, task, module)


def resolve(recipe: Recipe, dataset: Dataset, task: Task, module: nn.Module | None = None) -> Plan:
    """Decide everything that the recipe leaves open. Arguments and errors as for `plan_training`."""
    trunk, initial, options, from_scratch = "", InitialWeights(), recipe.network.options, None
    if module is not None:
        name, variant = type(module).__name__, own_variant(task)
    else:
        name, variant = find(recipe.network.model or task.default_model or default_network(dataset, recipe))
        trunk = _backbone(name, options)
        initial = find_initial_weights(recipe.transfer, *find(trunk or name))
        if initial.weights is None and recipe.network.model is None and "backbone" not in options:
            from_scratch = task.from_scratch
    if from_scratch is not None:
        options = {**from_scratch.options, **options}
        trunk = _backbone(name, options)
    freeze = recipe.transfer.freeze or NONE
    backbone = InitialBackbone(name=trunk, weights=initial.weights) if trunk and initial.weights else None
    if backbone is not None:
        needed = {"backbone_options": backbone_options(initial.options)} if initial.options else {}
        initial = replace(initial, weights=None, options=needed)
    tuned = initial.weights is not None
    outputs = task.outputs(dataset)
    loss = choose_loss(recipe.optimization, task, tuned=tuned and recipe.distillation.teacher is None)
    check_distillation(recipe, task, loss.name, learns=not isinstance(variant.layout, NeighboursLayout))
    teachers = choose_teachers(recipe, outputs)
    splits, val_taught = _splits(recipe, dataset, task, initial, taught_by(teachers))
    shown = images_to_teach(recipe, dataset, splits)
    taught = Taught.of(shown.dataset.digests(shown.rows))
    for known in (initial.taught, taught_by(teachers)):
        taught = taught if known is None else taught | known
    preprocess = choose_preprocess(recipe, variant, dataset, initial.preprocess, task=task)
    if module is not None:
        preprocess = own_preprocess(module, preprocess)
    card = ModelCard(
        name,
        outputs,
        preprocess,
        {**initial.options, **options},
        task.scores(loss.name),
        provenance={
            "data": dataset.name,
            "fingerprint": dataset.index.fingerprint(),
            "hubel": __version__,
            "multi_label": task.multi_label,
            "stratify": task.stratify,
            "seed": recipe.seed,
            "shares": [recipe.data.val_share, recipe.data.test_share],
            "measured": splits.measured_name,
            "val_taught": val_taught,
            "taught": taught.to_json(),
            **({"teachers": [teacher.record() for teacher in teachers]} if teachers else {}),
            **({"unlabelled": shown.record()} if shown.unlabelled else {}),
            **({"images": recipe.data.images} if recipe.data.images else {}),
            **({"void": recipe.data.void} if recipe.data.void is not None else {}),
            **initial.provenance,
        },
        task=task.name,
        dense=variant.output if task.annotations else "",
        conditions=dataset.classes() if variant.conditional else (),
        own=None if module is None else OwnClass.of(module),
    )
    small = bool(task.augment_small) and shows_small_images(dataset, preprocess)
    usual = task.augment_small if small else task.augment
    policy_name = recipe.data.augment or usual or variant.augment
    policy = find_policy(policy_name, channels=preprocess.channels, size=min(preprocess.height, preprocess.width))
    with torch.device("meta") if module is None else nullcontext():
        network = card.create(module)  # refuses options that cannot be built
    if module is not None:
        check_outputs(network, preprocess, len(outputs))
        module = network
    transfer = _transfer(recipe, card, network, initial.weights, len(splits.train), policy_name)
    _check_train_sizes(recipe, variant, task, tuned=tuned, taught=bool(teachers))
    if teachers:
        transfer = tuned_whole(transfer)
    if recipe.data.folds is not None:
        _check_folds(recipe.data.folds, recipe, card, network, tuned=tuned)
        everything = np.concatenate([splits.train, splits.val, splits.test])
        targets = task.targets(dataset, outputs, everything)
        assign_folds(dataset.digests(everything), targets, recipe.data.folds, stratify=task.stratify)
    if task.annotations and (policy.mixup or policy.cutmix):
        raise OptionError(f"mixup and CutMix mix labels of whole images, which the task {task.name} has none of")
    if policy.mosaic and not task.mosaics:
        raise OptionError(
            f"a mosaic shows four images at once; the task {task.name} has one answer an image: no mosaic"
        )

    def labelled(rows: NDArray[np.int64], cache: str) -> Labelled[Images]:
        images = dataset.images(
            card.preprocess,
            rows,
            threads=recipe.data.loading_threads,
            cache=cast(CacheMode, cache),
            annotations=task.annotations,
        )
        samples = task.samples(images, card)
        return Labelled(samples, task.targets(dataset, outputs, samples.rows))

    cache = recipe.data.cache or "auto"
    train = labelled(splits.train, cache)
    loop = choose_loop(recipe, task, policy, len(shown.rows), tuned=tuned, from_scratch=from_scratch)
    sharding = choose_sharding(recipe.machine, loop.batch_size)
    if not tuned or not holds_norms(len(train.images)):
        shards = 1 if sharding is None else sharding.shards
        _check_smallest_batch(network, preprocess, len(shown.rows), loop.batch_size, shards)
    # A pretrained network brings its normalisation along; an autoencoder is compared with its input, from 0 to 1.
    if outputs and initial.preprocess is None:
        mean, std = (tuple(values) for values in current_group().agree(train.images.colours))
        card = replace(card, preprocess=replace(card.preprocess, mean=mean, std=std))
        train = replace(train, images=train.images.normalised_by(card.preprocess))
    if backbone is not None and freeze != NONE:
        backbone = _frozen_backbone(recipe, backbone, network, policy, policy_name, train.images)
    counts = task.label_counts(train, len(outputs))
    balance, unequal = choose_balance(recipe.optimization.balance, loss, task, variant, outputs, counts)
    loss, loop = balanced_loss(loss, recipe, balance, counts), replace(loop, sampling=balance == "sampling")
    if task.exclusive:
        card = replace(card, provenance={**card.provenance, **balance_record(counts, balance)})
    card = task.finish_card(_with_parents(with_costs(card, recipe.optimization.costs), recipe, dataset, task), train)
    val = labelled(splits.val, cache) if len(splits.val) else None
    measured = labelled(splits.test, "off") if val is None or len(splits.test) else val  # those of test are read once

    distillation = choose_distillation(recipe, teachers, shown, train.images, loop, network, tuned=tuned)

    device = device_of_rank(pick_device(recipe.machine.device or "auto"))
    precision = pick_precision(recipe.machine.precision or "auto", device)
    threads = recipe.machine.threads or (probe_threads() if sharding is None else threads_of_rank())
    computed = transfer or backbone or distillation  # by an engine, beside the steps
    by_ranks = sharding is not None and computed is not None and recipe.transfer.engine is None
    if by_ranks and transfer is not None:
        transfer = replace(transfer, engine=engine_of_ranks(precision))
    if distillation is not None and sharding is not None:
        engine = engine_of_ranks(precision) if by_ranks else distillation.engine
        distillation = replace(distillation, shards=sharding.shards, engine=engine)
    optimizer = choose_optimizer(
        recipe,
        task,
        network,
        tuned=tuned,
        backbone=backbone is not None,
        from_scratch=from_scratch,
        batch_size=loop.batch_size,
        temperature=distillation.temperature if distillation else 1.0,
    )
    busy = [] if recipe.machine.threads or sharding is not None else _busy_cores(threads)
    return Plan(
        recipe=recipe,
        pinned=recipe.with_settings(
            task=task.name,
            model=name if card.own is None else card.own.place,
            options=dict(options),
            weights=str(initial.weights or (backbone.weights if backbone else "none")),
            augment=policy.to_text() if policy_name.lower().endswith(".toml") else policy_name,
            epochs=loop.epochs,
            batch_size=loop.batch_size,
            optimizer=optimizer.name,
            lr=optimizer.lr,
            ema=optimizer.ema,
            weight_decay=optimizer.weight_decay,
            threads=threads,
            **({} if sharding is None else pinned_sharding(sharding)),
            **({"engine": engine_of_ranks(precision)} if by_ranks else {}),
            **(distillation.settings() if distillation else {}),
            **{
                setting: value
                for setting, value in (
                    ("loss", loss.name),
                    ("label_smoothing", loss.label_smoothing),
                    ("balance", balance),
                )
                if setting not in task.unused
            },
        ),
        task=task,
        card=card,
        dataset=dataset,
        splits=splits,
        train=train,
        val=val,
        measured=measured,
        optimizer=optimizer,
        loss=loss,
        loop=loop,
        transfer=transfer,
        backbone=backbone,
        device=device,
        precision=precision,
        threads=threads,
        notes=(
            *recipe_notes(recipe),
            *dataset.index.notes(),
            *splits.notes,
            *shown.notes,
            *initial.notes,
            *unequal,
            *busy,
        ),
        module=module,
        sharding=sharding,
        distillation=distillation,
    )


def _backbone(name: str, options: Mapping[str, str]) -> str:
    """Return the exact name of a network's backbone; "" for one without."""
    chosen = (options_of(name) | dict(options)).get("backbone")
    return find(chosen)[0] if chosen else ""


def _frozen_backbone(
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


def _task(recipe: Recipe) -> Task:
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


def _check_settings(task: Task, recipe: Recipe) -> None:
    """Refuse settings without a meaning.

    Raises:
        OptionError: a setting has no meaning for the task.
    """
    given, defaults = recipe.settings(), Recipe().settings()
    for setting in task.unused:
        if given[setting] != defaults[setting]:
            raise OptionError(f"{setting} has no meaning for the task {task.name}; leave it out")


def _task_of_data(dataset: Dataset, usual: Task) -> Task:
    """Return the task that the annotations of a dataset are for; the usual one where it has none."""
    kinds = dataset.source.annotated if isinstance(dataset.source, AnnotatedSource) else ()
    return next((task for kind in kinds for task in TASKS if task.annotations == kind), usual)


def _parents_of_file(recipe: Recipe) -> dict[str, str] | None:
    """Return the parents in the file that the recipe names, if it does.

    Raises:
        OptionError: the file holds no parents.
    """
    wanted = recipe.data.parents
    return None if wanted in (None, "none", NESTED) else read_parents(Path(wanted))


def _with_parents(card: ModelCard, recipe: Recipe, dataset: Dataset, task: Task) -> ModelCard:
    """Return the card with the hierarchy of its classes: the one that is asked for, or that of the data.

    Raises:
        OptionError: it is no hierarchy, or an image has not exactly one class.
        UnknownNameError: it has a parent of what is no class.
    """
    parents = _parents_of_file(recipe)
    if recipe.data.parents == "none" or not (task.exclusive or recipe.data.parents):
        return card
    if recipe.data.parents == NESTED and not dataset.index.parents:
        raise OptionError(f"--parents {NESTED}: no class folder of {dataset.name} lies in another folder")
    try:
        # A file says what somebody means; folders may be of a class none of whose images can be read.
        return replace(card, parents=parents_of(card.classes, dataset.index.parents) if parents is None else parents)
    except HubelError as error:
        error.args = (f"--parents {recipe.data.parents or 'of the data'}: {error}",)
        raise


def _splits(
    recipe: Recipe, dataset: Dataset, task: Task, initial: InitialWeights, taught: Taught | None
) -> tuple[Splits, bool]:
    """Return the rows of each split, and whether validation images teach: in transfer learning, few of them do.

    Those that the data itself sets aside do not, nor do those that have to measure the result. What taught a teacher
    neither measures nor selects.
    """
    splits = split(
        dataset.index,
        seed=recipe.seed,
        val=recipe.data.val_share,
        test=recipe.data.test_share,
        multi_label=task.multi_label,
        stratify=task.stratify,
        taught=initial.taught,
    )
    if taught is not None:
        splits = train_what_taught(splits, dataset.index.digest, taught)
    if recipe.data.images is not None:
        splits = splits.with_fewer_to_train(recipe.data.images, dataset.index.label, seed=recipe.seed)
    own = (dataset.index.split[splits.val] == SPLITS.index("val")).any()
    few = 0 < len(splits.val) < _ENOUGH_TO_SELECT
    if initial.weights is None or own or not few or not len(splits.test):
        return splits, False
    note = plural("note.val_trains", len(splits.val))
    return replace(splits.with_val_in_train(), notes=(*splits.notes, note)), True


def _check_train_sizes(recipe: Recipe, variant: Variant, task: Task, *, tuned: bool, taught: bool) -> None:
    """Refuse other sizes of training images where the network, or what is stored of it, has one size.

    Raises:
        OptionError: they are refused.
    """
    for size in recipe.data.train_size.split(",") if recipe.data.train_size else ():
        if variant.fixed_size or task.annotations:
            raise OptionError("the network takes images of one size: no --train-size")
        if taught:
            raise OptionError("the outputs of a teacher are stored for images of one size: no --train-size")
        if tuned and recipe.transfer.freeze != NONE:
            raise OptionError("maps of a frozen part are stored at one size: --train-size needs --freeze none")
        if min(parse_size(size)) < variant.smallest:
            raise OptionError(f"the network needs images of at least {variant.smallest} pixels, not {size}")


def _check_folds(folds: int, recipe: Recipe, card: ModelCard, network: nn.Module, *, tuned: bool) -> None:
    """Refuse folds that would take as long as so many trainings, or that no time is left for.

    Raises:
        OptionError: there is no pretrained network that ends in a linear layer, or there is a limit of time.
    """
    if not tuned:
        raise OptionError(
            f"--folds {folds} fits {folds} linear heads to the features of a pretrained network; {card.model} starts "
            f"from scratch, so that {folds} trainings would be needed: leave out --folds, or start from pretrained "
            "weights (--weights default)"
        )
    if not isinstance(network, Network) or ALL not in boundaries(network):
        raise OptionError(f"{card.model} does not end in a linear layer, so there are no heads to fit: no --folds")
    if recipe.optimization.max_minutes is not None:
        raise OptionError("--folds computes the features of all images, however long it takes: no --max-minutes")


def _check_smallest_batch(
    network: nn.Module, preprocess: Preprocess, images: int, batch_size: int, shards: int
) -> None:
    """Refuse steps of one image where a batch norm would see one value a channel, which has no variance.

    Args:
        network: left as it is.
        preprocess: of its input.
        images: that train.
        batch_size: images a step at most.
        shards: of a batch, each of which is normalised alone.

    Raises:
        OptionError: there are such steps.
    """
    if images // steps_per_epoch(images, batch_size) // shards > 1 or not any(map(_is_batch_norm, network.modules())):
        return
    try:
        copy.deepcopy(network).train()(blank_input(preprocess, device_of(network)))
    except ValueError:
        raise OptionError(
            f"{counted(images, 'image')} in batches of {batch_size}{f' and {shards} shards' if shards > 1 else ''} "
            "make a step of one image, whose smallest maps have one pixel: nothing that a batch norm could normalise; "
            f"choose another --batch-size, {'fewer --shards, ' if shards > 1 else ''}or a larger --size"
        ) from None


def _is_batch_norm(layer: nn.Module) -> bool:
    return isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)


def _transfer(
    recipe: Recipe, card: ModelCard, network: nn.Module, weights: str | Path | None, images: int, policy_name: str
) -> TransferPlan | None:
    """Return what is known of transfer learning before any feature is computed.

    Raises:
        UnknownNameError: there is no such boundary or engine.
        OptionError: the network has no stages.
    """
    if weights is None:
        return None
    wanted = recipe.transfer
    EngineChoice.parse(wanted.engine or AUTO)  # a wrong name is found now, not when the network runs
    known = boundaries(network) if isinstance(network, Network) else []
    if wanted.freeze is not None and wanted.freeze not in known:
        raise UnknownNameError("part to freeze", wanted.freeze, ("auto", *known))
    if not isinstance(network, Network):
        raise OptionError(f"{card.model} has no stages of which some could be frozen; add --weights none")
    lower = _below_last_stages(network, card.preprocess)
    chosen = (wanted.freeze,) if wanted.freeze is not None else tuple(dict.fromkeys((*({ALL} & {*known}), lower, NONE)))
    return TransferPlan(
        weights=weights,
        boundaries=chosen,
        lower=wanted.freeze if wanted.freeze not in (None, ALL, NONE) else lower,
        views=wanted.views or (1 if policy_name == "none" else views_for(images)),
        view_policy=views_policy(policy_name, card.preprocess),
        engine=wanted.engine or AUTO,
    )


def _below_last_stages(network: nn.Module, preprocess: Preprocess) -> str:
    assert isinstance(network, Network)
    with torch.no_grad():
        return last_stages(network.eval(), blank_input(preprocess, "meta"))


def _busy_cores(threads: int) -> list[str]:
    """Return a note where fewer threads compute than there are cores: the last bits of the result depend on it."""
    if threads >= usable_cores():
        return []
    return [sentence("note.busy", threads=threads, cores=usable_cores())]
