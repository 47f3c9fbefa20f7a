"""`hubel models`."""

from __future__ import annotations

EXAMPLES = (
    "hubel models",
    'hubel models "*net*"',
    "hubel models lenet5",
)


def models(name: str = "*", /) -> int:
    """List the networks, or describe one: paper, options, published facts, weights.

    Args:
        name: name of a network, or a pattern with * and ?.
    """
    return _list(name) if any(sign in name for sign in "*?[") else _describe(name)


def _list(pattern: str) -> int:
    from hubel.cli.tables import print_table
    from hubel.core.errors import UnknownNameError
    from hubel.models.catalogue import count_parameters, find, list_models
    from hubel.weights.pretrained import list_weights

    found = [(name, find(name)[1]) for name in list_models(pattern)]
    if not found:
        raise UnknownNameError("model", pattern, list_models())
    sets: dict[str, int] = {}
    for row in list_weights(pattern):
        sets[row.model] = sets.get(row.model, 0) + 1
    rows = [
        (
            name,
            f"{variant.published.params or count_parameters(name):,}",
            "x".join(map(str, variant.shape)),
            str(sets.get(name, "")),
            variant.summary,
        )
        for name, variant in found
    ]
    print_table(["model", "parameters", "input", "weights", "description"], rows)
    return 0


def _describe(name: str) -> int:
    from hubel.cli.tables import print_table
    from hubel.models.catalogue import ALIASES, count_parameters, find, option_text, options_of, paper_of
    from hubel.weights.pretrained import list_weights

    exact, variant = find(name)
    others = [alias for alias, meant in ALIASES.items() if meant == exact]
    published = variant.published
    size = " only" if variant.fixed_size else f", other sizes from {variant.smallest} pixels on"
    print(f"{exact}: {variant.summary}\n")
    if others:
        print(f"also called {', '.join(others)}")
    print(f"paper       {paper_of(exact)}")
    print(f"input       {'x'.join(map(str, variant.shape))}{size}")
    print(f"parameters  {count_parameters(exact):,} with {variant.num_classes} classes")
    if published.params_without_auxiliary:
        print(f"            {published.params_without_auxiliary:,} without auxiliary classifiers")
    if published.macs:
        print(f"macs        {published.macs:,} multiply-adds per image")
    if published.facts:
        facts = [
            (fact.quantity, fact.printed, fact.precision, f"{fact.kind}: {fact.source}") for fact in published.facts
        ]
        print_table(["fact", "stated", "precision", "source"], facts)
    if shown := [(option, option_text(value)) for option, value in options_of(exact).items()]:
        print_table(["option", "value"], shown)
        option, value = shown[0]
        print(f"to change one:  hubel train DATA --model {exact} --options.{option} {value or '128'}")
    if weights := list_weights(exact):
        rows = [
            (
                row.tag,
                f"{row.top1:.2f}%" if row.top1 else "-",
                f"{row.top5:.2f}%" if row.top5 else "-",
                f"{row.preprocess.height}x{row.preprocess.width}",
                row.licence,
                row.location,
            )
            for row in weights
        ]
        print_table(["weights", "top-1", "top-5", "input", "licence", "from"], rows)
        print(
            f"use them  hubel predict {exact} IMAGE... (the first set)"
            f", or hubel predict {exact}.{weights[-1].tag} IMAGE..."
        )
    return 0
