"""`hubel verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubel.analysis.verify import Fact

EXAMPLES = (
    "hubel verify",
    'hubel verify "*resnet*" --all',
)


def verify(name: str = "*", /, *, all: bool = False) -> int:  # noqa: A002
    """Recompute every fact that is stated of the networks: parameters, multiply-adds, shapes of maps.

    Each fact has a source (a paper, another library, or computed here) and a precision (exact, or as many digits as the
    paper prints). Where a paper's number is known to differ from those of its own layers, both are shown.

    Exit codes: 0 all facts hold, 1 some do not, 2 wrong usage.

    Args:
        name: name of a network, or a pattern with * and ?.
        all: print one line per fact instead of one per network.
    """
    from collections import Counter

    from hubel.analysis.verify import verify_all
    from hubel.cli.tables import print_table
    from hubel.core.errors import UnknownNameError
    from hubel.models.catalogue import list_models

    found = list(verify_all(name))
    if not found:
        raise UnknownNameError("model", name, list_models())
    facts = [fact for _, its_facts in found for fact in its_facts]
    failed = [fact for fact in facts if not fact.holds]
    if all:
        rows = [
            (
                fact.model,
                fact.quantity,
                _text(fact.stated.value),
                fact.stated.precision,
                _text(fact.computed),
                f"{fact.stated.kind}: {fact.stated.source}",
                _verdict(fact),
            )
            for fact in facts
        ]
        print_table(["model", "fact", "stated", "precision", "computed", "source", ""], rows)
    else:
        print_table(["model", "parameters", "macs", "maps", ""], [_row(model, its_facts) for model, its_facts in found])
    for fact in facts:
        if fact.stated.differs and fact.holds:
            print(
                f"{fact.model}: {fact.stated.source} prints {fact.stated.printed} {fact.quantity}, computed are "
                f"{_text(fact.computed)}: {fact.stated.differs}"
            )
    for fact in failed:
        print(f"{fact.model}: {fact.quantity} are stated as {fact.stated.printed}, computed as {_text(fact.computed)}")
    models = sum(bool(its_facts) for _, its_facts in found)
    sources = ", ".join(f"{n:,} {kind}" for kind, n in Counter(fact.stated.kind for fact in facts).most_common())
    print(f"{len(facts) - len(failed):,} of {len(facts):,} facts of {models} networks hold ({sources})")
    return 1 if failed else 0


def _row(model: str, facts: list[Fact]) -> tuple[str, str, str, str, str]:
    by_name = {fact.quantity: _text(fact.computed) for fact in facts}
    maps = sum(isinstance(fact.stated.value, tuple) for fact in facts)
    verdicts = {_verdict(fact) for fact in facts}
    verdict = next((word for word in ("FAIL", "differs", "pass") if word in verdicts), "nothing stated")
    return model, by_name.get("parameters", "-"), by_name.get("macs", "-"), str(maps), verdict


def _text(value: int | tuple[int, ...] | None) -> str:
    if value is None:
        return "absent"
    return "x".join(map(str, value)) if isinstance(value, tuple) else f"{value:,}"


def _verdict(fact: Fact) -> str:
    if not fact.holds:
        return "FAIL"
    return "differs" if fact.stated.differs else "pass"
