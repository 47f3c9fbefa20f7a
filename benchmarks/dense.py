"""Networks of semantic segmentation: time of a training step and of inference, beside another library's U-Net.

Claim: `unet` on EfficientNet-Lite0 takes at most half the time of `segmentation_models_pytorch.Unet` with the same
encoder, in training and in inference, at 480x352 pixels.

Networks take turns in one process after a warm-up; the least of the rounds is compared, as other programs disturb.
Random weights, channels last; inference with folded batch norms for ours and as it is for the peer's. Needs
segmentation-models-pytorch and timm, both with --no-deps.
Run: python benchmarks/dense.py [--rounds 3] [--batch 4] [--threads 2] [--only lite0]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from hubel.inference.fold import folded
from hubel.models.catalogue import build_model
from hubel.nn.layers import channels_last
from hubel.tasks.segmentation_losses import PixelLoss

HEIGHT, WIDTH, CLASSES = 352, 480, 11
ENCODERS = {  # names here, and in the other library
    "efficientnet_lite0": "timm-tf_efficientnet_lite0",
    "mobilenet_v3_large": "timm-mobilenetv3_large_100",
    "resnet18": "resnet18",
}
OF_LITE0 = {
    "unet 64,48,32": ("unet", {"widths": "64,48,32"}),
    "unet 256,128,64": ("unet", {"widths": "256,128,64"}),
    "unet 128,64,32,16": ("unet", {"widths": "128,64,32,16"}),
    "unet 128,64,32 bilinear": ("unet", {"upsample": "bilinear"}),
    "unet 128,64,32 transposed": ("unet", {"upsample": "transposed"}),
    "lraspp output_stride 32": ("lraspp", {"output_stride": "32"}),
}


def cases() -> dict[str, Callable[[], nn.Module]]:
    found: dict[str, Callable[[], nn.Module]] = {}

    def ours(family: str, options: dict[str, str]) -> Callable[[], nn.Module]:
        return lambda: build_model(family, num_classes=CLASSES, input_size=(HEIGHT, WIDTH), options=options)

    for encoder, theirs in ENCODERS.items():
        found[f"{encoder}: smp.Unet"] = lambda theirs=theirs: peer(theirs)  # type: ignore[misc]
        found[f"{encoder}: unet"] = ours("unet", {"backbone": encoder})
        found[f"{encoder}: lraspp"] = ours("lraspp", {"backbone": encoder})
        if encoder == "efficientnet_lite0":
            found |= {f"{encoder}: {name}": ours(*case) for name, case in OF_LITE0.items()}
    return found


def peer(encoder: str) -> nn.Module:
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    import peers

    peers.timm()  # torchvision's compiled part, which it asks for, loads beside its own build of torch only
    import segmentation_models_pytorch as smp

    network: nn.Module = smp.Unet(encoder, encoder_weights=None, classes=CLASSES)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    x = torch.randn(options.batch, 3, HEIGHT, WIDTH).contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, CLASSES, (options.batch, HEIGHT, WIDTH))
    torch.manual_seed(0)
    networks = {name: channels_last(make()) for name, make in cases().items() if options.only in name}
    frozen = {name: network.eval() if "smp" in name else folded(network) for name, network in networks.items()}
    least = {name: [float("inf"), float("inf")] for name in networks}
    for number in range(options.rounds + 1):
        for name, network in networks.items():
            seconds = step(network.train(), x, y), infer(frozen[name].eval(), x[:1])
            if number:  # the first round warms up
                least[name] = [min(pair) for pair in zip(least[name], seconds, strict=True)]
    print(f"{HEIGHT}x{WIDTH}, {options.threads} threads, least of {options.rounds}; step of {options.batch} images")
    print(f"{'':42s} {'step':>8s} {'ratio':>6s} {'one image':>10s} {'ratio':>6s} {'parameters':>11s}")
    for name, (training, inference) in least.items():
        theirs = least.get(f"{name.partition(':')[0]}: smp.Unet", [float("nan")] * 2)
        number_of = sum(p.numel() for p in networks[name].parameters())
        print(
            f"{name:42s} {1000 * training:5.0f} ms {theirs[0] / training:6.2f} "
            f"{1000 * inference:7.1f} ms {theirs[1] / inference:6.2f} {number_of:11,}"
        )


def step(network: nn.Module, x: Tensor, y: Tensor) -> float:
    network.zero_grad()
    started = time.perf_counter()
    PixelLoss("cross_entropy")(network(x), y).mean().backward()
    return time.perf_counter() - started


def infer(network: nn.Module, x: Tensor) -> float:
    with torch.inference_mode():
        network(x)
        started = time.perf_counter()
        network(x)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
