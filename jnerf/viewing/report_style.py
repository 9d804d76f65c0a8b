"""The report's style sheet: light, dark and print, no fonts or files from afar."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #fafaf9; --card: #ffffff; --ink: #1c1e21; --soft: #5d646d;
  --line: #e3e5e8; --accent: #0b6bcb; --bar: #d6e7f8; --warn: #fff4d6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #141619; --card: #1d2024; --ink: #e8eaed; --soft: #a0a7b0;
    --line: #33383e; --accent: #6db3f8; --bar: #1f3d5a; --warn: #463a12;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body {
  margin: 0 auto; padding: 2.2rem 1.6rem 4rem; max-width: 1320px;
  background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans",
    sans-serif;
}
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 1.3rem; margin: 2.8rem 0 0.2rem; scroll-margin-top: 3.4rem; }
h3 { font-size: 1rem; margin: 0 0 0.5rem; }
h4 {
  display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; align-items: center;
  font-size: 0.8rem; font-weight: 600; color: var(--soft); margin: 0.9rem 0 0.35rem;
}
h3 small, h4 .key { font-weight: 400; color: var(--soft); }
p.lead, p.about { color: var(--soft); margin: 0.3rem 0 0.9rem; max-width: 78ch; }
code {
  font: 0.85em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono",
    monospace;
  background: var(--card); border: 1px solid var(--line); border-radius: 5px;
  padding: 0.25em 0.6em; overflow-wrap: anywhere;
}
nav {
  position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap;
  gap: 0.2rem 1.3rem; margin-top: 1.2rem; padding: 0.55rem 0;
  background: var(--page); border-bottom: 1px solid var(--line); font-size: 0.9rem;
}
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
.warnings {
  background: var(--warn); border-radius: 8px; padding: 0.7rem 1rem 0.7rem 2rem;
  margin: 1.2rem 0 0;
}
.tiles {
  display: grid; gap: 0.8rem; margin-top: 1.2rem;
  grid-template-columns: repeat(auto-fit, minmax(190px, 1fr));
}
.tile, .card {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 0.9rem 1rem;
}
.tile { max-width: 340px; }
.tile h3 { font-size: 0.8rem; font-weight: 600; color: var(--soft); margin: 0; }
.tile p {
  display: flex; justify-content: space-between; gap: 1rem; margin: 0.1rem 0;
  font-size: 0.82rem; color: var(--soft); font-variant-numeric: tabular-nums;
}
.tile p.value { font-size: 1.7rem; font-weight: 650; color: var(--ink); }
.tile p b { font-weight: 600; color: var(--ink); white-space: nowrap; }
.card { margin: 0.9rem 0; }
div.strip {
  display: grid; gap: 0.8rem;
  grid-template-columns: repeat(var(--columns, 3), minmax(0, 1fr));
}
figure { margin: 0; }
.strip div figure + figure { margin-top: 0.4rem; }
figure img {
  display: block; width: 100%; height: auto; border-radius: 5px; background: #000;
}
figure img + img { margin-top: 0.4rem; }
img.crisp { image-rendering: pixelated; }
figcaption {
  display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 0.8rem;
  font-size: 0.82rem; color: var(--soft); margin-top: 0.3rem;
}
figcaption b { font-weight: 600; color: var(--ink); }
.key {
  display: inline-flex; align-items: center; gap: 0.45rem; font-size: 0.82rem;
  color: var(--soft);
}
.key i { display: inline-block; width: 7rem; height: 0.6rem; border-radius: 3px; }
.key i.chip { width: 0.8rem; height: 0.8rem; margin-left: 0.5rem; }
.key i.chip { border: 1px solid var(--line); }
.legend {
  list-style: none; margin: 0.6rem 0 0; padding: 0; display: grid; gap: 0.5rem;
  grid-template-columns: repeat(auto-fill, minmax(215px, 1fr));
}
.legend li {
  display: flex; gap: 0.7rem; background: var(--card); font-size: 0.88rem;
  border: 1px solid var(--line); border-radius: 8px; padding: 0.5rem 0.6rem;
  break-inside: avoid;
}
.legend small, td small { color: var(--soft); }
.swatch {
  flex: none; width: 1.5rem; border-radius: 5px; border: 1px solid var(--line);
  print-color-adjust: exact; -webkit-print-color-adjust: exact;
}
.what { flex: 1; min-width: 0; overflow-wrap: anywhere; }
.iou {
  display: flex; justify-content: space-between; gap: 0.6rem; font-size: 0.78rem;
  color: var(--soft); padding: 0.05rem 0.35rem; margin-top: 0.15rem;
  border-radius: 3px; font-variant-numeric: tabular-nums;
}
.bar {
  background: linear-gradient(to right, var(--bar) var(--share, 0%),
    transparent var(--share, 0%));
  print-color-adjust: exact; -webkit-print-color-adjust: exact;
}
.scroll { overflow-x: auto; }
table {
  border-collapse: collapse; width: 100%; margin: 0.8rem 0; font-size: 0.88rem;
  background: var(--card);
}
table.facts { width: auto; }
.facts td { white-space: normal; }
.facts td:first-child { color: var(--soft); }
caption { text-align: left; padding: 0.4rem 0; }
th, td { text-align: left; padding: 0.35rem 0.7rem; }
th, td { border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); font-size: 0.8rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
tr.best td { font-weight: 650; }
.tag {
  font-size: 0.72rem; color: var(--soft); border: 1px solid var(--line);
  border-radius: 99px; padding: 0.05rem 0.5rem; margin-left: 0.5rem;
}
.charts {
  display: grid; gap: 0.8rem;
  grid-template-columns: repeat(auto-fill, minmax(320px, 1fr));
}
.chart {
  display: block; width: 100%; height: auto; background: var(--card);
  border: 1px solid var(--line); border-radius: 10px; padding: 0.5rem;
}
.chart text { font-family: inherit; font-variant-numeric: tabular-nums; }
footer { margin-top: 3rem; color: var(--soft); font-size: 0.82rem; }
@media screen and (max-width: 860px) {
  div.strip { grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); }
}
@media print {
  :root { --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #ccc; }
  :root { --accent: #000; --bar: #dde6ef; --warn: #fff4d6; }
  body { font-size: 9.5pt; padding: 0; max-width: none; }
  nav { display: none; }
  .card, .tile, figure, table, .chart { break-inside: avoid; }
  h2, h3, h4 { break-after: avoid; }
}
"""
