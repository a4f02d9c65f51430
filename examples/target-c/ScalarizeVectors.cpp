//===- ScalarizeVectors.cpp - Vectors as scalars and buffers ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What policies and weighings are written in: vectors of the tokens that they
// select for, of which there is one here, and of the experts or slots of a
// token. The first become scalars, the second buffers that a loop fills.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Dialect/Vector/Utils/VectorUtils.h"
#include "mlir/Transforms/DialectConversion.h"

namespace acmec {
#define GEN_PASS_DEF_SCALARIZEVECTORS
#include "Passes.h.inc"
} // namespace acmec

using namespace mlir;
using namespace acmec;

static bool isBuffered(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return vector && vector.getNumElements() > 1;
}

namespace {
struct Scalarize : ConversionPattern {
  Scalarize(const TypeConverter &types, MLIRContext *context)
      : ConversionPattern(types, MatchAnyOpTypeTag(), /*benefit=*/1, context) {}

  LogicalResult
  matchAndRewrite(Operation *op, ArrayRef<Value> operands,
                  ConversionPatternRewriter &rewriter) const override {
    Loops b(op->getLoc(), rewriter);
    auto read = [&](unsigned number, Value entry) {
      return isBuffered(op->getOperand(number).getType())
                 ? b.load(operands[number], entry)
                 : operands[number];
    };
    /// The result has `entry(i)` in place i.
    auto replace = [&](function_ref<Value(Value)> entry) {
      auto type = dyn_cast<VectorType>(op->getResult(0).getType());
      if (!isBuffered(op->getResult(0).getType())) {
        rewriter.replaceOp(op, entry(b.idx(0)));
        return success();
      }
      Value buffer = b.local({type.getNumElements()}, type.getElementType());
      b.loop(type.getNumElements(),
             [&](Value i) { b.store(entry(i), buffer, i); });
      rewriter.replaceOp(op, buffer);
      return success();
    };
    /// The place in a memref of entry `i` of a vector that begins at `from`.
    auto place = [&](ArrayRef<Value> from, Value i) {
      SmallVector<Value> at(from);
      at.back() = b.add(at.back(), i);
      return at;
    };
    /// The same of entries that are all different.
    auto replaceBy = [&](int64_t count, Type element,
                         function_ref<Value(int64_t)> entry) {
      if (count == 1) {
        rewriter.replaceOp(op, entry(0));
        return success();
      }
      Value buffer = b.local({count}, element);
      for (int64_t i = 0; i < count; ++i)
        b.store(entry(i), buffer, b.idx(i));
      rewriter.replaceOp(op, buffer);
      return success();
    };
    auto isWhole = [&](VectorTransferOpInterface transfer) {
      return !transfer.getMask() && !transfer.hasOutOfBoundsDim() &&
             transfer.getPermutationMap().isMinorIdentity();
    };

    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
      if (!dense)
        return failure();
      auto scalar = [&](Attribute value) -> Value {
        return arith::ConstantOp::create(b, cast<TypedAttr>(value));
      };
      if (dense.isSplat())
        return replace(
            [&](Value) { return scalar(dense.getSplatValue<Attribute>()); });
      auto entries = dense.getValues<Attribute>();
      return replaceBy(dense.getNumElements(), dense.getElementType(),
                       [&](int64_t i) { return scalar(entries[i]); });
    }
    if (isa<vector::BroadcastOp>(op))
      return replace([&](Value i) { return read(0, i); });
    if (auto extract = dyn_cast<vector::ExtractOp>(op)) {
      if (extract.getNumIndices() != 1)
        return failure();
      rewriter.replaceOp(op,
                         read(0, extract.hasDynamicPosition()
                                     ? operands[1]
                                     : b.idx(extract.getStaticPosition()[0])));
      return success();
    }
    if (auto insert = dyn_cast<vector::InsertOp>(op)) {
      if (insert.getNumIndices() != 1)
        return failure();
      Value at = insert.hasDynamicPosition()
                     ? operands[2]
                     : b.idx(insert.getStaticPosition()[0]);
      return replace([&](Value i) {
        Value isHere = b.cmp(Loops::Predicate::eq, i, at);
        return b.select(isHere, operands[0], read(1, i));
      });
    }
    if (auto shuffle = dyn_cast<vector::ShuffleOp>(op)) {
      int64_t first = shuffle.getV1VectorType().getNumElements();
      ArrayRef<int64_t> mask = shuffle.getMask();
      return replaceBy(
          mask.size(), shuffle.getType().getElementType(), [&](int64_t i) {
            return mask[i] < first ? read(0, b.idx(mask[i]))
                                   : read(1, b.idx(mask[i] - first));
          });
    }
    if (auto reduction = dyn_cast<vector::ReductionOp>(op)) {
      auto combine = [&](Value x, Value y) {
        return vector::makeArithReduction(b, b.getLoc(), reduction.getKind(), x,
                                          y);
      };
      int64_t size = reduction.getSourceVectorType().getNumElements();
      Value sum = read(0, b.idx(0));
      if (size > 1)
        sum = b.fold(b.idx(1), b.idx(size), sum, [&](Value i, Value sum) {
          return combine(sum, read(0, i));
        });
      rewriter.replaceOp(op,
                         reduction.getAcc() ? combine(sum, operands[1]) : sum);
      return success();
    }
    if (isa<vector::LoadOp, vector::TransferReadOp>(op)) {
      auto memref = dyn_cast<MemRefType>(operands[0].getType());
      auto transfer = dyn_cast<vector::TransferReadOp>(op);
      if (!memref || (transfer && !isWhole(transfer)))
        return failure();
      return replace([&](Value i) {
        return b.load(operands[0],
                      place(operands.slice(1, memref.getRank()), i));
      });
    }
    if (isa<vector::StoreOp, vector::TransferWriteOp>(op)) {
      auto memref = dyn_cast<MemRefType>(operands[1].getType());
      auto transfer = dyn_cast<vector::TransferWriteOp>(op);
      if (!memref || (transfer && !isWhole(transfer)))
        return failure();
      auto type = cast<VectorType>(op->getOperand(0).getType());
      b.loop(type.getNumElements(), [&](Value i) {
        b.store(read(0, i), operands[1],
                place(operands.slice(2, memref.getRank()), i));
      });
      rewriter.eraseOp(op);
      return success();
    }
    if (!OpTrait::hasElementwiseMappableTraits(op) || op->getNumResults() != 1)
      return failure();
    return replace([&](Value i) {
      OperationState state(op->getLoc(), op->getName());
      for (unsigned number = 0; number < operands.size(); ++number)
        state.addOperands(read(number, i));
      state.addTypes(getElementTypeOrSelf(op->getResult(0)));
      state.addAttributes(op->getAttrs());
      return b.create(state)->getResult(0);
    });
  }
};

struct ScalarizeVectors : acmec::impl::ScalarizeVectorsBase<ScalarizeVectors> {
  void runOnOperation() override {
    TypeConverter types;
    types.addConversion([](Type type) { return type; });
    types.addConversion([](VectorType type) -> Type {
      if (type.getRank() != 1 || type.isScalable())
        return {};
      if (!isBuffered(type))
        return type.getElementType();
      return MemRefType::get(type.getShape(), type.getElementType());
    });
    // A buffer that a loop carries would be written before it is read.
    TypeConverter carried;
    carried.addConversion([](Type type) { return type; });
    carried.addConversion([](VectorType type) -> Type {
      return isBuffered(type) ? Type() : type.getElementType();
    });
    ConversionTarget target(getContext());
    target.markUnknownOpDynamicallyLegal([](Operation *op) {
      auto isVector = [](Type type) { return isa<VectorType>(type); };
      return llvm::none_of(op->getOperandTypes(), isVector) &&
             llvm::none_of(op->getResultTypes(), isVector);
    });
    RewritePatternSet patterns(&getContext());
    patterns.add<Scalarize>(types, &getContext());
    scf::populateSCFStructuralTypeConversionsAndLegality(carried, patterns,
                                                         target);
    if (failed(
            applyFullConversion(getOperation(), target, std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
