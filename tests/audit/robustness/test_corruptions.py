import colorsys
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage, signal

from hubel.audit.robustness import effects, simple, weather
from hubel.audit.robustness.corruptions import CORRUPTIONS, GROUPS, SIMPLE, corrupt, find_corruptions
from hubel.core.errors import OptionError, UnknownNameError
from hubel.data.preprocess import Preprocess

PHOTOS = Path(__file__).parents[4] / "shared" / "data" / "clothing" / "test"
NAMES = [*CORRUPTIONS, *SIMPLE]
# Where the published parameters themselves do not grow: glass blur has fewer passes at some higher severities, elastic
# transform changes from large smooth fields to small rough ones. An image may be more like itself turned by 180 degrees
# than by 90.
UNORDERED = {"glass_blur", "elastic_transform", "turn"}


def rng(seed=0):
    return np.random.default_rng(seed)


def landscape(height, width, channels, seed=0):
    """Smooth patches with edges and every level: as near to a photo as random numbers come."""
    values = ndimage.gaussian_filter(rng(seed).normal(size=(height, width, channels)), (6, 6, 0), mode="wrap")
    values = np.where(values > 0, values.max(), 0) * 0.4 + values
    return np.uint8(np.rint(255 * (values - values.min()) / np.ptp(values)))


def photos(side, n=4):
    if not PHOTOS.is_dir():
        pytest.skip("needs ../shared/data/clothing")
    files = sorted(PHOTOS.glob("*/*.jpg"))
    shape = Preprocess(side, side, resize="crop")
    return [shape.apply(np.asarray(Image.open(file).convert("RGB"))) for file in files[:: len(files) // n][:n]]


def distance(name, clean, changed):
    a, b = clean.astype(float), changed.astype(float)
    if name == "frost":  # which dims the photo more than the ice grows brighter: what counts is how alike they are
        return 1 - np.corrcoef(a.ravel(), b.ravel())[0, 1]
    return np.sqrt(np.mean((a - b) ** 2))


def halved(values):
    """Half as high: each row a mean of four, those in the middle weighed most (a triangle 4 pixels wide)."""
    padded = np.pad(values, ((1, 1), (0, 0), (0, 0)), mode="edge")
    return sum(weight * padded[k : k + len(values) : 2] for k, weight in enumerate((1, 3, 3, 1))) / 8


def growth(change, clean):
    """The mean distance from the clean images at each strength, with the same random numbers at all of them."""
    return [
        np.mean([distance(change.name, one, change(one, s, rng(i))) for i, one in enumerate(clean)])
        for s in change.strengths
    ]


def flat(level, height=80, width=90, channels=3):
    return np.full((height, width, channels), level, np.uint8)


def test_the_fifteen_corruptions_of_the_paper_have_groups():
    groups = {group: [c.name for c in CORRUPTIONS.values() if c.group == group] for group in GROUPS}
    assert groups == {
        "noise": ["gaussian_noise", "shot_noise", "impulse_noise"],
        "blur": ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur"],
        "weather": ["snow", "frost", "fog", "brightness"],
        "digital": ["contrast", "elastic_transform", "pixelate", "jpeg_compression"],
        "geometry": [],
    }
    assert all(change.group in GROUPS and len(change.strengths) == 5 for change in find_corruptions())
    assert {len(change.strengths) for change in find_corruptions(quick=True)} == {3}
    assert [change.name for change in find_corruptions(["fog", "shift"])] == ["fog", "shift"]
    assert not CORRUPTIONS.keys() & SIMPLE.keys()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(NAMES),
    st.integers(0, 4),
    st.integers(28, 120),
    st.integers(28, 120),
    st.sampled_from([1, 3]),
    st.integers(0, 2**40),
)
def test_any_size_and_severity(name, level, height, width, channels, seed):
    pixels = landscape(height, width, channels, seed % 7)
    before, strength = pixels.copy(), find_corruptions([name])[0].strengths[level]
    changed = corrupt(pixels, name, strength, seed=seed, image=3)
    assert (changed.dtype, changed.shape) == (np.uint8, pixels.shape)
    assert np.array_equal(pixels, before)
    assert np.array_equal(changed, corrupt(pixels, name, strength, seed=seed, image=3))
    read_only = pixels.copy()
    read_only.flags.writeable = False
    assert np.array_equal(changed, corrupt(read_only, name, strength, seed=seed, image=3))


@pytest.mark.parametrize("name", NAMES)
def test_the_clean_strength_leaves_images_unchanged(name):
    pixels = landscape(40, 50, 3)
    same = corrupt(pixels, name, find_corruptions([name])[0].clean)
    assert np.array_equal(same, pixels)
    assert not np.shares_memory(same, pixels)


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("name", NAMES)
def test_flat_images(name, level):
    for channels in (1, 3):
        corrupt(flat(level, 33, 41, channels), name, find_corruptions([name])[0].strengths[-1])


def test_threads_and_order_change_nothing():
    pixels = landscape(48, 64, 3)
    tasks = [
        (name, strength, image)
        for name in NAMES
        for strength in find_corruptions([name])[0].strengths
        for image in (0, 1)
    ]

    def run(task):
        return corrupt(pixels, task[0], task[1], seed=7, image=task[2])

    alone = [run(task) for task in tasks]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, reversed(tasks)))[::-1]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("name", ["gaussian_noise", "glass_blur", "snow", "frost", "fog", "elastic_transform", "noise"])
def test_seed_image_and_severity_each_draw_anew(name):
    pixels = landscape(64, 64, 3)
    drawn = [corrupt(pixels, name, 1, seed=seed, image=image) for seed, image in ((0, 0), (0, 1), (1, 0))]
    assert not any(np.array_equal(drawn[a], drawn[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    noise = [corrupt(flat(128), "gaussian_noise", severity).astype(float) - 128 for severity in (1, 2)]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.05


def test_mistakes_are_named():
    pixels = landscape(32, 32, 3)
    with pytest.raises(UnknownNameError, match="did you mean fog"):
        corrupt(pixels, "fogg", 1)
    with pytest.raises(OptionError, match="from 1 to 5, or 0 for none, not 6"):
        corrupt(pixels, "fog", 6)
    for name, strength in {"shift": 1.5, "centre_crop": 0, "zoom_in": -1, "occlusion": 2, "jpeg": 96}.items():
        with pytest.raises(OptionError, match=f"not {strength}"):
            corrupt(pixels, name, strength)


@pytest.mark.parametrize("side", [32, pytest.param(224, marks=pytest.mark.slow)])
def test_a_higher_severity_is_further_from_the_original(side):
    clean = photos(side, 8 if side > 100 else 24)
    for change in find_corruptions(sorted(CORRUPTIONS.keys() - UNORDERED)):
        far = growth(change, clean)
        assert far == sorted(far), (change.name, far)
        assert far[0] > 0


def test_a_stronger_simple_corruption_is_further_from_the_original():
    clean = photos(64, 24)
    for change in find_corruptions([*SIMPLE, "glass_blur"]):
        far = growth(change, clean)
        assert far[0] > 0
        assert change.name in UNORDERED or far == sorted(far), (change.name, far)


# The published sizes of noise, and its statistics


@pytest.mark.parametrize(
    ("side", "sigmas"), [(224, (0.08, 0.12, 0.18, 0.26, 0.38)), (32, (0.04, 0.06, 0.08, 0.09, 0.1))]
)
def test_gaussian_noise(side, sigmas):
    for severity, sigma in enumerate(sigmas, 1):
        grey = np.concatenate([corrupt(flat(128, side, side), "gaussian_noise", severity, image=i) for i in range(4)])
        values = grey.astype(float) / 255
        # What is clipped is left out: the median distance of a normal distribution is 0.6745 of its sigma.
        assert np.median(np.abs(values - 128 / 255)) == pytest.approx(0.6745 * sigma, rel=0.05)
        assert values.mean() == pytest.approx(128 / 255, abs=0.01)


@pytest.mark.parametrize(("side", "photons"), [(224, (60, 25, 12, 5, 3)), (32, (500, 250, 100, 75, 50))])
def test_shot_noise_has_the_variance_of_light(side, photons):
    for severity, c in enumerate(photons, 1):
        x = 0.2
        values = effects.shot_noise(np.full((200, 200, 3), x, np.float32), rng(), c)
        assert values.mean() == pytest.approx(x, rel=0.02)
        assert values.var() == pytest.approx(x / c, rel=0.05)
        bytes_ = corrupt(flat(51, side, side), "shot_noise", severity)
        levels = np.unique(np.rint(np.unique(bytes_) / 255 * c))
        assert np.allclose(np.unique(bytes_), np.clip(np.rint(levels / c * 255), 0, 255)), "whole photons only"


@pytest.mark.parametrize("severity", range(1, 6))
def test_impulse_noise_is_salt_and_pepper_alike(severity):
    amount = (0.03, 0.06, 0.09, 0.17, 0.27)[severity - 1]
    changed = corrupt(flat(100, 224, 224), "impulse_noise", severity)
    assert set(np.unique(changed)) == {0, 100, 255}
    for extreme in (0, 255):
        assert (changed == extreme).mean() == pytest.approx(amount / 2, rel=0.1)


def test_noise():
    values = simple.add_noise(flat(128, 200, 200), 0.1, rng()).astype(float)
    assert values.std() == pytest.approx(25.5, rel=0.02)
    assert values.mean() == pytest.approx(128, abs=0.5)


# Blurs, each against a plain way to the same


@pytest.mark.parametrize(("radius", "softness"), [(3, 0.1), (6, 0.5), (10, 0.5)])
def test_defocus_blur_is_a_convolution_with_a_disc(radius, softness):
    x = rng().random((60, 70, 3)).astype(np.float32)
    y, x_ = np.mgrid[-12:13, -12:13]
    disc = (np.hypot(y, x_) <= radius).astype(float)
    reach = 1 if radius <= 8 else 2
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * softness**2))
    disc = signal.convolve2d(disc, np.outer(taps, taps), mode="same")
    slow = np.stack([ndimage.convolve(x[..., c].astype(float), disc / disc.sum(), mode="mirror") for c in range(3)], -1)
    assert np.allclose(effects.defocus_blur(x, rng(), radius, softness), slow, atol=1e-5)


def test_motion_blur_of_a_point_is_half_a_gaussian():
    point = np.zeros((41, 61, 1), np.float32)
    point[20, 30] = 1
    streak = effects.directional_blur(point, 10, 3, 0)
    weights = np.exp(-(np.arange(21) ** 2) / 18)
    assert np.allclose(streak[20, 30:9:-1, 0], weights / weights.sum(), atol=1e-6)
    assert streak.sum() == pytest.approx(1)
    assert streak[:20].sum() == streak[21:].sum() == 0
    down = effects.directional_blur(point, 10, 3, 90)
    assert np.allclose(down[20::-1, 30, 0], weights / weights.sum(), atol=1e-6)
    angles = [effects.motion_blur(point, rng(seed), 10, 3) for seed in range(30)]
    assert all(np.argwhere(one[..., 0])[:, 1].max() == 30 for one in angles), "never to the other side"


def test_zoom_and_zoom_blur():
    x = rng().random((31, 44, 3)).astype(np.float32)
    assert np.allclose(effects.zoom_centre(x, 1), x, atol=1e-6)
    grid = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) / 1.7 + (n - 1) / 2 for n in x.shape[:2]], indexing="ij")
    slow = np.stack([ndimage.map_coordinates(x[..., c], grid, order=1) for c in range(3)], -1)
    assert np.allclose(effects.zoom_centre(x, 1.7), slow, atol=1e-5)
    mean = (x + sum(effects.zoom_centre(x, f) for f in (1, 1.25, 1.5))) / 4
    assert np.allclose(effects.zoom_blur(x, rng(), 1.6, 0.25), mean, atol=1e-5)


def test_glass_blur_moves_colours_a_little_and_makes_none():
    x = rng().random((40, 50, 3)).astype(np.float32)
    moved = effects.glass_blur(x, rng(), 1e-20, 2, 1)
    colours = {tuple(colour) for colour in x.reshape(-1, 3).tolist()}
    assert {tuple(colour) for colour in moved.reshape(-1, 3).tolist()} <= colours
    assert (moved[3:38, 3:48] != x[3:38, 3:48]).any(2).mean() > 0.8
    assert np.array_equal(moved[:2], x[:2])
    seldom = effects.glass_blur(x, rng(), 1e-20, 0.1, 1)
    assert 0.03 < (seldom != x).any(2).mean() < 0.1


def test_blur():
    pixels = landscape(50, 60, 3)
    slow = np.stack([ndimage.gaussian_filter(pixels[..., c].astype(float), 1.5, mode="nearest") for c in range(3)], -1)
    assert np.abs(simple.blur(pixels, 0.03, rng()) - slow).max() <= 0.51


# Weather


def test_brightness_adds_value_in_hsv():
    x = rng().random((6, 7, 3)).astype(np.float32)
    x[0, 0] = 0
    for pixel, bright in zip(x.reshape(-1, 3), weather.brightness(x, rng(), 0.3).reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*map(float, pixel))
        assert np.allclose(bright, colorsys.hsv_to_rgb(hue, saturation, min(1, value + 0.3)), atol=1e-5)


def test_fog_is_light_that_the_range_is_dimmed_for():
    x = rng().random((40, 60, 3)).astype(np.float32)
    foggy = weather.fog(x, rng(3), 2.0, 1.7)
    field = weather.plasma(40, 60, rng(3), 1.7)[..., None]
    assert np.allclose(foggy, (x + 2 * field) * x.max() / (x.max() + 2), atol=1e-5)
    assert foggy.max() <= x.max() + 1e-6


@pytest.mark.parametrize("shape", [(28, 28), (32, 32), (33, 90), (224, 224)])
def test_plasma_is_rougher_the_slower_it_decays(shape):
    fields = [weather.plasma(*shape, rng(5), decay) for decay in (1.2, 3)]
    assert all(field.shape == shape and field.min() >= 0 and field.max() <= 1 for field in fields)
    rough, smooth = (np.abs(np.diff(field)).mean() / field.std() for field in fields)
    assert rough > 2 * smooth


def test_ice_and_snow_brighten():
    black = np.zeros((64, 64, 3), np.float32)
    frosty = weather.frost(black, rng(), 1, 0.5)
    assert frosty[..., 2].mean() > frosty[..., 0].mean()
    snowy = [corrupt(flat(60, 224, 224), "snow", severity).mean() for severity in (1, 3, 5)]
    assert 60 < snowy[0] < snowy[1] < snowy[2]


def test_frost_has_the_means_and_deviations_of_the_photographs():
    """Those of the authors' five, over all crops: each one counts a fifth, and one counts twice."""
    means = np.array([(78, 149, 166), (201, 205, 214), (201, 205, 214), (138, 153, 165), (112, 123, 135)])
    deviations = np.array([(27, 16, 15), (21, 22, 23), (21, 22, 23), (28, 28, 30), (44, 43, 42)])
    crops = np.stack([weather.ice(64, 64, rng(seed)) for seed in range(300)]) * 255
    assert crops.min() >= 0
    assert crops.max() <= 255
    assert crops.mean((0, 1, 2)) == pytest.approx(means.mean(0), abs=6)
    variances = (deviations**2).mean(0) + means.var(0)
    assert crops.std((0, 1, 2)) == pytest.approx(np.sqrt(variances), rel=0.08)


def test_frost_is_as_strong_as_that_of_imagenet_c():
    """The references overlay the authors' photographs by their code, on the same photos."""
    theirs = (63, 74, 80, 77, 80)
    clean = photos(224, 40)
    for severity, reference in enumerate(theirs, start=1):
        pairs = [(one, corrupt(one, "frost", severity, image=i)) for i, one in enumerate(clean)]
        assert np.mean([distance("", *pair) for pair in pairs]) == pytest.approx(reference, rel=0.1)


# Digital


def test_contrast():
    x = rng().random((20, 30, 3)).astype(np.float32)
    low = effects.contrast(x, rng(), 0.2)
    assert np.allclose(low.mean((0, 1)), x.mean((0, 1)), atol=1e-5)
    assert np.allclose(low.std((0, 1)), 0.2 * x.std((0, 1)), atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillows(channels):
    pixels = landscape(50, 70, channels)
    qualities = [("jpeg", q, q) for q in (75, 5)] + [("jpeg_compression", 5, 40)]
    for name, strength, quality in qualities:
        file = io.BytesIO()
        Image.fromarray(pixels.squeeze()).save(file, "JPEG", quality=quality)
        again = np.asarray(Image.open(file)).reshape(pixels.shape)
        assert np.array_equal(corrupt(pixels, name, strength), again)


def test_pixelate_makes_blocks_of_means():
    pixels = landscape(224, 224, 3)
    blocks = pixels.reshape(56, 4, 56, 4, 3).mean((1, 3)).repeat(4, 0).repeat(4, 1)
    assert np.abs(corrupt(pixels, "pixelate", 5) - blocks).max() <= 1


def test_elastic_transform_without_strength_is_none_and_keeps_what_is_flat():
    x = rng().random((40, 50, 3)).astype(np.float32)
    assert np.allclose(effects.elastic_transform(x, rng(), 0, 1, 0), x, atol=1e-6)
    assert np.array_equal(corrupt(flat(90), "elastic_transform", 5), flat(90))
    ramp = np.broadcast_to(np.linspace(0, 1, 50, dtype=np.float32)[None, :, None], (40, 50, 1))
    affine = effects.elastic_transform(ramp, rng(), 0, 1, 3)[10:-10, 10:-10, 0]
    assert np.abs(np.diff(affine, 2)).max() < 1e-5, "an affine map of a ramp is a ramp"


# Geometry


def test_shift_moves_in_eight_directions():
    pixels = landscape(40, 60, 3)
    seen = set()
    for seed in range(60):
        moved = simple.shift(pixels, 0.1, rng(seed))
        for down in (-4, 0, 4):
            for right in (-6, 0, 6):
                if np.array_equal(moved, ndimage.shift(pixels, (down, right, 0), order=0, mode="constant")):
                    seen.add((down, right))
    assert len(seen) == 8
    assert (0, 0) not in seen


def test_rotation_is_scipys():
    pixels = landscape(51, 51, 3)
    for degrees in (5, 45):
        turned = simple.rotate(pixels, degrees, rng()).astype(float)
        both = [
            ndimage.rotate(pixels.astype(float), sign * degrees, reshape=False, order=1, axes=(1, 0))
            for sign in (-1, 1)
        ]
        inside = np.hypot(*np.mgrid[-25:26, -25:26]) < 23
        assert min(np.abs(turned - one)[inside].mean() for one in both) < 0.6
    assert len({simple.rotate(pixels, 30, rng(seed)).tobytes() for seed in range(20)}) == 2


def test_turns_end_upside_down():
    pixels = landscape(40, 60, 3)
    assert np.array_equal(corrupt(pixels, "turn", 180), pixels[::-1, ::-1])
    square = landscape(30, 30, 1)
    quarters = {corrupt(square, "turn", 90, image=number).tobytes() for number in range(20)}
    assert quarters == {np.rot90(square, turns).tobytes() for turns in (1, -1)}
    assert SIMPLE["turn"].strengths[0] > SIMPLE["rotation"].strengths[-1]


def test_scale_and_crop():
    pixels = landscape(40, 60, 3)
    half = simple.scale(pixels, 0.5, rng())
    assert not half[:10].any()
    assert not half[:, :15].any()
    filtered = halved(halved(pixels.astype(float)).swapaxes(0, 1)).swapaxes(0, 1)
    assert np.abs(half[11:29, 16:44] - filtered[1:-1, 1:-1]).max() <= 1
    grid = np.meshgrid(*[(np.arange(n) + 0.5 - n / 2) / 2 + n / 2 - 0.5 for n in (40, 60)], indexing="ij")
    double = np.stack([ndimage.map_coordinates(pixels[..., c].astype(float), grid, order=1) for c in range(3)], -1)
    assert np.abs(simple.scale(pixels, 2, rng()) - double).max() <= 1.01
    assert np.array_equal(simple.centre_crop(pixels, 0.5, rng()), simple.scale(pixels, 2, rng()))


@given(st.floats(0.01, 1), st.integers(0, 100))
def test_occlusion_is_a_grey_square(share, seed):
    pixels = np.zeros((40, 60, 1), np.uint8)
    rows, columns = np.nonzero(simple.occlude(pixels, share, rng(seed))[..., 0])
    side = min(round((share * 2400) ** 0.5), 40)
    assert len(rows) == side**2
    assert side == np.ptp(rows) + 1 == np.ptp(columns) + 1


def test_brightness_factor():
    pixels = landscape(20, 20, 3)
    for factor in (0.4, 2):
        expected = np.clip(np.rint(pixels * float(factor)), 0, 255)
        assert np.abs(simple.brighten(pixels, factor, rng()) - expected).max() <= 1


def test_elastic_displacements_have_no_direction():
    ramp = np.broadcast_to(np.arange(64, dtype=np.float32)[:, None, None], (64, 64, 3))
    moved = [effects.elastic_transform(ramp, np.random.default_rng(seed), 5, 2, 0) - ramp for seed in range(4)]
    assert np.std(moved) > 0.2
    assert abs(np.mean([m[8:-8, 8:-8] for m in moved])) < 0.1
