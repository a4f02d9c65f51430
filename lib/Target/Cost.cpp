//===- Cost.cpp - What a call is expected to take ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/Cost.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace moe;

//===----------------------------------------------------------------------===//
// Rows of experts
//===----------------------------------------------------------------------===//

void RowsOfExperts::add(double experts, std::vector<double> likelihood) {
  double mean = 0;
  for (size_t m = 0; m < likelihood.size(); ++m)
    mean += m * likelihood[m];
  rows += experts * mean;
  active += experts * (1 - (likelihood.empty() ? 1 : likelihood.front()));
  groups.push_back({experts, std::move(likelihood)});
}

void RowsOfExperts::addEven(double tokens, int64_t experts, int64_t slots) {
  double share = std::min(1.0, double(slots) / experts);
  if (share >= 1 || tokens <= 0)
    return addExact(experts, std::llround(tokens * share));
  // Each token takes an expert or not. Tails beyond eight deviations are
  // nothing.
  double mean = tokens * share, deviation = std::sqrt(mean * (1 - share));
  int64_t most = std::min(tokens, std::ceil(mean + 8 * deviation + 8));
  std::vector<double> likelihood(most + 1);
  double sum = 0;
  for (int64_t m = 0; m <= most; ++m) {
    likelihood[m] = std::exp(std::lgamma(tokens + 1) - std::lgamma(m + 1.0) -
                             std::lgamma(tokens - m + 1) + m * std::log(share) +
                             (tokens - m) * std::log1p(-share));
    sum += likelihood[m];
  }
  for (double &each : likelihood)
    each /= sum;
  add(experts, std::move(likelihood));
}

void RowsOfExperts::addExact(double experts, int64_t rows) {
  std::vector<double> likelihood(rows + 1);
  likelihood.back() = 1;
  add(experts, std::move(likelihood));
}

RowsOfExperts RowsOfExperts::slice(double begin, double count) const {
  RowsOfExperts part;
  double first = 0;
  for (const Group &group : groups) {
    double own =
        std::min(begin + count, first + group.experts) - std::max(begin, first);
    if (own > 0)
      part.add(own, group.likelihood);
    first += group.experts;
  }
  return part;
}

const RowsOfExperts *CostContext::rows(Value offsets) const {
  auto it = known.find(offsets);
  return it == known.end() ? nullptr : &it->second;
}

//===----------------------------------------------------------------------===//
// A call
//===----------------------------------------------------------------------===//

double CallCost::seconds() const {
  double sum = 0;
  for (const KernelCost &kernel : kernels) {
    if (kernel.seconds < 0)
      return -1;
    sum += kernel.seconds;
  }
  return kernels.empty() ? -1 : sum;
}

std::string CallCost::bound() const {
  if (seconds() < 0)
    return {};
  return std::max_element(kernels.begin(), kernels.end(),
                          [](const KernelCost &a, const KernelCost &b) {
                            return a.seconds < b.seconds;
                          })
      ->bound;
}

namespace moe {
class CostCounter {
public:
  CostCounter(moek::TargetAttrInterface chip)
      : chip(chip), target(TargetRegistry::get().find(chip)) {}

  CallCost run(func::FuncOp function,
               const std::map<std::string, int64_t> &sizes, int threads) {
    std::optional<CostContext> context;
    walkWithSizes(function, sizes,
                  [&](Operation *op, const WorkContext &shapes) {
                    if (!context) {
                      context.emplace(shapes, threads);
                      context->weightBytes = getWeightBytes(function);
                    }
                    visit(op, *context);
                  });
    return std::move(cost);
  }

private:
  static double getWeightBytes(func::FuncOp function);
  void visit(Operation *op, CostContext &context);
  void findRows(Operation *op, CostContext &context);
  void miss(Operation *op, const Twine &what);

  moek::TargetAttrInterface chip;
  const Target *target;
  CallCost cost;
};
} // namespace moe

double CostCounter::getWeightBytes(func::FuncOp function) {
  double bytes = 0;
  for (Type type : function.getArgumentTypes())
    if (auto tensor = dyn_cast<RankedTensorType>(type);
        tensor && tensor.hasStaticShape() &&
        tensor.getElementType().isIntOrFloat())
      bytes += tensor.getNumElements() *
               tensor.getElementType().getIntOrFloatBitWidth() / 8.0;
  return bytes;
}

void CostCounter::miss(Operation *op, const Twine &what) {
  std::string text = (op->getName().getStringRef() + ": " + what).str();
  if (!llvm::is_contained(cost.unknown, text))
    cost.unknown.push_back(std::move(text));
}

/// What is known of the routing that `op` makes or passes on.
void CostCounter::findRows(Operation *op, CostContext &context) {
  if (auto routing = dyn_cast<moek::RoutingOpInterface>(op)) {
    RowsOfExperts rows;
    if (auto route = dyn_cast<moek::RouteOp>(op)) {
      std::optional<double> tokens =
          context.sizes.size(route.getRouting().indices, 0);
      if (!tokens)
        return;
      rows.addEven(*tokens, route.getExperts(), route.getSelectedSlots());
      if (route.getAlways())
        rows.addExact(route.getAlways(), std::llround(*tokens));
    } else if (auto index = dyn_cast<moek::IndexOp>(op)) {
      std::optional<double> tokens = context.sizes.size(index.getIndices(), 0);
      auto type = cast<ShapedType>(index.getIndices().getType());
      if (!tokens || type.isDynamicDim(1))
        return;
      rows.addEven(*tokens, index.getExperts(), type.getDimSize(1));
    } else {
      return;
    }
    context.known[routing.getRoutingResults().offsets] = std::move(rows);
    return;
  }
  // Offsets of some experts, with the end of the last one.
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    const RowsOfExperts *rows = context.rows(slice.getSource());
    if (rows && slice.getSourceType().getRank() == 1 &&
        !slice.isDynamicOffset(0) && !slice.isDynamicSize(0)) {
      RowsOfExperts part =
          rows->slice(slice.getStaticOffset(0), slice.getStaticSize(0) - 1);
      context.known[slice.getResult()] = std::move(part);
    }
    return;
  }
  // Windows over rows take them all in turn.
  if (!isa<moek::WindowOp>(op))
    return;
  for (Value operand : op->getOperands())
    if (const RowsOfExperts *rows = context.rows(operand)) {
      RowsOfExperts copy = *rows;
      context.known[op->getResult(0)] = std::move(copy);
      return;
    }
}

void CostCounter::visit(Operation *op, CostContext &context) {
  findRows(op, context);
  if (auto structured = dyn_cast<linalg::LinalgOp>(op);
      structured && structured.getNumReductionLoops() > 0)
    return miss(op, "ordinary IR has no model");
  bool isKernel = isa<DestinationStyleOpInterface>(op) &&
                  isa_and_nonnull<moek::MoekDialect>(op->getDialect());
  // Windows copy a list or two.
  if (!isKernel || isa<moek::WindowOp>(op) || !target)
    return;
  std::optional<KernelCost> own = target->estimate(op, chip, context);
  if (!own)
    return miss(op, "has no model");
  if (own->seconds < 0)
    miss(op, own->bound);
  cost.kernels.push_back(std::move(*own));
}

CallCost moe::estimateCall(func::FuncOp function,
                           moek::TargetAttrInterface chip,
                           const std::map<std::string, int64_t> &sizes,
                           int threads) {
  return CostCounter(chip).run(function, sizes, threads);
}
