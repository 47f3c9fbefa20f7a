"""Measure how many seeded faults the tests find: mutate one expression at a time and run the tests of its room.

    python tests/mutants.py --out mutants.txt            # 150 mutants of this tree
    python tests/mutants.py --root OTHER --out old.txt   # of another tree, chosen by the same rule

Nothing below `--root` is changed: every mutant is written into a copy in a temporary folder. A mutant belongs to the
room (`src/hubel/ROOM/`) of its file; rooms get a share of `--count` in proportion to their statements. Within a room
the kinds of mutation take turns, and those of one kind are ordered by a hash of the seed and the code that they change,
so that trees which share code share mutants, and the first n of a longer run are a run of n.

The tests of a mutant are, in this order until one fails: the doctests of its file and the test files named after it;
the test files that import its module; the folder `tests/ROOM/` with the doctests of the room, and the folders given
with `--also ROOM=FOLDER`. A test that fails without the mutant, too, finds nothing, and is left out. A test that takes
more than `--limit` seconds finds it. Tests marked slow are left out; those that compare with other libraries are not.

The process that starts imports torch and the like once and forks for each mutant (Linux only).
"""

from __future__ import annotations

import argparse
import ast
import compileall
import contextlib
import copy
import difflib
import hashlib
import importlib
import itertools
import os
import py_compile
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

FLIPPED = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
SHIFTED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
ALSO = ["models=tests/contract", "nn=tests/contract"]
# What the package and its tests import; imported once, before the forks.
WARM = (
    "torch", "torch._dynamo", "torch.utils.data", "torch.export", "numpy", "PIL.Image", "cv2",
    "safetensors.torch", "sklearn.linear_model", "sklearn.neighbors", "scipy.stats", "scipy.optimize",
    "pyarrow.parquet", "rich.console", "cyclopts", "matplotlib.pyplot", "jinja2", "huggingface_hub", "onnx",
    "onnxruntime", "h11", "starlette.applications", "starlette.testclient", "uvicorn", "threadpoolctl",
    "hypothesis.extra.numpy", "_pytest.doctest",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change of one file."""

    room: str
    path: str  # below the root
    line: int
    kind: str
    source: str  # of the whole file, with the change
    before: str
    after: str
    rank: str


def mutations(tree: ast.Module) -> Iterator[tuple[str, ast.expr | ast.stmt, ast.AST]]:
    """Yield the kind, the node and its replacement of each mutation of a module, annotations and messages left out."""
    ignored: set[ast.AST] = set()
    steps: set[ast.AST] = set()  # integer literals in which a fault is off by one
    for node in ast.walk(tree):
        unread: list[ast.AST | None] = []
        if isinstance(node, ast.JoinedStr):  # whose parts have no columns of their own before Python 3.12
            unread = [node]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            unread = [*node.decorator_list, node.returns]
        elif isinstance(node, ast.ClassDef):
            unread = list(node.decorator_list)
        elif isinstance(node, ast.arg | ast.AnnAssign):
            unread = [node.annotation]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            unread = [node]
        elif isinstance(node, ast.BinOp | ast.Slice | ast.Subscript | ast.Compare):
            steps.update(child for child in ast.walk(node) if isinstance(child, ast.Constant))
        ignored.update(itertools.chain.from_iterable(map(ast.walk, filter(None, unread))))
    for node in ast.walk(tree):
        if node in ignored:
            continue
        if isinstance(node, ast.Compare):
            for kind, table in (("comparison", FLIPPED), ("off by one", SHIFTED)):
                if type(node.ops[0]) in table:
                    yield (
                        kind,
                        node,
                        ast.Compare(node.left, [table[type(node.ops[0])](), *node.ops[1:]], node.comparators),
                    )
        elif isinstance(node, ast.BoolOp):
            yield "and/or", node, ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield "constant", node, ast.Constant(not node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int) and node in steps:
            yield "off by one", node, ast.Constant(node.value + 1)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            yield "constant", node, ast.Constant(node.value * 2 or 1)
        elif isinstance(node, ast.If | ast.While | ast.IfExp):
            if node.test not in ignored:
                yield "condition", node.test, ast.UnaryOp(ast.Not(), node.test)
        elif isinstance(node, ast.comprehension):
            for test in node.ifs:
                yield "condition", test, ast.UnaryOp(ast.Not(), test)
        elif (
            (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
            or isinstance(node, ast.AugAssign | ast.Raise | ast.Delete)
            or (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute | ast.Subscript))
        ):
            yield "statement", node, ast.Pass()


def mutants_of(path: Path, root: Path, seed: int) -> list[Mutant]:
    """Return all mutants of a file."""
    text = path.read_bytes()
    starts = [0, *itertools.accumulate(map(len, text.splitlines(keepends=True)))]
    found: dict[str, Mutant] = {}
    for kind, node, replacement in mutations(ast.parse(text)):
        low = starts[node.lineno - 1] + node.col_offset
        high = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        new = ast.unparse(ast.fix_missing_locations(ast.copy_location(copy.deepcopy(replacement), node)))
        if not isinstance(replacement, ast.Pass | ast.Constant):
            new = f"({new})"
        source = (text[:low] + new.encode() + text[high:]).decode()
        start, end = text.rfind(b"\n", 0, low) + 1, text.find(b"\n", high)
        before, after = text[start:end].decode(), (text[start:low] + new.encode() + text[high:end]).decode()
        nth = sum(other.before == before and other.after == after for other in found.values())
        rank = hashlib.sha256(f"{seed} {kind} {nth} {before.split()} {after.split()}".encode()).hexdigest()
        relative = path.relative_to(root)
        room = relative.parts[2] if len(relative.parts) > 3 else "hubel"
        found[f"{low} {kind}"] = Mutant(
            room=room, path=str(relative), line=node.lineno, kind=kind, source=source,
            before=before, after=after, rank=rank,
        )  # fmt: skip
    return list(found.values())


def is_valid(mutant: Mutant) -> bool:
    """Tell whether a mutant is Python; only those that are chosen are compiled, which takes minutes for all."""
    try:
        compile(mutant.source, mutant.path, "exec")
    except SyntaxError:
        return False
    return True


def choose(root: Path, count: int, seed: int) -> list[Mutant]:
    """Return `count` mutants, spread over the rooms in proportion to their statements and over the kinds in turn."""
    rooms: defaultdict[str, list[Mutant]] = defaultdict(list)
    statements: Counter[str] = Counter()
    for path in sorted((root / "src" / "hubel").rglob("*.py")):
        of_file = mutants_of(path, root, seed)
        for mutant in of_file:
            rooms[mutant.room].append(mutant)
        if of_file:
            nodes = ast.walk(ast.parse(path.read_bytes()))
            statements[of_file[0].room] += sum(isinstance(node, ast.stmt) for node in nodes)
    ordered: list[tuple[float, str, Mutant]] = []
    for room, mutants in rooms.items():
        turns: list[tuple[int, str, Mutant]] = []
        for kind in {mutant.kind for mutant in mutants}:
            of_kind = sorted((mutant for mutant in mutants if mutant.kind == kind), key=lambda mutant: mutant.rank)
            turns += [(turn, mutant.rank, mutant) for turn, mutant in enumerate(of_kind)]
        turns.sort(key=lambda entry: entry[:2])
        ordered += [((n + 0.5) / statements[room], rank, mutant) for n, (_, rank, mutant) in enumerate(turns)]
    ordered.sort(key=lambda entry: entry[:2])
    return list(itertools.islice((mutant for _, _, mutant in ordered if is_valid(mutant)), count))


def stages(mutant: Mutant, root: Path, also: dict[str, list[str]]) -> list[list[str]]:
    """Return the paths to run for a mutant, nearest first, none twice."""
    module = mutant.path.removeprefix("src/").removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    package, _, name = module.rpartition(".")
    texts = {path: path.read_text(encoding="utf-8") for path in sorted((root / "tests").rglob("test_*.py"))}
    imports = (f"{module} import", f"import {module}\n", f"from {package} import {name}\n")
    mirrors = [path for path in texts if path.stem == f"test_{name.strip('_')}"]
    mirrors.sort(key=lambda path: f"/{mutant.room}/" not in path.as_posix())
    importers = [path for path, text in texts.items() if any(line in text for line in imports)]
    folders = [root / "tests" / mutant.room, *(root / folder for folder in also.get(mutant.room, ()))]
    of_room = [path for path in texts if any(path.is_relative_to(folder) for folder in folders)]
    sources = sorted((root / "src" / "hubel" / mutant.room).rglob("*.py"))
    doctests = [path for path in sources if ">>>" in path.read_text(encoding="utf-8")]
    own = [path for path in doctests if path == root / mutant.path]
    seen: set[Path] = set()
    result: list[list[str]] = []
    for stage in (own + mirrors, importers, doctests + of_room):
        fresh = [path for path in stage if path not in seen]
        seen.update(fresh)
        result.append([str(path.relative_to(root)) for path in fresh])
    return [stage for stage in result if stage]


class Reporter:
    """A pytest plugin that writes each test's start, and its failure, into a pipe."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        os.write(self.pipe, f"start {nodeid}\n".encode())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os.write(self.pipe, f"failed {report.nodeid}\n".encode())


def run(root: Path, paths: list[str], *, deselect: set[str], limit: float) -> str | None:
    """Run tests in a fork until one fails; return its id, "collection" or "timeout: ID", or None if all pass."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.setsid()
        os.close(reader)
        os.chdir(root)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        options = [f"--deselect={nodeid}" for nodeid in deselect]
        options += ["-o", "addopts=", "-m", "not slow", "--import-mode=importlib", "--doctest-modules", "-x", "-q"]
        options += ["-p", "no:cacheprovider", "--tb=no", f"--basetemp={root.parent / 'tmp'}", "--rootdir=."]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is imported before the fork
        code = 1
        with contextlib.suppress(BaseException):
            code = pytest.main([*options, *paths], plugins=[Reporter(writer)])
        os._exit(int(code))
    os.close(writer)
    last, failed, data = "collection", None, b""
    while True:
        ready, _, _ = select.select([reader], [], [], limit if last != "collection" else 5 * limit)
        chunk = os.read(reader, 65536) if ready else b""
        if not ready:
            failed = f"timeout: {last}"
        if not chunk:
            break
        *lines, data = (data + chunk).split(b"\n")
        for line in map(bytes.decode, lines):
            word, _, last = line.partition(" ")
            if word == "failed":
                failed = failed or last
    os.close(reader)
    if failed:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    shutil.rmtree(root.parent / "tmp", ignore_errors=True)
    return failed or (None if code in (0, 5) else "collection")


class Judge:
    """A copy of a tree, and the tests in it that fail without a mutant."""

    def __init__(self, root: Path, limit: float) -> None:
        self.root, self.limit = root, limit
        self.passing: set[str] = set()
        self.failing: set[str] = set()

    def verdict(self, mutant: Mutant, also: dict[str, list[str]]) -> str | None:
        """Return the id of the test that finds the mutant, or None."""
        file = self.root / mutant.path
        original = file.read_text(encoding="utf-8")
        for paths in stages(mutant, self.root, also):
            while True:
                file.write_text(mutant.source, encoding="utf-8")
                try:
                    found = run(self.root, paths, deselect=self.failing, limit=self.limit)
                finally:
                    file.write_text(original, encoding="utf-8")
                if found is None:
                    break
                test = found.removeprefix("timeout: ")
                if test in self.passing:
                    return found
                # Does it fail without the mutant, too?
                alone = [*paths, "--collect-only"] if test == "collection" else [test]
                if run(self.root, alone, deselect=set(), limit=self.limit) is None:
                    if test != "collection":
                        self.passing.add(test)
                    return found
                self.failing.add(test)
                if test == "collection":
                    break
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="the tree to mutate a copy of")
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=15)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds that one test may take")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="only every n-th mutant, from the k-th on")
    parser.add_argument("--also", action="append", default=ALSO, metavar="ROOM=FOLDER", help="more tests of a room")
    parser.add_argument("--out", type=Path, help="a file for the report")
    parser.add_argument("--list", action="store_true", help="print the mutants and run nothing")
    given = parser.parse_args()
    root = given.root.resolve()
    first, step = map(int, given.part.split("/"))
    chosen = choose(root, given.count, given.seed)[first - 1 :: step]
    if given.list:
        for mutant in chosen:
            print(f"{mutant.path}:{mutant.line} [{mutant.kind}]")
            print(f"    - {mutant.before.strip()}\n    + {mutant.after.strip()}")
        return
    also: dict[str, list[str]] = defaultdict(list)
    for room, _, folder in (text.partition("=") for text in given.also):
        also[room].append(folder)
    # Every test sees the same examples, and a failing one is not made smaller.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", phases=phases, derandomize=True, database=None)
    hypothesis.settings.load_profile("mutants")
    for name in WARM:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        place = Path(folder) / "tree"
        shutil.copytree(root, place, ignore=shutil.ignore_patterns(".*", "__pycache__", "runs", "dist"))
        shutil.copytree(root / ".ci", place / ".ci")
        if (root.parent / "shared").is_dir():
            (Path(folder) / "shared").symlink_to((root.parent / "shared").resolve())
        compileall.compile_dir(place / "src", quiet=1, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        os.environ.update(PYTHONPATH=str(place / "src"), PYTHONDONTWRITEBYTECODE="1")
        sys.path.insert(0, str(place / "src"))
        if run(place, ["tests", "src", "--collect-only"], deselect=set(), limit=given.limit):  # compiles the tests, too
            sys.exit("the tests cannot be collected: run pytest --collect-only")
        sys.dont_write_bytecode = True
        judge_all(Judge(place, given.limit), chosen, also, given.out)


def judge_all(judge: Judge, chosen: list[Mutant], also: dict[str, list[str]], out: Path | None) -> None:
    """Judge the mutants one after another; print and write the report as it grows."""
    killed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    lines: list[str] = []
    survivors: list[str] = []
    for n, mutant in enumerate(chosen, 1):
        began = time.monotonic()
        found = judge.verdict(mutant, also)
        total[mutant.room] += 1
        killed[mutant.room] += found is not None
        lines.append(
            f"{n:3} {'killed  ' if found else 'SURVIVED'} {time.monotonic() - began:5.0f} s"
            f"  {mutant.path}:{mutant.line} [{mutant.kind}] {found or ''}"
        )
        print(lines[-1], flush=True)
        if not found:
            diff = difflib.ndiff([mutant.before.strip()], [mutant.after.strip()])
            survivors += [
                f"{mutant.path}:{mutant.line} [{mutant.kind}]",
                *(f"    {d}" for d in diff if d[0] in "+-"),
                "",
            ]
        share = f"{killed.total()} of {total.total()} mutants killed: {killed.total() / total.total():.3f}"
        rooms = [f"{room:12} {killed[room]:3} of {total[room]:3}" for room in sorted(total)]
        left_out = ["", "tests that fail without a mutant, left out:", *sorted(judge.failing)] if judge.failing else []
        if out:
            out.write_text(
                "\n".join([share, "", *rooms, "", "survivors:", "", *survivors, *lines, *left_out, ""]),
                encoding="utf-8",
            )
    print(share)


if __name__ == "__main__":
    main()
