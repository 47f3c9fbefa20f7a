"""`hubel recipes`."""

from __future__ import annotations

EXAMPLES = (
    "hubel recipes",
    "hubel recipes resnet-cifar",
)


def recipes(name: str = "", /) -> int:
    """List the recipes with what they claim, or describe one: its source, its settings, and what it reached.

    Args:
        name: name of a recipe, or a TOML file.
    """
    return _describe(name) if name else _list()


def _list() -> int:
    from hubel.cli.tables import print_table
    from hubel.training.named_recipes import find_recipe, list_recipes

    rows = []
    for name in list_recipes():
        claim = find_recipe(name).claim
        minutes = "-" if claim.minutes is None else f"{claim.minutes:.0f}"
        rows.append((name, claim.data, claim.network, claim.measured or "not measured", minutes, claim.summary))
    print_table(["recipe", "data", "network", "test accuracy", "minutes", "description"], rows)
    return 0


def _describe(name: str) -> int:
    from hubel.core.shell import shell_command
    from hubel.training.named_recipes import find_recipe

    found = find_recipe(name)
    claim = found.claim
    print(f"{found.name}: {claim.summary}\n" if claim.summary else found.name)
    lines = {
        "source": claim.source,
        "published": claim.published,
        "data": claim.data,
        "network": claim.network,
        "measured": claim.measured or "not measured",
        "minutes": "" if claim.minutes is None else f"{claim.minutes:.0f} a run",
        "machine": claim.machine,
    }
    for word, text in lines.items():
        if text:
            print(f"{word:<10} {text}")
    for text in claim.deviations:
        print(f"Deviation: {text}")
    print(f"\n{found.path.read_text(encoding='utf-8').partition('[claim]')[0]}".rstrip())
    width = max(map(len, found.settings))
    for setting, value in found.settings.items():
        print(f"  {setting:<{width}}  {value}")
    print(f"\nuse it  {shell_command('hubel', 'train', claim.data or 'PHOTOS', '--recipe', name)}")
    return 0
