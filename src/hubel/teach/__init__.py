"""Teach convolutional networks: convolution arithmetic step by step, image kernels, the course, the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubel.core.lazy import lazy_exports

if TYPE_CHECKING:
    from hubel.teach.convolution.alternatives import Alternative as Alternative
    from hubel.teach.convolution.alternatives import list_alternatives as list_alternatives
    from hubel.teach.convolution.arithmetic import Convolution as Convolution
    from hubel.teach.convolution.arithmetic import ConvolutionSettings as ConvolutionSettings
    from hubel.teach.convolution.arithmetic import make_convolution as make_convolution
    from hubel.teach.convolution.effective import effective_field as effective_field
    from hubel.teach.convolution.effective import effective_size as effective_size
    from hubel.teach.convolution.image_kernels import IMAGE_KERNELS as IMAGE_KERNELS
    from hubel.teach.convolution.image_kernels import FilteredImage as FilteredImage
    from hubel.teach.convolution.image_kernels import ImageKernel as ImageKernel
    from hubel.teach.convolution.image_kernels import filter_image as filter_image
    from hubel.teach.convolution.image_kernels import find_image_kernel as find_image_kernel
    from hubel.teach.convolution.maps import convolve_maps as convolve_maps
    from hubel.teach.convolution.pooling import make_pooling as make_pooling
    from hubel.teach.convolution.pooling import pool_map as pool_map
    from hubel.teach.convolution.stack import StackLayer as StackLayer
    from hubel.teach.convolution.stack import count_paths as count_paths
    from hubel.teach.convolution.stack import list_equal_stacks as list_equal_stacks
    from hubel.teach.convolution.stack import parse_stack as parse_stack
    from hubel.teach.convolution.stack import stack_fields as stack_fields
    from hubel.teach.convolution.steps import ConvolutionStep as ConvolutionStep
    from hubel.teach.convolution.steps import convolution_steps as convolution_steps
    from hubel.teach.convolution.steps import convolve as convolve
    from hubel.teach.convolution.steps import parse_numbers as parse_numbers
    from hubel.teach.course.catalogue import LESSONS as LESSONS
    from hubel.teach.course.catalogue import find_lesson as find_lesson
    from hubel.teach.course.lesson import Lesson as Lesson
    from hubel.teach.sliding_window import slide_window as slide_window

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "hubel.teach.convolution.alternatives": ("Alternative", "list_alternatives"),
        "hubel.teach.convolution.arithmetic": ("Convolution", "ConvolutionSettings", "make_convolution"),
        "hubel.teach.convolution.effective": ("effective_field", "effective_size"),
        "hubel.teach.convolution.image_kernels": (
            "FilteredImage",
            "IMAGE_KERNELS",
            "ImageKernel",
            "filter_image",
            "find_image_kernel",
        ),
        "hubel.teach.convolution.maps": ("convolve_maps",),
        "hubel.teach.convolution.pooling": ("make_pooling", "pool_map"),
        "hubel.teach.convolution.stack": (
            "StackLayer",
            "count_paths",
            "list_equal_stacks",
            "parse_stack",
            "stack_fields",
        ),
        "hubel.teach.convolution.steps": ("ConvolutionStep", "convolution_steps", "convolve", "parse_numbers"),
        "hubel.teach.course.catalogue": ("LESSONS", "find_lesson"),
        "hubel.teach.course.lesson": ("Lesson",),
        "hubel.teach.sliding_window": ("slide_window",),
    },
)
