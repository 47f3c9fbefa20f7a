"""Check that the version can be released and build it: `python scripts/release.py [--dry-run]`.

The changelog must have a dated section for the version, and the checkout must hold nothing uncommitted (a dry run
overlooks both). Then the sdist and the wheel are built, and each is installed into a clean virtual environment, where
`hubel demo` must pass. Nothing is uploaded; the last lines say how to.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def version() -> str:
    """Return the version as the package states it."""
    (found,) = re.findall(r'^__version__ = "(.+)"$', (ROOT / "src/hubel/core/version.py").read_text("utf-8"), re.M)
    return str(found)


def section(number: str, changelog: str) -> tuple[str, str]:
    """Return the date, or "unreleased", and the text of a version's section.

    Raises:
        SystemExit: there is none, or it is empty.
    """
    found = re.search(
        rf"^## \[{re.escape(number)}\] - (unreleased|\d{{4}}-\d\d-\d\d)\n(.*?)(?=^## |\Z)", changelog, re.M | re.S
    )
    if found is None or not found[2].strip():
        raise SystemExit(f'CHANGELOG.md has no section "## [{number}] - DATE"')
    return found[1], found[2].strip()


def check_tree(number: str) -> None:
    """Refuse to release what is unreleased in the changelog or uncommitted in the checkout."""
    date, _ = section(number, (ROOT / "CHANGELOG.md").read_text("utf-8"))
    if date == "unreleased":
        raise SystemExit(f"CHANGELOG.md calls {number} unreleased; give its section a date")
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    if changed.stdout:
        raise SystemExit(f"not committed:\n{changed.stdout}")


def build(folder: Path) -> list[Path]:
    """Build the sdist and, from it, the wheel."""
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True)
    return sorted(folder.glob("hubel-*"))


def check_installs(distribution: Path, number: str) -> None:
    """Install a distribution into a clean environment and run the demo there."""
    with tempfile.TemporaryDirectory() as name:
        scripts = Path(name) / "venv" / ("Scripts" if os.name == "nt" else "bin")
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment["HUBEL_CACHE"] = str(Path(name) / "cache")
        subprocess.run([sys.executable, "-m", "venv", Path(name) / "venv"], check=True)
        install = [scripts / "python", "-m", "pip", "install", "--quiet", "-c", ROOT / "requirements/tested.txt"]
        subprocess.run([*install, f"{distribution}[train]"], check=True, env=environment)
        for arguments in (["--version"], ["demo"]):
            command = [scripts / "hubel", *arguments]
            done = subprocess.run(command, check=True, env=environment, cwd=name, stdout=subprocess.PIPE, text=True)
            if arguments == ["--version"] and done.stdout.strip() != number:
                raise SystemExit(f"{distribution.name} calls itself {done.stdout.strip()}, not {number}")
    print(f"{distribution.name}: installed in a clean environment, demo passed")


def main() -> None:
    """Check, build, check what was built."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dry-run", action="store_true", help="overlook an undated section and uncommitted files")
    options = parser.parse_args()
    number = version()
    if not options.dry_run:
        check_tree(number)
    with tempfile.TemporaryDirectory() as name:
        built = build(Path(name))
        for distribution in built:
            check_installs(distribution, number)
        if not options.dry_run:
            (ROOT / "dist").mkdir(exist_ok=True)
            for distribution in built:
                (ROOT / "dist" / distribution.name).write_bytes(distribution.read_bytes())
            print(f"to release: git tag v{number} && git push --tags && python -m twine upload dist/hubel-{number}*")


if __name__ == "__main__":
    main()
