"""Tasks of a developer: `nox -s style types tests docs`, `nox -l` lists them.

They run in the environment that nox itself is installed in, so nothing is installed a second time.
"""

import sys

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["style", "types", "layers", "tests"]


def run(session: nox.Session, module: str, *arguments: str) -> None:
    """Run a module of this environment's Python."""
    session.run(sys.executable, "-m", module, *arguments)


@nox.session
def style(session: nox.Session) -> None:
    """Format the code and check its style."""
    run(session, "ruff", "format", ".")
    run(session, "ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types."""
    run(session, "mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """Check that imports point down only."""
    session.run(sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; `nox -s tests -- -m slow` those that take minutes."""
    run(session, "pytest", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the tests and report which lines and branches they reach."""
    run(session, "pytest", "--cov", "--cov-report=term", "--cov-report=html:build/coverage", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site in build/site; a broken link or reference ends the build."""
    run(session, "sphinx", "-nWq", "--keep-going", "-b", "html", "docs", "build/site")


@nox.session
def release(session: nox.Session) -> None:
    """Check that this version can be released, and build it."""
    session.run(sys.executable, "scripts/release.py", *session.posargs)
