"""`hubel models`."""

from __future__ import annotations


def models(name: str = "*", /) -> int:
    """List the networks, or describe one: options, parameters, published facts.

    Args:
        name: a name, or a pattern with * and ?.
    """
    from hubel.cli.show import table
    from hubel.core.errors import UnknownNameError
    from hubel.models.catalogue import ALIASES, count_parameters, find, list_models, option_text, options_of

    if any(sign in name for sign in "*?["):
        found = [(entry, find(entry)[1]) for entry in list_models(name)]
        if not found:
            raise UnknownNameError("model", name, list_models())
        rows = [
            (entry, f"{count_parameters(entry):,}", "x".join(map(str, variant.shape)), variant.summary)
            for entry, variant in found
        ]
        table(["model", "parameters", "input", "what it is"], rows)
        return 0
    exact, variant = find(name)
    others = [alias for alias, meant in ALIASES.items() if meant == exact]
    published = variant.published
    print(f"{exact}: {variant.summary}\n")
    if others:
        print(f"also called {', '.join(others)}")
    print(f"input       {'x'.join(map(str, variant.shape))}{' only' if variant.fixed_size else ', other sizes too'}")
    print(f"parameters  {count_parameters(exact):,} with {variant.num_classes} classes")
    print(f"source      {published.source}")
    if published.macs:
        print(f"macs        {published.macs:,} multiply-adds an image")
    for map_name, shape in published.maps.items():
        print(f"map         {map_name:<14} {'x'.join(map(str, shape))}")
    shown = [(option, option_text(value)) for option, value in options_of(exact).items()]
    if shown:
        table(["option", "value"], shown)
        option, value = shown[0]
        print(f"change one with, say,  hubel train DATA --model {exact} --options.{option} {value or '128'}")
    return 0
