"""The HTML page of an evaluation report, a string.Template."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { --ink: #1b2430; --dim: #566170; --line: #dfe4ea; --paper: #ffffff; --card: #f6f8fa;
  --mark: #0b62c4; --heat: #4a9bee; --s0: #0b62c4; --s1: #c2410c; --s2: #0f7b5f; --s3: #9333b8;
  --s4: #a16207; --s5: #be123c; --s6: #0e7490; --s7: #6b7280; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaf0; --dim: #a3aebb; --line: #333c47; --paper: #12161b; --card: #1a2028;
    --mark: #74b5ff; --heat: #2d6fc0; --s0: #74b5ff; --s1: #ff9c5b; --s2: #4ad3a8; --s3: #d7a1f5;
    --s4: #e8c04f; --s5: #ff8da1; --s6: #5fd4e8; --s7: #a9b2bd; }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 75rem; background: var(--paper);
  color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .35rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 0 0 .35rem; }
h3 { font-size: 1rem; line-height: 1.35; margin: 0; overflow-wrap: anywhere; }
section { margin-top: 2.75rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
p, footer { color: var(--dim); margin: 0; }
.lead { max-width: 48rem; margin-bottom: .9rem; }
footer { margin-top: 3rem; }
a { color: var(--mark); text-underline-offset: .15em; }
a:focus-visible, summary:focus-visible, .wide:focus-visible { outline: 2px solid var(--mark);
  outline-offset: 2px; border-radius: 3px; }
ul { padding-left: 1.25rem; margin: .5rem 0; }
li { overflow-wrap: anywhere; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; padding: 0;
  margin: 1.1rem 0 0; }
.verdict { margin-top: 1.25rem; padding: .55rem 1rem; background: var(--card);
  border-left: 4px solid var(--mark); border-radius: 0 6px 6px 0; }
.verdict ul { list-style: none; padding: 0; }
.wide { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--dim); padding-bottom: .35rem; }
th, td { padding: .42rem 1rem .42rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
thead th { color: var(--dim); font-weight: 600; border-bottom-width: 2px; white-space: nowrap; }
tbody th { font-weight: 600; min-width: 8.5rem; max-width: 18rem; overflow-wrap: anywhere;
  position: sticky; left: 0; background: var(--paper); }
tbody tr:hover > * { background: var(--card); }
.n { text-align: right; white-space: nowrap; padding: .42rem 0 .42rem 1.2rem; }
strong { color: var(--mark); }
small { display: block; color: var(--dim); font-size: .8rem; font-weight: 400; }
code { font: .85rem ui-monospace, "SFMono-Regular", Menlo, monospace; }
details { margin: .75rem 0; }
td details { margin: 0; max-width: 22rem; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--mark); width: fit-content; }
figure { margin: .5rem 0 0; max-width: 36rem; min-width: 0; }
figcaption { color: var(--dim); font-size: .85rem; }
.charts { display: grid; gap: 1.5rem 2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.2rem; padding: 0; }
.legend li { display: flex; align-items: center; gap: .4rem; }
.key { width: 24px; height: 12px; flex: none; }
.chart { display: block; width: 100%; height: auto; }
.chart text { fill: var(--dim); font-size: 13px; }
.chart .name { fill: var(--ink); }
.axis, .grid, .even { fill: none; stroke: var(--line); }
.axis { stroke: var(--dim); }
.even { stroke: var(--dim); stroke-dasharray: 4 4; }
.series { fill: none; stroke-width: 2; stroke-linejoin: round; }
$series
circle.dot { stroke: var(--paper); stroke-width: 1; }
.maps { display: grid; gap: 1rem 2rem; }
.heat { font-size: .85rem; }
.heat th, .heat td { border: 0; padding: .3rem .4rem; }
.heat thead th { vertical-align: bottom; white-space: normal; max-width: 6.5rem; min-width: 3.4rem;
  font-size: .78rem; line-height: 1.25; border-bottom: 0; }
.heat tbody th { font-weight: 400; white-space: nowrap; padding-right: .8rem; }
.heat tbody td { text-align: center; min-width: 3.4rem; border: 2px solid var(--paper);
  background: color-mix(in srgb, var(--heat) var(--v), var(--card)); }
.cards { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
.card { background: var(--card); border-radius: 8px; padding: 1rem 1.1rem; }
.card .kind, .held { font-size: .85rem; }
.card ol { padding-left: 1.4rem; margin: .7rem 0; }
.card li { margin-bottom: .45rem; }
.card li b { font-weight: 500; }
.card .hit b, .tick { color: var(--s2); font-weight: 700; }
.held b { font-weight: 600; }
@media print { details { display: block; } nav { display: none; } }
</style>
</head>
<body>
<header>
<h1>$title</h1>
<p>$facts</p>
$verdict
<nav aria-label="Sections"><ul>$links</ul></nav>
</header>
<main>
$body
</main>
<footer>cprtools $version</footer>
</body>
</html>
""".replace(
    "$series",
    "\n".join(
        f".s{i} {{ stroke: var(--s{i}); }} .dot.s{i} {{ fill: var(--s{i}); }}" for i in range(8)
    ),
)
