"""All settings as text: for `--help`, and as docs/settings.md.

python -m jnerf.runs.settings_page > docs/settings.md
"""

from __future__ import annotations

import dataclasses
import sys

from jnerf.labeling.assignment import Assignment
from jnerf.runs.config import SECTIONS, setting_fields

_HEADER = """# Settings

Every setting, with its default. On the command line any is given as
`--config.section.key=value`, tuples with commas; in an experiment file as
`config.section.key = value`; from Python as a keyword argument of the call that its
section belongs to. Written by `python -m jnerf.runs.settings_page > docs/settings.md`.
"""


def settings_text() -> str:
  """One line a setting, for a terminal."""
  return "\n".join(f"  {key + '=' + _value(default):42} {_help(field)}"
                   for key, field, default in setting_fields())


def settings_page() -> str:
  """docs/settings.md."""
  parts = [_HEADER]
  for section, groups in SECTIONS.items():
    prefix = f"{section}." if section else ""
    rows = [(key, field, default) for key, field, default in setting_fields()
            if key.startswith(prefix) and "." not in key.removeprefix(prefix)]
    summaries = [_summary(group) for group in groups]
    parts += [f"## {section or 'the run'}", " ".join(dict.fromkeys(summaries)),
              "\n".join(["| setting | default | meaning |", "| --- | --- | --- |",
                         *(f"| `{key}` | `{_value(default)}` | {_cell(field)} |"
                           for key, field, default in rows)])]
  return "\n\n".join(part.strip() for part in parts) + "\n"


def _summary(group) -> str:
  """The first sentence of a group's docstring, of a method's the one of its file."""
  kind = group if isinstance(group, type) else type(group)
  text = sys.modules[kind.__module__].__doc__ if issubclass(
      kind, Assignment) else kind.__doc__
  sentence = " ".join(text.partition("\n\n")[0].split())
  return sentence.replace("; hashable.", ".")


def _value(default) -> str:
  if isinstance(default, tuple):
    return ",".join(map(str, default)) or "()"
  return '""' if default == "" else str(default)


def _cell(field: dataclasses.Field) -> str:
  """The help in a table of Markdown, where a bar would end the cell."""
  return _help(field).replace("|", "\\|")


def _help(field: dataclasses.Field) -> str:
  """The line of help, and what is allowed."""
  choices = [str(choice) for choice in field.metadata["choices"] if choice != ""]
  limits = [f"{name} {limit}" for name, limit in field.metadata["limits"].items()]
  allowed = [", ".join(choices)] if choices else limits
  return field.metadata["help"] + (f" ({', '.join(allowed)})" if allowed else "")


if __name__ == "__main__":
  print(settings_page(), end="")
