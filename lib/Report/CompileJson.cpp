//===- CompileJson.cpp - What a compilation expects, as JSON ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Report/CompileReport.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

using namespace moe;
namespace json = llvm::json;

/// Adds a figure that is known.
template <typename T>
static void add(json::Object &object, llvm::StringRef key, T value) {
  if (value >= 0)
    object[key] = value;
}

static json::Object toJSON(const KernelFacts &kernel) {
  json::Object object{{"name", kernel.name}};
  add(object, "threads", kernel.threads);
  add(object, "shared_bytes", kernel.sharedBytes);
  add(object, "registers", kernel.registers);
  add(object, "spill_bytes", kernel.spillBytes);
  add(object, "stack_bytes", kernel.stackBytes);
  add(object, "instructions", kernel.instructions);
  add(object, "local_accesses", kernel.localAccesses);
  add(object, "barriers", kernel.barriers);
  json::Object matrix;
  for (const auto &[name, count] : kernel.matrix)
    matrix[name] = count;
  object["matrix"] = std::move(matrix);
  add(object, "blocks_at_once", kernel.blocksAtOnce);
  add(object, "occupancy", kernel.occupancy);
  if (!kernel.limit.empty())
    object["limit"] = kernel.limit;
  return object;
}

static json::Object toJSON(const CompileReport::Call &call) {
  json::Object object{{"tokens", call.tokens},
                      {"operations", call.operations},
                      {"bytes", call.bytes}};
  add(object, "seconds", call.seconds);
  add(object, "workspace_bytes", call.workspace);
  if (!call.bound.empty())
    object["bound"] = call.bound;
  json::Array kernels;
  for (const CompileReport::Kernel &kernel : call.kernels) {
    json::Object own{{"phase", kernel.phase},
                     {"operations", kernel.operations},
                     {"bytes", kernel.bytes}};
    add(own, "seconds", kernel.seconds);
    if (!kernel.bound.empty())
      own["bound"] = kernel.bound;
    kernels.push_back(std::move(own));
  }
  object["kernels"] = std::move(kernels);
  return object;
}

static json::Object toJSON(const CompileReport::Layer &layer) {
  json::Object object{{"name", layer.name}};
  json::Array calls, weights;
  for (const CompileReport::Call &call : layer.calls)
    calls.push_back(toJSON(call));
  for (const CompileReport::Weight &weight : layer.weights)
    weights.push_back(json::Object{
        {"name", weight.name}, {"role", weight.role}, {"bytes", weight.bytes}});
  json::Object schedules;
  for (const auto &[phase, schedule] : layer.schedules)
    schedules[phase] = schedule;
  object["same"] = json::Array(layer.same);
  object["calls"] = std::move(calls);
  object["weights"] = std::move(weights);
  object["schedules"] = std::move(schedules);
  object["not_counted"] = json::Array(layer.unknown);
  return object;
}

static json::Object toJSON(const CompileReport::Decision &decision) {
  json::Object object{{"kind", decision.kind},
                      {"category", decision.category},
                      {"message", decision.message},
                      {"place", decision.place},
                      {"count", decision.count}};
  if (decision.gains.empty())
    return object;
  json::Array gains;
  for (const CompileReport::Gain &gain : decision.gains) {
    json::Object own{{"tokens", gain.tokens}, {"bytes", gain.bytes}};
    add(own, "share_of_bytes", gain.shareOfBytes);
    add(own, "share_of_seconds", gain.shareOfSeconds);
    gains.push_back(std::move(own));
  }
  object["layer"] = decision.layer;
  object["would_save"] = std::move(gains);
  return object;
}

std::string moe::printJson(const CompileReport &report) {
  json::Object rates;
  for (const auto &[name, value] : report.rates)
    rates[name] = value;
  json::Array layers, kernels, decisions;
  for (const CompileReport::Layer &layer : report.layers)
    layers.push_back(toJSON(layer));
  for (const KernelFacts &kernel : report.kernels)
    kernels.push_back(toJSON(kernel));
  for (const CompileReport::Decision &decision : report.decisions)
    decisions.push_back(toJSON(decision));
  json::Object all{{"model", report.model},
                   {"chip", report.chip},
                   {"threads", report.threads},
                   {"rates", std::move(rates)},
                   {"layers", std::move(layers)},
                   {"kernels", std::move(kernels)},
                   {"decisions", std::move(decisions)}};
  if (!report.formats.empty())
    all["formats"] = report.formats;
  return llvm::formatv("{0:2}\n", json::Value(std::move(all)));
}
