//===- Profile.cpp - What was seen when a model ran -------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/Profile.h"
#include "ManifestReader.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/MemoryBuffer.h"

#include <cmath>

using namespace moe;
using moe::detail::Reader;
namespace json = llvm::json;

const Profile::Weight *Profile::find(const std::string &function,
                                     const std::string &weight) const {
  for (const Function &one : functions)
    for (const Weight &other : one.weights)
      if (one.name == function && other.name == weight)
        return &other;
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

/// In a line, with as many digits as statistics have.
static void writeNumbers(llvm::raw_ostream &os,
                         const std::vector<double> &numbers) {
  os << '[';
  for (size_t i = 0; i < numbers.size(); ++i)
    os << (i ? "," : "") << llvm::format("%.7g", numbers[i]);
  os << ']';
}

void moe::writeProfile(llvm::raw_ostream &os, const Profile &profile) {
  json::OStream json(os, 1);
  auto writeWeight = [&](const Profile::Weight &weight) {
    json.attribute("name", weight.name);
    json.attribute("columns", weight.columns);
    json.attributeArray("experts", [&] {
      for (const ActivationStatistics &expert : weight.experts)
        json.object([&] {
          json.attribute("rows", expert.rows);
          json.attributeBegin("mean_squares");
          json.rawValue([&](llvm::raw_ostream &raw) {
            writeNumbers(raw, expert.meanSquares);
          });
          json.attributeEnd();
        });
    });
  };
  json.object([&] {
    json.attribute("schema", Profile::schema);
    json.attribute("version", Profile::version);
    json.attributeArray("functions", [&] {
      for (const Profile::Function &function : profile.functions)
        json.object([&] {
          json.attribute("name", function.name);
          json.attributeArray("weights", [&] {
            for (const Profile::Weight &weight : function.weights)
              json.object([&] { writeWeight(weight); });
          });
        });
    });
  });
  os << '\n';
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

static bool parseExpert(Reader &reader, const json::Value &value,
                        const std::string &path, int64_t columns,
                        ActivationStatistics &expert) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  auto parseNumber = [&](const json::Value &number, const std::string &at) {
    auto got = number.getAsNumber();
    if (!got || !std::isfinite(*got) || *got < 0)
      return reader.fail(at, "expected a number that is not negative");
    expert.meanSquares.push_back(*got);
    return true;
  };
  if (!reader.integer(*object, path, "rows", expert.rows) ||
      !reader.array(*object, path, "mean_squares", parseNumber))
    return false;
  int64_t expected = expert.rows ? columns : 0;
  int64_t count = static_cast<int64_t>(expert.meanSquares.size());
  return count == expected ||
         reader.fail(path + ".mean_squares",
                     "expected " + std::to_string(expected) + " numbers, not " +
                         std::to_string(count));
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
    Profile::Weight &weight = function.weights.emplace_back();
    auto parse = [&](const json::Value &expert, const std::string &where) {
      return parseExpert(reader, expert, where, weight.columns,
                         weight.experts.emplace_back());
    };
    return reader.string(*object, at, "name", weight.name) &&
           reader.integer(*object, at, "columns", weight.columns) &&
           reader.array(*object, at, "experts", parse);
  };
  return reader.string(*object, path, "name", function.name) &&
         reader.array(*object, path, "weights", parseWeight);
}

bool moe::readProfile(const std::string &path, Profile &profile,
                      std::string &error) {
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
  return reader.array(*object, "", "functions",
                      [&](const json::Value &one, const std::string &at) {
                        return parseFunction(reader, one, at,
                                             profile.functions.emplace_back());
                      });
}
