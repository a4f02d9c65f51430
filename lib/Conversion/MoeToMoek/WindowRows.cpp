//===- WindowRows.cpp - A layer on some of its rows at a time ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Rows are in the order of the experts, so that consecutive rows need the
// weights of few: windows of rows read all weights once, where blocks of tokens
// would read them once per block.
//
//===----------------------------------------------------------------------===//

#include "Common.h"

#include "moe-mlir/Conversion/MoeToMoek/Passes.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

namespace moe {
#define GEN_PASS_DEF_WINDOWROWS
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static constexpr llvm::StringLiteral kPassName = "moek-window-rows";

namespace {
/// What a sum over the rows of tokens is made of.
struct Layer {
  Operation *combine;
  moek::RoutingParts routing;
  /// Ops between the routing and the sum that depend on the rows' order; all
  /// their results go into one another or into the sum.
  llvm::SetVector<Operation *> ops;
};
} // namespace

static Value getPositions(Operation *op) {
  if (auto matmul = dyn_cast<moek::GroupedMatmulOp>(op))
    return matmul.getFirstRow() ? Value() : matmul.getPositions();
  if (auto combine = dyn_cast<moek::CombineOp>(op))
    return combine.getFirstRow() ? Value() : combine.getPositions();
  return {};
}

/// All that `op` and what is in it reads.
static llvm::SetVector<Value> getInputs(Operation *op) {
  llvm::SetVector<Value> inputs(op->operand_begin(), op->operand_end());
  getUsedValuesDefinedAbove(op->getRegions(), inputs);
  return inputs;
}

/// Ops that compute rows from rows, in destination style.
static bool isRowKernel(Operation *op) {
  return isa<moek::GroupedMatmulOp, moek::RowMapOp, moek::GatherOp>(op);
}

/// Whether the first dimension of `value` counts rows.
static bool hasRows(const Layer &layer, Value value) {
  if (value == layer.routing.tokens || value == layer.routing.rowWeights)
    return true;
  Operation *op = value.getDefiningOp();
  return op && layer.ops.contains(op) && isRowKernel(op);
}

/// Finds the ops of the layer; says why it cannot be taken apart into windows,
/// or nothing if it can.
static std::string collect(Layer &layer) {
  Block *block = layer.combine->getBlock();
  const moek::RoutingParts &routing = layer.routing;
  // Which values depend on the order of rows, from the top of the block.
  llvm::DenseSet<Value> ordered{routing.offsets, routing.active, routing.tokens,
                                routing.rowWeights};
  llvm::SetVector<Operation *> dependent;
  for (Operation &op : *block) {
    if (&op == layer.combine)
      break;
    if (llvm::none_of(getInputs(&op),
                      [&](Value input) { return ordered.contains(input); }))
      continue;
    ordered.insert_range(op.getResults());
    dependent.insert(&op);
  }
  // Those that the sum needs.
  SmallVector<Operation *> worklist{layer.combine};
  llvm::DenseSet<Operation *> needed;
  while (!worklist.empty())
    for (Value input : getInputs(worklist.pop_back_val()))
      if (Operation *op = input.getDefiningOp();
          op && dependent.contains(op) && needed.insert(op).second)
        worklist.push_back(op);
  for (Operation *op : dependent)
    if (needed.contains(op))
      layer.ops.insert(op);
  if (layer.ops.empty())
    return "its rows are not made by kernels";

  for (Operation *op : layer.ops) {
    for (Operation *user : op->getUsers()) {
      Operation *at = block->findAncestorOpInBlock(*user);
      if (at != layer.combine && !layer.ops.contains(at))
        return ("'" + op->getName().getStringRef() +
                "' has a result with another use")
            .str();
    }
    if (!isRowKernel(op)) {
      // Something about the experts: which of a range have rows, say.
      if (!isMemoryEffectFree(op))
        return ("'" + op->getName().getStringRef() + "' has side effects")
            .str();
      for (Value input : getInputs(op))
        if (hasRows(layer, input))
          return ("'" + op->getName().getStringRef() +
                  "' computes rows, and is no kernel")
              .str();
      continue;
    }
    if (auto matmul = dyn_cast<moek::GroupedMatmulOp>(op))
      if (matmul.getPositions())
        return "rows depend on the sums of others";
    for (Value init : cast<DestinationStyleOpInterface>(op).getDpsInits())
      if (!hasRows(layer, init) && !init.getDefiningOp<tensor::EmptyOp>())
        return "its rows are written into another tensor";
  }
  // A matmul without a gather has rows on its left.
  for (Operation *op : layer.ops)
    if (auto matmul = dyn_cast<moek::GroupedMatmulOp>(op))
      if (!matmul.getGather() && !hasRows(layer, matmul.getLhs()))
        return "a matmul reads rows that are not made from the routing";
  return {};
}

/// The rows of a window that the schedules want; 0 for no windows.
static int64_t getWindowRows(const Layer &layer) {
  int64_t rows = 0;
  auto take = [&](Operation *op) {
    auto matmul = dyn_cast<moek::GroupedMatmulOp>(op);
    if (!matmul || !matmul.getSchedule())
      return;
    int64_t wanted = matmul.getSchedule()->getWindowRows();
    if (wanted > 0)
      rows = rows ? std::min(rows, wanted) : wanted;
  };
  take(layer.combine);
  for (Operation *op : layer.ops)
    take(op);
  return rows;
}

static RankedTensorType withRows(Type type, int64_t rows) {
  auto tensor = cast<RankedTensorType>(type);
  SmallVector<int64_t> shape(tensor.getShape());
  shape.front() = rows;
  return RankedTensorType::get(shape, tensor.getElementType());
}

static void buildWindows(RewriterBase &b, const Layer &layer, int64_t window) {
  const moek::RoutingParts &routing = layer.routing;
  Operation *combine = layer.combine;
  Location loc = combine->getLoc();
  auto combineDst = cast<DestinationStyleOpInterface>(combine);
  b.setInsertionPoint(combine);

  // A window is never larger than all rows.
  auto tokensType = cast<RankedTensorType>(routing.tokens.getType());
  bool isStatic = tokensType.hasStaticShape();
  int64_t rows = isStatic ? window : ShapedType::kDynamic;
  Value most = arith::ConstantIndexOp::create(b, loc, window);
  SmallVector<Value> sizes;
  if (!isStatic)
    sizes.push_back(arith::MinSIOp::create(
        b, loc, getDim(b, loc, routing.tokens, 0), most));

  auto offsetsType = cast<RankedTensorType>(routing.offsets.getType());
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  Value last =
      arith::ConstantIndexOp::create(b, loc, offsetsType.getDimSize(0) - 1);
  Value all = arith::IndexCastOp::create(
      b, loc, b.getIndexType(),
      tensor::ExtractOp::create(b, loc, routing.offsets, last));
  // At least one, which writes the sums of tokens without rows.
  Value end = arith::MaxSIOp::create(b, loc, all, one);
  auto loop =
      scf::ForOp::create(b, loc, zero, end, most, combineDst.getDpsInits());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value first = loop.getInductionVar();

  auto usesRowWeights = [&] {
    return llvm::any_of(layer.ops, [&](Operation *op) {
      return getInputs(op).contains(routing.rowWeights);
    });
  };
  SmallVector<Value> lists{routing.offsets, routing.active, routing.tokens};
  Value rowWeights;
  if (usesRowWeights())
    lists.push_back(rowWeights = routing.rowWeights);
  SmallVector<Value> outs;
  for (Value list : lists) {
    auto type = cast<RankedTensorType>(list.getType());
    bool counts = list == routing.tokens || list == rowWeights;
    type = withRows(type, counts ? rows : offsetsType.getDimSize(0));
    outs.push_back(tensor::EmptyOp::create(
        b, loc, type, counts ? ValueRange(sizes) : ValueRange()));
  }
  auto own = moek::WindowOp::create(b, loc, TypeRange(ValueRange(outs)), first,
                                    routing.offsets, routing.active,
                                    routing.tokens, rowWeights, outs);
  IRMapping mapping;
  for (auto [list, result] : llvm::zip(lists, own.getResults()))
    mapping.map(list, result);

  for (Operation *op : layer.ops) {
    if (!isRowKernel(op)) {
      b.clone(*op, mapping);
      continue;
    }
    auto kernel = cast<DestinationStyleOpInterface>(op);
    for (Value init : kernel.getDpsInits()) {
      auto empty = init.getDefiningOp<tensor::EmptyOp>();
      if (!empty || mapping.contains(init))
        continue;
      SmallVector<Value> extents(sizes);
      auto type = cast<RankedTensorType>(init.getType());
      unsigned skip = type.isDynamicDim(0);
      llvm::append_range(extents, empty.getDynamicSizes().drop_front(skip));
      mapping.map(init, tensor::EmptyOp::create(b, empty.getLoc(),
                                                withRows(type, rows), extents)
                            .getResult());
    }
    Operation *clone = b.clone(*op, mapping);
    for (OpResult result : clone->getResults())
      result.setType(cast<DestinationStyleOpInterface>(clone)
                         .getTiedOpOperand(result)
                         ->get()
                         .getType());
  }

  for (auto [init, carried] :
       llvm::zip(combineDst.getDpsInits(), loop.getRegionIterArgs()))
    mapping.map(init, carried);
  Operation *sum = b.clone(*combine, mapping);
  if (auto matmul = dyn_cast<moek::GroupedMatmulOp>(sum)) {
    matmul.getFirstRowMutable().assign(first);
    matmul.getNumRowsMutable().assign(all);
  } else {
    cast<moek::CombineOp>(sum).getFirstRowMutable().assign(first);
    cast<moek::CombineOp>(sum).getNumRowsMutable().assign(all);
  }
  scf::YieldOp::create(b, loc, sum->getResults());

  b.replaceOp(combine, loop.getResults());
  for (Operation *op : llvm::reverse(layer.ops))
    b.eraseOp(op);
}

namespace {
struct WindowRows : public moe::impl::WindowRowsBase<WindowRows> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<Operation *> combines;
    getOperation()->walk([&](Operation *op) {
      if (getPositions(op) && op->getNumResults() == 1)
        combines.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (Operation *combine : combines) {
      auto source =
          getPositions(combine).getDefiningOp<moek::RoutingOpInterface>();
      if (!source)
        continue;
      Layer layer;
      layer.combine = combine;
      layer.routing = source.getRoutingResults();
      if (layer.routing.positions != getPositions(combine) ||
          source->getBlock() != combine->getBlock())
        continue;
      std::string why = collect(layer);
      int64_t window = rows ? rows : getWindowRows(layer);
      if (!why.empty()) {
        if (!layer.ops.empty())
          remarkMissed(combine, kPassName)
              << ("the workspace grows with the number of tokens: " + why);
        continue;
      }
      auto tokens = cast<RankedTensorType>(layer.routing.tokens.getType());
      if (window > 0 &&
          (tokens.isDynamicDim(0) || tokens.getDimSize(0) > window))
        buildWindows(rewriter, layer, window);
    }
  }
};
} // namespace
