"""Recipes by name: TOML files of settings whose table `claim` says what they reach, on which data, and in what time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from hubel.core.errors import HubelError, OptionError, UnknownNameError
from hubel.core.files import user_path
from hubel.core.progress import counted
from hubel.training.recipe import Recipe
from hubel.training.recipe_file import FORMATS, read_recipe

__all__ = ["Claim", "NamedRecipe", "claim_record", "find_recipe", "list_recipes", "recipe_notes"]

_FOLDER = Path(__file__).with_name("recipes")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The result of a recipe, so that anybody can check it: on these data, with this network, on this machine.

    Attributes:
        summary: the recipe in one line.
        source: publication.
        data: name of the data.
        network: name of the network.
        published: what the source reports.
        accuracy: mean top-1 accuracy on the test images over the runs, 0 to 1; None where it was not measured here.
        spread: standard deviation of a run; None for fewer than two runs.
        runs: how many runs, each with a seed of its own.
        minutes: of one run.
        machine: that it ran on.
        deviations: from the source.
    """

    summary: str = ""
    source: str = ""
    data: str = ""
    network: str = ""
    published: str = ""
    accuracy: float | None = None
    spread: float | None = None
    runs: int = 0
    minutes: float | None = None
    machine: str = ""
    deviations: tuple[str, ...] = ()

    @classmethod
    def read(cls, table: Any) -> Self:
        """Read the table `claim` of a recipe.

        Raises:
            UnknownNameError: an entry does not exist.
            OptionError: it is no table, or an entry is of another type.
        """
        if not isinstance(table, Mapping):
            raise OptionError(f"claim is a table, not {table!r:.80}")
        kinds = {entry.name: str(entry.type) for entry in fields(cls)}
        values: dict[str, Any] = {}
        for name, value in table.items():
            if name not in kinds:
                raise UnknownNameError("entry of a claim", str(name), kinds)
            wanted, word = _KINDS[kinds[name].partition(" ")[0].partition("[")[0]]
            if not isinstance(value, wanted) or isinstance(value, bool):
                raise OptionError(f"{name} of a claim is {word}, not {value!r:.80}")
            values[name] = tuple(map(str, value)) if isinstance(value, list) else value
        return cls(**values)

    @property
    def measured(self) -> str:
        """The accuracy with its spread and the number of runs: "94.02 ± 0.13 % (5 runs)"; "" if not measured."""
        if self.accuracy is None:
            return ""
        spread = "" if self.spread is None else f" ± {100 * self.spread:.2f}"
        return f"{100 * self.accuracy:.2f}{spread} % ({counted(self.runs, 'run')})"


_KINDS: dict[str, tuple[Any, str]] = {
    "str": (str, "text"),
    "float": (int | float, "a number"),
    "int": (int, "a whole number"),
    "tuple": (list, "a list"),
}


@dataclass(frozen=True, kw_only=True)
class NamedRecipe:
    """A recipe in a file.

    Attributes:
        name: of one in the package; otherwise the path of the file.
        path: of the file.
        settings: flat, without those that are open.
        claim: what it reaches; empty where the file says nothing.
    """

    name: str
    path: Path
    settings: Mapping[str, Any]
    claim: Claim = field(default_factory=Claim)

    def changes(self, settings: Mapping[str, Any]) -> list[str]:
        """Return a phrase for each setting that differs from the recipe's, such as "epochs 3 instead of 164".

        Args:
            settings: of a request, flat.
        """
        return [
            f"{name} {settings[name]} instead of {value}"
            for name, value in self.settings.items()
            if name in settings and not _equal(settings[name], value)
        ]


def _equal(value: Any, other: Any) -> bool:
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return {k: str(v) for k, v in value.items()} == {k: str(v) for k, v in other.items()}
    return bool(value == other)


def list_recipes() -> list[str]:
    """List the names of the recipes in the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def find_recipe(name: str) -> NamedRecipe:
    """Find a recipe by its name, or in a file.

    Args:
        name: of a recipe in the package; or a path that ends in .toml, .yaml, .yml or .json.

    Raises:
        UnknownNameError: no recipe has this name, or an entry of its claim does not exist.
        OptionError: the file cannot be read, or holds no settings.
    """
    if Path(name).suffix.lower() in FORMATS:
        path = user_path(name)
    elif name in list_recipes():
        path = _FOLDER / f"{name}.toml"
    else:
        from hubel.models.catalogue import list_models

        if name in list_models():
            raise OptionError(f"{name} is a network, not a recipe; the recipe with it is {{'model': {name!r}}}")
        raise UnknownNameError("recipe", name, list_recipes())
    settings, claim = read_recipe(path, "--recipe")
    try:
        return NamedRecipe(name=name, path=path, settings=settings, claim=Claim.read(claim))
    except (OptionError, UnknownNameError) as error:
        raise OptionError(f"--recipe {path}: {error}") from None


def recipe_notes(recipe: Recipe) -> list[str]:
    """Return a note on the recipe that a request comes from: what it claims, and what the request has changed."""
    origin = _origin(recipe)
    if origin is None:
        return []
    claim, changes = origin.claim, origin.changes(recipe.settings())
    reached = f"{claim.measured} on {claim.data}" if claim.measured else ""
    published = f"published: {claim.published}" if claim.published else ""
    claims = "; ".join(filter(None, [f"recipe {origin.name}: {claim.summary}".rstrip(": "), reached, published]))
    return [claims, *([f"its claim is not that of this run: {', '.join(changes)}"] if changes else [])]


def claim_record(recipe: Recipe) -> dict[str, Any]:
    """Return what a run keeps of the claim of its recipe: `{"claim": {...}}`, or {} where there is none."""
    origin = _origin(recipe)
    if origin is None:
        return {}
    claim = {name: value for name, value in asdict(origin.claim).items() if value not in (None, "", (), 0)}
    return {"claim": claim} if claim else {}


def _origin(recipe: Recipe) -> NamedRecipe | None:
    """Return the recipe that a request comes from; None where it comes from none, or from a file that has gone."""
    try:
        return None if recipe.origin is None else find_recipe(recipe.origin)
    except HubelError:
        return None
