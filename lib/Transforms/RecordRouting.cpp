//===- RecordRouting.cpp - Routings as results and arguments ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Both passes look for routings in the same places and by the same names, so
// that what one of them returns is what the other one takes.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/Dims.h"
#include "moe-mlir/Analysis/Routings.h"
#include "moe-mlir/Transforms/Passes.h"
#include "moe-mlir/Transforms/Rows.h"
#include "moe/Moe.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace moe {
#define GEN_PASS_DEF_RECORDROUTING
#define GEN_PASS_DEF_REPLAYROUTING
#include "moe-mlir/Transforms/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

namespace {

/// A routing of an entry function, and what it is called outside.
struct RoutingPoint {
  RouterOp router;
  /// The router's result, or that of the limit on it.
  Value routing;
  /// `indices`, `weights` and `counts` with the number of the router.
  std::string indices, weights, counts;
  RankedTensorType indicesType, weightsType;
  /// The name of the number of tokens; null if it is static.
  StringAttr tokens;

  /// Name and dims of an argument or result with a row for each token.
  DictionaryAttr describe(OpBuilder &b, StringRef name) const {
    SmallVector<NamedAttribute> attrs = {
        b.getNamedAttr("moe.name", b.getStringAttr(name))};
    if (tokens)
      attrs.push_back(b.getNamedAttr("moe.dims", b.getArrayAttr({tokens})));
    return b.getDictionaryAttr(attrs);
  }
};

} // namespace

/// An error if `name` is taken already.
static LogicalResult verifyFree(func::FuncOp function, StringRef name) {
  auto isTaken = [&](Attribute attr) {
    auto taken = dyn_cast_or_null<StringAttr>(attr);
    return taken && taken.getValue() == name;
  };
  for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i)
    if (isTaken(function.getArgAttr(i, "moe.name")))
      return function.emitOpError()
             << "has an argument '" << name << "' already";
  for (unsigned i = 0, e = function.getNumResults(); i != e; ++i)
    if (isTaken(function.getResultAttr(i, "moe.name")))
      return function.emitOpError() << "has a result '" << name << "' already";
  return success();
}

/// The routings of `function` in the order of their routers.
static FailureOr<SmallVector<RoutingPoint>>
findRoutings(func::FuncOp function) {
  SmallVector<RouterOp> routers;
  function.walk([&](RouterOp router) { routers.push_back(router); });
  SmallVector<RoutingPoint> points;
  for (auto [i, router] : llvm::enumerate(routers)) {
    if (router->getParentOp() != function)
      return router.emitOpError("is inside of '")
             << router->getParentOp()->getName()
             << "', so that there is not one routing of it in a call; routings "
                "of routers in the function's own body can be recorded and "
                "replayed";
    RoutingPoint point;
    point.router = router;
    point.routing = getRoutingOf(router);
    std::string suffix = routers.size() > 1 ? "." + std::to_string(i) : "";
    point.indices = "routing.indices" + suffix;
    point.weights = "routing.weights" + suffix;
    point.counts = "routing.counts" + suffix;
    Value tokens = getTokensTensor(point.routing);
    int64_t rows = cast<RankedTensorType>(tokens.getType()).getDimSize(0);
    if (ShapedType::isDynamic(rows)) {
      point.tokens = getRowsName(tokens);
      if (!point.tokens)
        return router.emitOpError(
            "has a number of tokens that is no named size of the function; "
            "give the tensor of tokens among its arguments a `moe.dims` "
            "(--moe-prepare-entry-points makes up missing ones)");
    }
    SmallVector<int64_t> shape{rows, router.getNumSlots()};
    point.indicesType = RankedTensorType::get(
        shape, IntegerType::get(function.getContext(), 32));
    point.weightsType = RankedTensorType::get(shape, router.getElementType());
    points.push_back(std::move(point));
  }
  return points;
}

/// Runs `body` on each entry function with its routings; fails if there are
/// none at all.
static LogicalResult forEachEntry(
    ModuleOp module,
    function_ref<LogicalResult(func::FuncOp, ArrayRef<RoutingPoint>)> body) {
  if (failed(verifyDims(module)))
    return failure();
  bool any = false;
  for (auto function : module.getOps<func::FuncOp>()) {
    if (!function.isPublic() || function.isExternal())
      continue;
    FailureOr<SmallVector<RoutingPoint>> points = findRoutings(function);
    if (failed(points))
      return failure();
    any |= !points->empty();
    if (points->empty())
      continue;
    if (auto uses = SymbolTable::getSymbolUses(function, module);
        uses && !uses->empty())
      return uses->begin()->getUser()->emitOpError()
             << "calls '" << function.getName()
             << "', whose interface changes with its routings; inline the call "
                "first";
    if (failed(body(function, *points)))
      return failure();
  }
  if (!any)
    return module.emitOpError("has no public function with a router, so that "
                              "there is no routing to record or replay");
  return success();
}

/// How many tokens each expert of `routing` gets.
static Value buildCounts(OpBuilder &b, Location loc, Value routing) {
  int64_t experts = cast<RoutingType>(routing.getType()).getExperts();
  Type i32 = b.getI32Type();
  Value offsets = RoutingOffsetsOp::create(
      b, loc, RankedTensorType::get({experts + 1}, i32), routing);
  auto slice = [&](int64_t first) -> Value {
    return tensor::ExtractSliceOp::create(
        b, loc, offsets, ArrayRef<OpFoldResult>{b.getIndexAttr(first)},
        ArrayRef<OpFoldResult>{b.getIndexAttr(experts)},
        ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
  };
  Value end = slice(1), begin = slice(0);
  Value empty =
      tensor::EmptyOp::create(b, loc, ArrayRef<int64_t>{experts}, i32);
  return linalg::SubOp::create(b, loc, ValueRange{end, begin},
                               ValueRange{empty})
      .getResult(0);
}

namespace {
struct RecordRouting : moe::impl::RecordRoutingBase<RecordRouting> {
  void runOnOperation() override {
    if (failed(forEachEntry(getOperation(), record)))
      signalPassFailure();
  }

  static LogicalResult record(func::FuncOp function,
                              ArrayRef<RoutingPoint> points) {
    auto ret = cast<func::ReturnOp>(function.getBody().back().getTerminator());
    OpBuilder b(ret);
    for (const RoutingPoint &point : points) {
      Location loc = point.routing.getLoc();
      Value counts = buildCounts(b, loc, point.routing);
      auto name = [&](StringRef name) {
        return b.getDictionaryAttr(
            b.getNamedAttr("moe.name", b.getStringAttr(name)));
      };
      struct {
        StringRef name;
        Value value;
        DictionaryAttr attrs;
      } results[] = {
          {point.indices,
           RoutingIndicesOp::create(b, loc, point.indicesType, point.routing),
           point.describe(b, point.indices)},
          {point.weights,
           RoutingWeightsOp::create(b, loc, point.weightsType, point.routing),
           point.describe(b, point.weights)},
          {point.counts, counts, name(point.counts)}};
      for (auto &result : results) {
        if (failed(verifyFree(function, result.name)) ||
            failed(function.insertResult(function.getNumResults(),
                                         result.value.getType(), result.attrs)))
          return failure();
        ret.getOperandsMutable().append(result.value);
      }
    }
    return success();
  }
};

struct ReplayRouting : moe::impl::ReplayRoutingBase<ReplayRouting> {
  using ReplayRoutingBase::ReplayRoutingBase;

  void runOnOperation() override {
    if (failed(forEachEntry(getOperation(), [&](func::FuncOp function,
                                                ArrayRef<RoutingPoint> points) {
          return replay(function, points);
        })))
      signalPassFailure();
  }

  LogicalResult replay(func::FuncOp function, ArrayRef<RoutingPoint> points) {
    llvm::BitVector usedBefore(function.getNumArguments());
    for (BlockArgument argument : function.getArguments())
      if (!argument.use_empty())
        usedBefore.set(argument.getArgNumber());
    SetVector<Operation *> maybeDead;
    for (const RoutingPoint &point : points) {
      OpBuilder b(point.router);
      auto add = [&](StringRef name, Type type) -> Value {
        unsigned index = function.getNumArguments();
        if (failed(verifyFree(function, name)) ||
            failed(function.insertArgument(index, type, point.describe(b, name),
                                           point.routing.getLoc())))
          return {};
        return function.getArgument(index);
      };
      Value indices = add(point.indices, point.indicesType);
      Value weights = indices ? add(point.weights, point.weightsType) : Value();
      if (!weights)
        return failure();
      Value made = RoutingMakeOp::create(
          b, point.routing.getLoc(), point.routing.getType(), indices, weights);
      Value old = point.routing;
      old.replaceAllUsesWith(made);
      maybeDead.insert(old.getDefiningOp());
    }
    // Users come before what they use: an op is looked at again whenever one
    // of its users goes.
    while (!maybeDead.empty()) {
      Operation *op = maybeDead.pop_back_val();
      if (!mlir::isOpTriviallyDead(op))
        continue;
      for (Value operand : op->getOperands())
        if (Operation *def = operand.getDefiningOp())
          maybeDead.insert(def);
      op->erase();
    }
    if (!dropArguments)
      return success();
    llvm::BitVector dropped(function.getNumArguments());
    for (BlockArgument argument : function.getArguments())
      if (argument.getArgNumber() < usedBefore.size() &&
          usedBefore.test(argument.getArgNumber()) && argument.use_empty())
        dropped.set(argument.getArgNumber());
    return function.eraseArguments(dropped);
  }
};
} // namespace
