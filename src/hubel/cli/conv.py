"""`hubel conv`."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hubel.cli.printing import print_line

if TYPE_CHECKING:
    from hubel.teach.convolution.arithmetic import ConvolutionSettings, Size
    from hubel.teach.convolution.explanation import ConvolutionExplanation

EXAMPLES = (
    "hubel conv 28x28x192 --out-channels 32 --kernel-size 5 --bottleneck 16",
    "hubel conv 7x7x256 --out-channels 128 --kernel-size 4 --stride 2 --padding 1 --transposed",
    "hubel conv --show",
    "hubel conv 0,1,2,3,4 --kernel -1,0,1 --padding same --show",
    "hubel conv 4x4x3 --out-channels 3 --show",
    "hubel conv 1,2:3,4 --kernel 1,0:0,1 --kernel 1,1:1,1 --show",
    "hubel conv 7,1,4,2/3,5,0,6 --pool max --show",
    "hubel conv --stack 3x3,3x3,pool2 --out field.png",
    "hubel conv --kernel sharpen photo.jpg --out sharpened.png",
)


@dataclass(frozen=True)
class LayerFlags:
    """Settings of the layer; "3" is 3 on each axis, "3x5" is 3 high and 5 wide.

    Attributes:
        out_channels: output channels; as many as input channels if not given.
        kernel_size: size of the kernel; 3 if not given.
        stride: step of the kernel; 1 if not given.
        padding: zeros on each side, or valid (none), or same (size / stride outputs); same if not given, with --show
            valid.
        dilation: distance between neighbouring kernel elements; 1 if not given.
        groups: groups of channels that are convolved separately; as many as channels make it depthwise. 1 if not given.
        transposed: use a transposed convolution, which spreads each input over a window of a larger output.
        output_padding: rows and columns added at the end of a transposed convolution's output.
    """

    out_channels: int | None = None
    kernel_size: str = ""
    stride: str = ""
    padding: str = ""
    dilation: str = ""
    groups: int | None = None
    transposed: bool = False
    output_padding: str = ""

    def settings(self, *, kernel_size: Size = (3,), padding: str) -> ConvolutionSettings:
        """Parse the settings; the arguments are the defaults of those that are not given."""
        from hubel.teach.convolution.arithmetic import ConvolutionSettings, parse_dimensions

        padding = self.padding or padding
        return ConvolutionSettings(
            parse_dimensions("--kernel-size", self.kernel_size) if self.kernel_size else kernel_size,
            parse_dimensions("--stride", self.stride or "1"),
            parse_dimensions("--padding", padding) if padding[0].isdigit() else padding,
            parse_dimensions("--dilation", self.dilation or "1"),
            1 if self.groups is None else self.groups,
            self.transposed,
            parse_dimensions("--output-padding", self.output_padding or "0"),
        )


@dataclass(frozen=True)
class _OtherFlags:
    bottleneck: int | None
    show: bool
    kernel: tuple[str, ...]
    pool: str
    stack: str
    negative: str
    out: Path | None


def conv(
    source: str = "",
    /,
    *,
    layer: Annotated[LayerFlags | None, Parameter(name="*")] = None,
    bottleneck: int | None = None,
    show: bool = False,
    kernel: Annotated[tuple[str, ...], Parameter(allow_leading_hyphen=True)] = (),
    pool: str = "",
    stack: str = "",
    negative: str = "",
    out: Path | None = None,
) -> int:
    """Explain a convolution, a pooling or a stack of them: its arithmetic, its steps, what it sees; filter a photo.

    Args:
        source: the input: its shape HEIGHTxWIDTHxCHANNELS, such as 28x28x192; with --show numbers, such as 0,1,2,3,4
            or, row by row, 1,2,3/4,5,6/7,8,9, several maps separated by a colon (a built-in example if not given, or
            for a shape); with --kernel a photo; with --stack a shape or a photo.
        layer: settings of the layer.
        bottleneck: channels between the two layers of the bottleneck that the layer is compared with; a quarter of the
            input channels if not given.
        show: slide the kernel over a few numbers and print each step.
        kernel: identity, sharpen, box_blur, gaussian_blur, emboss, sobel_x, sobel_y or laplacian; or numbers, such as
            -1,0,1 or 1,0/0,1, one kernel for each map of the input, separated by a colon; repeat it for more filters.
        pool: max or average: explain a pooling in place of a convolution; its window is 2 and its stride the window if
            not given.
        stack: layers such as 3x3,3x3,pool2: explain what one value after them sees; avg2 is average pooling, 7x7/2 has
            stride 2, 3x3d2 dilation 2.
        negative: display of a photo's negative values: cut (0), absolute or grey (0 is middle grey). If not given:
            absolute for a kernel that sums to 0, cut for others.
        out: PNG file for the filtered photo; PHOTO-KERNEL.png in this folder if not given. With --stack a drawing,
            which is made only if this is given.
    """
    given, flags = layer or LayerFlags(), _OtherFlags(bottleneck, show, kernel, pool, stack, negative, out)
    if stack:
        return _show_stack(source, given, flags)
    if show:
        return _show_pooling(source, given, flags) if pool else _show_steps(source, given, flags)
    if pool:
        return _show_pooling_arithmetic(source, given, flags)
    return _filter_photo(source, given, flags) if kernel else _show_arithmetic(source, given, flags)


def _show_arithmetic(shape: str, given: LayerFlags, flags: _OtherFlags) -> int:
    from hubel.core.errors import OptionError
    from hubel.teach.convolution.explanation import explain_arithmetic, parse_map_shape

    _refuse(flags, ("negative", "out"), "without --kernel")
    if not shape:
        raise OptionError(
            "name the input: hubel conv 28x28x192; or hubel conv --show; or hubel conv --kernel sharpen PHOTO"
        )
    size, in_channels = parse_map_shape(shape)
    return _print(
        explain_arithmetic(
            size,
            in_channels,
            given.settings(padding="same"),
            out_channels=given.out_channels,
            bottleneck=flags.bottleneck,
        )
    )


def _show_steps(numbers: str, given: LayerFlags, flags: _OtherFlags) -> int:
    from hubel.teach.convolution.examples import read_convolution
    from hubel.teach.convolution.map_explanation import explain_maps

    _refuse(flags, ("negative", "out", "bottleneck"), "with --show")
    _refuse(given, ("groups",), "with --show")
    if "x" not in numbers:
        _refuse(given, ("out_channels", "kernel_size"), "with --show, which takes its --kernel's size and number")
    settings = given.settings(padding="valid")
    maps, filters = read_convolution(numbers, flags.kernel, settings.kernel_size, given.out_channels)
    return _print(explain_maps(maps, filters, replace(settings, kernel_size=filters.shape[2:])))


def _show_pooling(numbers: str, given: LayerFlags, flags: _OtherFlags) -> int:
    from hubel.teach.convolution.examples import read_maps
    from hubel.teach.convolution.map_explanation import explain_pooling_steps

    _refuse(flags, ("negative", "out", "bottleneck", "kernel"), "for a pooling")
    _refuse(given, _NOT_OF_POOLING, "for a pooling")
    return _print(explain_pooling_steps(read_maps(numbers, most=9), flags.pool, _pooling_settings(given)))


def _show_pooling_arithmetic(shape: str, given: LayerFlags, flags: _OtherFlags) -> int:
    from hubel.teach.convolution.explanation import parse_map_shape
    from hubel.teach.convolution.map_explanation import explain_pooling

    _refuse(flags, ("negative", "out", "bottleneck", "kernel"), "for a pooling")
    _refuse(given, _NOT_OF_POOLING, "for a pooling")
    size, channels = parse_map_shape(shape)
    return _print(explain_pooling(size, channels, flags.pool, _pooling_settings(given)))


_NOT_OF_POOLING = ("out_channels", "groups", "transposed", "output_padding")


def _pooling_settings(given: LayerFlags) -> ConvolutionSettings:
    settings = given.settings(kernel_size=(2,), padding="valid")
    return settings if given.stride else replace(settings, stride=settings.kernel_size)


def _show_stack(source: str, given: LayerFlags, flags: _OtherFlags) -> int:
    from hubel.teach.convolution.stack import parse_stack
    from hubel.teach.convolution.stack_explanation import explain_stack, parse_stack_source
    from hubel.teach.convolution.stack_figure import write_stack

    _refuse(flags, ("negative", "bottleneck", "kernel", "pool", "show"), "with --stack")
    not_padding = tuple(field.name for field in fields(LayerFlags) if field.name != "padding")
    _refuse(given, not_padding, "with --stack, whose layers have their own settings")
    layers = parse_stack("--stack", flags.stack)
    size, photo = parse_stack_source(source, has_figure=flags.out is not None)
    explained = explain_stack(layers, size, padding=given.settings(padding="same").padding)
    written = write_stack(layers, flags.out, photo=photo) if flags.out else None
    _print(explained)
    if written:
        print_line(f"written          {written}")
    return 0


def _filter_photo(photo: str, given: LayerFlags, flags: _OtherFlags) -> int:
    from hubel.core.errors import OptionError
    from hubel.teach.convolution.explanation import explain_filtered_image, format_numbers
    from hubel.teach.convolution.image_kernels import filter_file, parse_image_kernel

    if len(flags.kernel) > 1:
        raise OptionError(f"a photo takes one --kernel, not {len(flags.kernel)}; with --show each is a filter")
    kernel = parse_image_kernel("--kernel", flags.kernel[0])
    _refuse(flags, ("bottleneck",), "for a photo")
    _refuse(given, tuple(field.name for field in fields(LayerFlags)), "for a photo, which keeps its size and colours")
    if not photo and (flags.out or flags.negative):
        raise OptionError(f"name the photo: hubel conv --kernel {flags.kernel[0]} PHOTO")
    lines = format_numbers(kernel.name, kernel.values)
    if photo:
        filtered = filter_file(photo, kernel, out=flags.out, negative=flags.negative or None)
        lines += [*explain_filtered_image(filtered), f"written          {filtered.path}"]
    for line in lines:
        print_line(line)
    return 0


def _refuse(flags: LayerFlags | _OtherFlags, names: tuple[str, ...], circumstance: str) -> None:
    """Raise an error for the first flag that was given but has no effect."""
    from hubel.core.errors import OptionError

    for name in names:
        if getattr(flags, name) not in (None, "", False, ()):
            raise OptionError(f"--{name.replace('_', '-')} has no meaning {circumstance}")


def _print(explanation: ConvolutionExplanation) -> int:
    from hubel.cli.tables import print_table

    for line in explanation.before:
        print_line(line)
    print_table(explanation.columns, explanation.rows, multiline=True)
    for line in explanation.after:
        print_line(line)
    return 0
