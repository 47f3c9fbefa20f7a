"""Resolve a recipe, in which None means "decide", into a plan, in which nothing is open."""

from __future__ import annotations

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
from hubel.core.resources import usable_cores
from hubel.core.version import __version__
from hubel.data.augment import find_policy
from hubel.data.dataset import Dataset, open_dataset
from hubel.data.decode_cache import CacheMode
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess
from hubel.data.samples import Labelled, blank_input
from hubel.data.sources.builtin import XO
from hubel.data.sources.kind import NESTED
from hubel.data.sources.listing import SPLITS
from hubel.data.sources.parents import read_parents
from hubel.data.splits import Splits, split
from hubel.data.taught import Taught
from hubel.evaluation.folds import assign_folds
from hubel.features.views import views_policy
from hubel.inference.costs import with_costs
from hubel.inference.device import pick_device, pick_precision
from hubel.inference.engines.registry import AUTO, EngineChoice
from hubel.inference.threads import probe_threads
from hubel.metrics.imbalance import balance_record
from hubel.models.neighbours import NeighboursLayout
from hubel.nn.freezing import ALL, NONE, boundaries, last_stages
from hubel.nn.narrow_maps import steps_over_map
from hubel.nn.network import Network
from hubel.nn.shapes_only import shapes_only
from hubel.tasks.catalogue import TASKS, find_task
from hubel.tasks.task import Task
from hubel.training.contradictions import check_folds, check_policy, check_smallest_batch, check_train_sizes
from hubel.training.distillation.choose import (
    TeachingImages,
    check_distillation,
    choose_distillation,
    choose_teachers,
    images_to_teach,
    taught_by,
    train_what_taught,
    tuned_whole,
)
from hubel.training.freeze_policy import holds_norms, views_for
from hubel.training.initial_weights import InitialWeights
from hubel.training.named_recipes import recipe_notes
from hubel.training.network_choice import (
    NetworkChoice,
    check_settings,
    choose_backbone_freeze,
    choose_network,
    choose_task,
    task_of_data,
)
from hubel.training.network_input import choose_preprocess, shows_small_images
from hubel.training.optimization import balanced_loss, choose_balance, choose_loop, choose_loss, choose_optimizer
from hubel.training.own_network import check_own_settings, own_preprocess, with_table
from hubel.training.plan import Plan, TransferPlan
from hubel.training.processes.settings import (
    choose_sharding,
    device_of_rank,
    engine_of_ranks,
    pinned_sharding,
    threads_of_rank,
)
from hubel.training.recipe import Recipe
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
    task = choose_task(recipe) if module is None else find_task(recipe.task) if recipe.task else TASKS[0]
    named = recipe.task is not None or recipe.network.model is not None
    check_settings(task, recipe)
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
    if not named and (found := task_of_data(dataset, task)) != task:
        check_settings(task := found, recipe)
    return resolve(recipe, dataset, task, module)


def resolve(recipe: Recipe, dataset: Dataset, task: Task, module: nn.Module | None = None) -> Plan:
    """Decide everything that the recipe leaves open. Arguments and errors as for `plan_training`."""
    chosen = choose_network(recipe, dataset, task, module)
    initial, tuned = chosen.initial, chosen.tuned
    outputs = task.outputs(dataset)
    loss = choose_loss(recipe.optimization, task, tuned=tuned and recipe.distillation.teacher is None)
    check_distillation(recipe, task, loss.name, learns=not isinstance(chosen.variant.layout, NeighboursLayout))
    teachers = choose_teachers(recipe, outputs)
    splits, val_taught = _splits(recipe, dataset, task, initial, taught_by(teachers))
    shown = images_to_teach(recipe, dataset, splits)
    preprocess = choose_preprocess(recipe, chosen.variant, dataset, initial.preprocess, task=task)
    if module is not None:
        preprocess = own_preprocess(module, preprocess)
    card = ModelCard(
        chosen.name,
        outputs,
        preprocess,
        {**initial.options, **chosen.options},
        task.scores(loss.name),
        provenance={
            **_origin(recipe, dataset, task),
            "measured": splits.measured_name,
            "val_taught": val_taught,
            "taught": _taught(shown, initial.taught, taught_by(teachers)).to_json(),
            **({"teachers": [teacher.record() for teacher in teachers]} if teachers else {}),
            **({"unlabelled": shown.record()} if shown.unlabelled else {}),
            **initial.provenance,
        },
        task=task.name,
        dense=chosen.variant.output if task.annotations else "",
        conditions=dataset.classes() if chosen.variant.conditional else (),
        own=None if module is None else OwnClass.of(module),
    )
    small = bool(task.augment_small) and shows_small_images(dataset, preprocess)
    usual = task.augment_small if small else task.augment
    policy_name = recipe.data.augment or usual or chosen.variant.augment
    policy = find_policy(policy_name, channels=preprocess.channels, size=min(preprocess.height, preprocess.width))
    with shapes_only() if module is None else nullcontext():
        network = card.create(module)  # refuses options that cannot be built
    if module is not None:
        check_outputs(network, preprocess, len(outputs))
        module = network
    transfer = _transfer(recipe, card, network, initial.weights, len(splits.train), policy_name)
    if teachers:
        transfer = tuned_whole(transfer)
    check_train_sizes(recipe, chosen.variant, task, tuned=tuned, taught=bool(teachers))
    check_policy(policy, task)
    if recipe.data.folds is not None:
        check_folds(recipe.data.folds, recipe, card, network, tuned=tuned)
        everything = np.concatenate([splits.train, splits.val, splits.test])
        targets = task.targets(dataset, outputs, everything)
        assign_folds(dataset.digests(everything), targets, recipe.data.folds, stratify=task.stratify)

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
    loop = choose_loop(
        recipe, task, policy, len(shown.rows),
        tuned=tuned, backbone=chosen.backbone is not None, from_scratch=chosen.from_scratch,
    )  # fmt: skip
    sharding = choose_sharding(recipe.machine, loop.batch_size)
    if not tuned or not holds_norms(len(train.images)):
        shards = 1 if sharding is None else sharding.shards
        check_smallest_batch(network, preprocess, len(shown.rows), loop.batch_size, shards)
    # A pretrained network brings its normalisation along; an autoencoder is compared with its input, from 0 to 1.
    if outputs and initial.preprocess is None:
        mean, std = (tuple(values) for values in current_group().agree(train.images.colours))
        card = replace(card, preprocess=replace(card.preprocess, mean=mean, std=std))
        train = replace(train, images=train.images.normalised_by(card.preprocess))
    backbone = chosen.backbone
    if backbone is not None and recipe.transfer.freeze not in (None, NONE):
        backbone = choose_backbone_freeze(recipe, backbone, network, policy, policy_name, train.images)
    counts = task.label_counts(train, len(outputs))
    balance, unequal = choose_balance(recipe.optimization.balance, loss, task, chosen.variant, outputs, counts)
    loss, loop = balanced_loss(loss, recipe, balance, counts), replace(loop, sampling=balance == "sampling")
    if task.exclusive:
        card = replace(card, provenance={**card.provenance, **balance_record(counts, balance)})
    card = task.finish_card(_with_parents(with_costs(card, recipe.optimization.costs), recipe, dataset, task), train)
    val = labelled(splits.val, cache) if len(splits.val) else None
    measured = labelled(splits.test, "off") if val is None or len(splits.test) else val  # those of test are read once

    distillation = choose_distillation(recipe, teachers, shown, train.images, loop, network, tuned=tuned)

    device = device_of_rank(pick_device(recipe.machine.device or "auto"))
    precision = pick_precision(recipe.machine.precision or "auto", device)
    if precision == torch.bfloat16 and device.type == "cpu":
        sizes = (*loop.train_sizes, (card.preprocess.height, card.preprocess.width))
        if any(steps_over_map(network, card.preprocess.channels, *size) for size in sizes):
            precision = torch.float32
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
        from_scratch=chosen.from_scratch,
        batch_size=loop.batch_size,
        temperature=distillation.temperature if distillation else 1.0,
    )
    busy = [] if recipe.machine.threads or sharding is not None else _busy_cores(threads)
    plan = Plan(
        recipe=recipe,
        pinned=recipe,
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
    pinned = _pinned(plan, chosen, balance=balance).with_settings(
        augment=policy.to_text() if policy_name.lower().endswith(".toml") else policy_name,
        **({"engine": engine_of_ranks(precision)} if by_ranks else {}),
    )
    return replace(plan, pinned=pinned)


def _origin(recipe: Recipe, dataset: Dataset, task: Task) -> dict[str, Any]:
    """Return what a model's card says of the data, and of the settings by which it was divided."""
    return {
        "data": dataset.name,
        "fingerprint": dataset.index.fingerprint(),
        "hubel": __version__,
        "multi_label": task.multi_label,
        "stratify": task.stratify,
        "seed": recipe.seed,
        "shares": [recipe.data.val_share, recipe.data.test_share],
        **({"images": recipe.data.images} if recipe.data.images else {}),
        **({"void": recipe.data.void} if recipe.data.void is not None else {}),
    }


def _taught(shown: TeachingImages, *earlier: Taught | None) -> Taught:
    """Return the images that teach, with those that taught the first weights and the teachers."""
    taught = Taught.of(shown.dataset.digests(shown.rows))
    for known in earlier:
        taught = taught if known is None else taught | known
    return taught


def _pinned(plan: Plan, chosen: NetworkChoice, *, balance: str) -> Recipe:
    """Return the recipe with what the plan decided written into it."""
    own, optimizer, loss = plan.card.own, plan.optimizer, plan.loss
    used = {"loss": loss.name, "label_smoothing": loss.label_smoothing, "balance": balance}
    return plan.recipe.with_settings(
        task=plan.task.name,
        model=chosen.name if own is None else own.place,
        options=dict(chosen.options),
        weights=chosen.weights,
        epochs=plan.loop.epochs,
        batch_size=plan.loop.batch_size,
        optimizer=optimizer.name,
        lr=optimizer.lr,
        ema=optimizer.ema,
        weight_decay=optimizer.weight_decay,
        threads=plan.threads,
        **({} if plan.sharding is None else pinned_sharding(plan.sharding)),
        **(plan.distillation.settings() if plan.distillation else {}),
        **{setting: value for setting, value in used.items() if setting not in plan.task.unused},
    )


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
