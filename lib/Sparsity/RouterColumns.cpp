//===- RouterColumns.cpp - Routers of some of the experts -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Walks from scores back to the weights of the router along the dimension of
// the experts. Every op on the way computes a column of that column alone, so
// that what is left out changes no bit of the rest.
//
//===----------------------------------------------------------------------===//

#include "Layer.h"
#include "RenumberRouting.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace moe;

namespace {
class ColumnBuilder {
public:
  ColumnBuilder(RewriterBase &b, ArrayRef<int64_t> kept, std::string &why)
      : b(b), kept(kept), why(why) {}

  /// Whether the parts `kept` of dimension `dim` can be had.
  bool check(Value value, int64_t dim);
  /// Whether nothing but `reader` reads what has been checked: computing it
  /// twice, for all experts and for some, would cost what is to be gained.
  bool isReadBy(Operation *reader);
  /// Builds them.
  Value build(Value value, int64_t dim);

private:
  /// The dimension of each operand that is dimension `dim` of the result, -1 if
  /// none is; fails if `op` does not compute one part of it alone.
  FailureOr<SmallVector<int64_t>> getOperandDims(Operation *op, int64_t dim);

  RewriterBase &b;
  ArrayRef<int64_t> kept;
  std::string &why;
  DenseMap<std::pair<Value, int64_t>, bool> checked;
  llvm::SetVector<Operation *> copied;
  DenseMap<std::pair<Value, int64_t>, Value> built;
};
} // namespace

/// Whether `value` is there before the function runs, so that parts of it are
/// free, or so small that they are.
static bool isFixed(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  Operation *def = value.getDefiningOp();
  return type && type.hasStaticShape() && type.getRank() <= 2 &&
         (!def || def->hasTrait<OpTrait::ConstantLike>());
}

FailureOr<SmallVector<int64_t>> ColumnBuilder::getOperandDims(Operation *op,
                                                              int64_t dim) {
  SmallVector<int64_t> dims;
  if (isa<SimilarityOp>(op))
    return SmallVector<int64_t>{-1, 0};
  if (isa<linalg::FillOp>(op))
    return SmallVector<int64_t>{-1, dim};
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
    AffineMap out =
        linalgOp.getMatchingIndexingMap(linalgOp.getDpsInitOperand(0));
    if (!linalgOp.hasPureTensorSemantics() || op->getNumResults() != 1 ||
        linalgOp.hasIndexSemantics() || !out.isProjectedPermutation())
      return failure();
    AffineExpr loop = out.getResult(dim);
    unsigned position = cast<AffineDimExpr>(loop).getPosition();
    for (OpOperand &operand : op->getOpOperands()) {
      AffineMap map = linalgOp.getMatchingIndexingMap(&operand);
      dims.push_back(-1);
      for (auto [d, expr] : llvm::enumerate(map.getResults())) {
        if (expr == loop && dims.back() < 0)
          dims.back() = d;
        else if (expr.isFunctionOfDim(position))
          return failure();
      }
    }
    return dims;
  }
  if (OpTrait::hasElementwiseMappableTraits(op) && op->getNumResults() == 1) {
    for (Value operand : op->getOperands())
      dims.push_back(isa<RankedTensorType>(operand.getType()) ? dim : -1);
    return dims;
  }
  return failure();
}

bool ColumnBuilder::check(Value value, int64_t dim) {
  if (isFixed(value))
    return true;
  auto [place, isNew] = checked.try_emplace({value, dim}, false);
  if (!isNew)
    return place->second;
  Operation *def = value.getDefiningOp();
  if (!def) {
    why = "its scores are an argument";
    return false;
  }
  if (isa<tensor::EmptyOp>(def))
    return checked[{value, dim}] = true;
  FailureOr<SmallVector<int64_t>> dims = getOperandDims(def, dim);
  if (failed(dims)) {
    why = ("its scores depend on those of all experts by " +
           def->getName().getStringRef())
              .str();
    return false;
  }
  for (auto [operand, at] : llvm::zip_equal(def->getOperands(), *dims))
    if (at >= 0 && !check(operand, at))
      return false;
  if (!isa<linalg::FillOp>(def))
    copied.insert(def);
  return checked[{value, dim}] = true;
}

bool ColumnBuilder::isReadBy(Operation *reader) {
  for (Operation *op : copied)
    for (Operation *user : op->getUsers())
      if (user != reader && !copied.contains(user)) {
        why = ("its scores are also read by " + user->getName().getStringRef())
                  .str();
        return false;
      }
  return true;
}

Value ColumnBuilder::build(Value value, int64_t dim) {
  if (Value known = built.lookup({value, dim}))
    return known;
  Operation *def = value.getDefiningOp();
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[dim] = kept.size();
  OpBuilder::InsertionGuard guard(b);
  // Where all that reads the value can read this.
  b.setInsertionPointAfterValue(value);
  if (isFixed(value))
    return built[{value, dim}] =
               buildParts(b, value.getLoc(), value, dim, kept);
  if (auto empty = dyn_cast<tensor::EmptyOp>(def))
    return built[{value, dim}] = tensor::EmptyOp::create(
               b, def->getLoc(), shape, type.getElementType(),
               empty.getDynamicSizes());
  SmallVector<Value> operands;
  for (auto [operand, at] :
       llvm::zip_equal(def->getOperands(), *getOperandDims(def, dim)))
    operands.push_back(at < 0 ? operand : build(operand, at));
  b.setInsertionPoint(def);
  Operation *copy = clone(b, def, type.clone(shape), operands);
  return built[{value, dim}] = copy->getResult(0);
}

/// A constant of indices as those of the experts `kept`; null if `indices` are
/// computed. What is no expert stays what it is.
static Value buildRenumberedConstant(OpBuilder &b, Value indices,
                                     ArrayRef<int64_t> kept) {
  DenseElementsAttr constant;
  if (!matchPattern(indices, m_Constant(&constant)))
    return {};
  SmallVector<int32_t> numbers;
  for (const APInt &old : constant.getValues<APInt>())
    numbers.push_back(old.isNegative()
                          ? -1
                          : llvm::lower_bound(kept, old.getSExtValue()) -
                                kept.begin());
  return arith::ConstantOp::create(
      b, indices.getLoc(),
      DenseElementsAttr::get(constant.getType(), ArrayRef(numbers)));
}

/// A policy like `policy` for the experts `kept`, or null.
static SelectionPolicyAttrInterface
getSmallerPolicy(SelectionPolicyAttrInterface policy, int64_t experts,
                 ArrayRef<int64_t> kept, std::string &why) {
  if (isa<TopKAttr, NearestCentroidAttr, TokenKAttr>(policy))
    return policy;
  if (auto hash = dyn_cast<HashAttr>(policy);
      hash && hash.getKind() == HashKind::Table)
    return policy;
  auto groups = dyn_cast<GroupTopKAttr>(policy);
  if (!groups) {
    why = "its choice depends on how many experts there are";
    return {};
  }
  int64_t size = experts / groups.getGroups();
  for (auto [i, e] : llvm::enumerate(kept))
    if (kept.size() % size != 0 || e % size != int64_t(i) % size) {
      why = "some of the experts of a group are left";
      return {};
    }
  return GroupTopKAttr::get(policy.getContext(), groups.getK(),
                            kept.size() / size, groups.getKeep(),
                            groups.getReduce());
}

/// A router like `op` of the experts `kept`, or null.
static Value buildSmallerRouter(RewriterBase &b, RouterOp op,
                                ArrayRef<int64_t> kept, std::string &why) {
  int64_t slots = op.getNumSlots();
  SelectionPolicyAttrInterface policy =
      getSmallerPolicy(op.getPolicy(), op.getNumExperts(), kept, why);
  if (!policy)
    return {};
  ColumnBuilder columns(b, kept, why);
  for (Value scores : {op.getSelect(), op.getWeigh()})
    if (scores && !columns.check(scores, 1))
      return {};
  if (!columns.isReadBy(op))
    return {};
  b.setInsertionPoint(op);
  auto build = [&](Value scores) {
    return scores ? columns.build(scores, 1) : Value();
  };
  Value select = build(op.getSelect()), weigh = build(op.getWeigh());
  SmallVector<Value> operands(op.getPolicyOperands());
  if (isa<HashAttr>(policy)) {
    operands[1] = buildRenumberedConstant(b, operands[1], kept);
    if (!operands[1])
      return {};
  }
  auto type = RoutingType::get(b.getContext(), kept.size(), slots);
  auto router =
      cast<RouterOp>(clone(b, op, TypeRange{type}, op->getOperands()));
  router.setPolicyAttr(policy);
  if (select)
    router.getSelectMutable().assign(select);
  if (weigh)
    router.getWeighMutable().assign(weigh);
  router.getPolicyOperandsMutable().assign(operands);
  return router.getRouting();
}

Value moe::buildSmallerRouting(RewriterBase &b, Value routing,
                               ArrayRef<int64_t> kept, std::string &why) {
  Operation *def = routing.getDefiningOp();
  auto type = cast<RoutingType>(routing.getType());
  if (static_cast<int64_t>(kept.size()) < type.getSlots()) {
    why = "fewer experts are left than a token has slots";
    return {};
  }
  OpBuilder::InsertionGuard guard(b);
  if (auto router = dyn_cast_or_null<RouterOp>(def))
    return buildSmallerRouter(b, router, kept, why);
  if (auto make = dyn_cast_or_null<RoutingMakeOp>(def)) {
    b.setInsertionPoint(make);
    Value indices = buildRenumberedConstant(b, make.getIndices(), kept);
    if (!indices) {
      why = "its indices are computed";
      return {};
    }
    return RoutingMakeOp::create(
        b, make.getLoc(),
        RoutingType::get(b.getContext(), kept.size(), type.getSlots()), indices,
        make.getWeights(), make.getTrusted());
  }
  auto limit = dyn_cast_or_null<RoutingLimitOp>(def);
  if (!isa_and_present<RoutingAppendOp, RoutingLimitOp, RoutingReweighOp>(
          def) ||
      (limit && !limit.getCapacity())) {
    why = !def    ? "its routing is an argument"
          : limit ? "its capacity depends on how many experts there are"
                  : "it is no router";
    return {};
  }
  Value source = def->getOperand(0);
  if (!source.hasOneUse()) {
    why = "its routing has other uses";
    return {};
  }
  auto from = cast<RoutingType>(source.getType());
  SmallVector<int64_t> inner;
  for (int64_t e : kept)
    if (e < from.getExperts())
      inner.push_back(e);
  auto reweigh = dyn_cast<RoutingReweighOp>(def);
  if (reweigh && reweigh.getScales() && !isFixed(reweigh.getScales())) {
    why = "the factors of its experts are computed";
    return {};
  }
  Value smaller = buildSmallerRouting(b, source, inner, why);
  if (!smaller)
    return {};
  b.setInsertionPoint(def);
  SmallVector<Value> operands(def->getOperands());
  operands[0] = smaller;
  if (reweigh && reweigh.getScales())
    operands[1] = buildParts(b, def->getLoc(), reweigh.getScales(), 0, kept);
  auto now = RoutingType::get(b.getContext(), kept.size(), type.getSlots());
  return clone(b, def, TypeRange{now}, operands)->getResult(0);
}
