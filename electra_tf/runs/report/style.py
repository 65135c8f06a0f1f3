"""How a report looks: one style sheet for wide and narrow, light and dark screens."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #ffffff; --ink: #1d2125; --faint: #5c6570; --rule: #dcdfe3;
  --first: #1f6fb2; --second: #c2410c; --third: #2e7d32; --fourth: #7b3fa0; --fifth: #97730a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --card: #1c2024; --ink: #e6e8ea; --faint: #a0a8b1; --rule: #343a41;
    --first: #6cb4f0; --second: #ff9a62; --third: #7fca83; --fourth: #cf9bec; --fifth: #e0bb55;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1180px; padding: 24px 20px 48px;
  background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 36px 0 10px; border-bottom: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 20px 0 6px; }
p { margin: 6px 0 10px; max-width: 75ch; overflow-wrap: anywhere; }
.faint, .note, figcaption span { color: var(--faint); }
.note { border-left: 3px solid var(--rule); padding-left: 10px; }
.facts {
  display: grid; gap: 8px; margin: 16px 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 215px), 1fr));
}
.facts div {
  background: var(--card); padding: 8px 12px; border: 1px solid var(--rule); border-radius: 8px;
}
dt { color: var(--faint); font-size: 0.8rem; }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.charts, .examples {
  display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr));
}
.examples { grid-template-columns: repeat(auto-fill, minmax(min(100%, 460px), 1fr)); }
figure, .example {
  margin: 0; padding: 10px 12px; background: var(--card);
  border: 1px solid var(--rule); border-radius: 8px;
}
figcaption { font-weight: 600; font-size: 0.92rem; }
figcaption span { font-weight: 400; font-size: 0.85rem; display: block; }
svg { display: block; width: 100%; height: auto; margin-top: 6px; }
svg text { fill: var(--faint); font-size: 12px; }
.grid { stroke: var(--rule); stroke-width: 1; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.chance { stroke: var(--faint); stroke-width: 1.2; stroke-dasharray: 4 4; }
.s0 { stroke: var(--first); } .s1 { stroke: var(--second); } .s2 { stroke: var(--third); }
.s3 { stroke: var(--fourth); } .s4 { stroke: var(--fifth); }
.f0 { fill: var(--first); } .f1 { fill: var(--second); } .f2 { fill: var(--third); }
.f3 { fill: var(--fourth); } .f4 { fill: var(--fifth); }
i.f0, i.f1, i.f2, i.f3, i.f4 {
  display: inline-block; width: 9px; height: 9px; border-radius: 5px; margin: 0 5px 0 0;
}
i.f0 { background: var(--first); } i.f1 { background: var(--second); }
i.f2 { background: var(--third); } i.f3 { background: var(--fourth); }
i.f4 { background: var(--fifth); }
.key { margin-right: 12px; white-space: nowrap; }
.scroll { overflow-x: auto; margin: 8px 0 14px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid var(--rule); }
th { color: var(--faint); font-weight: 600; font-size: 0.85rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
td { overflow-wrap: break-word; max-width: 46ch; }
td svg { width: 150px; min-width: 120px; margin: 0; }
code { font: 0.88em ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; }
p code, dd code { overflow-wrap: anywhere; }
.example h4 { margin: 8px 0 0; font-size: 0.8rem; font-weight: 600; color: var(--faint); }
.example p { margin: 2px 0 6px; max-width: none; line-height: 1.9; }
.example span { padding: 1px 2px; border-radius: 3px; }
.mask { background: var(--rule); color: var(--faint); font-size: 0.86em; }
.right { border-bottom: 2px solid var(--third); }
.wrong { border-bottom: 2px solid var(--second); }
.was { color: var(--faint); font-size: 0.8em; text-decoration: line-through; }
footer { margin-top: 40px; color: var(--faint); font-size: 0.85rem; }
@media (max-width: 600px) {
  body { padding: 16px 12px 32px; font-size: 14px; }
  h1 { font-size: 1.3rem; }
  .facts { grid-template-columns: 1fr 1fr; }
  svg text { font-size: 13.5px; }
  th, td { padding-right: 10px; }
  td code { font-size: 0.8em; overflow-wrap: break-word; }
}
"""
