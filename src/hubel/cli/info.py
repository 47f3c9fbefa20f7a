"""`hubel info`."""

from __future__ import annotations

from hubel.cli.printing import print_line

EXAMPLES = (
    "hubel info",
    "hubel info model.safetensors",
    "hubel info model.onnx",
)

_PACKAGES = ("torch", "numpy", "pillow", "safetensors", "scikit-learn", "pyarrow", "matplotlib")


def info(model: str = "", /) -> int:
    """Print the card of a model; without one, versions, engines, device, threads, tasks and cache, for a bug report.

    Torch may be missing: exported files need only an engine.

    Args:
        model: a model file, the folder of a run, an exported file, or a pretrained network by its name. Its card has
            the form of the Hugging Face Hub: data, training, results, limits.
    """
    if model:
        from hubel.core.text import printable
        from hubel.inference.load import read_any_card
        from hubel.weights.hub_card import hub_card

        print("\n".join(map(printable, hub_card(read_any_card(model)).splitlines())))
        return 0
    import os
    import platform
    from importlib import metadata

    from hubel.core.files import cache_root, folder_bytes
    from hubel.core.resources import usable_cores
    from hubel.core.version import __version__
    from hubel.inference.engines.registry import ONNX_ENGINES, installed_onnx_engines

    def version(package: str) -> str:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return "not installed"

    try:
        import torch
    except ImportError:
        torch = None  # type: ignore[assignment]
    versions = {package: version(package) for package in _PACKAGES}
    if torch is None:
        versions["torch"] = 'not installed: only exported files can be used (pip install "hubel[train]")'
    print_line(f"hubel       {__version__}")
    print_line(f"python      {platform.python_version()} on {platform.platform()}")
    for package, found in versions.items():
        print_line(f"{package:<11} {found}")
    installed = installed_onnx_engines()
    engines = [f"{name} {installed.get(name, 'not installed')}" for name in ONNX_ENGINES]
    print_line(f"engines     {', '.join(engines)}")
    if torch is not None:
        from hubel.inference.device import pick_device, pick_precision
        from hubel.tasks.catalogue import TASKS

        device = pick_device()
        precision = str(pick_precision("auto", device)).removeprefix("torch.")
        print_line(f"device      {device}{f' ({torch.cuda.get_device_name()})' if device.type == 'cuda' else ''}")
        print_line(f"precision   {precision} for training")
        print_line(f"tasks       {', '.join(task.name for task in TASKS)}")
    root = cache_root()
    print_line(f"threads     {usable_cores()} of {os.cpu_count()} cores")
    print_line(f"cache       {root} ({folder_bytes(root) / 2**20:.1f} MiB); set HUBEL_CACHE to move it")
    return 0
