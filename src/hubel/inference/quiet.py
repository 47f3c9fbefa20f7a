"""Other libraries' converters and engines, kept from reporting, printing and changing the process."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import random
import sys
import warnings
from collections.abc import Iterator

__all__ = ["undisturbed"]


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Suppress reports, output and warnings of other libraries; restore logging and random numbers.

    OpenVINO and NNCF report imports and conversions to their makers where `openvino_telemetry` is installed, and ONNX
    Runtime 1.32 its sessions; all number their user in the home folder. Where that package seems absent, the first two
    take stand-ins that do nothing; the third heeds a variable, once and for all when it is imported.
    """
    root, hidden = logging.getLogger(), "openvino_telemetry"
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    with contextlib.ExitStack() as stack, warnings.catch_warnings():
        if hidden not in sys.modules:
            sys.modules[hidden] = None  # type: ignore[assignment]
            stack.callback(sys.modules.pop, hidden)
        # A program that imported them before us has them bound to that package already.
        for owner in map(sys.modules.get, (hidden, "nncf.telemetry.decorator")):
            for name in {"Telemetry", "telemetry"} & set(dir(owner)):
                from unittest import mock  # takes long to import, and is not needed as a rule

                stack.enter_context(mock.patch.object(owner, name))
        # The converter sets up the root logger for itself; NNCF draws random numbers.
        stack.callback(root.setLevel, root.level)
        stack.callback(setattr, root, "handlers", list(root.handlers))
        stack.callback(setattr, root, "filters", list(root.filters))
        stack.callback(random.setstate, random.getstate())
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        warnings.simplefilter("ignore")
        yield
