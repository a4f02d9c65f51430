//===- Profile.cpp - What was seen when a model ran -------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/Profile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"

using namespace moe;
namespace json = llvm::json;

static std::optional<double>
getDensity(llvm::ArrayRef<ActivationStatistics> experts, int64_t columns) {
  double values = 0, nonzero = 0;
  for (const ActivationStatistics &expert : experts) {
    if (expert.rows == 0)
      continue;
    if (!expert.nonzero)
      return std::nullopt;
    values += static_cast<double>(expert.rows) * columns;
    nonzero += *expert.nonzero;
  }
  if (values == 0)
    return std::nullopt;
  return nonzero / values;
}

std::optional<double> Profile::Weight::density(size_t expert) const {
  return getDensity(experts[expert], columns);
}

std::optional<double> Profile::Weight::density() const {
  return getDensity(experts, columns);
}

const Profile::Function *
Profile::findFunction(const std::string &function) const {
  const auto *it = llvm::find_if(functions, [&](const Function &one) {
                     return one.name == function;
                   }).base();
  return it == functions.data() + functions.size() ? nullptr : it;
}

const Profile::Weight *Profile::find(const std::string &function,
                                     const std::string &weight) const {
  for (const Function &one : functions)
    for (const Weight &other : one.weights)
      if (one.name == function && other.name == weight)
        return &other;
  return nullptr;
}

const RoutingProfile *Profile::findRouting(const std::string &function,
                                           size_t router, int64_t experts,
                                           int64_t slots,
                                           std::string &error) const {
  auto fail = [&](const std::string &what) {
    error = path + ": " + what;
    return nullptr;
  };
  const Function *found = findFunction(function);
  if (!found)
    return fail("functions: has no '" + function + "', but " +
                (functions.empty()
                     ? "none at all"
                     : "'" + functions.front().name + "'" +
                           (functions.size() > 1 ? " and others" : "")));
  std::string list =
      "functions[" + std::to_string(found - functions.data()) + "].routings";
  if (router >= found->routings.size())
    return fail(list + ": has " + std::to_string(found->routings.size()) +
                ", and nothing of router " + std::to_string(router) +
                " of function '" + function + "'");
  const RoutingProfile &routing = found->routings[router];
  std::string at = list + "[" + std::to_string(router) + "]";
  if (routing.experts != experts)
    return fail(at + ".experts: is " + std::to_string(routing.experts) +
                "; the router of function '" + function + "' has " +
                std::to_string(experts));
  if (routing.slots != slots)
    return fail(at + ".slots: is " + std::to_string(routing.slots) +
                "; the router of function '" + function + "' has " +
                std::to_string(slots));
  return &routing;
}

//===----------------------------------------------------------------------===//
// Merging
//===----------------------------------------------------------------------===//

static void merge(ActivationStatistics &into,
                  const ActivationStatistics &from) {
  if (from.rows == 0)
    return;
  if (into.rows == 0) {
    into = from;
    return;
  }
  auto rows = static_cast<double>(into.rows + from.rows);
  for (auto [mean, other] : llvm::zip_equal(into.meanSquares, from.meanSquares))
    mean = (mean * into.rows + other * from.rows) / rows;
  into.rows += from.rows;
  if (into.nonzero && from.nonzero)
    *into.nonzero += *from.nonzero;
  else
    into.nonzero.reset();
}

/// Why two functions of one name are not the same; empty if they may be.
static std::string findDifference(const Profile::Function &one,
                                  const Profile::Function &other) {
  auto differ = [](const std::string &what, int64_t got, int64_t expected) {
    return what + " is " + std::to_string(got) + ", expected " +
           std::to_string(expected);
  };
  if (!one.routings.empty() && !other.routings.empty()) {
    if (one.routings.size() != other.routings.size())
      return differ("the length of routings", other.routings.size(),
                    one.routings.size());
    for (auto [i, mine] : llvm::enumerate(one.routings)) {
      std::string at = "routings[" + std::to_string(i) + "]";
      if (mine.experts != other.routings[i].experts)
        return differ(at + ".experts", other.routings[i].experts, mine.experts);
      if (mine.slots != other.routings[i].slots)
        return differ(at + ".slots", other.routings[i].slots, mine.slots);
    }
  }
  for (const Profile::Weight &theirs : other.weights)
    for (const Profile::Weight &mine : one.weights) {
      if (mine.name != theirs.name)
        continue;
      if (mine.columns != theirs.columns)
        return differ("the columns of weight '" + mine.name + "'",
                      theirs.columns, mine.columns);
      if (mine.experts.size() != theirs.experts.size())
        return differ("the number of experts of weight '" + mine.name + "'",
                      theirs.experts.size(), mine.experts.size());
    }
  return "";
}

bool Profile::merge(const Profile &other, std::string &error) {
  for (const Function &theirs : other.functions)
    if (const Function *mine = findFunction(theirs.name))
      if (std::string why = findDifference(*mine, theirs); !why.empty()) {
        error = other.path + ": function '" + theirs.name + "': " + why +
                " as in " + path + "; a profile of another model";
        return false;
      }
  for (const Function &theirs : other.functions) {
    if (!findFunction(theirs.name)) {
      functions.push_back(theirs);
      continue;
    }
    Function &mine = *llvm::find_if(functions, [&](const Function &one) {
      return one.name == theirs.name;
    });
    if (mine.routings.empty())
      mine.routings = theirs.routings;
    else
      for (auto [i, routing] : llvm::enumerate(theirs.routings))
        mine.routings[i].merge(routing);
    for (const Weight &weight : theirs.weights) {
      auto known = llvm::find_if(mine.weights, [&](const Weight &one) {
        return one.name == weight.name;
      });
      if (known == mine.weights.end()) {
        mine.weights.push_back(weight);
        continue;
      }
      for (auto [expert, added] :
           llvm::zip_equal(known->experts, weight.experts))
        ::merge(expert, added);
    }
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

/// A list in one line; `write(number)` of each.
template <typename Range, typename Fn>
static void writeList(json::OStream &json, llvm::StringRef name,
                      const Range &values, Fn write) {
  json.attributeBegin(name);
  json.rawValue([&](llvm::raw_ostream &os) {
    os << '[';
    llvm::interleave(
        values, os, [&](const auto &value) { write(os, value); }, ",");
    os << ']';
  });
  json.attributeEnd();
}

static void writeInteger(llvm::raw_ostream &os, int64_t value) { os << value; }
/// With as many digits as statistics have; what is added makes -0 a 0.
static void writeRounded(llvm::raw_ostream &os, double value) {
  os << llvm::format("%.7g", value + 0.0);
}
/// So that it is read as it was.
static void writeExact(llvm::raw_ostream &os, double value) {
  os << llvm::format("%.17g", value + 0.0);
}

static void writeWeight(json::OStream &json, const Profile::Weight &weight) {
  json.attribute("name", weight.name);
  json.attribute("columns", weight.columns);
  json.attributeArray("experts", [&] {
    for (const ActivationStatistics &expert : weight.experts)
      json.object([&] {
        json.attribute("rows", expert.rows);
        writeList(json, "mean_squares", expert.meanSquares, writeRounded);
        if (expert.nonzero)
          json.attribute("nonzero", *expert.nonzero);
      });
  });
}

static void writeRouting(json::OStream &json, const RoutingProfile &routing) {
  json.attribute("experts", routing.experts);
  json.attribute("slots", routing.slots);
  json.attribute("tokens", routing.tokens);
  json.attribute("assignments", routing.assignments());
  writeList(json, "counts", routing.counts, writeInteger);
  writeList(json, "weight_sums", routing.weightSums, writeExact);
  writeList(json, "tokens_with", routing.tokensWith, writeInteger);
  json.attributeObject("weights", [&] {
    json.attributeBegin("least");
    json.rawValue(
        [&](llvm::raw_ostream &os) { writeExact(os, routing.leastWeight); });
    json.attributeEnd();
    json.attributeBegin("largest");
    json.rawValue(
        [&](llvm::raw_ostream &os) { writeExact(os, routing.largestWeight); });
    json.attributeEnd();
    writeList(json, "bins", routing.weightBins,
              [](llvm::raw_ostream &os, const auto &bin) {
                os << '[' << bin.first << ',' << bin.second << ']';
              });
    writeList(json, "quantiles", routing.quantiles(), writeRounded);
  });
  writeList(json, "pairs", routing.pairs,
            [](llvm::raw_ostream &os, const auto &pair) {
              os << '[' << pair.first.first << ',' << pair.first.second << ','
                 << pair.second << ']';
            });
}

void moe::writeProfile(llvm::raw_ostream &os, const Profile &profile) {
  json::OStream json(os, 1);
  json.object([&] {
    json.attribute("schema", Profile::schema);
    json.attribute("version", Profile::version);
    json.attributeArray("functions", [&] {
      for (const Profile::Function &function : profile.functions)
        json.object([&] {
          json.attribute("name", function.name);
          json.attributeArray("weights", [&] {
            for (const Profile::Weight &weight : function.weights)
              json.object([&] { writeWeight(json, weight); });
          });
          json.attributeArray("routings", [&] {
            for (const RoutingProfile &routing : function.routings)
              json.object([&] { writeRouting(json, routing); });
          });
        });
    });
  });
  os << '\n';
}
