"""Export a model to ONNX, compare the two, and serve the exported file over HTTP.

Run it anywhere, offline: `python examples/export_and_serve.py`. Whoever serves the file needs no torch; the Dockerfile
of the repository is made for that.
"""

import json
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import hubel
from hubel.export import export
from hubel.studio import ServerSettings, running_server


def main() -> None:
    """Print how far the exported file departs from the model, and one answer of the server."""
    images = (load_digits().images[-100:] / 16 * 255).astype(np.uint8)
    with TemporaryDirectory() as name:
        run, file = Path(name) / "run", Path(name) / "digits.onnx"
        hubel.train("digits", hubel.Recipe(model="lenet5_modern", epochs=2), out=run)
        export(run, file)

        exported = hubel.load(file)
        difference = np.abs(hubel.load(run).predict_proba(images) - exported.predict_proba(images)).max()
        print(f"largest difference of a score: {difference:.1e}")
        assert difference < 1e-4

        photo = BytesIO()
        Image.fromarray(images[0]).save(photo, "PNG")
        with running_server({"digits": exported}, ServerSettings(port=0)) as address:
            request = Request(f"{address}/v1/predict?top=1", photo.getvalue(), {"Content-Type": "image/png"})
            with urlopen(request, timeout=30) as answer:
                print(json.load(answer)["images"][0]["top"])


if __name__ == "__main__":
    main()
