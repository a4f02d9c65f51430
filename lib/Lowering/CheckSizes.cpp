//===- CheckSizes.cpp - What IR promises about sizes ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Operations promise that sizes fit: operands of a sum have one shape, a slice
// lies within its tensor, a result is as large as its declaration says. Whoever
// calls a compiled function gives the sizes, so the promises are the caller's,
// and are checked.
//
// A promise between sizes (SizeExpressions.h) holds always, never (an error), or
// becomes a moe_rt.check: at the entry if all of its roots are known there and
// the operation runs in every call, and in front of the operation otherwise.
//
//===----------------------------------------------------------------------===//

#include "SizeExpressions.h"

#include "moe-mlir/Analysis/Dims.h"
#include "moe-mlir/Lowering/Passes.h"
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
#include "llvm/ADT/StringSet.h"

namespace moe {
#define GEN_PASS_DEF_CHECKSIZESPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

namespace {

/// The promises of a function's operations.
class Promises {
public:
  explicit Promises(func::FuncOp function)
      : function(function), sizes(function) {}

  LogicalResult run();

private:
  LogicalResult visit(Operation *op);
  LogicalResult visitLinalg(linalg::LinalgOp op);
  LogicalResult visitSlice(OffsetSizeAndStrideOpInterface op, Value whole);
  LogicalResult visitInsert(OffsetSizeAndStrideOpInterface op, Value part,
                            Value whole);
  LogicalResult visitElement(Operation *op, Value whole, ValueRange indices);
  LogicalResult visitReturn(func::ReturnOp op);

  LogicalResult equal(Operation *op, AffineExpr a, AffineExpr b,
                      const Twine &why);
  LogicalResult atMost(Operation *op, AffineExpr a, AffineExpr b,
                       const Twine &why);
  LogicalResult sameShape(Operation *op, Value a, Value b, const Twine &why);
  LogicalResult check(Operation *op, AffineExpr a, AffineExpr b, bool equal,
                      const std::string &message);

  /// An argument for a size that no argument has.
  AffineExpr declaredSize(StringRef name);

  func::FuncOp function;
  SizeExpressions sizes;
  llvm::StringSet<> atEntry;
  llvm::StringSet<> ofArguments;
};

} // namespace

LogicalResult Promises::check(Operation *op, AffineExpr a, AffineExpr b,
                              bool equal, const std::string &message) {
  Block *body = &function.getBody().front();
  bool known = sizes.isKnownAtEntry(a) && sizes.isKnownAtEntry(b);
  Operation *obstacle = moert::CheckOp::findObstacle(op->getBlock());
  if (obstacle && !known)
    return op->emitOpError("needs a check at run time (")
           << message << "), which '" << obstacle->getName()
           << "' around it does not allow; take the sizes from one tensor, or "
              "bound them by it (arith.minsi)";
  // What stands inside of an obstacle is checked in front of it.
  Operation *at = op;
  for (Operation *around = obstacle; around;
       around = moert::CheckOp::findObstacle(at->getBlock()))
    at = around;
  // In a branch or loop it need not run, and then promises nothing.
  bool hoist = known && at->getBlock() == body;
  std::string key;
  llvm::raw_string_ostream(key) << a << (equal ? "=" : "<") << b;
  if (hoist && !atEntry.insert(key).second)
    return success();
  OpBuilder local(at);
  OpBuilder &b2 = hoist ? sizes.atEntry() : local;
  Location loc = op->getLoc();
  Value x = sizes.build(b2, loc, a), y = sizes.build(b2, loc, b);
  Value ok = arith::CmpIOp::create(
      b2, loc, equal ? arith::CmpIPredicate::eq : arith::CmpIPredicate::sle, x,
      y);
  moert::CheckOp::create(b2, loc, ok, moert::Status::BadSize, message);
  return success();
}

LogicalResult Promises::equal(Operation *op, AffineExpr a, AffineExpr b,
                              const Twine &why) {
  AffineExpr difference = sizes.simplify(a - b);
  std::string message =
      sizes.text(a) + " has to equal " + sizes.text(b) + ": " + why.str();
  if (auto known = dyn_cast<AffineConstantExpr>(difference)) {
    if (known.getValue() == 0)
      return success();
    return op->emitOpError("can never run: ") << message;
  }
  if (sizes.prove(a, ValueBoundsConstraintSet::ComparisonOperator::EQ, b))
    return success();
  return check(op, a, b, /*equal=*/true, message);
}

LogicalResult Promises::atMost(Operation *op, AffineExpr a, AffineExpr b,
                               const Twine &why) {
  AffineExpr room = sizes.simplify(b - a);
  std::string message =
      sizes.text(a) + " has to be at most " + sizes.text(b) + ": " + why.str();
  if (auto known = dyn_cast<AffineConstantExpr>(room)) {
    if (known.getValue() >= 0)
      return success();
    return op->emitOpError("can never run: ") << message;
  }
  if (sizes.proveNonNegative(room) ||
      sizes.prove(a, ValueBoundsConstraintSet::ComparisonOperator::LE, b))
    return success();
  return check(op, a, b, /*equal=*/false, message);
}

LogicalResult Promises::sameShape(Operation *op, Value a, Value b,
                                  const Twine &why) {
  auto typeA = dyn_cast<RankedTensorType>(a.getType());
  auto typeB = dyn_cast<RankedTensorType>(b.getType());
  if (!typeA || !typeB || typeA.getRank() != typeB.getRank())
    return success();
  for (int64_t d = 0; d < typeA.getRank(); ++d)
    if (failed(equal(op, sizes.getDim(a, d), sizes.getDim(b, d), why)))
      return failure();
  return success();
}

LogicalResult Promises::visitLinalg(linalg::LinalgOp op) {
  std::string why =
      ("'" + op->getName().getStringRef() + "' reads them with one loop").str();
  SmallVector<AffineExpr> ranges(op.getNumLoops());
  // What is known earlier says more.
  for (bool known : {true, false})
    for (OpOperand &operand : op->getOpOperands()) {
      if (!isa<ShapedType>(operand.get().getType()))
        continue;
      for (auto [d, index] :
           llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults())) {
        auto loop = dyn_cast<AffineDimExpr>(index);
        if (!loop || ranges[loop.getPosition()])
          continue;
        AffineExpr size = sizes.getDim(operand.get(), d);
        if (!known || sizes.isKnownAtEntry(size))
          ranges[loop.getPosition()] = size;
      }
    }
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<ShapedType>(operand.get().getType()))
      continue;
    for (auto [d, index] :
         llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults())) {
      AffineExpr size = sizes.getDim(operand.get(), d);
      if (auto loop = dyn_cast<AffineDimExpr>(index)) {
        if (failed(equal(op, size, ranges[loop.getPosition()], why)))
          return failure();
        continue;
      }
      // The largest index is that of the last iterations.
      bool grows = true;
      index.walk([&](AffineExpr e) {
        if (auto known = dyn_cast<AffineConstantExpr>(e))
          grows &= known.getValue() >= 0;
        if (auto loop = dyn_cast<AffineDimExpr>(e))
          grows &= bool(ranges[loop.getPosition()]);
        grows &= e.getKind() != AffineExprKind::Mod;
      });
      if (!grows)
        continue;
      SmallVector<AffineExpr> last;
      for (AffineExpr range : ranges)
        last.push_back(range ? range - 1 : sizes.constant(0));
      AffineExpr end = sizes.simplify(index.replaceDims(last) + 1);
      if (failed(atMost(op, end, size,
                        "'" + op->getName().getStringRef() +
                            "' reads up to there")))
        return failure();
    }
  }
  // What the body reads by the indices of the loops. A loop without iterations
  // reads nothing, but that is not worth a branch.
  for (Operation &inner : *op.getBlock())
    if (auto index = dyn_cast<linalg::IndexOp>(inner))
      if (AffineExpr range = ranges[index.getDim()])
        sizes.addRange(index, range);
  for (Operation &inner : *op.getBlock())
    if (auto extract = dyn_cast<tensor::ExtractOp>(inner))
      if (failed(
              visitElement(extract, extract.getTensor(), extract.getIndices())))
        return failure();
  return success();
}

LogicalResult Promises::visitSlice(OffsetSizeAndStrideOpInterface op,
                                   Value whole) {
  std::string why =
      ("'" + op->getName().getStringRef() + "' has to be within its tensor")
          .str();
  AffineExpr zero = sizes.constant(0);
  SmallVector<OpFoldResult> offsets = op.getMixedOffsets(),
                            counts = op.getMixedSizes(),
                            strides = op.getMixedStrides();
  for (int64_t d = 0, e = counts.size(); d != e; ++d) {
    AffineExpr offset = sizes.get(offsets[d]), count = sizes.get(counts[d]);
    AffineExpr size = sizes.getDim(whole, d);
    if (failed(atMost(op, zero, offset, why)) ||
        failed(atMost(op, zero, count, why)))
      return failure();
    auto stride = getConstantIntValue(strides[d]);
    if (!stride) {
      AffineExpr step = sizes.get(strides[d]);
      AffineExpr span = sizes.multiply(sizes.simplify(count - 1), step);
      if (!span)
        return op->emitOpError("has a stride that is computed in the function; "
                               "make it a constant or an argument");
      if (failed(atMost(op, sizes.constant(1), step, why)) ||
          failed(atMost(op, span, sizes.simplify(size - offset - 1), why)))
        return failure();
      continue;
    }
    if (*stride > 0) {
      // In this form nothing overflows, whatever the values are.
      AffineExpr left = sizes.simplify(size - offset);
      if (failed(atMost(op, offset, size, why)) ||
          failed(atMost(op, count, sizes.simplify(left.ceilDiv(*stride)), why)))
        return failure();
      continue;
    }
    if (failed(atMost(op, offset, sizes.simplify(size - 1), why)) ||
        (*stride < 0 &&
         failed(atMost(op, count, sizes.simplify(offset.floorDiv(-*stride) + 1),
                       why))))
      return failure();
  }
  return success();
}

LogicalResult Promises::visitInsert(OffsetSizeAndStrideOpInterface op,
                                    Value part, Value whole) {
  if (failed(visitSlice(op, whole)))
    return failure();
  auto type = cast<ShapedType>(part.getType());
  SmallVector<OpFoldResult> counts = op.getMixedSizes();
  SmallVector<int64_t> full;
  for (OpFoldResult count : counts)
    full.push_back(getConstantIntValue(count).value_or(ShapedType::kDynamic));
  auto dropped = computeRankReductionMask(full, type.getShape(),
                                          /*matchDynamic=*/true);
  if (!dropped)
    return success();
  int64_t d = 0;
  for (auto [i, count] : llvm::enumerate(counts))
    if (!dropped->contains(i) &&
        failed(equal(op, sizes.getDim(part, d++), sizes.get(count),
                     "'" + op->getName().getStringRef() +
                         "' inserts all of its source")))
      return failure();
  return success();
}

/// Indices that data decides are the model's affair, like those of a table.
LogicalResult Promises::visitElement(Operation *op, Value whole,
                                     ValueRange indices) {
  std::string why =
      ("'" + op->getName().getStringRef() + "' has to be within its tensor")
          .str();
  for (auto [d, value] : llvm::enumerate(indices)) {
    AffineExpr index = sizes.get(value), size = sizes.getDim(whole, d);
    AffineExpr first = sizes.atExtreme(index, /*largest=*/false);
    AffineExpr last = sizes.atExtreme(index, /*largest=*/true);
    if (!sizes.isKnownAtEntry(first) || !sizes.isKnownAtEntry(last) ||
        !sizes.isKnownAtEntry(size))
      continue;
    if (failed(atMost(op, sizes.constant(0), first, why)) ||
        failed(atMost(op, last, sizes.simplify(size - 1), why)))
      return failure();
  }
  return success();
}

AffineExpr Promises::declaredSize(StringRef name) {
  MLIRContext *context = function.getContext();
  Builder b(context);
  auto find = [&]() -> std::optional<unsigned> {
    for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i)
      if (moe::getArgumentRole(function, i) == moe::kSizeRole &&
          moe::getSizeName(function, i) == name)
        return i;
    return std::nullopt;
  };
  std::optional<unsigned> index = find();
  if (!index) {
    index = function.getNumArguments();
    auto attrs = b.getDictionaryAttr(
        {b.getNamedAttr(moe::kRoleAttr, b.getStringAttr(moe::kSizeRole)),
         b.getNamedAttr(moe::kDimsAttr, b.getStrArrayAttr(name))});
    // Cannot fail: a function type takes any argument.
    (void)function.insertArgument(*index, b.getIndexType(), attrs,
                                  function.getLoc());
  }
  return sizes.named(name, function.getArgument(*index), std::nullopt);
}

LogicalResult Promises::visitReturn(func::ReturnOp op) {
  for (auto [i, value] : llvm::enumerate(op.getOperands())) {
    auto type = dyn_cast<ShapedType>(function.getResultTypes()[i]);
    auto names = function.getResultAttrOfType<ArrayAttr>(i, moe::kDimsAttr);
    if (!type || !type.hasRank() || !names)
      continue;
    auto own = function.getResultAttrOfType<StringAttr>(i, moe::kNameAttr);
    unsigned next = 0;
    for (int64_t d = 0; d < type.getRank(); ++d) {
      if (!type.isDynamicDim(d))
        continue;
      if (next == names.size())
        break;
      StringRef name = cast<StringAttr>(names[next++]).getValue();
      AffineExpr size = sizes.getDim(value, d);
      AffineExpr declared = ofArguments.contains(name)
                                ? sizes.named(name, Value(), std::nullopt)
                                : declaredSize(name);
      if (failed(equal(op, declared, size,
                       "dimension " + Twine(d) + " of result '" +
                           (own ? own.getValue() : "") + "'")))
        return failure();
    }
  }
  return success();
}

LogicalResult Promises::visit(Operation *op) {
  std::string name = ("'" + op->getName().getStringRef() + "'").str();
  if (auto ret = dyn_cast<func::ReturnOp>(op))
    return visitReturn(ret);
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
    return visitLinalg(linalgOp);
  if (auto softmax = dyn_cast<linalg::SoftmaxOp>(op))
    return sameShape(op, softmax.getInput(), softmax.getOutput(),
                     name + " needs one shape");
  if (isa<arith::ArithDialect, math::MathDialect>(op->getDialect()) ||
      isa<tensor::BitcastOp>(op)) {
    Value first;
    for (Value operand : op->getOperands()) {
      if (!isa<RankedTensorType>(operand.getType()))
        continue;
      if (first &&
          failed(sameShape(op, operand, first, name + " needs one shape")))
        return failure();
      first = first ? first : operand;
    }
    return success();
  }
  if (isa<tensor::ExtractSliceOp, memref::SubViewOp>(op))
    return visitSlice(cast<OffsetSizeAndStrideOpInterface>(op),
                      op->getOperand(0));
  if (isa<tensor::InsertSliceOp, tensor::ParallelInsertSliceOp>(op))
    return visitInsert(cast<OffsetSizeAndStrideOpInterface>(op),
                       op->getOperand(0), op->getOperand(1));
  if (isa<tensor::ExtractOp, tensor::InsertOp>(op))
    return visitElement(
        op, op->getOperand(isa<tensor::InsertOp>(op)),
        isa<tensor::InsertOp>(op)
            ? ValueRange(cast<tensor::InsertOp>(op).getIndices())
            : cast<tensor::ExtractOp>(op).getIndices());
  if (isa<tensor::CastOp, memref::CastOp>(op)) {
    auto from = dyn_cast<ShapedType>(op->getOperand(0).getType());
    auto to = dyn_cast<ShapedType>(op->getResult(0).getType());
    if (!from || !to || !from.hasRank() || !to.hasRank())
      return success();
    for (int64_t d = 0; d < to.getRank(); ++d)
      if (!to.isDynamicDim(d) &&
          failed(equal(op, sizes.getDim(op->getOperand(0), d),
                       sizes.constant(to.getDimSize(d)),
                       name + " gives a static size")))
        return failure();
    return success();
  }
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    SmallVector<OpFoldResult> shape = expand.getMixedOutputShape();
    for (auto [d, group] : llvm::enumerate(expand.getReassociationIndices())) {
      AffineExpr product = sizes.constant(1), whole;
      int64_t factor = 1;
      whole = sizes.getDim(expand.getSrc(), d);
      for (int64_t to : group) {
        if (auto known = getConstantIntValue(shape[to])) {
          factor *= *known;
          continue;
        }
        AffineExpr size = sizes.get(shape[to]);
        if (failed(atMost(op, sizes.constant(0), size, name + " gives a size")))
          return failure();
        product = product ? sizes.multiply(product, size) : product;
      }
      if (!product)
        return op->emitOpError("expands into a product of sizes that are "
                               "computed in the function; take them from "
                               "arguments or their dimensions");
      // With the bound, the product does not overflow.
      std::string why = name + " keeps the number of elements";
      if ((factor > 1 && failed(atMost(op, product, whole, why))) ||
          failed(equal(op, sizes.simplify(product * factor), whole, why)))
        return failure();
    }
    return success();
  }
  if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
    ValueRange inputs = concat.getInputs();
    auto type = concat.getResultType();
    for (Value input : llvm::drop_begin(inputs))
      for (int64_t d = 0; d < type.getRank(); ++d)
        if (d != static_cast<int64_t>(concat.getDim()) &&
            failed(equal(op, sizes.getDim(input, d),
                         sizes.getDim(inputs.front(), d),
                         name + " joins tensors that differ in one dimension")))
          return failure();
    return success();
  }
  if (isa<tensor::EmptyOp, tensor::GenerateOp, tensor::SplatOp>(op)) {
    for (Value size : op->getOperands())
      if (size.getType().isIndex() &&
          failed(atMost(op, sizes.constant(0), sizes.get(size),
                        name + " makes a tensor of that size")))
        return failure();
    return success();
  }
  // Places in lists of assignments are i32.
  for (Value result : op->getResults()) {
    auto type = dyn_cast<moe::RoutingType>(result.getType());
    Value tokens = type ? moe::getTokensTensor(result) : Value();
    if (!tokens || type.getSlots() <= 1 ||
        isa<moe::RoutingLimitOp, moe::RoutingReweighOp>(op))
      continue;
    if (failed(atMost(op, sizes.getDim(tokens, 0),
                      sizes.constant(std::numeric_limits<int32_t>::max() /
                                     type.getSlots()),
                      "a routing has at most 2147483647 assignments, and "
                      "each token " +
                          Twine(type.getSlots()))))
      return failure();
  }
  return success();
}

LogicalResult Promises::run() {
  for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i) {
    auto type = dyn_cast<ShapedType>(function.getArgumentTypes()[i]);
    if (!type || !type.hasRank())
      continue;
    // Each name has its value from the first dimension that has it.
    for (int64_t d = 0; d < type.getRank(); ++d)
      if (type.isDynamicDim(d))
        (void)sizes.getDim(function.getArgument(i), d);
    if (auto names = function.getArgAttrOfType<ArrayAttr>(i, moe::kDimsAttr))
      // Names beyond the dynamic dimensions are those of none.
      for (Attribute name :
           names.getValue().take_front(type.getNumDynamicDims()))
        ofArguments.insert(cast<StringAttr>(name).getValue());
  }
  SmallVector<Operation *> ops;
  function.walk<WalkOrder::PreOrder>([&](Operation *op) {
    // Bodies of these work on elements.
    if (isa<linalg::LinalgOp>(op)) {
      ops.push_back(op);
      return WalkResult::skip();
    }
    if (op != function)
      ops.push_back(op);
    return WalkResult::advance();
  });
  for (Operation *op : ops)
    if (failed(visit(op)))
      return failure();
  return success();
}

namespace {
struct CheckSizes : moe::impl::CheckSizesPassBase<CheckSizes> {
  void runOnOperation() override {
    if (failed(moe::verifyDims(getOperation())))
      return signalPassFailure();
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (moe::isEntryFunction(function) && failed(Promises(function).run()))
        return signalPassFailure();
  }
};
} // namespace
