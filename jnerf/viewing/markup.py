"""HTML and SVG built from Python calls, escaped by construction.

`tag("p", "a < b", klass="note")` gives `<p class="note">a &lt; b</p>`. A plain
`str` child is text and is escaped; only what `tag` returned (`Html`) is
passed through. So no name out of a user's file can break the page.
"""

from __future__ import annotations

from collections.abc import Iterable
import html


class Html(str):
  """Text that is markup already."""


_VOID = frozenset({"img", "meta", "br"})  # elements without an end tag


def tag(name: str, *children, **attributes) -> Html:
  """One element; children may be `Html`, text, numbers, None or iterables of these.

  Attributes: `klass` stands for `class`, `_` for `-`; None leaves one out.
  """
  parts = "".join(
      f' {_attribute_name(key)}="{html.escape(str(value))}"'
      for key, value in attributes.items() if value is not None)
  if name in _VOID:
    return Html(f"<{name}{parts}>")
  return Html(f"<{name}{parts}>{join(*children)}</{name}>")


def join(*children) -> Html:
  """Children one after another; see `tag` for what a child may be."""
  return Html("".join(_flat(children)))


def _flat(children: Iterable) -> Iterable[str]:
  for child in children:
    if child is None:
      continue
    if isinstance(child, Html):
      yield child
    elif isinstance(child, str):
      yield html.escape(child)
    elif isinstance(child, Iterable):
      yield from _flat(child)
    else:
      yield html.escape(str(child))


def _attribute_name(key: str) -> str:
  return "class" if key == "klass" else key.rstrip("_").replace("_", "-")
