"""The documentation's site: `sphinx-build -nW docs site`; a broken link or reference ends the build."""

import re
import sys
from typing import Any

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

from hubel.core.version import __version__

project = "hubel"
copyright = "the authors of hubel"  # noqa: A001 - the name that Sphinx reads
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
default_role = "code"  # docstrings have single backticks around code
myst_heading_anchors = 3
copybutton_prompt_text = "$ "

autodoc_default_options = {"members": True, "no-value": True}
autodoc_member_order = "bysource"
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
napoleon_use_ivar = True
napoleon_attr_annotations = False  # the signature has them
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

# What has no page has no link: other projects, whose inventories would have to be fetched, and types behind the faces.
nitpick_ignore_regex = [("py:.*", r"(?!hubel\b).*"), ("py:.*", r"hubel(\.[a-z_0-9]+){2,}\.\w+")]

# Pages link to these as they lie in the repository; in the site they are pages of the reference.
ELSEWHERE = {"../benchmarks/LOG.md": "reference/log.md", "../CHANGELOG.md": "reference/changes.md"}

html_theme = "furo"
html_title = "hubel"
html_copy_source = False
html_show_sphinx = False


def keep_public(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Skip methods that scikit-learn adds to its estimators; keep constants, whose comment stands where they do."""
    if what == "module":
        return False
    return True if str(getattr(member, "__module__", "")).startswith("sklearn.") else None


def take_comment(app: Sphinx, what: str, name: str, member: Any, options: Any, lines: list[str]) -> None:
    """Document a constant of a face with the `#:` comment above its definition; mend what is not reStructuredText."""
    face, _, constant = name.rpartition(".")
    homes = getattr(sys.modules.get(face), "_homes", {})
    if what == "data" and constant in homes:
        comments = ModuleAnalyzer.for_module(homes[constant]).find_attr_docs()
        lines[:] = comments.get(("", constant), lines)
    # "`Row`s" is code followed by a letter, for which reStructuredText wants an escaped space.
    lines[:] = [re.sub(r"(`[^`]+`)(?=\w)", r"\1\\ ", line) for line in lines]


def shorten(
    app: Sphinx, what: str, name: str, member: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write arrays as the source does, `NDArray[uint8]`."""
    array = re.compile(r"[~\w.]*\bndarray\[tuple\[[~\w.]*\bAny, \.\.\.\], [~\w.]*\bdtype\[([~\w.]+)\]\]")
    alias = re.compile(r"[~\w.]*\bTypeAliasForwardRef\('(\w+)'\)")
    short = [text and alias.sub(r"\1", array.sub(r"NDArray[\1]", text)) for text in (signature, returns)]
    return short[0], short[1]


def redirect(app: Sphinx, docname: str, source: list[str]) -> None:
    """Lead links that leave the documentation to the pages that show these files."""
    for target, page in ELSEWHERE.items():
        source[0] = source[0].replace(f"]({target}", f"]({page}")


def setup(app: Sphinx) -> None:
    """Register the functions above."""
    app.connect("autodoc-process-signature", shorten)
    app.connect("source-read", redirect)
    app.connect("autodoc-skip-member", keep_public)
    app.connect("autodoc-process-docstring", take_comment)
