"""`hubel info`."""

from __future__ import annotations

EXAMPLES = ("hubel info",)


def info() -> int:
    """Print versions, device, threads and cache, for a bug report."""
    import os
    import platform
    from importlib import metadata

    import torch

    from hubel.core.files import cache_root, folder_bytes
    from hubel.core.resources import usable_cores
    from hubel.core.version import __version__
    from hubel.inference.device import pick_device, pick_precision

    device = pick_device()
    precision = str(pick_precision("auto", device)).removeprefix("torch.")
    root = cache_root()
    print(f"hubel       {__version__}")
    print(f"python      {platform.python_version()} on {platform.platform()}")
    for package in ("torch", "numpy", "pillow", "safetensors", "scikit-learn", "pyarrow", "matplotlib"):
        print(f"{package:<11} {metadata.version(package)}")
    print(f"device      {device}{f' ({torch.cuda.get_device_name()})' if device.type == 'cuda' else ''}")
    print(f"precision   {precision} for training")
    print(f"threads     {usable_cores()} of {os.cpu_count()} cores")
    print(f"cache       {root} ({folder_bytes(root) / 2**20:.1f} MiB); set HUBEL_CACHE to move it")
    return 0
