"""`hubel conv`."""

from __future__ import annotations

from dataclasses import dataclass, fields
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
    "hubel conv --kernel sharpen photo.jpg --out sharpened.png",
)

# The classics of a first lesson: a ramp, and a dark half beside a bright one.
_ROW, _ROW_KERNEL = "0,1,2,3,4", "-1,0,1"
_IMAGE = "/".join(["0,0,0,10,10,10"] * 4)


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
    kernel: str
    negative: str
    out: Path | None


def conv(
    source: str = "",
    /,
    *,
    layer: Annotated[LayerFlags | None, Parameter(name="*")] = None,
    bottleneck: int | None = None,
    show: bool = False,
    kernel: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    negative: str = "",
    out: Path | None = None,
) -> int:
    """Explain a convolution: its arithmetic beside cheaper alternatives, its steps, or its effect on a photo.

    Args:
        source: the input: its shape HEIGHTxWIDTHxCHANNELS, such as 28x28x192; with --show numbers, such as 0,1,2,3,4
            or, row by row, 1,2,3/4,5,6/7,8,9 (a built-in example if not given); with --kernel a photo.
        layer: settings of the layer.
        bottleneck: channels between the two layers of the bottleneck that the layer is compared with; a quarter of the
            input channels if not given.
        show: slide the kernel over a few numbers and print each step.
        kernel: identity, sharpen, box_blur, gaussian_blur, emboss, sobel_x, sobel_y or laplacian; or numbers, such as
            -1,0,1 or 1,0/0,1.
        negative: display of a photo's negative values: cut (0), absolute or grey (0 is middle grey). If not given:
            absolute for a kernel that sums to 0, cut for others.
        out: PNG file for the filtered photo; PHOTO-KERNEL.png in this folder if not given.
    """
    given, flags = layer or LayerFlags(), _OtherFlags(bottleneck, show, kernel, negative, out)
    if show:
        return _show_steps(source, given, flags)
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
    from hubel.teach.convolution.explanation import explain_steps
    from hubel.teach.convolution.image_kernels import parse_image_kernel
    from hubel.teach.convolution.steps import parse_numbers

    _refuse(flags, ("negative", "out", "bottleneck"), "with --show")
    _refuse(
        given, ("out_channels", "kernel_size", "groups"), "with --show, which has one map and takes its --kernel's size"
    )
    kernel = parse_image_kernel("--kernel", flags.kernel or _ROW_KERNEL).values
    is_row = len(kernel) == 1
    values = parse_numbers("the input", numbers or (_ROW if is_row else _IMAGE))
    if values.ndim == 1 and is_row:
        kernel = kernel[0]
    return _print(explain_steps(values, kernel, given.settings(kernel_size=kernel.shape, padding="valid")))


def _filter_photo(photo: str, given: LayerFlags, flags: _OtherFlags) -> int:
    from hubel.core.errors import OptionError
    from hubel.teach.convolution.explanation import explain_filtered_image, format_numbers
    from hubel.teach.convolution.image_kernels import filter_file, parse_image_kernel

    kernel = parse_image_kernel("--kernel", flags.kernel)
    _refuse(flags, ("bottleneck",), "for a photo")
    _refuse(given, tuple(field.name for field in fields(LayerFlags)), "for a photo, which keeps its size and colours")
    if not photo and (flags.out or flags.negative):
        raise OptionError(f"name the photo: hubel conv --kernel {flags.kernel} PHOTO")
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
        if getattr(flags, name) not in (None, "", False):
            raise OptionError(f"--{name.replace('_', '-')} has no meaning {circumstance}")


def _print(explanation: ConvolutionExplanation) -> int:
    from hubel.cli.tables import print_table

    for line in explanation.before:
        print_line(line)
    print_table(explanation.columns, explanation.rows, multiline=True)
    for line in explanation.after:
        print_line(line)
    return 0
