//===- SizeExpressions.cpp - Sizes as affine expressions --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Every size is an affine expression over roots: the named sizes, scalar
// arguments, and what only the body knows.
//
//===----------------------------------------------------------------------===//

#include "SizeExpressions.h"

#include "moe-mlir/Transforms/Rows.h"
#include "moe/Moe.h"
#include "moe_rt/MoeRt.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"

using namespace mlir;
using namespace moe;

void SizeExpressions::addBounds(unsigned root, Value value) {
  SmallVector<AffineExpr, 1> lower, upper;
  bool isMinimum = false, isMaximum = false;
  auto ofLoop = [&](auto loop) {
    unsigned d = cast<BlockArgument>(value).getArgNumber();
    SmallVector<OpFoldResult> from = loop.getMixedLowerBound(),
                              to = loop.getMixedUpperBound();
    if (d < from.size()) {
      lower.push_back(get(from[d]));
      upper.push_back(simplify(get(to[d]) - 1));
    }
  };
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    Operation *parent = argument.getOwner()->getParentOp();
    if (auto loop = dyn_cast<scf::ForOp>(parent);
        loop && loop.getInductionVar() == value) {
      lower.push_back(get(loop.getLowerBound()));
      upper.push_back(simplify(get(loop.getUpperBound()) - 1));
    } else if (auto loop = dyn_cast<scf::ForallOp>(parent)) {
      ofLoop(loop);
    } else if (auto loop = dyn_cast<scf::ParallelOp>(parent)) {
      unsigned d = argument.getArgNumber();
      lower.push_back(get(loop.getLowerBound()[d]));
      upper.push_back(simplify(get(loop.getUpperBound()[d]) - 1));
    }
  } else {
    Operation *op = value.getDefiningOp();
    AffineMap map;
    if (auto min = dyn_cast<affine::AffineMinOp>(op))
      map = min.getAffineMap();
    if (auto max = dyn_cast<affine::AffineMaxOp>(op))
      map = max.getAffineMap();
    isMinimum = isa<affine::AffineMinOp, arith::MinSIOp>(op);
    isMaximum = isa<affine::AffineMaxOp, arith::MaxSIOp>(op);
    SmallVector<AffineExpr, 1> &bounds = isMinimum ? upper : lower;
    if (isMinimum || isMaximum) {
      SmallVector<AffineExpr> ins;
      for (Value in : op->getOperands())
        ins.push_back(get(in));
      if (!map)
        bounds.append(ins.begin(), ins.end());
      else
        for (AffineExpr expr : map.getResults())
          bounds.push_back(simplify(expr.replaceDimsAndSymbols(
              ArrayRef(ins).take_front(map.getNumDims()),
              ArrayRef(ins).drop_front(map.getNumDims()))));
    }
  }
  // Another value may be the root itself.
  if (lower.empty() && upper.empty())
    return;
  roots[root].lower = lower;
  roots[root].upper = upper;
  roots[root].isMinimum = isMinimum;
  roots[root].isMaximum = isMaximum;
}

bool SizeExpressions::proveNonNegative(AffineExpr expr, int depth) {
  SmallVector<int64_t> flat;
  if (isNonNegative(expr))
    return true;
  if (failed(getFlattenedAffineExpr(expr, 0, roots.size(), &flat)) ||
      flat.size() != roots.size() + 1)
    return false;
  bool sum = flat.back() >= 0;
  for (unsigned i = 0, e = roots.size(); i != e; ++i)
    sum &= flat[i] == 0 || (flat[i] > 0 && roots[i].isNonNegative);
  if (sum)
    return true;
  if (depth == 0)
    return false;
  for (unsigned i = 0, e = roots.size(); i != e; ++i) {
    if (flat[i] == 0)
      continue;
    auto holdsFor = [&](AffineExpr bound) {
      return proveNonNegative(simplify(expr.replace(symbol(i), bound)),
                              depth - 1);
    };
    bool grows = flat[i] > 0;
    const SmallVector<AffineExpr, 1> &any =
        grows ? roots[i].lower : roots[i].upper;
    const SmallVector<AffineExpr, 1> &all =
        grows ? roots[i].upper : roots[i].lower;
    if (llvm::any_of(any, holdsFor) ||
        ((grows ? roots[i].isMinimum : roots[i].isMaximum) &&
         llvm::all_of(all, holdsFor)))
      return true;
  }
  return false;
}

AffineExpr SizeExpressions::multiply(AffineExpr a, AffineExpr b) {
  if (isa<AffineConstantExpr>(a) || isa<AffineConstantExpr>(b))
    return simplify(a * b);
  // Constant factors go outside, so that equal products look equal.
  int64_t factor = 1;
  for (AffineExpr *side : {&a, &b}) {
    auto binary = dyn_cast<AffineBinaryOpExpr>(*side);
    auto known = binary && side->getKind() == AffineExprKind::Mul
                     ? dyn_cast<AffineConstantExpr>(binary.getRHS())
                     : AffineConstantExpr();
    if (!known)
      continue;
    factor *= known.getValue();
    *side = binary.getLHS();
  }
  std::string textA = text(a), textB = text(b);
  if (textB < textA) {
    std::swap(a, b);
    std::swap(textA, textB);
  }
  Location loc = function.getLoc();
  if (!isKnownAtEntry(a) || !isKnownAtEntry(b))
    return {};
  auto parenthesize = [](AffineExpr e, StringRef text) {
    return isa<AffineSymbolExpr>(e) ? text.str() : ("(" + text + ")").str();
  };
  std::string name = parenthesize(a, textA) + " * " + parenthesize(b, textB);
  auto isNamed = [&](AffineExpr e) {
    auto symbol = dyn_cast<AffineSymbolExpr>(e);
    return symbol && roots[symbol.getPosition()].isNamed;
  };
  // Not by the names, which scalars may share.
  std::string key;
  llvm::raw_string_ostream(key) << "mul " << a << "," << b;
  AffineExpr product = entryRoot(
      key, name, isNonNegative(a) && isNonNegative(b), [&]() -> Value {
        Value x = build(top, loc, a), y = build(top, loc, b);
        if (isNamed(a) && isNamed(b))
          return arith::MulIOp::create(top, loc, x, y);
        auto wide = arith::MulSIExtendedOp::create(top, loc, x, y);
        Value sign = arith::ShRSIOp::create(
            top, loc, wide.getLow(),
            arith::ConstantIndexOp::create(top, loc, 63));
        Value fits = arith::CmpIOp::create(top, loc, arith::CmpIPredicate::eq,
                                           wide.getHigh(), sign);
        moert::CheckOp::create(top, loc, fits, moert::Status::BadSize,
                              "the product " + name + " is too large");
        return wide.getLow();
      });
  return simplify(product * factor);
}

Value SizeExpressions::cloneToEntry(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument.getOwner() == &function.getBody().front() ? value : Value();
  if (auto it = clones.find(value); it != clones.end())
    return it->second;
  // What cannot be computed there is remembered, too.
  clones[value] = {};
  Operation *op = value.getDefiningOp();
  if (!isa_and_nonnull<arith::ArithDialect, affine::AffineDialect,
                       tensor::TensorDialect>(op->getDialect()) ||
      op->getNumRegions() != 0 || op->getNumResults() != 1 || !isPure(op) ||
      isa<ShapedType>(value.getType()))
    return {};
  // Of tensors only what is there in every call.
  if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
    if (!isa<BlockArgument>(extract.getTensor()) ||
        extract.getTensor().getType().getRank() != 0)
      return {};
  } else if (isa<tensor::TensorDialect>(op->getDialect())) {
    return {};
  }
  IRMapping mapping;
  for (Value operand : op->getOperands()) {
    Value mapped;
    if (operand.getType().isIndex()) {
      AffineExpr expr = get(operand);
      if (isKnownAtEntry(expr))
        mapped = build(top, op->getLoc(), expr);
    } else {
      mapped = cloneToEntry(operand);
    }
    if (!mapped)
      return {};
    mapping.map(operand, mapped);
  }
  Value result = top.clone(*op, mapping)->getResult(0);
  return clones[value] = result;
}

AffineExpr SizeExpressions::compute(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    if (argument.getOwner() != &function.getBody().front())
      return {};
    auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                      moe::kNameAttr);
    return entryRoot("argument " + std::to_string(argument.getArgNumber()),
                     name ? name.getValue() : "an argument", false,
                     [&] { return value; });
  }
  Operation *op = value.getDefiningOp();
  auto operand = [&](unsigned i) { return get(op->getOperand(i)); };
  auto divisor = [&]() -> int64_t {
    auto known = getConstantIntValue(op->getOperand(1));
    return known && *known > 0 ? *known : 0;
  };
  if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    auto index = dim.getConstantIndex();
    auto type = dyn_cast<RankedTensorType>(dim.getSource().getType());
    if (index && type && *index >= 0 && *index < type.getRank())
      return getDim(dim.getSource(), *index);
    return {};
  }
  if (auto dim = dyn_cast<memref::DimOp>(op)) {
    auto index = dim.getConstantIndex();
    auto type = dyn_cast<MemRefType>(dim.getSource().getType());
    if (index && type && *index >= 0 && *index < type.getRank())
      return getDim(dim.getSource(), *index);
    return {};
  }
  if (auto tokens = dyn_cast<moe::RoutingNumTokensOp>(op)) {
    Value tensor = moe::getTokensTensor(tokens.getRouting());
    return tensor ? getDim(tensor, 0) : AffineExpr();
  }
  if (value.getType().isIndex()) {
    if (isa<arith::AddIOp>(op))
      return simplify(operand(0) + operand(1));
    if (isa<arith::SubIOp>(op))
      return simplify(operand(0) - operand(1));
    if (isa<arith::MulIOp>(op))
      return multiply(operand(0), operand(1));
    if (int64_t by = isa<arith::FloorDivSIOp, arith::CeilDivSIOp,
                         arith::DivSIOp, arith::DivUIOp, arith::CeilDivUIOp>(op)
                         ? divisor()
                         : 0) {
      AffineExpr of = operand(0);
      if (isa<arith::FloorDivSIOp>(op))
        return simplify(of.floorDiv(by));
      if (isa<arith::CeilDivSIOp>(op))
        return simplify(of.ceilDiv(by));
      if (isNonNegative(of))
        return simplify(isa<arith::CeilDivUIOp>(op) ? of.ceilDiv(by)
                                                    : of.floorDiv(by));
    }
    if (auto apply = dyn_cast<affine::AffineApplyOp>(op)) {
      AffineMap map = apply.getAffineMap();
      SmallVector<AffineExpr> ins;
      for (Value in : apply.getMapOperands())
        ins.push_back(get(in));
      AffineExpr expr = map.getResult(0);
      // A product of symbols is no affine expression of roots.
      bool pure = expr.isPureAffine();
      if (pure)
        return simplify(expr.replaceDimsAndSymbols(
            ArrayRef(ins).take_front(map.getNumDims()),
            ArrayRef(ins).drop_front(map.getNumDims())));
      auto product = dyn_cast<AffineBinaryOpExpr>(expr);
      auto leaf = [&](AffineExpr e) -> AffineExpr {
        if (auto dim = dyn_cast<AffineDimExpr>(e))
          return ins[dim.getPosition()];
        if (auto symbol = dyn_cast<AffineSymbolExpr>(e))
          return ins[map.getNumDims() + symbol.getPosition()];
        return {};
      };
      if (product && expr.getKind() == AffineExprKind::Mul &&
          leaf(product.getLHS()) && leaf(product.getRHS()))
        return multiply(leaf(product.getLHS()), leaf(product.getRHS()));
    }
  }
  // Anything else that arguments decide: a minimum, a cast of an i64.
  Value clone = cloneToEntry(value);
  if (!clone)
    return {};
  std::string key;
  llvm::raw_string_ostream os(key);
  os << "value " << op->getName() << op->getAttrDictionary();
  for (Value in : op->getOperands()) {
    if (in.getType().isIndex())
      os << "," << get(in);
    else
      os << "," << cloneToEntry(in).getAsOpaquePointer();
  }
  std::string name = "a value of " + op->getName().getStringRef().str();
  // A cast is what it casts.
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op))
    if (auto argument = dyn_cast<BlockArgument>(op->getOperand(0)))
      if (auto given = function.getArgAttrOfType<StringAttr>(
              argument.getArgNumber(), moe::kNameAttr))
        name = given.str();
  return entryRoot(key, name, false, [&] { return clone; });
}

AffineExpr SizeExpressions::computeDim(Value shaped, int64_t dim) {
  /// What a loop carries keeps its size if the analysis of bounds says so.
  auto ofLoop = [&](Value init) -> AffineExpr {
    FailureOr<bool> same = ValueBoundsConstraintSet::areEqual(
        ValueBoundsConstraintSet::Variable(shaped, dim),
        ValueBoundsConstraintSet::Variable(init, dim));
    return succeeded(same) && *same ? getDim(init, dim) : AffineExpr();
  };
  if (auto argument = dyn_cast<BlockArgument>(shaped)) {
    if (argument.getOwner() == &function.getBody().front()) {
      unsigned number = argument.getArgNumber();
      auto names = function.getArgAttrOfType<ArrayAttr>(number, moe::kDimsAttr);
      auto type = cast<ShapedType>(shaped.getType());
      unsigned index = 0;
      for (int64_t d = 0; d < dim; ++d)
        index += type.isDynamicDim(d);
      if (!names || index >= names.size())
        return {};
      return named(cast<StringAttr>(names[index]).getValue(), shaped, dim);
    }
    Operation *parent = argument.getOwner()->getParentOp();
    // A body gets as many rows of each kind.
    auto expert = dyn_cast<moe::ExpertOp>(parent);
    unsigned group = argument.getOwner()->getParent()->getRegionNumber();
    if (argument.getArgNumber() > 0 && dim == 0 &&
        (isa<moe::ScanOp>(parent) ||
         (expert &&
          llvm::is_contained(expert.getOtherArguments(group), argument))))
      return getDim(argument.getOwner()->getArgument(0), 0);
    if (auto loop = dyn_cast<scf::ForOp>(parent))
      if (OpOperand *init = loop.getTiedLoopInit(argument))
        return ofLoop(init->get());
    return {};
  }
  auto result = cast<OpResult>(shaped);
  Operation *op = result.getOwner();
  if (auto dst = dyn_cast<DestinationStyleOpInterface>(op))
    if (OpOperand *init = dst.getTiedOpOperand(result))
      return getDim(init->get(), dim);
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return get(empty.getDynamicSize(dim));
  if (auto cast = dyn_cast<tensor::CastOp>(op)) {
    auto from = dyn_cast<RankedTensorType>(cast.getSource().getType());
    return from ? getDim(cast.getSource(), dim) : AffineExpr();
  }
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return get(expand.getMixedOutputShape()[dim]);
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    AffineExpr product = constant(1);
    ReassociationIndices group = collapse.getReassociationIndices()[dim];
    for (int64_t from : group) {
      product = multiply(product, getDim(collapse.getSrc(), from));
      if (!product)
        return {};
    }
    return product;
  }
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return ofLoop(loop.getInitArgs()[result.getResultNumber()]);
  if (auto branch = dyn_cast<scf::IfOp>(op)) {
    unsigned number = result.getResultNumber();
    AffineExpr yes = getDim(branch.thenYield().getOperand(number), dim);
    AffineExpr no = getDim(branch.elseYield().getOperand(number), dim);
    return yes == no && isKnownAtEntry(yes) ? yes : AffineExpr();
  }
  if (OpTrait::hasElementwiseMappableTraits(op))
    for (Value operand : op->getOperands())
      if (isa<RankedTensorType>(operand.getType()))
        return getDim(operand, dim);
  auto reify = dyn_cast<ReifyRankedShapedTypeOpInterface>(op);
  if (!reify)
    return {};
  // Ops that only tell sizes; they go again when nothing needs them.
  struct Remember : OpBuilder::Listener {
    SmallVectorImpl<Operation *> &ops;
    explicit Remember(SmallVectorImpl<Operation *> &ops) : ops(ops) {}
    void notifyOperationInserted(Operation *op,
                                 OpBuilder::InsertPoint) override {
      ops.push_back(op);
    }
  } listener(helpers);
  OpBuilder b(context, &listener);
  b.setInsertionPoint(op);
  ReifiedRankedShapedTypeDims shapes;
  if (failed(reify.reifyResultShapes(b, shapes)))
    return {};
  OpFoldResult size = shapes[result.getResultNumber()][dim];
  // Asking the op again would not end.
  if (auto value = dyn_cast<Value>(size))
    if (auto again = value.getDefiningOp<tensor::DimOp>())
      if (again.getSource() == shaped)
        return {};
  return get(size);
}
