"""Class-activation maps against their formulas, against each other, and against pytorch-grad-cam."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import noise, predictor, stranger
from torch import nn
from torch.nn import functional as F

from hubel.core.errors import OptionError
from hubel.explain.cam import cam, eigen_cam, grad_cam, grad_cam_plus_plus, layer_cam
from hubel.explain.images import prepare_images, to_input
from hubel.explain.layers import default_layer, layer_names, map_and_logits, maps_at, target_logits
from hubel.explain.methods import METHODS
from hubel.explain.untouched import untouched
from hubel.inference.predictor import Predictor
from hubel.models.catalogue import build_model, find
from peers import pytorch_grad_cam

X, TARGETS = noise(), torch.tensor([0, 2, 1])
POOLED = ("resnet20", "resnet18", "densenet121", "mobilenet_v2", "efficientnet_lite0", "efficientnet_b0", "convnet")


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def maps_and_gradients(network: nn.Module, layer: str) -> tuple[np.ndarray, np.ndarray]:
    with untouched(network) as frozen:
        maps, logits = map_and_logits(frozen, X, layer)
        gradients = torch.autograd.grad(target_logits(logits, TARGETS).sum(), maps)[0]
    return maps.detach().double().numpy(), gradients.double().numpy()


def enlarged(coarse: np.ndarray) -> torch.Tensor:
    wide = F.interpolate(torch.tensor(coarse)[:, None].float(), X.shape[2:], mode="bilinear", align_corners=False)
    return wide[:, 0]


@pytest.fixture
def network() -> nn.Module:
    """Flattens, so that gradients differ from pixel to pixel."""
    torch.manual_seed(0)
    return build_model(
        "convnet",
        num_classes=3,
        in_channels=3,
        input_size=(16, 16),
        options={"filters": "4,6", "average": "false", "dense": "16"},
    ).eval()


def test_formulas_pixel_by_pixel(network: nn.Module) -> None:
    maps, gradients = maps_and_gradients(network, "stage1")
    n, k, h, w = maps.shape
    expected = {method: np.zeros((n, h, w)) for method in (grad_cam, grad_cam_plus_plus, layer_cam)}
    for i in range(n):
        for j in range(k):
            a, g = maps[i, j], gradients[i, j]
            expected[grad_cam][i] += g.mean() * a
            expected[layer_cam][i] += np.maximum(g, 0) * a
            alpha = np.array([[0 if v == 0 else v**2 / (2 * v**2 + a.sum() * v**3) for v in row] for row in g])
            expected[grad_cam_plus_plus][i] += (alpha * np.maximum(g, 0)).sum() * a
    for method, coarse in expected.items():
        found = method(network, X, TARGETS, "stage1")
        torch.testing.assert_close(found, enlarged(np.maximum(coarse, 0)), rtol=1e-4, atol=1e-6)
        assert found.max() > 0


def test_grad_cam_plus_plus_of_small_gradients(network: nn.Module) -> None:
    """Where g is small, alpha is 1/2, not 0: logits in other units give the same map, in these units."""
    found = []
    for scale in (1e-3, 1e-6):
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        with torch.no_grad():
            last.weight.mul_(1e-3)
        maps, gradients = maps_and_gradients(network, "stage1")
        coarse = (np.maximum(gradients, 0).sum((2, 3), keepdims=True) / 2 * maps).sum(1)
        found.append(grad_cam_plus_plus(network, X, TARGETS, "stage1") / scale)
        torch.testing.assert_close(found[-1], enlarged(np.maximum(coarse, 0)) / scale, rtol=0.01, atol=1e-4)
    torch.testing.assert_close(*found, rtol=0.01, atol=1e-4)
    assert found[0].max() > 0.1


def test_eigen_cam_is_the_first_component_of_numpys_svd(network: nn.Module) -> None:
    maps, _ = maps_and_gradients(network, "stage1")
    coarse = []
    for one in maps:
        flat = one.reshape(len(one), -1).T
        u, s, _ = np.linalg.svd(flat, full_matrices=False)
        along = u[:, 0] * s[0]
        coarse.append((along * np.sign(along.sum())).reshape(one.shape[1:]))
    torch.testing.assert_close(
        eigen_cam(network, X, TARGETS, "stage1"), enlarged(np.stack(coarse)), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", POOLED)
def test_cam_is_made_of_the_weights_of_the_last_layer(name: str) -> None:
    """Grad-CAM is then CAM without its negative part, divided by the number of pixels."""
    torch.manual_seed(0)
    network = build_model(name, num_classes=5)
    side = min(find(name)[1].shape.height, 96)
    x, targets = noise(2, side), torch.tensor([1, 4])
    layer = default_layer(network, x)
    with untouched(network) as frozen, torch.no_grad():
        maps = maps_at(frozen, x, [layer])[layer]
    weights = [module for module in network.modules() if isinstance(module, nn.Linear)][-1].weight.detach()
    coarse = torch.einsum("nk,nkhw->nhw", weights[targets], maps)
    found = cam(network, x, targets)
    expected = F.interpolate(coarse[:, None], x.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))

    positive = F.interpolate(coarse.relu()[:, None], x.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    graded = grad_cam(network, x, targets) * maps[0, 0].numel()
    torch.testing.assert_close(graded, positive, rtol=1e-4, atol=1e-4 * float(positive.abs().max()))


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "vgg11", "lenet5_modern"])
def test_cam_is_refused_elsewhere(name: str) -> None:
    network = build_model(name, options={"dense": 8} if name == "vgg11" else None)
    x = torch.randn(1, *find(name)[1].shape)
    with pytest.raises(OptionError, match="take gradcam"):
        cam(network, x, torch.tensor([0]))
    assert grad_cam(network, x, torch.tensor([0])).shape == (1, *x.shape[2:])


def test_the_class_decides() -> None:
    network = predictor().network
    one, other = (grad_cam(network, X, torch.full((3,), target)) for target in (0, 1))
    assert not torch.allclose(one, other)
    assert torch.equal(*(eigen_cam(network, X, torch.full((3,), target)) for target in (0, 1)))


def test_in_place_and_frozen_give_the_same() -> None:
    """In-place activations after the layer and frozen weights do not change the map."""
    network, plain = stranger(), stranger()
    for name, module in list(plain.named_children()):
        if isinstance(module, nn.ReLU | nn.ReLU6):
            plain.register_module(name, type(module)())
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for method in METHODS.values():
        for layer in ("1", "2", "5", "6", "8"):
            if method is not cam:
                torch.testing.assert_close(
                    method(network, X, TARGETS, layer), method(plain, X, TARGETS, layer), rtol=1e-3, atol=1e-5
                )


PEERS = {"gradcam": "GradCAM", "gradcam++": "GradCAMPlusPlus", "layercam": "LayerCAM"}


@pytest.mark.peer
@pytest.mark.parametrize("name", PEERS)
def test_agrees_with_pytorch_grad_cam(name: str, lite0: Predictor, imagenet: list[Path]) -> None:
    library = pytorch_grad_cam()
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    x = to_input(lite0, list(prepare_images(lite0, imagenet[::2])))
    with torch.no_grad():
        targets = lite0.network(x).argmax(1)
    layer = default_layer(lite0.network, x)
    ours = METHODS[name](lite0.network, x, targets, None).numpy()
    with getattr(library, PEERS[name])(lite0.network, [layer_names(lite0.network)[layer]]) as peer:
        theirs = peer(x.contiguous(), [ClassifierOutputTarget(target) for target in targets.tolist()])
    worst = min(correlation(*pair) for pair in zip(ours, theirs, strict=True))
    print(f"{name}: least correlation of {len(x)} photos {worst:.6f}")
    assert worst >= 0.99
