"""The looks of a report: black on white, for A4 paper and for narrow screens."""

from __future__ import annotations

from typing import Final

STYLE: Final = """\
@page { size: A4; margin: 16mm 14mm 18mm; }
* { box-sizing: border-box; }
html { font: 10pt/1.5 "Noto Sans CJK SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
body { max-width: 182mm; margin: 0 auto; padding: 6mm; color: #111; background: #fff; overflow-wrap: anywhere; }
h1 { font-size: 18pt; line-height: 1.2; margin: 0 0 4mm; }
h2 { font-size: 12pt; margin: 8mm 0 2mm; padding-bottom: 1mm; border-bottom: 1px solid #888; break-after: avoid; }
[lang=en] { color: #444; }
h1 [lang=en], h2 [lang=en] { font-weight: normal; font-size: 80%; }
.verdict { border: 2px solid; padding: 2mm 4mm; margin: 0 0 4mm; }
.verdict strong { font-size: 14pt; }
.holds { border-color: #17653a; } .holds strong { color: #17653a; }
.fails { border-color: #a3141c; } .fails strong, .alarming { color: #a3141c; }
dl { display: grid; grid-template-columns: 40mm 1fr; gap: 1mm 4mm; margin: 0; }
dt, dd { margin: 0; }
code, pre { font-family: "Noto Sans Mono CJK SC", "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 8pt; }
pre { white-space: pre-wrap; border: 1px solid #bbb; padding: 2mm; margin: 0; break-inside: avoid; }
ul { margin: 0; padding-left: 5mm; } li { margin-bottom: 1.5mm; break-inside: avoid; }
li [lang=en], td [lang=en], td small { display: block; }
small, li [lang=en], td [lang=en] { font-size: 8.5pt; line-height: 1.4; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; }
thead { display: table-header-group; }
th, td { text-align: left; vertical-align: top; padding: 1.5mm 2mm 1.5mm 0; border-bottom: 1px solid #ccc; }
th { border-bottom: 1px solid #888; font-weight: normal; }
tr { break-inside: avoid; }
.when { width: 38mm; } .who { width: 46mm; } .where { width: 44mm; }
footer { margin-top: 8mm; break-inside: avoid; font-size: 8.5pt; }
@media print { body { padding: 0; max-width: none; } }
@media screen and (max-width: 640px) {
  body { padding: 4mm; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 2mm; }
  table, tbody, tr, td { display: block; width: auto; }
  thead { display: none; }
  tr { border-bottom: 1px solid #888; padding: 2mm 0; }
  td { border: 0; padding: 0.5mm 0; }
}
"""
