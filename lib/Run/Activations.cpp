//===- Activations.cpp - What weights are multiplied with -------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Activations.h"
#include "ModelArguments.h"

#include "moe-mlir/Analysis/StoredWeights.h"
#include "moe-mlir/Analysis/WeightUse.h"
#include "moe-mlir/Reference/Interpreter.h"
#include "moe-mlir/Run/RoutingProfiler.h"
#include "moe/Moe.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace moe;
using namespace moe::run;

namespace {

/// Sums of squares for each argument of the function, and weight made of
/// arguments, by expert and column.
class Collector : public reference::ProductHook {
public:
  explicit Collector(func::FuncOp function) {
    // In the order of arguments, whatever is run first.
    for (BlockArgument argument : function.getArguments())
      add(argument);
    function.walk([&](DequantizeOp op) { add(op.getWeights()); });
  }

  void onProduct(Value weights, std::optional<int64_t> expert,
                 const double *rows, int64_t count, int64_t depth) override;

  Profile::Function finish() const;

private:
  /// An expert of a matrix.
  struct Sums {
    int64_t rows = 0, nonzero = 0;
    std::vector<double> squares;
  };
  struct Weight {
    int64_t rows = 0, columns = 0;
    std::vector<Sums> experts;
  };

  void add(Value root);
  const WeightUse *getUse(Value weights);

  llvm::MapVector<Value, Weight> roots;
  DenseMap<Value, std::optional<WeightUse>> uses;
};

} // namespace

void Collector::add(Value root) {
  auto type = dyn_cast<RankedTensorType>(root.getType());
  if (!type || !type.hasStaticShape() || !isa<FloatType>(type.getElementType()))
    return;
  int64_t rank = type.getRank();
  if (rank != 2 && rank != 3)
    return;
  Weight &weight = roots[root];
  weight.rows = type.getDimSize(rank - 2);
  weight.columns = type.getDimSize(rank - 1);
  weight.experts.resize(rank == 3 ? type.getDimSize(0) : 1);
}

/// What an operand in the body of an expert, or outside of it, is made of.
const WeightUse *Collector::getUse(Value weights) {
  auto [it, isNew] = uses.try_emplace(weights);
  if (isNew) {
    Value whole = weights;
    // Views within a body are of its argument.
    while (Operation *op = whole.getDefiningOp()) {
      if (!op->getParentOfType<ExpertOp>() || !keepsRows(op))
        break;
      whole = op->getOperand(0);
    }
    auto argument = dyn_cast<BlockArgument>(whole);
    Block *block = argument ? argument.getOwner() : nullptr;
    if (auto op = block ? dyn_cast<ExpertOp>(block->getParentOp()) : ExpertOp())
      whole = op.getGroupWeights(
          block->getParent()->getRegionNumber())[argument.getArgNumber() - 1];
    std::string why;
    FailureOr<WeightUse> use = WeightUse::get(whole, why);
    if (succeeded(use))
      it->second = std::move(*use);
  }
  return it->second ? &*it->second : nullptr;
}

void Collector::onProduct(Value weights, std::optional<int64_t> expert,
                          const double *rows, int64_t count, int64_t depth) {
  const WeightUse *use = getUse(weights);
  if (!use)
    return;
  for (const WeightPiece &piece : use->pieces) {
    auto it = roots.find(piece.root);
    int64_t e = expert.value_or(0) - piece.begin[0];
    if (it == roots.end() || e < 0 || e >= piece.sizes[0] ||
        (piece.sizes[2] != 1 && piece.strides[2] != 1))
      continue;
    Weight &weight = it->second;
    int64_t element = piece.offset + e * piece.strides[0];
    int64_t row = element / weight.columns, column = element % weight.columns;
    if (column + piece.sizes[2] > weight.columns)
      continue;
    Sums &sums = weight.experts[row / weight.rows];
    sums.squares.resize(weight.columns);
    sums.rows += column == 0 ? count : 0;
    for (int64_t r = 0; r < count; ++r)
      for (int64_t k = 0; k < piece.sizes[2]; ++k) {
        double x = rows[r * depth + piece.begin[2] + k];
        sums.nonzero += x != 0;
        sums.squares[column + k] += x * x;
      }
  }
}

Profile::Function Collector::finish() const {
  Profile::Function function;
  for (const auto &[root, weight] : roots) {
    Profile::Weight told{nameWeight(root), weight.columns, {}};
    bool isUsed = false;
    for (const Sums &sums : weight.experts) {
      ActivationStatistics statistics;
      statistics.rows = sums.rows;
      statistics.nonzero = sums.nonzero;
      isUsed |= sums.rows > 0;
      if (sums.rows > 0)
        for (double square : sums.squares)
          statistics.meanSquares.push_back(square / sums.rows);
      told.experts.push_back(std::move(statistics));
    }
    if (isUsed)
      function.weights.push_back(std::move(told));
  }
  return function;
}

bool moe::run::profileActivations(func::FuncOp function,
                                  const FunctionDesc &desc,
                                  const std::vector<int64_t> &sizeValues,
                                  const FunctionInputs &inputs,
                                  unsigned threads, const ProgressFn &progress,
                                  Profile &profile, std::string &error) {
  std::vector<HostTensor> arguments;
  if (!makeModelArguments(function, desc, sizeValues, inputs, /*tokenSize=*/"",
                          /*chosen=*/{}, arguments, error))
    return false;
  Collector collector(function);
  reference::Options options;
  options.numThreads = threads;
  options.productHook = &collector;
  RoutingProfiler routings(function);
  options.routerHook = &routings;
  options.progress = progress;
  if (failed(reference::interpret(function, arguments, options))) {
    error = "the interpreter failed";
    return false;
  }
  if (!routings.error.empty()) {
    error = "'" + desc.name + "', " + routings.error;
    return false;
  }
  profile.functions.push_back(collector.finish());
  profile.functions.back().name = desc.name;
  profile.functions.back().routings = std::move(routings.routings);
  return true;
}
