"""The README says what was measured, and its links lead somewhere."""

import pathlib
import re
import runpy

ROOT = pathlib.Path(__file__).parents[1]


def test_tables_equal_the_json_they_are_generated_from():
  namespace = runpy.run_path(str(ROOT / "experiments/benchmarks/update_readme.py"))
  assert namespace["generated_readme"]() == (ROOT / "README.md").read_text()


def test_links_to_files_exist():
  text = (ROOT / "README.md").read_text()
  links = re.findall(r"\]\(([^)#:]+)\)", text)
  assert len(links) > 5
  for link in links:
    assert (ROOT / link).exists(), link
