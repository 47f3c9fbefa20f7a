"""A model's card as a page of text, in the form of the Hugging Face Hub: YAML between lines of dashes, then Markdown.

It is written from a model's card alone, so a file that was moved away from its run can print it, and the same file
gives the same bytes. What a training run adds lies in the provenance under "run"; see `hubel.training.run_card`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hubel.core.errors import ModelFileError
from hubel.core.text import printable
from hubel.weights.card import ModelCard

__all__ = ["hub_card"]

_FEW = 10  # test images of a class, below which its numbers are hardly more than chance
_MOST_CLASSES = 100  # in a table; of more, only the number
_MOST_NAMES = 20
_ROLES = {"validation": "did not teach, but selected the best epoch"}
# Of models without a record of their training, such as converted ones: the Hub's name of what they do, and a sentence.
_BY_OUTPUT = {
    "vector": ("image-classification", "predict one of its classes for each image"),
    "maps": ("image-segmentation", "predict the class of each pixel"),
    "boxes": ("object-detection", "find objects: a box and a class for each"),
    "points": ("keypoint-detection", "find key points"),
}
_MARKUP = re.compile(r"([\\`*\[\]<|])")


def hub_card(card: ModelCard, circumstances: Mapping[str, str] | None = None) -> str:
    """Return the page of a model.

    Args:
        card: of the model.
        circumstances: more rows of the table of the training, such as its time, which are no part of the model.

    Raises:
        ModelFileError: the record of the training in the card is none of hubel's.
    """
    try:
        return "\n".join([*_front_matter(card), "", *_page(card, circumstances or {})]) + "\n"
    except (LookupError, TypeError, ValueError, AttributeError):
        raise ModelFileError("the model's record of its training cannot be read") from None


def _title(card: ModelCard) -> str:
    data = card.provenance.get("data")
    return f"{card.model} on {data}" if data else card.model


def _front_matter(card: ModelCard) -> Iterator[str]:
    """Yield the lines for programs. Texts are quoted as in JSON, which is YAML."""
    run, data = card.provenance.get("run", {}), str(card.provenance.get("data", ""))
    is_numbers = not card.dense and (not card.classes or card.scores == "identity")
    kind = run.get("pipeline_tag", "" if is_numbers else _BY_OUTPUT[card.output][0])
    results = run.get("results")
    yield "---"
    yield f"license: {json.dumps(_licence(card) or 'unknown')}"
    yield "library_name: hubel"
    if kind:
        yield f"pipeline_tag: {kind}"
    yield from ["tags:", "- hubel", f"- {json.dumps(card.model)}"]
    if "source" in run:
        yield from ["datasets:", f"- {json.dumps(run['source'])}"]
    if results:
        yield "metrics:"
        yield from (f"- {json.dumps(kind)}" for kind in dict.fromkeys(one["type"] for one in results["metrics"]))
        yield "model-index:"
        yield f"- name: {json.dumps(_title(card))}"
        yield from ["  results:", "  - task:"]
        yield f"      type: {json.dumps(kind or card.task)}"
        yield "    dataset:"
        yield f"      type: {json.dumps(data)}"
        yield f"      name: {json.dumps(data)}"
        yield f"      split: {json.dumps(results['split'])}"
        yield "    metrics:"
        for one in results["metrics"]:
            yield f"    - type: {json.dumps(one['type'])}"
            yield f"      name: {json.dumps(one['name'])}"
            yield f"      value: {json.dumps(one['value'])}"
    yield "---"


def _licence(card: ModelCard) -> str:
    """Return the licence of the weights that the model consists of, or starts from; "" if it is not known."""
    return str(card.provenance.get("run", {}).get("licence") or card.provenance.get("licence") or "")


def _page(card: ModelCard, circumstances: Mapping[str, str]) -> Iterator[str]:
    run, p = card.provenance.get("run", {}), card.preprocess
    yield f"# {_plain(_title(card))}"
    yield ""
    names = ", ".join(map(_plain, card.classes[:_MOST_NAMES])) + (", ..." if len(card.classes) > _MOST_NAMES else "")
    what = str(run.get("task", "")) or (_BY_OUTPUT[card.output][1] if card.classes else "")
    if what:
        yield f"{what[:1].upper()}{what[1:]}{f': {names}' if names else ''}."
        yield ""
    yield from _table(
        ("", "value"),
        [
            ("Network", card.model),
            *([("Class", f"{card.own.place}, which the weights need and hubel never imports")] if card.own else []),
            ("Input", f"{p.channels}x{p.height}x{p.width}, {p.resize}, {p.interpolation}"),
            *([("Classes", f"{len(card.classes):,}")] if card.classes else []),
            *([("Groups of classes", _groups(card))] if card.parents else []),
            *([("Taught by", _teachers(card))] if card.provenance.get("teachers") else []),
            *([("Temperature", f"{card.temperature:.3f}")] if card.scores == "softmax" else []),
            *([("Scores", "mean over several views of each image")] if card.tta else []),
            ("Licence", _licence_in_words(card)),
        ],
    )
    yield from _members(card)
    yield from _data(card)
    yield from _training(card, circumstances)
    yield from _results(card)
    yield from _limits(card)
    yield from [
        "## Use",
        "",
        "```python",
        "import hubel",
        "",
        'model = hubel.load("model.safetensors")  # or model.onnx, which needs no torch',
        'model.predict("photo.jpg")',
        "```",
    ]


def _groups(card: ModelCard) -> str:
    """Return the names of the groups of classes, from the top down."""
    names = card.class_tree().groups
    return ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")


def _teachers(card: ModelCard) -> str:
    """Return names and digests of the models that taught this one."""
    found = [f"{one['name']} ({one['network']}, {one['digest']})" for one in card.provenance["teachers"]]
    return ", ".join(map(_plain, found))


def _licence_in_words(card: ModelCard) -> str:
    licence = _licence(card)
    if not licence:
        return "not stated; that of the images counts, too"
    weights = card.provenance.get("weights", "that it starts from")
    return f"{licence}, of the weights {weights}; that of the images counts, too"


def _members(card: ModelCard) -> Iterator[str]:
    """Yield the table of the models that an ensemble, or a soup, is made of."""
    members = card.provenance.get("members", [])
    if not members:
        return
    columns = ("name", "network", "data", "seed", "weights", "licence")
    kept = [column for column in columns if any(column in member for member in members)]
    yield from ["", "## Members", ""]
    yield from _table(kept, [[str(member.get(column, "-")) for column in kept] for member in members])


def _data(card: ModelCard) -> Iterator[str]:
    run, origin = card.provenance.get("run", {}), card.provenance
    if not run:
        return
    images = run["images"]
    yield from ["", "## Data", ""]
    yield from _table(
        ("", "value"),
        [
            ("Name", str(origin.get("data", ""))),
            ("Images", ", ".join(f"{images[split]:,} {split}" for split in ("train", "val", "test"))),
            ("Left out", f"{run['unreadable']:,} unreadable"),
            *([("Validation images teach, too", "yes")] if origin.get("val_taught") else []),
            ("Digest", str(origin.get("fingerprint", ""))),
        ],
    )
    if 0 < len(counts := run.get("counts", [])) <= _MOST_CLASSES:
        yield ""
        rows = [[name, *map(str, numbers)] for name, numbers in zip(card.classes, counts, strict=True)]
        yield from _table(("class", "train", "val", "test"), rows)


def _training(card: ModelCard, circumstances: Mapping[str, str]) -> Iterator[str]:
    run, origin = card.provenance.get("run", {}), card.provenance
    if not run:
        return
    settings = ", ".join(f"{name} {_shown(value)}" for name, value in sorted(run["settings"].items()))
    epochs = f"{run['epochs']:,}" if run["epochs"] else "none"
    yield from ["", "## Training", ""]
    yield from _table(
        ("", "value"),
        [
            ("Starts from", str(origin.get("weights", "random weights"))),
            *([("Stays as it was", _frozen(run["frozen"]))] if run["frozen"] != "none" else []),
            ("Epochs", epochs),
            ("Seed", str(origin.get("seed", ""))),
            ("Settings", settings or "the default ones"),
            *circumstances.items(),
            ("Made with", f"hubel {origin.get('hubel', '')}"),
        ],
    )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _results(card: ModelCard) -> Iterator[str]:
    results = card.provenance.get("run", {}).get("results")
    if not results:
        return
    yield from [
        "",
        "## Results",
        "",
        f"On {results['n']:,} {results['split']} images, which {_ROLES.get(results['split'], 'did not teach')}:",
        "",
    ]
    yield from _table(
        ("metric", "value", "95 % interval"),
        [
            (one["name"], f"{one['value']:.4g}", " to ".join(f"{end:.4g}" for end in one.get("interval", [])) or "-")
            for one in results["metrics"]
        ],
    )


def _limits(card: ModelCard) -> Iterator[str]:
    """Yield what the numbers do not tell, as far as the card knows it."""
    run = card.provenance.get("run", {})
    yield from ["", "## Limits", ""]
    if card.unfinished:
        yield "- The training has not come to its end: these are its best weights so far, and nothing is calibrated."
    counts = dict(zip(card.classes, run.get("counts", []), strict=False))
    split = 2 if run.get("images", {}).get("test") else 1
    few = [f"{name} ({numbers[split]})" for name, numbers in counts.items() if numbers[split] < _FEW]
    if few:
        more = ", ..." if len(few) > _MOST_NAMES else ""
        shown = ", ".join(map(_plain, few[:_MOST_NAMES]))
        yield f"- Measured on fewer than {_FEW} images, so that their recall is hardly known: {shown}{more}."
    if weakest := run.get("results", {}).get("weakest"):
        shown = ", ".join(f"{name} {recall:.0%} of {images}" for name, recall, images in weakest)
        yield f"- Lowest recall: {_plain(shown)}."
    if run:
        yield (
            "- Measured only on images of the source of its training; those of another camera, place or time may fare "
            "worse."
        )
        yield "- Not measured under noise, blur, other light and the like; `hubel robust` does that."
    else:
        yield "- Nothing is recorded of its training and its measurement."
    if card.classes and card.scores == "softmax" and len(card.classes) > 1:
        unknown = ", and calls it unknown only where it is far from all" if card.novelty else " nevertheless"
        yield f"- Of an image that shows none of its classes, it names one of them{unknown}."
    yield ""


def _frozen(boundary: str) -> str:
    return "all but the last layer" if boundary == "all" else f"the network up to {boundary}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(map(_plain, row))} |"


def _plain(text: str) -> str:
    """Return a text of somebody's data as one that Markdown shows as it is, on one line."""
    return _MARKUP.sub(r"\\\1", printable(text))
