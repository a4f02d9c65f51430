//===- ProfileReader.cpp - Reads profiles --------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "ManifestReader.h"
#include "moe-mlir/Artifact/Profile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MemoryBuffer.h"

#include <cmath>

using namespace moe;
using moe::detail::Reader;
namespace json = llvm::json;

/// More is a mistake, not a model; and no sum of counts overflows.
static constexpr int64_t mostExperts = int64_t(1) << 20;
/// What every reader of JSON reads as it is.
static constexpr int64_t mostCounted = int64_t(1) << 53;

static bool parseCount(Reader &reader, const json::Value &value,
                       const std::string &path, int64_t &count) {
  return reader.integer(value, path, count) &&
         (count <= mostCounted || reader.fail(path, "expected at most 2^53"));
}

static bool parseCount(Reader &reader, const json::Object &object,
                       const std::string &path, llvm::StringRef key,
                       int64_t &count) {
  const json::Value *value = reader.get(object, path, key, /*isRequired=*/true);
  return value && parseCount(reader, *value, path + "." + key.str(), count);
}

/// A number that stays finite when some are added up.
static bool isFinite(double number) { return std::fabs(number) <= 1e280; }

static bool hasLength(Reader &reader, const std::string &path, size_t length,
                      int64_t expected) {
  return static_cast<int64_t>(length) == expected ||
         reader.fail(path, "expected " + std::to_string(expected) +
                               " numbers, not " + std::to_string(length));
}

static bool parseFinite(Reader &reader, const json::Object &object,
                        const std::string &path, llvm::StringRef key,
                        double &number) {
  return reader.number(object, path, key, number) &&
         (isFinite(number) ||
          reader.fail(path + "." + key.str(), "expected a finite number"));
}

static bool parseExpert(Reader &reader, const json::Value &value,
                        const std::string &path, int64_t columns,
                        ActivationStatistics &expert) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  auto parseNumber = [&](const json::Value &number, const std::string &at) {
    auto got = number.getAsNumber();
    if (!got || !isFinite(*got) || *got < 0)
      return reader.fail(at, "expected a number that is not negative");
    expert.meanSquares.push_back(*got);
    return true;
  };
  if (!parseCount(reader, *object, path, "rows", expert.rows) ||
      !reader.array(*object, path, "mean_squares", parseNumber))
    return false;
  if (!hasLength(reader, path + ".mean_squares", expert.meanSquares.size(),
                 expert.rows ? columns : 0))
    return false;
  if (!object->get("nonzero"))
    return true;
  int64_t nonzero = 0;
  if (!parseCount(reader, *object, path, "nonzero", nonzero))
    return false;
  expert.nonzero = nonzero;
  // Not a product, which may be too large.
  bool isTooMany =
      nonzero > 0 && (columns == 0 || (nonzero - 1) / columns >= expert.rows);
  return !isTooMany || reader.fail(path + ".nonzero",
                                   "is " + std::to_string(nonzero) + ", of " +
                                       std::to_string(expert.rows) +
                                       " rows of " + std::to_string(columns));
}

/// A list of integers that are not negative.
static bool parseCounts(Reader &reader, const json::Object &object,
                        const std::string &path, llvm::StringRef key,
                        int64_t length, std::vector<int64_t> &counts) {
  counts.clear();
  return reader.array(object, path, key,
                      [&](const json::Value &value, const std::string &at) {
                        return parseCount(reader, value, at,
                                          counts.emplace_back());
                      }) &&
         hasLength(reader, path + "." + key.str(), counts.size(), length);
}

/// A list of `width` integers whose last one counts something; the others are
/// handed to `add`, which says why they are wrong.
static bool
parseTuples(Reader &reader, const json::Object &object, const std::string &path,
            llvm::StringRef key, size_t width,
            llvm::function_ref<std::string(llvm::ArrayRef<int64_t>)> add) {
  return reader.array(
      object, path, key, [&](const json::Value &value, const std::string &at) {
        const json::Array *list = value.getAsArray();
        llvm::SmallVector<int64_t> numbers;
        for (const json::Value &number : list ? *list : json::Array())
          if (auto integer = number.getAsInteger())
            numbers.push_back(*integer);
        if (!list || list->size() != width || numbers.size() != width ||
            numbers.back() < 1 || numbers.back() > mostCounted)
          return reader.fail(at, "expected a list of " + std::to_string(width) +
                                     " integers, the last one from 1 to 2^53");
        std::string why = add(numbers);
        return why.empty() || reader.fail(at, why);
      });
}

static bool parseWeights(Reader &reader, const json::Object &object,
                         const std::string &path, RoutingProfile &routing) {
  std::string at = path + ".weights";
  const json::Value *value =
      reader.get(object, path, "weights", /*isRequired=*/true);
  if (!value)
    return false;
  const json::Object *weights = value->getAsObject();
  if (!weights)
    return reader.fail(at, "expected an object");
  auto addBin = [&](llvm::ArrayRef<int64_t> bin) -> std::string {
    // Of the least and the largest finite f32.
    constexpr int64_t last = 2039;
    if (bin[0] < -1 - last || bin[0] > last)
      return "expected a bin from " + std::to_string(-1 - last) + " to " +
             std::to_string(last);
    return routing.weightBins.try_emplace(bin[0], bin[1]).second
               ? ""
               : "is the second one of bin " + std::to_string(bin[0]);
  };
  if (!parseFinite(reader, *weights, at, "least", routing.leastWeight) ||
      !parseFinite(reader, *weights, at, "largest", routing.largestWeight) ||
      !parseTuples(reader, *weights, at, "bins", 2, addBin))
    return false;
  if (!(routing.leastWeight <= routing.largestWeight))
    return reader.fail(at + ".least", "is above .largest");
  if (routing.weightBins.empty())
    return true;
  int32_t first = routing.weightBins.begin()->first;
  int32_t last = routing.weightBins.rbegin()->first;
  return (RoutingProfile::binOf(routing.leastWeight) == first &&
          RoutingProfile::binOf(routing.largestWeight) == last) ||
         reader.fail(at + ".bins",
                     "the first and the last one are not those of "
                     ".least and .largest");
}

/// Sums that have to agree.
static bool checkSums(Reader &reader, const std::string &path,
                      int64_t assignments, const RoutingProfile &routing) {
  auto check = [&](const std::string &what, uint64_t sum, uint64_t expected) {
    return sum == expected ||
           reader.fail(path + "." + what, "sums up to " + std::to_string(sum) +
                                              ", expected " +
                                              std::to_string(expected));
  };
  // Modulo 2^64, as nonsense may be large.
  uint64_t chosen = 0, withTokens = 0, withAssignments = 0, inBins = 0,
           pairs = 0, inPairs = 0;
  for (int64_t count : routing.counts)
    chosen += count;
  for (auto [k, tokens] : llvm::enumerate(routing.tokensWith)) {
    withTokens += tokens;
    withAssignments += k * static_cast<uint64_t>(tokens);
    pairs += (k * (k - (k > 0)) / 2) * static_cast<uint64_t>(tokens);
  }
  for (auto [bin, count] : routing.weightBins)
    inBins += count;
  for (auto [pair, count] : routing.pairs)
    inPairs += count;
  return check("counts", chosen, assignments) &&
         check("tokens_with", withTokens, routing.tokens) &&
         check("tokens_with, each times its k,", withAssignments,
               assignments) &&
         check("weights.bins", inBins, assignments) &&
         check("pairs", inPairs, pairs);
}

static bool parseRouting(Reader &reader, const json::Value &value,
                         const std::string &path, RoutingProfile &routing) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  int64_t experts = 0, slots = 0, assignments = 0;
  if (!reader.integer(*object, path, "experts", experts) ||
      !reader.integer(*object, path, "slots", slots))
    return false;
  if (experts < 1 || experts > mostExperts)
    return reader.fail(path + ".experts",
                       "expected 1 to " + std::to_string(mostExperts));
  if (slots < 1 || slots > experts)
    return reader.fail(path + ".slots",
                       "expected 1 to the " + std::to_string(experts) +
                           " experts, not " + std::to_string(slots));
  routing = RoutingProfile(experts, slots);
  std::vector<double> sums;
  auto addSum = [&](const json::Value &sum, const std::string &at) {
    auto number = sum.getAsNumber();
    if (!number || !isFinite(*number))
      return reader.fail(at, "expected a finite number");
    sums.push_back(*number);
    return true;
  };
  auto addPair = [&](llvm::ArrayRef<int64_t> pair) -> std::string {
    if (pair[0] < 0 || pair[0] >= pair[1] || pair[1] >= experts)
      return "expected two experts i < j below " + std::to_string(experts);
    bool isNew = routing.pairs
                     .try_emplace({static_cast<int32_t>(pair[0]),
                                   static_cast<int32_t>(pair[1])},
                                  pair[2])
                     .second;
    return isNew ? "" : "is the second one of this pair";
  };
  if (!parseCount(reader, *object, path, "tokens", routing.tokens) ||
      !parseCount(reader, *object, path, "assignments", assignments) ||
      !parseCounts(reader, *object, path, "counts", experts, routing.counts) ||
      !reader.array(*object, path, "weight_sums", addSum) ||
      !hasLength(reader, path + ".weight_sums", sums.size(), experts) ||
      !parseCounts(reader, *object, path, "tokens_with", slots + 1,
                   routing.tokensWith) ||
      !parseWeights(reader, *object, path, routing) ||
      !parseTuples(reader, *object, path, "pairs", 3, addPair))
    return false;
  routing.weightSums = std::move(sums);
  return checkSums(reader, path, assignments, routing);
}

static bool parseFunction(Reader &reader, const json::Value &value,
                          const std::string &path,
                          Profile::Function &function) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  auto parseWeight = [&](const json::Value &value, const std::string &at) {
    const json::Object *object = value.getAsObject();
    if (!object)
      return reader.fail(at, "expected an object");
    Profile::Weight weight;
    auto parse = [&](const json::Value &expert, const std::string &where) {
      return parseExpert(reader, expert, where, weight.columns,
                         weight.experts.emplace_back());
    };
    if (!reader.string(*object, at, "name", weight.name) ||
        !parseCount(reader, *object, at, "columns", weight.columns) ||
        !reader.array(*object, at, "experts", parse))
      return false;
    for (const Profile::Weight &other : function.weights)
      if (other.name == weight.name)
        return reader.fail(at + ".name",
                           "is '" + weight.name + "', as of another one");
    function.weights.push_back(std::move(weight));
    return true;
  };
  auto parseRoutings = [&](const json::Value &value, const std::string &at) {
    return parseRouting(reader, value, at, function.routings.emplace_back());
  };
  return reader.string(*object, path, "name", function.name) &&
         reader.array(*object, path, "weights", parseWeight) &&
         reader.array(*object, path, "routings", parseRoutings,
                      /*isRequired=*/false);
}

bool moe::readProfile(const std::string &path, Profile &profile,
                      std::string &error) {
  profile.path = path;
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer) {
    error = path + ": cannot read: " + buffer.getError().message();
    return false;
  }
  llvm::Expected<json::Value> value = json::parse((*buffer)->getBuffer());
  if (!value) {
    error = path + ": not JSON: " + llvm::toString(value.takeError());
    return false;
  }
  Reader reader(path, error);
  const json::Object *object = value->getAsObject();
  std::string schema;
  int64_t version = 0;
  if (!object)
    return reader.fail("profile", "expected an object");
  if (!reader.string(*object, "profile", "schema", schema) ||
      !reader.integer(*object, "profile", "version", version))
    return false;
  if (schema != Profile::schema || version != Profile::version)
    return reader.fail("profile", "is a '" + schema + "' of version " +
                                      std::to_string(version) + "; expected '" +
                                      Profile::schema + "' of version " +
                                      std::to_string(Profile::version) +
                                      ", as moe-run --profile-out writes");
  llvm::StringMap<char> names;
  return reader.array(
      *object, "", "functions",
      [&](const json::Value &one, const std::string &at) {
        Profile::Function &function = profile.functions.emplace_back();
        if (!parseFunction(reader, one, at, function))
          return false;
        return names.try_emplace(function.name).second ||
               reader.fail(at + ".name",
                           "is '" + function.name + "', as of another one");
      });
}
