"""`hubel verify`."""

from __future__ import annotations

EXAMPLES = (
    "hubel verify",
    'hubel verify "*resnet*" --all',
)


def verify(name: str = "*", /, *, all: bool = False) -> int:  # noqa: A002
    """Recompute every published fact of the networks: parameters, multiply-adds, shapes of maps.

    Exit codes: 0 all facts hold, 1 some do not, 2 wrong usage.

    Args:
        name: name of a network, or a pattern with * and ?.
        all: print one line per fact instead of one per network.
    """
    from hubel.analysis.verify import verify_all
    from hubel.cli.tables import print_table
    from hubel.core.errors import UnknownNameError
    from hubel.models.catalogue import list_models

    def text(value: int | tuple[int, ...] | None) -> str:
        if value is None:
            return "absent"
        return "x".join(map(str, value)) if isinstance(value, tuple) else f"{value:,}"

    found = list(verify_all(name))
    if not found:
        raise UnknownNameError("model", name, list_models())
    facts = [fact for _, its_facts in found for fact in its_facts]
    failed = [fact for fact in facts if not fact.holds]
    if all:
        rows = [(f.model, f.quantity, text(f.published), text(f.computed), _verdict(f.holds)) for f in facts]
        print_table(["model", "fact", "published", "computed", ""], rows)
    else:
        body = []
        for model, its_facts in found:
            by_name = {fact.quantity: text(fact.computed) for fact in its_facts}
            maps = sum(isinstance(fact.published, tuple) for fact in its_facts)
            verdict = (
                _verdict(holds=not any(fact.model == model for fact in failed)) if its_facts else "nothing published"
            )
            body.append((model, by_name.get("parameters", "-"), by_name.get("macs", "-"), str(maps), verdict))
        print_table(["model", "parameters", "macs", "maps", ""], body)
    for fact in failed:
        print(
            f"{fact.model}: {fact.quantity} is published as {text(fact.published)}, computed as {text(fact.computed)}"
        )
    models = sum(bool(its_facts) for _, its_facts in found)
    print(f"{len(facts) - len(failed):,} of {len(facts):,} published facts of {models} networks hold")
    return 1 if failed else 0


def _verdict(holds: bool) -> str:
    return "pass" if holds else "FAIL"
