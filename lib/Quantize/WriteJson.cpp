//===- WriteJson.cpp - Errors of weights for programs ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Quantize/Quantize.h"

#include "llvm/Support/JSON.h"

using namespace moe;

static void writeError(llvm::json::OStream &json, const WeightError &error,
                       bool hasImportance) {
  json.attribute("max", error.largest);
  json.attribute("rms", error.rms());
  json.attribute("relative", error.relative());
  json.attribute("cosine", error.cosine());
  if (hasImportance)
    json.attribute("relative_of_product", error.weighted());
}

void quantize::writeJson(llvm::raw_ostream &os, const QuantizeReport &report) {
  llvm::json::OStream json(os, 2);
  auto writeWeight = [&](const QuantizeReport::Weight &weight) {
    json.attribute("function", weight.function);
    json.attribute("name", weight.name);
    json.attribute("from", weight.from);
    json.attribute("to", weight.to);
    json.attribute("rows", weight.rows);
    json.attribute("columns", weight.columns);
    json.attribute("bytes_from", weight.bytesFrom);
    json.attribute("bytes_to", weight.bytesTo);
    json.attribute("bits", weight.bits());
    json.attribute("importance", weight.hasImportance);
    writeError(json, weight.all(), weight.hasImportance);
    json.attributeArray("experts", [&] {
      for (const WeightError &error : weight.experts)
        json.object([&] { writeError(json, error, weight.hasImportance); });
    });
  };
  json.object([&] {
    json.attribute("schema", "moe-quantize");
    json.attribute("version", 1);
    json.attribute("model", report.title);
    json.attributeArray("weights", [&] {
      for (const QuantizeReport::Weight &weight : report.weights)
        json.object([&] { writeWeight(weight); });
    });
  });
  os << "\n";
}
