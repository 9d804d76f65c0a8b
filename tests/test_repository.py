"""Rules of the repository: layers, sizes, names, docstrings, configs, notebooks."""

import ast
import functools
import pathlib
import re
import subprocess
import sys

import pytest

import jnerf
from jnerf.runs.config import validate

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = sorted((ROOT / "jnerf").rglob("*.py"))
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_FILE_BYTES = 350, 60, 1 << 20
NOT_OURS = {".git", ".venv", "venv", "runs", "build", "dist", "__pycache__"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def relative(path: pathlib.Path) -> str:
  return str(path.relative_to(ROOT))


def repository_files() -> list[pathlib.Path]:
  """Files a clone would hold; asks git where there is one."""
  listed = subprocess.run(
      ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
      cwd=ROOT, capture_output=True, text=True)
  if listed.returncode == 0:
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
  else:
    paths = [path for path in ROOT.rglob("*")
             if not NOT_OURS & set(path.relative_to(ROOT).parts)]
  return [path for path in paths if path.is_file()]


@functools.cache
def classes() -> dict[str, ast.ClassDef]:
  """Every class of the package by its name."""
  return {node.name: node for path in SOURCES for node in ast.walk(
      ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)}


def inherited(kind: ast.ClassDef) -> set[str]:
  """Names of methods that classes which `kind` is made of document."""
  described = set()
  for base in kind.bases:
    if isinstance(base, ast.Name) and base.id in classes():
      parent = classes()[base.id]
      described |= inherited(parent) | {
          node.name for node in parent.body
          if isinstance(node, FUNCTIONS) and ast.get_docstring(node)}
  return described


def undocumented(tree: ast.Module) -> list[str]:
  """Public classes, functions and methods without a docstring.

  Let off: Flax's `setup`, which says nothing to a caller, and a method that a base, or
  another class of the module, documents under the same name.
  """
  missing, described = [], {"setup"}

  def visit(node, prefix, of_bases):
    for child in ast.iter_child_nodes(node):
      if isinstance(child, (*FUNCTIONS, ast.ClassDef)) and not child.name.startswith("_"):
        if ast.get_docstring(child):
          described.add(child.name)
        elif child.name not in of_bases:
          missing.append((prefix, child.name))
        if isinstance(child, ast.ClassDef):
          visit(child, f"{prefix}{child.name}.", inherited(child))

  visit(tree, "", set())
  return [prefix + name for prefix, name in missing
          if not (prefix and name in described)]


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_source_keeps_its_budget_and_is_documented(path):
  text = path.read_text()
  assert len(text.splitlines()) <= MAX_FILE_LINES
  tree = ast.parse(text)
  long = [node.name for node in ast.walk(tree) if isinstance(node, FUNCTIONS)
          and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES]
  assert not long, f"over {MAX_FUNCTION_LINES} lines: {long}"
  assert not undocumented(tree)
  if text:
    assert ast.get_docstring(tree), "a module says what it is about"


def test_names_say_what_a_module_is_about():
  vague = {"utils", "util", "helpers", "misc", "common", "math", "types", "select"}
  assert not [relative(path) for path in SOURCES if path.stem in vague]


def test_what_takes_long_to_import_is_imported_where_it_is_used():
  slow = {"matplotlib", "pycolmap", "torch", "transformers"}
  for path in SOURCES:
    for node in ast.parse(path.read_text()).body:
      names = [alias.name for alias in getattr(node, "names", ())]
      names = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
      assert not slow & {name.partition(".")[0] for name in names}, relative(path)


def test_import_contracts_are_kept():
  result = subprocess.run(
      [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; "
       "sys.exit(lint_imports(config_filename='setup.cfg', no_cache=True))"],
      cwd=ROOT, capture_output=True, text=True)
  assert result.returncode == 0, result.stdout + result.stderr


def test_ruff_finds_nothing():
  result = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", "."],
                          cwd=ROOT, capture_output=True, text=True)
  assert result.returncode == 0, result.stdout + result.stderr


def experiments() -> list[str]:
  """Files with a config; the others are scripts with a command of their own."""
  names = [relative(path) for path in sorted((ROOT / "experiments").glob("*.py"))
           if "def get_config" in path.read_text()]
  return [*names, *(f"{name}:smoke" for name in names if name.endswith("room.py"))]


@pytest.mark.parametrize("experiment", experiments())
def test_experiment_loads_and_validates(experiment):
  name, _, argument = experiment.partition(":")
  scope = {"__name__": "experiment", "__file__": str(ROOT / name)}
  exec(compile((ROOT / name).read_text(), name, "exec"), scope)
  config = scope["get_config"](*filter(None, [argument]))
  validate(config)
  with pytest.raises(AttributeError):  # still locked: a typing error cannot pass
    config.fit.setps = 1
  assert "python -m jnerf.main --config=" in scope["__doc__"]


def test_notebooks_hold_no_outputs():
  import nbformat
  for path in (ROOT / "notebooks").glob("*.ipynb"):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
      assert not cell.get("outputs") and not cell.get("execution_count"), path.name


def test_large_files_are_pictures_that_readme_shows():
  readme = (ROOT / "README.md").read_text() if (ROOT / "README.md").exists() else ""
  shown = set(re.findall(r"!\[[^]]*\]\(([^)\s]+)\)|<img[^>]*src=\"([^\"]+)\"", readme))
  shown = {name for pair in shown for name in pair if name}
  large = [relative(path) for path in repository_files()
           if path.stat().st_size > MAX_FILE_BYTES]
  assert set(large) <= shown


def test_every_file_ends_in_a_newline_and_ships_nothing_private():
  texts = {".py", ".md", ".toml", ".cfg", ".cff", ".ipynb"}
  for path in repository_files():
    if path.suffix in texts and path.stat().st_size:
      assert path.read_bytes().endswith(b"\n"), relative(path)


def test_citation_and_package_tell_one_version():
  citation = (ROOT / "CITATION.cff").read_text()
  assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == jnerf.__version__
  assert "2304.00341" in citation
