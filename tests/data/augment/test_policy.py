"""Policies: by name, from files, written out, and what a wrong one says."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.core.errors import HubelError, OptionError, UnknownNameError
from hubel.data.augment import POLICIES, VIEWS, Policy, find_policy
from hubel.data.augment.policy import CHOICES, RANGES

MISTAKES = {
    "rotat = 10": "no setting of an augmentation is called 'rotat'; did you mean rotate",
    'rotate = "10"': "rotate is a number, not '10'",
    "rotate = 200": "rotate is from 0 to 180, not 200",
    "rotate = nan": "rotate is from 0 to 180, not nan",
    "crop = 0": "crop is from 0.01 to 1, not 0",
    "mirror = 1": "mirror is true or false, not 1",
    "mixup = true": "mixup is a number, not True",
    "jpeg = 50.5": "jpeg is a whole number, not 50.5",
    'fill = "white"': "no fill of an augmentation is called 'white'; the known ones are: black, edge, reflect",
    'automatic = "randaug"': "no automatic of an augmentation is called 'randaug'; did you mean randaugment",
    'base = "standart"': "no augmentation policy is called 'standart'; did you mean standard",
    "base = 3": "no augmentation policy is called '3'",
    "axes = [1, 2, 3]": "axes is three rows of three numbers, not [1, 2, 3]",
    "axes = [[1, 2, 3], [1, 2, 3], [1, 2, inf]]": "axes is three rows of three numbers",
    "rotate = ": "no TOML: Invalid value (at end of document)",
    "rotate = 1\nrotate = 2": "no TOML: Cannot overwrite a value (at end of document)",
    "[geometry]\nrotate = 1": "no setting of an augmentation is called 'geometry'",
}


def settings_of(name: str) -> st.SearchStrategy[object]:
    usual = getattr(Policy, name)
    if name == "axes":
        number = st.floats(-1, 1)
        return st.tuples(*(st.tuples(number, number, number) for _ in range(3)))
    if name in CHOICES:
        return st.sampled_from(CHOICES[name])
    if isinstance(usual, bool):
        return st.booleans()
    low, high = RANGES[name]
    return st.integers(int(low), int(high)) if isinstance(usual, int) else st.floats(low, high)


ANY = st.builds(Policy, **{entry.name: settings_of(entry.name) for entry in fields(Policy)})


@settings(max_examples=100, deadline=None)
@given(policy=ANY)
def test_toml_and_text_round_trip(policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("policy") / "My Policy.TOML"
    file.write_text(policy.to_toml(), encoding="utf-8")
    assert find_policy(str(file), channels=3) == policy
    assert find_policy(policy.to_text(), channels=1) == policy
    assert Policy.from_json(policy.to_json()) == policy
    assert "\n" not in policy.to_text()


@pytest.mark.parametrize("text", MISTAKES)
def test_each_mistake_in_a_file_is_one_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(OptionError) as caught:
        find_policy(str(file), channels=3)
    said = str(caught.value)
    assert said.startswith(f"{file}: ")
    assert MISTAKES[text] in said
    assert "\n" not in said


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"gone.toml: no such file; expected a table of an augmentation policy"):
        find_policy(str(tmp_path / "gone.toml"), channels=3)
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(OptionError, match=r"folder.toml: cannot be read"):
        find_policy(str(tmp_path / "folder.toml"), channels=3)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionError, match=r"bytes.toml: cannot be read"):
        find_policy(str(tmp_path / "bytes.toml"), channels=3)


def test_texts_that_are_none() -> None:
    with pytest.raises(OptionError, match=r"a name, a .toml file or a JSON table, not '\{oops'"):
        find_policy("{oops", channels=3)
    with pytest.raises(UnknownNameError, match="augmentation policy is called 'stong'; did you mean strong"):
        find_policy("stong", channels=3)
    with pytest.raises(HubelError, match="rotate is from 0 to 180"):
        Policy(rotate=-1)


def test_a_file_may_start_from_a_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "standard"\nrotate = 3\nhue = 0.0\n')
    got = find_policy(str(file), channels=3)
    assert got.crop == POLICIES["standard"].crop
    assert (got.rotate, got.hue) == (3, 0)
    file.write_text('base = "auto"\nnoise = 0.1\n')
    assert find_policy(str(file), channels=1) == Policy(shift=0.0625, noise=0.1)
    assert find_policy(str(file), channels=3, size=32) == Policy(shift=0.125, mirror=True, noise=0.1)


@pytest.mark.parametrize("name", POLICIES)
def test_named_policies_round_trip(name: str, tmp_path: Path) -> None:
    assert find_policy(name, channels=1) == find_policy(name, channels=3) == POLICIES[name]
    file = tmp_path / "copy.toml"
    file.write_text(POLICIES[name].to_toml())
    assert find_policy(str(file), channels=3) == POLICIES[name]


def test_what_a_policy_keeps() -> None:
    kept = {name: (p.keeps_pixels, p.keeps_colours, p.keeps_place) for name, p in POLICIES.items()}
    assert kept["none"] == (True, True, True)
    assert kept["shift"] == kept["light"] == (True, True, False)
    assert kept["standard"] == kept["strong"] == kept["trivialaugment"] == kept["randaugment"] == (False, False, False)
    assert Policy(pca=0.1, erase=0.2).keeps_place
    assert not Policy(pca=0.1).keeps_colours
    assert not VIEWS.keeps_pixels


def test_every_setting_is_described_and_bounded() -> None:
    for entry in fields(Policy):
        assert f"\n        {entry.name}: " in str(Policy.__doc__)
        number = isinstance(entry.default, int | float) and not isinstance(entry.default, bool)
        assert number == (entry.name in RANGES)
