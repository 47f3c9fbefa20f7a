"""Sheets of small images."""

import numpy as np

from hubel.plots.tiles import ImageTile, TileRow, draw_tiles


def test_the_pixels_of_small_images_stay_squares() -> None:
    tiles = [ImageTile(np.zeros((side, side), np.uint8)) for side in (4, 300)]  # less, and more than the paper shows
    figure = draw_tiles([TileRow(tiles)], "two", size=1.3)
    shown = [image.get_interpolation() for axes in figure.axes for image in axes.images]
    assert shown == ["nearest", "auto"]
