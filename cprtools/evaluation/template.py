"""The HTML page of an evaluation report, a string.Template."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { --ink: #1d2329; --dim: #66707a; --line: #dde2e7; --paper: #ffffff; --mark: #0b6bcb; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --dim: #98a2ad; --line: #353c44; --paper: #15191d; --mark: #6cb2ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 72rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1rem; margin: 1rem 0 .5rem; }
p, footer { color: var(--dim); margin: 0; }
footer { margin-top: 3rem; }
ul { padding-left: 1.25rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .9rem .4rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; color: var(--dim); border-bottom-width: 2px; }
.n { text-align: right; white-space: nowrap; padding: .4rem 0 .4rem 1.2rem; }
strong { color: var(--mark); }
small { display: block; color: var(--dim); }
.side { display: flex; flex-wrap: wrap; gap: 2rem; align-items: flex-start; }
svg { max-width: 100%; height: auto; }
svg polyline { fill: none; stroke-width: 1.5; }
svg .axis { stroke: var(--dim); }
svg .even { stroke: var(--line); stroke-dasharray: 5 4; }
svg .line { stroke: var(--mark); }
svg circle { fill: var(--mark); }
svg text { fill: var(--dim); font-size: 12px; }
</style>
</head>
<body>
<h1>$title</h1>
<p>$facts</p>
$body
<footer>cprtools $version</footer>
</body>
</html>
"""
