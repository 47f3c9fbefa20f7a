"""The live experiment of the lesson `residual`, timed: four networks learn the digits within two minutes on two cores.

Claim: the plain network of 56 layers ends with a training error at least 15 points above that of 20 layers, the
residual one within 2 points; all four together take less than 120 seconds on two cores.
Run: python benchmarks/degradation_lesson.py
"""

from __future__ import annotations

import time

from hubel.core.resources import usable_cores
from hubel.teach.course.lessons.residual.lesson import LESSON


def main() -> None:
    wall, busy = time.perf_counter(), time.process_time()
    errors: dict[tuple[str, int], list[float]] = {}
    for row in LESSON.live["degradation"]({}):
        errors.setdefault((row["kind"], row["depth"]), []).append(row["error"])
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    print("Training error in percent, an epoch each")
    for (kind, depth), values in sorted(errors.items()):
        print(f"{kind:>9} {depth:>3}  " + "  ".join(f"{value:5.1f}" for value in values))
    for kind in ("plain", "residual"):
        print(f"{kind}: deep minus shallow {errors[kind, 56][-1] - errors[kind, 20][-1]:+.1f} points in the last epoch")
    print(f"{wall:.0f} s on {usable_cores()} cores, {busy:.0f} s of one core's time")


if __name__ == "__main__":
    main()
