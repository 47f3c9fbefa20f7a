import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.sparse.csgraph import connected_components

from hubel.audit import duplicates as module
from hubel.audit.duplicates import find_duplicates, thumbnails


def picture(seed, height=120, width=90):
    """Smooth and rough structure in colour, like a photo."""
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.normal(size=(height, width, 3)), (s, s, 0)) for s in (1, 3, 9, 25)]
    values = sum(layer / layer.std() for layer in layers)
    return np.clip(127 + 30 * values, 0, 255).astype(np.uint8)


def saved(pixels, quality, size=None):
    image = Image.fromarray(pixels)
    data = io.BytesIO()
    (image.resize(size) if size else image).save(data, "JPEG", quality=quality)
    with Image.open(data) as again:
        return np.asarray(again)


def at_network_size(pixels, side=96):
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


def thumbs(pictures):
    return thumbnails([at_network_size(pixels) for pixels in pictures], len(pictures))


def digests(numbers):
    return np.array([np.void(int(number).to_bytes(16)) for number in numbers], "V16")


def sets(found):
    return [rows.tolist() for rows in found.groups]


COPIES = {
    "quality 50": lambda p: saved(p, 50),
    "half size": lambda p: saved(p, 85, (45, 60)),
    "mirrored": lambda p: saved(p[:, ::-1], 85),
    "brighter": lambda p: np.clip(p * 1.1 + 5, 0, 255).astype(np.uint8),
    "grey": lambda p: np.repeat(np.asarray(Image.fromarray(p).convert("L"))[..., None], 3, 2),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_copies_are_found(change):
    pictures = [picture(seed) for seed in range(8)]
    pictures += [change(pictures[5]), change(pictures[2])]
    found = find_duplicates(thumbs(pictures), digests(range(10)))
    assert sets(found) == [[2, 9], [5, 8]]
    assert found.exact == (False, False)


def test_identical_files():
    pictures = [picture(0), picture(1), picture(0), picture(2), saved(picture(1), 70)]
    found = find_duplicates(thumbs(pictures), digests([7, 8, 7, 9, 10]))
    assert sets(found) == [[0, 2], [1, 4]]
    assert found.exact == (True, False)
    assert found.group_of[0] == found.group_of[2]
    assert len(set(found.group_of.tolist())) == 3


def test_copies_of_copies_are_one_group():
    first = picture(3)
    second = saved(first, 50)
    pictures = [first, picture(4), second[:, ::-1], second, first]
    found = find_duplicates(thumbs(pictures), digests([1, 2, 3, 4, 1]))
    assert sets(found) == [[0, 2, 3, 4]]
    assert found.exact == (False,)


def test_uniform_images_are_compared_as_files_only():
    blank = np.full((3, 32, 32), 90, np.uint8)
    blank[1] = 91
    assert sets(find_duplicates(blank, digests([1, 2, 3]))) == []
    assert sets(find_duplicates(blank, digests([1, 2, 1]))) == [[0, 2]]
    assert sets(find_duplicates(np.empty((0, 32, 32), np.uint8), digests([]))) == []


def test_two_views_of_an_object_are_no_duplicates():
    """The same large shapes, other details: as two photos of one scene."""
    rough = [np.random.default_rng(seed).normal(size=(120, 90, 3)) for seed in (1, 2)]
    scene = gaussian_filter(picture(0).astype(float), (8, 8, 0))
    views = [np.clip(scene + 7 * gaussian_filter(one, (1, 1, 0)) / 0.28, 0, 255).astype(np.uint8) for one in rough]
    small = thumbs(views)
    assert np.corrcoef(small.reshape(2, 16, 2, 16, 2).mean((2, 4)).reshape(2, -1))[0, 1] > 0.97
    assert sets(find_duplicates(small, digests([0, 1]))) == []


def by_brute_force(small):
    """Every pair by itself, by numpy's own correlation."""

    def detail(thumb):
        return thumb - uniform_filter(thumb, 3, mode="nearest")

    small = small.astype(float)
    like = np.eye(len(small))
    for i in range(len(small)):
        for j in range(i):
            for one in (small[i], small[i][:, ::-1]):
                coarse = [t.reshape(16, 2, 16, 2).mean((1, 3)).ravel() for t in (one, small[j])]
                fine = [detail(t).ravel() for t in (one, small[j])]
                like[i, j] += np.corrcoef(*coarse)[0, 1] >= 0.97 and np.corrcoef(*fine)[0, 1] >= 0.96
    group = connected_components(like, directed=False)[1]
    return sorted(np.flatnonzero(group == g).tolist() for g in np.unique(group) if (group == g).sum() > 1)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 5, 1024]), st.sampled_from([1, 3, 4096]))
def test_as_by_brute_force_whatever_the_blocks(seed, rows, pairs):
    rng = np.random.default_rng(seed)
    pictures = [picture(int(s), 40, 40) for s in rng.integers(0, 6, 14)]
    # From the same up to too different: both sides of the thresholds occur.
    noise = rng.uniform(0, 40, 14)
    pictures = [
        np.clip(p + n * rng.normal(size=p.shape), 0, 255).astype(np.uint8) for p, n in zip(pictures, noise, strict=True)
    ]
    pictures = [p[:, ::-1] if flip else p for p, flip in zip(pictures, rng.random(14) < 0.3, strict=True)]
    small = thumbs(pictures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROWS", rows)
        patch.setattr(module, "_PAIRS", pairs)
        assert sets(find_duplicates(small, digests(range(14)))) == by_brute_force(small)


def test_across():
    small = thumbs([picture(0), picture(1), saved(picture(0), 60), picture(1)])
    found = find_duplicates(small, digests(range(4)))
    assert sets(found) == [[0, 2], [1, 3]]
    assert found.across(np.array([1, 1, 3, 1])) == [0]
    assert found.across(np.array([1, 1, 1, 1])) == []
    assert found.across(np.array(["a", "b", "a", "c"])) == [1]


def test_grayscale_copies():
    grey = [np.asarray(Image.fromarray(picture(s)).convert("L"))[..., None] for s in (0, 1)]
    assert thumbnails(grey, 2).shape == (2, 32, 32)
    colour = thumbnails([np.repeat(one, 3, 2) for one in grey], 2)
    assert np.abs(thumbnails(grey, 2).astype(int) - colour).max() <= 1
