//===- RoutingReport.cpp - Routings as a page to look at -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The sections of the page. What a chart shows is in a table, too, for those
// who do not see it or want to copy it.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Report/RoutingReport.h"
#include "Charts.h"
#include "Html.h"
#include "RoutingTables.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

using namespace moe;
using namespace moe::report;

namespace {

/// Layers above which a chart for each would be too many.
constexpr size_t mostBarCharts = 4;
/// Layers above which what there is of each is folded, and how many of them
/// are shown then.
constexpr size_t mostOpenLayers = 16, numShownLayers = 8;

/// What all sections need.
struct Page {
  const RoutingReport &report;
  std::vector<RoutingHealth> health;
  std::string out;

  explicit Page(const RoutingReport &report) : report(report) {
    for (const RoutingRecord &record : report.records)
      health.push_back(RoutingHealth::of(record));
  }

  size_t layers() const { return report.records.size(); }
  const RoutingRecord &record(size_t i) const { return report.records[i]; }

  void header();
  void verdict();
  void tiles();
  void heatMap();
  void healthTable();
  void healthRows(const std::string &id, const std::vector<size_t> &rows);
  void tokens();
  void committee();
  void densities();
  void help();
};

} // namespace

static std::string tile(const std::string &name, const std::string &value,
                        const std::string &more) {
  return "<div class=\"tile\"><div class=\"name\">" + name +
         "</div><div class=\"value\">" + value + "</div><div class=\"more\">" +
         more + "</div></div>\n";
}

static std::string cell(const std::string &content) {
  return "<td>" + content + "</td>";
}

/// "layer_3, layer_7 and 2 more", escaped.
static std::string listed(const std::vector<std::string> &names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i == 6 && names.size() > 7)
      return out + " and " + grouped(names.size() - i) + " more";
    if (i)
      out += i + 1 == names.size() ? " and " : ", ";
    out += escape(names[i]);
  }
  return out;
}

static const char *stateClass(int collapse) {
  return collapse < 0 ? "unsure" : collapse ? "bad" : "good";
}

static std::string stateText(const RoutingHealth &health) {
  switch (health.collapse) {
  case -1:
    return "too few tokens to say";
  case 0:
    return "no collapse";
  case 1:
    return "collapsed: few experts do the work";
  case 2:
    return "collapsed: one expert does over half";
  default:
    return "collapsed: few experts, one over half";
  }
}

static std::string emptySlotsName(RoutingRecord::Slots use) {
  switch (use) {
  case RoutingRecord::Slots::AllFilled:
    return "Dropped assignments";
  case RoutingRecord::Slots::ChosenByToken:
    return "Slots left free by choice";
  case RoutingRecord::Slots::Unknown:
    break;
  }
  return "Unused slots";
}

//===----------------------------------------------------------------------===//
// Sections
//===----------------------------------------------------------------------===//

/// "128", or "8 to 128" where layers differ.
template <typename Fn>
static std::string rangeOf(const std::vector<RoutingRecord> &records, Fn get) {
  int64_t least = get(records.front()), most = least;
  for (const RoutingRecord &record : records) {
    least = std::min(least, get(record));
    most = std::max(most, get(record));
  }
  return least == most ? grouped(least)
                       : grouped(least) + " to " + grouped(most);
}

void Page::header() {
  std::string name = report.title.empty() ? "Routing" : report.title;
  std::vector<Fact> facts;
  auto fact = [&](const std::string &name, const std::string &value,
                  bool isCode = false) {
    facts.push_back({name, value, isCode});
  };
  for (const auto &[name, value] : report.facts)
    fact(name, value);
  if (layers()) {
    fact("Layers", grouped(layers()));
    fact("Tokens of each", rangeOf(report.records, [](const RoutingRecord &r) {
           return r.tokens;
         }));
    fact("Experts", rangeOf(report.records,
                            [](const RoutingRecord &r) { return r.experts; }));
    fact("Slots of a token",
         rangeOf(report.records,
                 [](const RoutingRecord &r) { return r.slots; }));
    std::vector<std::string> policies;
    int64_t alwaysOn = 0;
    for (const RoutingRecord &record : report.records) {
      std::string policy = record.policy.empty() ? "not known" : record.policy;
      if (std::find(policies.begin(), policies.end(), policy) == policies.end())
        policies.push_back(policy);
      alwaysOn = std::max(alwaysOn, record.alwaysOn);
    }
    for (const std::string &policy : policies)
      fact("Policy", policy, policy != "not known");
    if (alwaysOn)
      fact("Left out",
           counted(alwaysOn, "expert") + " that every token visits");
  }
  std::string title = report.title.empty()
                          ? "Routing report"
                          : report.title + " \xE2\x80\x93 routing report";
  out += beginPage(title, "Routing report", name, facts, scaleStyle());
}

void Page::verdict() {
  std::vector<std::string> collapsed, unsure;
  int64_t needed = 0;
  for (size_t i = 0; i < layers(); ++i) {
    if (health[i].collapse > 0)
      collapsed.push_back(record(i).layer);
    if (health[i].collapse < 0) {
      unsure.push_back(record(i).layer);
      needed = std::max(needed, health[i].tokensNeeded);
    }
  }
  const char *kind = "good";
  std::string words, more;
  auto ofAll = [&](size_t count) {
    return layers() == 1 ? std::string("The layer")
           : count == layers()
               ? "All " + grouped(count) + " layers"
               : grouped(count) + " of " + counted(layers(), "layer");
  };
  auto have = [&](size_t count) {
    return layers() == 1 || count == 1 ? " has" : " have";
  };
  if (layers() == 0) {
    kind = "unsure";
    words = "No routing was recorded";
    more = "What ran has no router, or there were no tokens.";
  } else if (!collapsed.empty()) {
    kind = "bad";
    words = ofAll(collapsed.size()) + have(collapsed.size()) + " collapsed";
    more = "Few experts do the work of " + listed(collapsed) + ".";
  } else if (!unsure.empty()) {
    kind = "unsure";
    words =
        unsure.size() == layers()
            ? "Too few tokens to tell whether the router has collapsed"
            : "Too few tokens to tell for " + counted(unsure.size(), "layer");
    more = needed ? "About " + grouped(needed) +
                        " tokens are needed: 100 assignments for each expert. "
                        "The numbers below are still exact for the tokens "
                        "there were."
                  : "No token went to any expert.";
  } else {
    words = layers() == 1 ? "The layer has not collapsed"
                          : "No layer has collapsed";
    size_t least = 0;
    for (size_t i = 0; i < layers(); ++i)
      if (health[i].entropy < health[least].entropy)
        least = i;
    more = (layers() == 1 ? "Its load"
                          : "The least even one is " +
                                escape(record(least).layer) + ": its load") +
           " is worth " + fixed(health[least].effectiveExperts, 1) + " of " +
           grouped(record(least).experts) + " experts.";
  }
  out += std::string("<div id=\"verdict\" class=\"verdict ") + kind +
         "\"><strong>" + words + "</strong><p>" + more + "</p>";
  std::string causes;
  for (const RoutingRecord &record : report.records)
    if (!record.cause.empty())
      causes += "<li>" + escape(record.layer) + ": " + escape(record.cause) +
                "</li>\n";
  if (!causes.empty())
    out += "<p>What did it:</p>\n<ul id=\"causes\">\n" + causes + "</ul>";
  out += "</div>\n";
}

void Page::tiles() {
  size_t narrow = 0, busy = 0;
  int64_t dead = 0, experts = 0, tokens = 0, emptyTokens = 0, emptySlots = 0;
  int64_t slots = 0, assignments = 0;
  RoutingRecord::Slots use = record(0).slotUse;
  for (size_t i = 0; i < layers(); ++i) {
    auto worth = [&](size_t j) {
      return health[j].effectiveExperts /
             static_cast<double>(std::max<int64_t>(record(j).experts, 1));
    };
    if (worth(i) < worth(narrow))
      narrow = i;
    if (health[i].maxOverMean > health[busy].maxOverMean)
      busy = i;
    dead += health[i].deadExperts;
    experts += record(i).experts;
    tokens += record(i).tokens;
    assignments += record(i).assignments();
    emptyTokens += health[i].emptyTokens;
    emptySlots += health[i].emptySlots;
    slots += record(i).tokens * record(i).slots;
    if (record(i).slotUse != use)
      use = RoutingRecord::Slots::Unknown;
  }
  auto share = [](int64_t part, int64_t all) {
    return escape(percent(all ? static_cast<double>(part) / all : 0.0));
  };
  auto inLayer = [&](size_t i) {
    return layers() == 1 ? std::string() : " in " + escape(record(i).layer);
  };
  const RoutingRecord &busiest = record(busy);
  size_t expert =
      std::max_element(busiest.counts.begin(), busiest.counts.end()) -
      busiest.counts.begin();
  out += "<div class=\"tiles\">\n";
  out += tile(layers() == 1 ? "Effective experts" : "Fewest effective experts",
              fixed(health[narrow].effectiveExperts, 1) + " <small>of " +
                  grouped(record(narrow).experts) + "</small>",
              "entropy " + fixed(health[narrow].entropy, 3) + inLayer(narrow));
  out +=
      tile("Busiest expert",
           fixed(health[busy].maxOverMean, 2) + " <small>even shares</small>",
           "expert " + std::to_string(expert) + inLayer(busy));
  out += tile("Experts never chosen",
              grouped(dead) + " <small>of " + grouped(experts) + "</small>",
              dead ? share(dead, experts) + " of all experts"
                   : "every expert was used");
  out += tile("Experts of a token",
              fixed(tokens ? static_cast<double>(assignments) / tokens : 0, 2),
              grouped(assignments) + " assignments");
  out +=
      tile("Tokens without an expert",
           grouped(emptyTokens) + " <small>of " + grouped(tokens) + "</small>",
           share(emptyTokens, tokens) + " of the tokens");
  out += tile(emptySlotsName(use),
              grouped(emptySlots) + " <small>of " + grouped(slots) + "</small>",
              share(emptySlots, slots) + " of the slots");
  out += "</div>\n";
}

/// Loads from a quarter of the even share to four times that.
static HeatRow makeRow(const RoutingRecord &record) {
  constexpr double octaves = 4;
  HeatRow row{record.layer, {}};
  double even = record.experts ? static_cast<double>(record.assignments()) /
                                     record.experts
                               : 0.0;
  for (int64_t e = 0; e < record.experts; ++e) {
    int64_t count = record.counts[e];
    double ratio = even > 0 ? count / even : 0.0;
    row.cells.push_back(
        {count ? levelOf(ratio, octaves) : -1,
         record.layer + ", expert " + std::to_string(e) + ": " +
             counted(count, "token") + ", " +
             (count ? ratioText(ratio) + " of an even share" : "never chosen"),
         ratioText(ratio)});
  }
  return row;
}

void Page::heatMap() {
  out +=
      "<section aria-labelledby=\"load\">\n<h2 id=\"load\">Load of "
      "experts</h2>\n<p class=\"note\">Tokens of each expert over the even "
      "share of its layer; the scale is logarithmic. Point at a cell for its "
      "numbers.</p>\n<div class=\"scroll\">\n";
  std::vector<HeatRow> rows;
  for (const RoutingRecord &record : report.records)
    rows.push_back(makeRow(record));
  out += drawHeatMap(rows, "Heat map of the load of each expert in each layer; "
                           "the numbers are in the table below it");
  out += "</div>\n<div class=\"legend scroll\">\n" +
         drawLegend("Colour scale: from a quarter of an even share or less to "
                    "four times an even share or more, and hatched for experts "
                    "that were never chosen",
                    {{0, "\xE2\x89\xA4 0.25"},
                     {4, "0.5"},
                     {8, "1 = even share"},
                     {12, "2"},
                     {16, "\xE2\x89\xA5 4"}},
                    "never chosen") +
         "</div>\n";
  if (layers() <= mostBarCharts)
    for (const RoutingRecord &record : report.records)
      out += "<h3>Tokens of each expert" +
             (layers() == 1 ? "" : ": " + escape(record.layer)) +
             "</h3>\n<div class=\"scroll\">\n" + drawExpertBars(record) +
             "</div>\n";

  int64_t experts = 0;
  for (const RoutingRecord &record : report.records)
    experts = std::max(experts, record.experts);
  out += "<details><summary>Counts as a table</summary><div class=\"scroll\">\n"
         "<table id=\"counts\"><caption>Tokens of each expert</caption>\n"
         "<thead><tr><th scope=\"col\">Layer</th>";
  for (int64_t e = 0; e < experts; ++e)
    out += "<th scope=\"col\">" + std::to_string(e) + "</th>";
  out += "</tr></thead>\n<tbody>\n";
  for (const RoutingRecord &record : report.records) {
    out += "<tr><th scope=\"row\">" + escape(record.layer) + "</th>";
    for (int64_t count : record.counts)
      out += cell(std::to_string(count));
    for (int64_t e = record.experts; e < experts; ++e)
      out += cell("");
    out += "</tr>\n";
  }
  out += "</tbody></table></div></details>\n</section>\n";
}

void Page::healthRows(const std::string &id, const std::vector<size_t> &rows) {
  RoutingRecord::Slots use = record(0).slotUse;
  for (const RoutingRecord &record : report.records)
    if (record.slotUse != use)
      use = RoutingRecord::Slots::Unknown;
  out += "<div class=\"scroll\">\n<table class=\"health\" id=\"" + id +
         "\">\n<thead><tr><th scope=\"col\">Layer</th>"
         "<th scope=\"col\" class=\"words\">State</th>";
  const std::pair<const char *, const char *> columns[] = {
      {"Tokens", "tokens of the call"},
      {"Experts of a token", "mean number of experts a token went to"},
      {"Entropy", "entropy of the load over its largest value: 1 is even"},
      {"Effective experts", "exp(entropy): how many experts the load is worth"},
      {"MaxVio", "load of the busiest expert over the mean, minus 1"},
      {"CV", "coefficient of variation of the load"},
      {"Gini", "Gini coefficient of the load: 0 is even"},
      {"Never chosen", "experts without a token"},
      {"Tokens without expert", "tokens that no expert took"}};
  for (auto [name, meaning] : columns)
    out += std::string("<th scope=\"col\"><abbr title=\"") + meaning + "\">" +
           name + "</abbr></th>";
  out += "<th scope=\"col\">" + emptySlotsName(use) +
         "</th></tr></thead>\n"
         "<tbody>\n";
  for (size_t i : rows) {
    const RoutingHealth &h = health[i];
    out += "<tr><th scope=\"row\">" + escape(record(i).layer) +
           "</th><td class=\"words " + stateClass(h.collapse) + "\">" +
           stateText(h) + "</td>" + cell(std::to_string(record(i).tokens)) +
           cell(fixed(h.meanExperts, 2)) + cell(fixed(h.entropy, 4)) +
           cell(fixed(h.effectiveExperts, 2)) + cell(fixed(h.maxViolation, 3)) +
           cell(fixed(h.variation, 3)) + cell(fixed(h.gini, 3)) +
           cell(std::to_string(h.deadExperts)) +
           cell(std::to_string(h.emptyTokens)) +
           cell(std::to_string(h.emptySlots)) + "</tr>\n";
  }
  out += "</tbody></table></div>\n";
}

void Page::healthTable() {
  std::vector<size_t> all(layers());
  std::iota(all.begin(), all.end(), 0);
  out += "<section aria-labelledby=\"numbers\">\n<h2 id=\"numbers\">Health of "
         "each layer</h2>\n";
  if (layers() <= mostOpenLayers) {
    healthRows("health", all);
  } else {
    std::vector<size_t> shown = all;
    std::stable_sort(shown.begin(), shown.end(), [&](size_t a, size_t b) {
      return health[a].entropy < health[b].entropy;
    });
    shown.resize(numShownLayers);
    out += "<p class=\"note\">The " + grouped(numShownLayers) +
           " layers whose load is least even.</p>\n";
    healthRows("least-even", shown);
    out +=
        "<details><summary>All " + counted(layers(), "layer") + "</summary>\n";
    healthRows("health", all);
    out += "</details>\n";
  }
  out += "</section>\n";
}

void Page::tokens() {
  size_t most = 1;
  for (const RoutingRecord &record : report.records)
    most = std::max(most, record.tokensWith.size());
  std::vector<int64_t> all(most, 0);
  int64_t tokens = 0;
  for (const RoutingRecord &record : report.records) {
    tokens += record.tokens;
    for (size_t k = 0; k < record.tokensWith.size(); ++k)
      all[k] += record.tokensWith[k];
  }
  std::vector<size_t> occurring;
  for (size_t k = 0; k < most; ++k)
    if (all[k])
      occurring.push_back(k);

  out += "<section aria-labelledby=\"bytoken\">\n<h2 id=\"bytoken\">Experts of "
         "a token</h2>\n";
  bool isFixed = occurring.size() == 1;
  if (tokens == 0) {
    out += "<p>There were no tokens.</p>\n";
  } else if (isFixed) {
    out += "<p>Every token went to exactly " +
           counted(occurring.front(), "expert") +
           (layers() > 1 ? ", in every layer" : "") + ".</p>\n";
  } else {
    out += "<p class=\"note\">How many tokens went to how many experts" +
           std::string(layers() > 1 ? ", all layers together" : "") +
           ". Tokens without an expert are red: for them the layer adds "
           "nothing.</p>\n";
  }
  if (tokens)
    out += "<div class=\"scroll\">\n" +
           drawHistogram(all, all,
                         "Histogram of the number of experts of a token; "
                         "the numbers are in the table below it",
                         /*isLarge=*/!isFixed) +
           "</div>\n";
  if (!isFixed && layers() > 1) {
    bool isFolded = layers() > mostOpenLayers;
    if (isFolded)
      out += "<details><summary>Each layer</summary>\n";
    out += "<div class=\"grid\">\n";
    for (size_t i = 0; i < layers(); ++i)
      out += "<figure><figcaption title=\"" + escape(record(i).layer) + "\">" +
             escape(record(i).layer) + " <span>mean " +
             fixed(health[i].meanExperts, 2) + "</span></figcaption>" +
             drawHistogram(record(i).tokensWith, all,
                           record(i).layer + ": experts of a token", false) +
             "</figure>\n";
    out += isFolded ? "</div></details>\n" : "</div>\n";
  }
  out += "<details><summary>Tokens by number of experts, as a table</summary>"
         "<div class=\"scroll\">\n<table id=\"tokens-by-k\"><caption>Tokens "
         "that went to k experts</caption>\n<thead><tr><th scope=\"col\">Layer"
         "</th>";
  for (size_t k : occurring)
    out += "<th scope=\"col\">" + std::to_string(k) + "</th>";
  out += "</tr></thead>\n<tbody>\n";
  for (const RoutingRecord &record : report.records) {
    out += "<tr><th scope=\"row\">" + escape(record.layer) + "</th>";
    for (size_t k : occurring)
      out += cell(k < record.tokensWith.size()
                      ? std::to_string(record.tokensWith[k])
                      : "");
    out += "</tr>\n";
  }
  out += "</tbody></table></div></details>\n</section>\n";
}

void Page::committee() {
  out += "<section aria-labelledby=\"committee\">\n<h2 id=\"committee\">The "
         "experts that matter</h2>\n<p class=\"note\">The fewest experts of "
         "each layer with " +
         fixed(100 * RoutingHealth::committeeShare, 0) +
         " % of the summed weight, the largest first; where weights are not "
         "known, of the assignments.</p>\n";
  out += printHtmlTable(makeCommitteeTable(report, health), "committees") +
         "</section>\n";
}

void Page::densities() {
  if (report.densities.empty())
    return;
  out += "<section aria-labelledby=\"zeros\">\n<h2 id=\"zeros\">Zeros</h2>\n"
         "<p class=\"note\">How many of the values that a weight was "
         "multiplied with were not 0, of all experts, and of the experts with "
         "the fewest and the most.</p>\n";
  out += printHtmlTable(makeDensityTable(report), "densities") + "</section>\n";
}

void Page::help() {
  const std::pair<const char *, const char *> terms[] = {
      {"Even share", "The assignments of a layer divided by its experts."},
      {"Entropy", "&minus;&Sigma; f ln f over ln E, with f the shares of the "
                  "experts: 1 when all do the same, 0 when one does "
                  "everything."},
      {"Effective experts", "e to the entropy: as many evenly used experts "
                            "would be as mixed."},
      {"MaxVio",
       "How far the busiest expert is above the mean, in means. Where "
       "experts are on different devices, the others wait that "
       "long."},
      {"CV, Gini", "Spread of the load: standard deviation over mean, and the "
                   "Gini coefficient; 0 is even."},
      {"Collapsed",
       "Effective experts below k + 0.1 (E &minus; k), k being the "
       "experts of a token; or one expert has more than half of "
       "all, with E at least 4 k. Said from 100 assignments for "
       "each expert on. The thresholds are this tool's."},
      {"Dropped, unused", "An empty slot is a dropped assignment where the "
                          "policy fills all slots (a capacity limit). Where "
                          "tokens choose how many experts they go to, it is "
                          "their choice."}};
  out += "<section aria-labelledby=\"help\">\n<h2 id=\"help\">How to read "
         "this</h2>\n<dl class=\"help\">\n";
  for (auto [term, meaning] : terms)
    out += std::string("<dt>") + term + "</dt><dd>" + meaning + "</dd>\n";
  out += "</dl>\n</section>\n";
}

std::string RoutingReport::html() const {
  Page page(*this);
  page.header();
  page.verdict();
  if (!records.empty()) {
    page.tiles();
    page.heatMap();
    page.healthTable();
    page.tokens();
    page.committee();
    page.densities();
    page.help();
  }
  page.out += endPage();
  return std::move(page.out);
}
