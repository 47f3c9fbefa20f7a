"""`hubel conv`."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hubel.teach.convolution.arithmetic import ConvolutionSettings, Size
    from hubel.teach.convolution.image_kernels import ImageKernel
    from hubel.teach.convolution.steps import ConvolutionStep

EXAMPLES = (
    "hubel conv 28x28x192 --out-channels 32 --kernel-size 5 --bottleneck 16",
    "hubel conv 7x7x256 --out-channels 128 --kernel-size 4 --stride 2 --padding 1 --transposed",
    "hubel conv --show",
    "hubel conv 0,1,2,3,4 --kernel -1,0,1 --padding same --show",
    "hubel conv --kernel sharpen photo.jpg --out sharpened.png",
)


_MOST_NUMBERS = 256
# The classics of a first lesson: a ramp, and a dark half beside a bright one.
_ROW, _ROW_KERNEL = "0,1,2,3,4", "-1,0,1"
_PICTURE = "/".join(["0,0,0,10,10,10"] * 4)


@dataclass(frozen=True)
class Layer:
    """A convolution as its flags describe it; "3" is 3 on each axis, "3x5" is 3 high and 5 wide.

    Attributes:
        out_channels: maps that go out; as many as come in, if not given.
        kernel_size: the window; 3 if not given.
        stride: steps of the window; 1 if not given.
        padding: zeros on each side; or valid: none; or same: as many as leave size / stride outputs. same if not
            given, with --show valid.
        dilation: distance between neighbours under the window; 1 if not given.
        groups: parts that see only their share of the maps; as many as channels make it depthwise. 1 if not given.
        transposed: spread each input over a window, which makes larger maps.
        output_padding: of a transposed convolution: rows and columns added at the end.
    """

    out_channels: int | None = None
    kernel_size: str = ""
    stride: str = ""
    padding: str = ""
    dilation: str = ""
    groups: int | None = None
    transposed: bool = False
    output_padding: str = ""


@dataclass(frozen=True)
class _Flags:
    """What stands on the command line besides the layer."""

    bottleneck: int | None
    show: bool
    kernel: str
    negative: str
    out: Path | None


def conv(
    what: str = "",
    /,
    *,
    layer: Annotated[Layer | None, Parameter(name="*")] = None,
    bottleneck: int | None = None,
    show: bool = False,
    kernel: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    negative: str = "",
    out: Path | None = None,
) -> int:
    """Explain a convolution: its arithmetic beside cheaper alternatives, its steps, or its effect on a photo.

    Args:
        what: HEIGHTxWIDTHxCHANNELS of the maps that come in, such as 28x28x192; with --show numbers, such as 0,1,2,3,4
            or, row by row, 1,2,3/4,5,6/7,8,9 (a built-in example if not given); with --kernel a photo.
        layer: its settings.
        bottleneck: maps between the two layers of the bottleneck that it is compared with; a quarter of those that come
            in, if not given.
        show: slide the kernel over a few numbers and print each step.
        kernel: identity, sharpen, box_blur, gaussian_blur, emboss, sobel_x, sobel_y, laplacian; or numbers, such as
            -1,0,1 or 1,0/0,1.
        negative: what a photo's negative values become: cut (0), absolute or grey (0 is middle grey). If not given:
            absolute for a kernel whose numbers sum to 0, cut for others.
        out: the PNG file; PHOTO-KERNEL.png in this folder if not given.
    """
    given, flags = layer or Layer(), _Flags(bottleneck, show, kernel, negative, out)
    if show:
        return _steps(what, given, flags)
    return _photo(what, given, flags) if kernel else _arithmetic(what, given, flags)


def _arithmetic(what: str, given: Layer, flags: _Flags) -> int:
    from hubel.cli.tables import print_table
    from hubel.core.errors import OptionError
    from hubel.teach.convolution.alternatives import list_alternatives
    from hubel.teach.convolution.arithmetic import format_dimensions, make_convolution, parse_dimensions

    _refuse(flags, ("negative", "out"), "without --kernel")
    if not what:
        raise OptionError(
            "say what comes in: hubel conv 28x28x192; or hubel conv --show; or hubel conv --kernel sharpen PHOTO"
        )
    try:
        shape = parse_dimensions("the shape", what)
    except OptionError:
        raise OptionError(
            f"a shape is HEIGHTxWIDTHxCHANNELS such as 28x28x192, not {what!r}; a photo needs a --kernel"
        ) from None
    if len(shape) > 3:
        raise OptionError(f"a shape has height, width and channels, such as 28x28x192, not {what}")
    size, in_channels = shape[:2], shape[2] if len(shape) == 3 else 1
    out_channels = in_channels if given.out_channels is None else given.out_channels
    one = make_convolution(in_channels, out_channels, size, _settings(given, usual="same"))
    out = one.output_size(size)
    found = list_alternatives(one, size, bottleneck=flags.bottleneck)
    print(f"input            {format_dimensions((*size, in_channels))}  (height x width x channels)")
    print(f"output           {format_dimensions((*out, one.out_channels))}")
    for axis, name in enumerate(("height", "width")[-len(size) :]):
        print(f"  {name:<14} {one.formula(axis, size[axis])} = {out[axis]}")
    window = "*".join(map(str, (*one.kernel_size, in_channels)))
    share = f"/{one.groups}" if one.groups > 1 else ""
    print(
        f"parameters       {one.parameters:,} = {window}{share}*{one.out_channels} weights + {one.out_channels} biases"
    )
    places = "*".join(map(str, size if one.transposed else out))
    each = "inputs" if one.transposed else "positions"
    print(f"multiplications  {one.multiplications(size):,} = {places} {each} * {one.weights:,} weights")
    rows = [
        (
            other.name,
            "; ".join(map(str, other.layers)),
            f"{other.weights:,}",
            f"{other.biases:,}",
            f"{other.multiplications:,}",
            _share(other.multiplications / found[0].multiplications),
        )
        for other in found
    ]
    print_table(["in its place", "layers", "weights", "biases", "multiplications", "of the layer's"], rows)
    print("Multiplications with padded zeros count. All of these make maps of the same size.")
    return 0


def _share(ratio: float) -> str:
    return f"{ratio:,.0%}" if ratio >= 10 else f"{ratio:.1%}"


def _steps(what: str, given: Layer, flags: _Flags) -> int:
    import math

    import numpy as np

    from hubel.cli.tables import print_table
    from hubel.core.errors import OptionError
    from hubel.teach.convolution.arithmetic import make_convolution
    from hubel.teach.convolution.steps import convolution_steps, convolve, parse_numbers

    _refuse(flags, ("negative", "out", "bottleneck"), "with --show")
    _refuse(
        given, ("out_channels", "kernel_size", "groups"), "with --show, which has one map and takes its --kernel's size"
    )
    kernel = _kernel(flags.kernel or _ROW_KERNEL).values
    flat = len(kernel) == 1
    values = parse_numbers("the input", what or (_ROW if flat else _PICTURE))
    if values.ndim == 1 and flat:
        kernel = kernel[0]
    if kernel.ndim != values.ndim:
        raise OptionError(f"the input has {values.ndim} axes and the kernel {kernel.ndim}; rows are separated by /")
    settings = _settings(given, kernel_size=kernel.shape, usual="valid")
    layer = make_convolution(1, 1, values.shape, settings)
    padded = [length + sum(sides) for length, sides in zip(values.shape, layer.padding, strict=True)]
    most = max(math.prod(sides) for sides in (padded, layer.output_size(values.shape)))
    if most > _MOST_NUMBERS:
        raise OptionError(f"--show prints every number, and {most:,} are more than {_MOST_NUMBERS}; give fewer")
    _grid("input", values)
    _grid("kernel", kernel)
    columns = (
        ["from input", "value", "times the kernel"]
        if layer.transposed
        else ["at", "under the window", "products", "sum"]
    )
    print_table(
        columns, [_row(step, kernel, transposed=layer.transposed) for step in convolution_steps(layer, values, kernel)]
    )
    _grid("output", convolve(layer, values, kernel))
    if layer.transposed:
        print("Each input lays its products over the output, from its position times the stride on; they are added up.")
    elif not np.any(layer.padding):
        same = make_convolution(1, 1, values.shape, replace(settings, padding="same"))
        _grid("--padding same", convolve(same, values, kernel))
    return 0


def _photo(what: str, given: Layer, flags: _Flags) -> int:
    from hubel.core.errors import OptionError
    from hubel.teach.convolution.image_kernels import NEGATIVES, filter_file

    kernel = _kernel(flags.kernel)
    _refuse(flags, ("bottleneck",), "for a photo")
    _refuse(given, tuple(field.name for field in fields(Layer)), "for a photo, which keeps its size and colours")
    if what:
        filtered = filter_file(what, kernel, out=flags.out, negative=flags.negative or None)
        _grid(kernel.name, kernel.values)
        way = filtered.negative
        print(f"negative values  {filtered.below:.1%}; they {NEGATIVES[way][0]}  (--negative {way})")
        print(f"above 255        {filtered.above:.1%}; they become 255")
        print("at the edge      the outermost pixels repeat")
        print(f"written          {filtered.path}")
    elif flags.out or flags.negative:
        raise OptionError(f"name the photo: hubel conv --kernel {flags.kernel} PHOTO")
    else:
        _grid(kernel.name, kernel.values)
    return 0


def _refuse(flags: Layer | _Flags, names: tuple[str, ...], where: str) -> None:
    """Say of the first flag that was given for nothing."""
    from hubel.core.errors import OptionError

    for name in names:
        if getattr(flags, name) not in (None, "", False):
            raise OptionError(f"--{name.replace('_', '-')} has no meaning {where}")


def _settings(given: Layer, *, kernel_size: Size = (3,), usual: str) -> ConvolutionSettings:
    from hubel.teach.convolution.arithmetic import ConvolutionSettings, parse_dimensions

    padding = given.padding or usual
    return ConvolutionSettings(
        parse_dimensions("--kernel-size", given.kernel_size) if given.kernel_size else kernel_size,
        parse_dimensions("--stride", given.stride or "1"),
        parse_dimensions("--padding", padding) if padding[0].isdigit() else padding,
        parse_dimensions("--dilation", given.dilation or "1"),
        1 if given.groups is None else given.groups,
        given.transposed,
        parse_dimensions("--output-padding", given.output_padding or "0"),
    )


def _kernel(text: str) -> ImageKernel:
    """A kernel by its name, or from its numbers."""
    import numpy as np

    from hubel.teach.convolution.image_kernels import ImageKernel, find_image_kernel
    from hubel.teach.convolution.steps import parse_numbers

    if text[0].isalpha():
        return find_image_kernel(text)
    return ImageKernel("kernel", "", tuple(map(tuple, np.atleast_2d(parse_numbers("--kernel", text)).tolist())))


def _grid(name: str, values: NDArray[np.float64]) -> None:
    """Numbers in columns, the name before the first row."""
    rows = [[f"{value:.4g}" for value in row] for row in values.reshape(-1, values.shape[-1])]
    width = max(len(word) for row in rows for word in row)
    for place, row in enumerate(rows):
        print(f"{'' if place else name:<16} {' '.join(f'{word:>{width}}' for word in row)}")


def _row(step: ConvolutionStep, kernel: NDArray[np.float64], *, transposed: bool) -> tuple[str, ...]:
    """A step as cells of the table; a window of several rows as that many lines."""
    import numpy as np

    def lines(grid: NDArray[np.float64]) -> str:
        return "\n".join(" ".join(f"{value:.4g}" for value in row) for row in np.atleast_2d(grid))

    at = ", ".join(map(str, step.position))
    if transposed:
        return at, f"{float(step.seen):.4g}", lines(step.products)
    terms = np.vectorize(lambda weight, value: f"{weight:.4g}*{_bracketed(value)}", otypes=[object])(kernel, step.seen)
    products = " +\n".join(" + ".join(row) for row in np.atleast_2d(terms))
    return at, lines(step.seen), products, f"{step.sum:.4g}"


def _bracketed(value: float) -> str:
    return f"({value:.4g})" if value < 0 else f"{value:.4g}"
