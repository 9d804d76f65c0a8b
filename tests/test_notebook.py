"""The notebooks run, in their smoke size, and show pictures and numbers."""

import pathlib
import re

import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["00_quickstart"])
def test_notebook_runs(name, tmp_path, monkeypatch):
  monkeypatch.setenv("JNERF_SMOKE", "1")
  monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the kernel starts in another folder
  notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
  nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3",
                          resources={"metadata": {"path": str(tmp_path)}}).execute()
  outputs = [output for cell in notebook.cells if cell.cell_type == "code"
             for output in cell.outputs]
  pictures = [output for output in outputs if "image/png" in output.get("data", {})]
  text = "".join(output.text for output in outputs if output.get("name") == "stdout")
  assert len(pictures) >= 7
  assert text.count("mIoU") == 3 and "dB" in text
  source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
  assert re.findall(r"^\s*(?:import|from) (jnerf\S*)", source, re.M) == ["jnerf"]
  assert list(tmp_path.iterdir()) == []  # nothing is left beside the notebook


def test_badge_opens_this_notebook():
  for path in (ROOT / "notebooks").glob("*.ipynb"):
    first = nbformat.read(path, as_version=4).cells[0].source
    place = f"github/jnerf/jnerf/blob/main/notebooks/{path.name}"
    assert f"(https://colab.research.google.com/{place})" in first.splitlines()[0]
