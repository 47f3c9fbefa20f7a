"""A run keeps the hierarchy of its classes: from folders, from a column of a table, or from a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hubel
from hubel.core.errors import HubelError, OptionError, UnknownNameError
from hubel.data import open_dataset
from hubel.training import plan_training
from hubel.weights import read_card

CLOTHES = Path(__file__).parents[3] / "shared" / "data" / "clothing"
PARENTS = {
    **dict.fromkeys(("longsleeve", "shirt", "t-shirt"), "tops"),
    **dict.fromkeys(("tops", "outwear"), "upper body"),
    **dict.fromkeys(("pants", "shorts", "skirt"), "bottoms"),
}
CLASSES = ("dress", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt")
SETTINGS = {"model": "linear", "size": 8, "epochs": 1, "threads": 1, "weights": "none"}


def above(name: str) -> list[str]:
    """The folders of a class, from the topmost down."""
    return [*(above(PARENTS[name]) if name in PARENTS else []), name]


@pytest.fixture
def clothes(tmp_path: Path) -> Path:
    """Two training and two test photos of nine classes, in folders of their parents."""
    if not CLOTHES.is_dir():
        pytest.skip("needs ../shared/data/clothing")
    for split in ("train", "test"):
        for name in CLASSES:
            folder = tmp_path / "clothes" / split / Path(*above(name))
            folder.mkdir(parents=True)
            for photo in sorted((CLOTHES / split / name).iterdir())[:2]:
                (folder / photo.name).write_bytes(photo.read_bytes())
    return tmp_path / "clothes"


def test_nested_folders(clothes: Path, tmp_path: Path) -> None:
    run = hubel.train(clothes, {**SETTINGS, "parents": "folders"}, out=tmp_path / "run", quiet=True)
    card = read_card(run.model)
    assert (card.classes, card.parents) == (CLASSES, PARENTS)
    levels = json.loads((run.folder / "metrics.json").read_text())["hierarchy"]["levels"]
    assert [one["names"] for one in levels] == [4, 7, 9]
    assert levels[-1]["accuracy"] == run.accuracy
    for photo in (clothes / "test").rglob("*.jpg"):
        (tmp_path / "flat" / photo.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "flat" / photo.parent.name / photo.name).write_bytes(photo.read_bytes())
    for folder in (clothes / "test", tmp_path / "flat"):
        assert open_dataset(folder, parents=card.parents).classes() == CLASSES
    assert "| Groups of classes | upper body, tops, bottoms |" in (run.folder / "MODEL_CARD.md").read_text()


def test_a_column_and_a_file(clothes: Path, tmp_path: Path) -> None:
    photos = [(path, path.parent.name) for path in sorted((clothes / "train").rglob("*.jpg"))]
    lines = [f"{path},{name},{PARENTS.get(name, '')}" for path, name in photos]
    (tmp_path / "photos.csv").write_text("\n".join(["path,label,parent", *lines, ""]))
    direct = {name: parent for name, parent in PARENTS.items() if name in CLASSES}
    data = str(tmp_path / "photos.csv")
    assert plan_training(data, hubel.Recipe(**SETTINGS)).card.parents == direct
    assert plan_training(data, hubel.Recipe(**SETTINGS, parents="none")).card.parents == {}
    file = tmp_path / "parents.csv"
    file.write_text("".join(f"{name},{parent}\n" for name, parent in PARENTS.items()))
    plan = plan_training(data, hubel.Recipe(**SETTINGS, parents=file))
    assert plan.card.parents == PARENTS
    assert plan_training(data, plan.pinned).card.parents == PARENTS, "a resumed run finds the file from any folder"
    nested = plan_training(clothes, hubel.Recipe(**SETTINGS, parents=file)).card
    assert (nested.classes, nested.parents) == (CLASSES, PARENTS), "the file tells the folders of parents, too"


@pytest.mark.parametrize(
    ("text", "settings", "kind", "message"),
    [
        ("0,even\n2,evne\nevne,digits\n10,even\n", {}, UnknownNameError, "no class is called '10'"),
        ("0,1\n", {}, OptionError, "1 is a class and the parent of 0"),
        ("0,a\na,b\nb,a\n", {}, OptionError, "the parents run in a circle: a < b < a"),
        ("0,even\n", {"task": "reconstruct"}, OptionError, "a hierarchy needs one class an image"),
    ],
)
def test_what_is_no_hierarchy_of_the_classes(
    tmp_path: Path, text: str, settings: dict[str, str], kind: type[HubelError], message: str
) -> None:
    (tmp_path / "parents.csv").write_text(text)
    model = {} if settings else {"model": "linear"}
    with pytest.raises(kind, match=message) as error:
        plan_training("digits", hubel.Recipe(**model, **settings, parents=tmp_path / "parents.csv"))
    assert str(error.value).startswith(f"--parents {tmp_path / 'parents.csv'}: ")


def test_folders_without_parents(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        for number in range(4):
            np.save(tmp_path / name / f"{number}.npy", np.full((8, 8), number, np.uint8))
    with pytest.raises(OptionError, match="--parents folders: no class folder of"):
        plan_training(tmp_path, hubel.Recipe(**SETTINGS, parents="folders"))
