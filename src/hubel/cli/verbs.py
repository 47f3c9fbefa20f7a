"""Each verb in a line, and examples of its use; its own file says the rest."""

from __future__ import annotations

__all__ = ["VERBS"]

# In the order of the help.
VERBS = {
    "train": (
        "Train a classifier on labelled images, measure it, and write a report.",
        "hubel train PHOTOS",
        "hubel train PHOTOS --freeze all",
        "hubel train PHOTOS --model resnet50 --weights default --freeze stage3",
        "hubel train PHOTOS --model convnet --size 96 --epochs 30",
        "hubel train photos.csv --model resnet20 --max-minutes 10",
        "hubel train digits --model lenet5",
        "hubel train PHOTOS --model convnet --options.filters 16,32,64 --options.dense 128",
        "hubel train xo --xo.size 15 --xo.noise 0.05 --loss sigmoid",
        "hubel train PHOTOS --task reconstruct",
        "hubel train PHOTOS --config runs/PHOTOS-efficientnet_lite0-1/config.json --epochs 50",
        "hubel train --resume",
    ),
    "evaluate": (
        "Measure a model on labelled images: accuracy, each class, confusions, calibration, the worst mistakes.",
        "hubel evaluate runs/PHOTOS-efficientnet_lite0-1 PHOTOS",
        "hubel evaluate model.safetensors other-photos --split all",
        "hubel evaluate model.safetensors photos.csv --json",
    ),
    "predict": (
        "Say what is on images. A file that cannot be read is named with its reason, and the others go on. "
        "Exit code: 0 all well, 3 some files unreadable, 2 wrong use.",
        "hubel predict runs/PHOTOS-efficientnet_lite0-1 photo.jpg",
        "hubel predict efficientnet_lite0 photo.jpg",
        "hubel predict model.safetensors holiday/ --csv > classes.csv",
        'hubel predict model.safetensors "photos/**/*.jpg" --top 1 --jsonl',
        "hubel predict model.onnx holiday/ -o answers.parquet --resume",
        "hubel predict model.onnx holiday/ --shard 1/3 -o answers-1.csv",
        "cat photo.jpg | hubel predict model.safetensors -",
        'find . -name "*.png" | hubel predict model.safetensors - --jsonl',
    ),
    "export": (
        "Write a model as one file that hubel predict runs without torch, and any ONNX tool opens.",
        "hubel export runs/PHOTOS-efficientnet_lite0-1",
        "hubel export runs/PHOTOS-efficientnet_lite0-1 --int8 --data PHOTOS",
        "hubel export efficientnet_lite0 -o lite0.onnx",
    ),
    "bench": (
        "Measure how fast models are on this machine, with each engine: single images, many images, start, memory.",
        "hubel bench resnet18 efficientnet_lite0 --int8",
        "hubel bench model.onnx model.int8.onnx",
        "hubel bench runs/PHOTOS-efficientnet_lite0-1 --int8 --data PHOTOS --json",
    ),
    "serve": (
        "Offer models over HTTP, on this computer only unless told otherwise, with a page to try them on a photo.",
        "hubel serve runs/PHOTOS-efficientnet_lite0-1",
        "hubel serve efficientnet_lite0 model.onnx --port 8080",
        "HUBEL_TOKEN=secret hubel serve model.onnx --host 0.0.0.0 --allow-host photos.example.org",
    ),
    "demo": (
        "Train, measure and predict on data that needs no download, in a minute: LeNet-5 on 1,797 real handwritten "
        "digits, beside two networks without convolution; then a network with two outputs that tells X from O.",
        "hubel demo",
        "hubel demo --out my-demo",
    ),
    "data": (
        "Look at a data set: classes, sizes, splits, files that cannot be read. Nothing of it is changed.",
        "hubel data PHOTOS",
        "hubel data PHOTOS --unreadable > bad-files.txt",
        "hubel data digits",
    ),
    "data check": (
        "Find labels that are probably wrong, pictures that are there twice, and pictures that do not belong.",
        "hubel data check PHOTOS",
        "hubel data check PHOTOS --model runs/PHOTOS-efficientnet_lite0-1",
        "hubel data check photos.csv --json > found.json",
    ),
    "data bench": (
        "Time decoding, augmentation and the network by themselves, and say which of them a training waits for.",
        "hubel data bench PHOTOS",
        "hubel data bench PHOTOS --augment strong --size 160",
    ),
    "data preview": (
        "See what augmentation makes of some images before training: variants of each, and every change alone.",
        "hubel data preview PHOTOS",
        "hubel data preview PHOTOS --policy strong --out strong.png",
        "hubel data preview PHOTOS --policy my.toml --size 128",
    ),
    "models": (
        "List the networks, or describe one: options, parameters, published facts.",
        "hubel models",
        'hubel models "*net*"',
        "hubel models lenet5",
    ),
    "summary": (
        "Show what each layer costs and sees: output, parameters, multiply-adds, memory, receptive field.",
        "hubel summary resnet50",
        "hubel summary googlenet --depth 0",
        "hubel summary runs/PHOTOS-efficientnet_lite0-1 --csv > layers.csv",
        "hubel summary mobilenet_v2 --input 3x160x160 --json",
    ),
    "compare": (
        "Compare networks side by side: parameters, multiply-adds, depth, field, size, accuracy, speed.",
        "hubel compare resnet50 mobilenet_v2 efficientnet_b0",
        'hubel compare "vgg*" --time',
        "hubel compare runs/PHOTOS-efficientnet_lite0-1 resnet18 --figure comparison.png",
    ),
    "verify": (
        "Compute every published fact of the networks again: parameters, multiply-adds, shapes of maps.",
        "hubel verify",
        'hubel verify "*resnet*" --all',
    ),
    "robust": (
        "Measure a model on changed images: noise, blur, weather, compression, shifts, crops, turns.",
        "hubel robust runs/PHOTOS-efficientnet_lite0-1 PHOTOS",
        "hubel robust runs/PHOTOS-efficientnet_lite0-1 PHOTOS --quick",
        "hubel robust runs/PHOTOS-efficientnet_lite0-1 PHOTOS --baseline runs/PHOTOS-linear-1",
    ),
    "explain": (
        "Show where on an image a class comes from, and what a network sees and looks for, as pictures and arrays.",
        "hubel explain runs/PHOTOS-efficientnet_lite0-1 photo.jpg",
        "hubel explain efficientnet_lite0 photo.jpg --class goldfish --method layercam",
        "hubel explain efficientnet_lite0 holiday/ --compare",
        "hubel explain model.safetensors photo.jpg --maps",
        "hubel explain model.safetensors photo.jpg --maps --layer stage2.block1",
        "hubel explain model.safetensors photo.jpg --unit stage3:17 --patches PHOTOS",
        "hubel explain model.safetensors --filters",
        "hubel explain runs/digits-linear-1 --templates --beside runs/digits-lenet5-1",
    ),
    "embed": (
        "Place all images of a data set by what a network makes of them: PCA and t-SNE of its features.",
        "hubel embed efficientnet_lite0 PHOTOS",
        "hubel embed runs/PHOTOS-efficientnet_lite0-1 PHOTOS --layer stage2",
    ),
    "similar": (
        "Find the images of a folder that look most like another one, as a network sees them.",
        "hubel similar efficientnet_lite0 holiday/ photo.jpg",
        "hubel similar runs/PHOTOS-efficientnet_lite0-1 holiday/ photo.jpg --top 20 --sheet found.png",
    ),
    "lr-find": (
        "Find a learning rate: raise it step by step until the loss explodes, and see where it falls fastest.",
        "hubel lr-find PHOTOS",
        "hubel lr-find PHOTOS --model resnet20 --optimizer adamw",
    ),
    "conv": (
        "Explain a convolution: its arithmetic and what others would cost, its steps, or its effect on a photo.",
        "hubel conv 28x28x192 --out-channels 32 --kernel-size 5 --bottleneck 16",
        "hubel conv 7x7x256 --out-channels 128 --kernel-size 4 --stride 2 --padding 1 --transposed",
        "hubel conv --show",
        "hubel conv 0,1,2,3,4 --kernel -1,0,1 --padding same --show",
        "hubel conv --kernel sharpen photo.jpg --out sharpened.png",
    ),
    "walkthrough": (
        "Write a page that explains from first principles how a network tells pictures apart, every number computed.",
        "hubel walkthrough xo",
        "hubel walkthrough xo --out xo.html",
    ),
    "weights convert": (
        "Turn weights of torchvision, timm or others into a model file of hubel's.",
        "hubel weights convert resnet50-11ad3fa6.pth --model resnet50",
        "hubel weights convert mine.pth --model resnet20 --classes names.txt --out mine.safetensors",
    ),
    "runs": (
        "Compare the runs of a folder side by side, the best of each data set first.",
        "hubel runs",
        "hubel runs experiments",
    ),
    "cache": (
        "Show or remove what hubel keeps on the disk because making it again takes time.",
        "hubel cache",
        "hubel cache --clear activations",
    ),
    "info": (
        "Print versions, device, threads and caches: what belongs into a report of a problem.",
        "hubel info",
    ),
}
