//===- Kernels.h - Scalar loops and who builds them -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef ACMEC_KERNELS_H
#define ACMEC_KERNELS_H

#include "AcmeC.h"

#include "moek/Moek.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace acmec {

using mlir::Type;
using mlir::Value;
using mlir::ValueRange;

/// Builds loops and what is in them. Sizes are index values, never negative.
class Loops : public mlir::ImplicitLocOpBuilder {
public:
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;
  using Predicate = mlir::arith::CmpIPredicate;
  using FloatPredicate = mlir::arith::CmpFPredicate;
  using Body = llvm::function_ref<void(Value)>;
  using Step = llvm::function_ref<Value(Value i, Value carried)>;

  Value idx(int64_t v) {
    return mlir::arith::ConstantIndexOp::create(*this, v);
  }
  Value i32(int64_t v) {
    return mlir::arith::ConstantIntOp::create(*this, getI32Type(), v);
  }
  Value f32(double v) {
    return mlir::arith::ConstantOp::create(*this, getF32FloatAttr(v));
  }
  Value bit(bool v) {
    return mlir::arith::ConstantIntOp::create(*this, getI1Type(), v);
  }
  template <typename Op> Value op(Value a, Value b) {
    return Op::create(*this, a, b);
  }
  Value add(Value a, Value b) { return op<mlir::arith::AddIOp>(a, b); }
  Value add(Value a, int64_t b) { return add(a, idx(b)); }
  Value sub(Value a, Value b) { return op<mlir::arith::SubIOp>(a, b); }
  Value mul(Value a, int64_t b) { return op<mlir::arith::MulIOp>(a, idx(b)); }
  Value div(Value a, int64_t b) { return op<mlir::arith::DivUIOp>(a, idx(b)); }
  Value rem(Value a, int64_t b) { return op<mlir::arith::RemUIOp>(a, idx(b)); }
  Value least(Value a, Value b) { return op<mlir::arith::MinUIOp>(a, b); }
  Value both(Value a, Value b) { return op<mlir::arith::AndIOp>(a, b); }
  Value either(Value a, Value b) { return op<mlir::arith::OrIOp>(a, b); }
  Value cmp(Predicate predicate, Value a, Value b) {
    return mlir::arith::CmpIOp::create(*this, predicate, a, b);
  }
  Value cmp(FloatPredicate predicate, Value a, Value b) {
    return mlir::arith::CmpFOp::create(*this, predicate, a, b);
  }
  Value select(Value c, Value a, Value b) {
    return mlir::arith::SelectOp::create(*this, c, a, b);
  }
  Value addf(Value a, Value b) { return op<mlir::arith::AddFOp>(a, b); }
  Value mulf(Value a, Value b) { return op<mlir::arith::MulFOp>(a, b); }
  Value divf(Value a, Value b) { return op<mlir::arith::DivFOp>(a, b); }

  /// Between index and i32.
  Value indexCast(Value i, Type type) {
    return mlir::arith::IndexCastOp::create(*this, type, i);
  }
  Value toIndex(Value i) { return indexCast(i, getIndexType()); }
  Value toI32(Value i) { return indexCast(i, getI32Type()); }
  /// Between floats of any width.
  Value convert(Value v, Type type);

  Value dim(Value memref, int64_t d) {
    return mlir::memref::DimOp::create(*this, memref, d);
  }
  Value load(Value memref, ValueRange at) {
    return mlir::memref::LoadOp::create(*this, memref, at);
  }
  Value loadIndex(Value memref, ValueRange at) {
    return toIndex(load(memref, at));
  }
  /// An element as f32.
  Value loadF32(Value memref, ValueRange at) {
    return convert(load(memref, at), getF32Type());
  }
  /// Converts floats to what the memref holds.
  void store(Value v, Value memref, ValueRange at);

  /// A buffer of the whole call; a negative size is the next of `sizes`.
  Value buffer(llvm::ArrayRef<int64_t> shape, Type element,
               ValueRange sizes = {}) {
    return mlir::memref::AllocOp::create(
        *this, mlir::MemRefType::get(shape, element), sizes);
  }
  /// A small one of the current thread, for the whole of its item.
  Value local(llvm::ArrayRef<int64_t> shape, Type element);

  void loop(Value from, Value to, Body body);
  void loop(Value to, Body body) { loop(idx(0), to, body); }
  void loop(int64_t to, Body body) { loop(idx(to), body); }
  /// A loop that carries a value.
  Value fold(Value from, Value to, Value start, Step step);
  Value fold(Value to, Value start, Step step) {
    return fold(idx(0), to, start, step);
  }
  /// Independent items for the threads of the runtime.
  void parallel(Value items, Body body);
  void ifThen(Value condition, llvm::function_ref<void()> then);
  /// A value that is `otherwise` unless the condition holds.
  Value ifElse(Value condition, Value otherwise,
               llvm::function_ref<Value()> then);

  /// The vector that begins at a place of a memref.
  Value loadRow(Value from, ValueRange at, int64_t size);
  /// A buffer of a vector.
  Value keep(Value vector);

  void trace(llvm::StringRef kind, llvm::StringRef phase,
             ValueRange routing = {});

  /// The ops of a region on `arguments`; what it yields.
  llvm::SmallVector<Value> inlineBody(mlir::Block &body, ValueRange arguments);
};

/// Each replaces an op on memrefs by loops; the caller erases it.
llvm::LogicalResult lowerRoute(Loops &b, moek::RouteOp op);
void lowerGroupedMatmul(Loops &b, moek::GroupedMatmulOp op);
void lowerGather(Loops &b, moek::GatherOp op);
void lowerCombine(Loops &b, moek::CombineOp op);
void lowerRowMap(Loops &b, moek::RowMapOp op);
void lowerWindow(Loops &b, moek::WindowOp op);

/// What a combine reads and writes; `firstRow` and `numRows` where `rows` are a
/// window of all.
struct RowSums {
  Value rows, positions, weights, init, firstRow, numRows, out;
  int64_t columns;
};

/// out[t] = the weighted sum of the rows of a token, in their order, + init[t].
void emitCombine(Loops &b, const RowSums &sums);

/// Everything of a routing but its indices and weights, of those.
void emitLists(Loops &b, const moek::RoutingParts &routing, int64_t experts,
               int64_t slots);

/// A float as an i32 in the order of all policies, larger first.
Value emitKey(Loops &b, Value score);

/// Gives `place(i)`, for each of `count` elements, how many come before it in
/// descending order of `key(i)`, equal ones in their own order.
void emitRanks(Loops &b, Value count, llvm::function_ref<Value(Value)> key,
               llvm::function_ref<void(Value i, Value rank)> place);

} // namespace acmec

#endif // ACMEC_KERNELS_H
