"""Runs on disk: a directory a run, named by what determines its result, finished once `done.json` lies in it."""

import ast
import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

PACKAGE = Path(__file__).resolve().parent.parent
# What a result is computed with. Figures, widgets and the runner may change without discarding one.
COMPUTING = ("pruning", "optim", "data", "models", "training", "compiled.py")
# Where a run lies does not change what it finds.
NOT_HASHED = ("run_dir",)


def code_without_docs(source: str) -> str:
    """Python source as its syntax tree prints it: without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


@cache
def source_digest(root: Path = PACKAGE, parts: tuple[str, ...] = COMPUTING) -> str:
    """SHA-256 over the code of the computing parts of the package (see COMPUTING), docstrings left out."""
    files = []
    for part in parts:
        path = root / part
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(code_without_docs(path.read_text(encoding="utf-8")).encode() + b"\0")
    return digest.hexdigest()


def files_digest(paths: tuple[Path, ...]) -> str:
    """SHA-256 over files, and the files of folders: Python as its code, docstrings left out, all else as it stands.

    Raises:
        ValueError: nothing is there.
    """
    digest = hashlib.sha256()
    for root in paths:
        if not root.exists():
            raise ValueError(f"depends: nothing at {root}")
        for path in sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]:
            if "__pycache__" in path.parts:
                continue
            content = path.read_bytes()
            if path.suffix == ".py":
                content = code_without_docs(content.decode()).encode()
            digest.update(path.relative_to(root.parent).as_posix().encode() + b"\0" + content + b"\0")
    return digest.hexdigest()


def notebook_code(notebook: str | Path) -> list[str]:
    """The sources of a notebook's code cells; prose does not count."""
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    return [_tidy("".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]


def _tidy(source: str) -> str:
    try:
        return ast.unparse(ast.parse(source))
    except SyntaxError:  # a cell with a magic counts as it stands
        return source


def run_name(label: str, notebook: str | Path | None, parameters: dict[str, Any], digest: str | None = None) -> str:
    """`label-` and 12 hex digits of what determines the result: notebook code, parameters, computing source.

    `parameters` are complete and resolved (device, precision and threads as they will be, not "auto"). A notebook of
    None has no code: the source alone decides.
    """
    content = {
        "code": [] if notebook is None else notebook_code(notebook),
        "parameters": {name: value for name, value in parameters.items() if name not in NOT_HASHED},
        "source": source_digest() if digest is None else digest,
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return f"{label}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON atomically: a reader sees the old file or the whole new one."""
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(draft, path)


def is_done(run_dir: str | Path) -> bool:
    """Whether the run in this directory is finished."""
    return (Path(run_dir) / "done.json").is_file()


def mark_done(run_dir: str | Path, **facts: Any) -> None:
    """Declare the run in this directory finished. Nothing is written there afterwards."""
    write_json(Path(run_dir) / "done.json", facts)


def load_runs(folder: str | Path) -> pd.DataFrame:
    """The summaries of all finished runs under `folder`, one row a run.

    Columns: run (the directory's name), path, what `summary.json` holds, and the settings of the run's
    `config` that it does not repeat (batch_size, lr, …; dicts as JSON text). What a run lacks is NA there.
    """
    rows = []
    for done in sorted(Path(folder).rglob("done.json")):
        summary = json.loads((done.parent / "summary.json").read_text(encoding="utf-8"))
        config = summary.pop("config", {})
        row = {"run": done.parent.name, "path": str(done.parent), **config, **summary}
        rows.append({k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()})
    return pd.DataFrame(rows)


def load_history(folder: str | Path) -> pd.DataFrame:
    """The curves of all finished runs under `folder`, a row an epoch, with the columns run, optimizer, seed."""
    import duckdb

    runs = load_runs(folder)
    if runs.empty:
        return pd.DataFrame()
    files = [str(Path(path) / "history.parquet") for path in runs["path"]]
    query = "SELECT * FROM read_parquet(?, union_by_name = true, filename = 'file')"
    with duckdb.connect() as connection:
        curves = connection.execute(query, [files]).df()
    curves["run"] = [Path(file).parent.name for file in curves.pop("file")]
    merged = runs[["run", "optimizer", "seed"]].merge(curves, on="run", validate="one_to_many")
    return merged.sort_values(["run", "epoch"], ignore_index=True)
