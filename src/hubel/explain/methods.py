"""Table of attribution methods: functions of `(network, x, targets, layer)` that return maps `(n, h, w)`."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from hubel.core.errors import UnknownNameError
from hubel.explain.cam import cam, eigen_cam, grad_cam, grad_cam_plus_plus, layer_cam
from hubel.explain.gradients import integrated_gradients, smooth_grad
from hubel.explain.occlusion import occlusion_sensitivity

__all__ = ["METHODS", "Method", "find_method"]

#: Signature of a class-activation method.
Method = Callable[[nn.Module, Tensor, Tensor, str | None], Tensor]

#: Class-activation methods by name; each takes network, input, targets and the layer's name.
METHODS: dict[str, Method] = {
    "gradcam": grad_cam,
    "gradcam++": grad_cam_plus_plus,
    "layercam": layer_cam,
    "eigencam": eigen_cam,
    "cam": cam,
    "occlusion": occlusion_sensitivity,
    "integrated_gradients": integrated_gradients,
    "smoothgrad": smooth_grad,
}


def find_method(name: str) -> Method:
    """Return a method by its name.

    Raises:
        UnknownNameError: there is no such method.
    """
    if name not in METHODS:
        raise UnknownNameError("method", str(name), METHODS)
    return METHODS[name]
