"""Draw every network of the catalogue: CPU seconds from the name to the SVG, and the size of the drawing.

Claim: at each depth, every network but ResNet-1202 is drawn in less than a second of one core.

    python benchmarks/drawing.py            all networks
    python benchmarks/drawing.py "resnet*"  those that match
"""

import sys
import time

import hubel

DEPTHS = ("network", "stage", "block")


def main(pattern: str) -> None:
    hubel.draw("fcos").svg()  # torch imports its shape inference once, which takes two seconds
    slowest: dict[str, tuple[float, str]] = {}
    for name in hubel.list_models(pattern):
        columns = []
        for depth in DEPTHS:
            started = time.process_time()
            drawing = hubel.draw(name, depth=depth)
            drawing.svg()
            seconds = time.process_time() - started
            columns.append(f"{depth} {drawing.width:5.0f}x{drawing.height:<6.0f}{seconds:5.2f} s")
            if name != "resnet1202":
                slowest[depth] = max(slowest.get(depth, (0.0, "")), (seconds, name))
        print(f"{name:26}{'   '.join(columns)}", flush=True)
    for depth, (seconds, name) in slowest.items():
        print(f"slowest at depth {depth}: {name}, {seconds:.2f} s")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "*")
