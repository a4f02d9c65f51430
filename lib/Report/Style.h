//===- Style.h - Style sheet of the routing report -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Colours follow the reader's light or dark mode; the scale of loads is in
// Charts.cpp. Fonts are the system's.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REPORT_STYLE_H
#define MOE_LIB_REPORT_STYLE_H

namespace moe::report {

inline constexpr const char *pageStyle = R"css(
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1a1d21;
--soft:#59616b;--line:#dfe3e8;--accent:#31688e;--bad:#a8201a;--badcard:#fdeceb;
--unsure:#7a5200;--unsurecard:#fdf4e0;--good:#1d6b43;--goodcard:#e9f5ee}
@media (prefers-color-scheme:dark){:root{--page:#121417;--card:#1b1e23;
--ink:#e7eaee;--soft:#9aa4b0;--line:#2f353d;--accent:#6db3dd;--bad:#ff9a92;
--badcard:#3a1c1b;--unsure:#f0c368;--unsurecard:#342a14;--good:#86d6a7;
--goodcard:#16301f}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main,header{max-width:1180px;margin:0 auto;padding:0 28px}
header{padding-top:36px}
main{padding-bottom:64px}
h1{font-size:27px;line-height:1.2;margin:0 0 2px;letter-spacing:-.01em}
h2{font-size:18px;margin:0 0 4px}
h3{font-size:14px;margin:18px 0 4px}
p{margin:0 0 12px;max-width:78ch}
.kicker{color:var(--soft);font-size:13px;margin:0 0 4px}
.note{color:var(--soft);font-size:13.5px}
dl.facts{display:flex;flex-wrap:wrap;gap:4px 28px;margin:14px 0 22px;
font-size:13.5px}
dl.facts div{display:flex;gap:7px}
dl.facts dt{color:var(--soft)}
dl.facts dd{margin:0;overflow-wrap:anywhere}
code,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;
font-size:.92em}
.verdict{border-left:5px solid;border-radius:6px;padding:12px 18px;
margin:0 0 18px}
.verdict strong{display:block;font-size:17px}
.verdict p{margin:2px 0 0;color:var(--ink)}
.bad{color:var(--bad)}.unsure{color:var(--unsure)}.good{color:var(--good)}
.verdict.bad{background:var(--badcard)}
.verdict.unsure{background:var(--unsurecard)}
.verdict.good{background:var(--goodcard)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));
gap:12px;margin:0 0 18px}
.tile,section{background:var(--card);border:1px solid var(--line);
border-radius:8px}
.tile{padding:12px 16px}
.tile .name{color:var(--soft);font-size:13px}
.tile .value{font-size:23px;line-height:1.25;font-variant-numeric:tabular-nums}
.tile .value small{font-size:14px;color:var(--soft)}
.tile .more{color:var(--soft);font-size:12.5px}
section{padding:18px 22px;margin:0 0 18px}
.scroll{overflow-x:auto}
svg.chart{display:block;max-width:100%;height:auto;font:11px system-ui,-apple-system,"Segoe UI",Roboto,
sans-serif;font-variant-numeric:tabular-nums}
svg text{fill:var(--ink)}
svg .axis{fill:var(--soft)}
svg .end{text-anchor:end}
svg .mid{text-anchor:middle}
svg .dead{fill:url(#dead);stroke:var(--line);stroke-width:.6}
svg .hatch{stroke:var(--soft);stroke-width:1.1}
svg .bar{fill:var(--accent)}
svg .bar.none{fill:var(--bad)}
svg .rule,svg .tick{stroke:var(--soft);stroke-width:1}
svg .even{stroke:var(--ink);stroke-width:1;stroke-dasharray:5 4}
svg rect:hover{stroke:var(--ink);stroke-width:1.2}
.legend{margin:10px 0 2px}
table.health{width:100%}
table{border-collapse:collapse;font-size:13px;
font-variant-numeric:tabular-nums}
th,td{padding:5px 9px;text-align:right;border-bottom:1px solid var(--line);
white-space:nowrap}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom;
white-space:normal;min-width:58px}
tbody th{font-weight:600}
th:first-child,td.words{text-align:left}
td.words{white-space:normal;min-width:130px}
th.words{text-align:left}
tbody tr:last-child>*{border-bottom:0}
tbody tr:hover>*{background:color-mix(in srgb,var(--accent) 9%,transparent)}
caption{text-align:left;color:var(--soft);padding:0 0 6px}
abbr[title]{text-decoration:underline dotted;text-underline-offset:2px}
table#counts th,table#counts td,table#tokens-by-k th,table#tokens-by-k td{
padding:2px 7px;font-size:12px;min-width:0}
details{margin:12px 0 0}
summary{cursor:pointer;color:var(--accent);font-size:13.5px}
details>.scroll{margin-top:10px;max-height:480px;overflow:auto}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));
gap:14px 16px;margin-top:14px}
figure{margin:0}
figcaption{font-size:12.5px;margin:0 0 2px;overflow:hidden;
text-overflow:ellipsis;white-space:nowrap}
figcaption span{color:var(--soft)}
dl.help{display:grid;grid-template-columns:max-content 1fr;gap:6px 20px;
margin:8px 0 0;font-size:13.5px}
dl.help dt{font-weight:600}
dl.help dd{margin:0;max-width:80ch}
@media (max-width:640px){main,header{padding-left:14px;padding-right:14px}
dl.help{grid-template-columns:1fr}dl.help dd{margin-bottom:8px}}
@media print{body{background:none}section,.tile{break-inside:avoid}}
)css";

} // namespace moe::report

#endif // MOE_LIB_REPORT_STYLE_H
