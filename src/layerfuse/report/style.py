"""The style sheet of a report page, for light and dark mode, phones and print."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #fff; --raised: #f4f6f8; --ink: #1a1a1a; --soft: #555b63; --line: #d3d8de;
  --accent: #0b5c94; --alarm: #8f1d14; --alarm-ground: #fdecea;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #15181c; --raised: #1e2329; --ink: #e6e6e6; --soft: #a9b1ba; --line: #3a424b;
    --accent: #7cc0f0; --alarm: #ffb4ab; --alarm-ground: #3b1513;
  }
}
* { box-sizing: border-box }
body {
  margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere;
}
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 1rem }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid var(--line) }
a { color: var(--accent) }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: 0; list-style: none }
.answer { font-size: 1.1rem }
.warning {
  padding: .75rem 1rem; border-left: .3rem solid var(--alarm);
  background: var(--alarm-ground); color: var(--alarm); font-weight: 600;
}
.note { color: var(--soft); font-size: .9rem }
.scroll { overflow-x: auto; margin: .75rem 0 }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
caption {
  position: sticky; left: 0; max-width: calc(100vw - 2rem); width: fit-content;
  text-align: start; font-weight: 600; padding-bottom: .4rem; overflow-wrap: normal;
}
th, td {
  padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: start;
  vertical-align: top; overflow-wrap: normal; min-width: 3.5rem;
}
thead th { background: var(--raised); vertical-align: bottom }
tbody th { font-weight: 500; min-width: 9rem; max-width: 24rem; overflow-wrap: anywhere }
td.number, th.number { text-align: end; white-space: nowrap }
thead th.number { white-space: normal }
td.words { overflow-wrap: anywhere; min-width: 9rem; max-width: 34rem }
figure { margin: 1rem 0 }
svg { display: block; max-width: 720px; color: var(--ink) }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; unicode-bidi: isolate }
.ground { fill: var(--ground) }
summary { cursor: pointer; color: var(--accent) }
blockquote { margin: .25rem 0; padding: .25rem .75rem; border-left: 3px solid var(--line) }
.mistakes > li { margin-bottom: 1.25rem }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
@media print {
  :root { --ground: #fff; --raised: #fff; --ink: #000; --soft: #333; --line: #999 }
  body { max-width: none; padding: 0; font-size: 10pt }
  nav { display: none }
  h2 { break-after: avoid }
  svg { max-width: 14cm }
  figure > svg, tr, .mistakes > li { break-inside: avoid }
  .scroll { overflow: visible }
  details::details-content { content-visibility: visible; block-size: auto; opacity: 1 }
}
"""
