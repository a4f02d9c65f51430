//===- VectorOps.cpp - vector in the interpreter ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The ops on vector values that occur in regions of `moe`. Vectors are arrays
// of static shape; elementwise arith and math ops on them need nothing here.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "Machine.h"
#include "SpecMath.h"
#include <cmath>

using namespace llvm;
using namespace mlir;

namespace moe::reference {

/// Sets the result to the elements that `element(index)` gives.
static LogicalResult
construct(Machine &machine, Operation *op, ArrayRef<int64_t> shape,
          llvm::function_ref<Scalar(ArrayRef<int64_t>)> element) {
  Type type = op->getResult(0).getType();
  if (auto vector = dyn_cast<VectorType>(type); vector && vector.isScalable())
    return op->emitOpError("has a scalable vector, which is not interpreted");
  FailureOr<MutableArrayPtr> result = machine.allocate(op, type, shape);
  if (failed(result))
    return failure();
  int64_t next = 0;
  forEachIndex(shape, [&](ArrayRef<int64_t> index) {
    storeElement(**result, next++, element(index));
    return true;
  });
  machine.set(op->getResult(0), *result);
  return success();
}

static ArrayRef<int64_t> shapeOf(Operation *op) {
  return cast<VectorType>(op->getResult(0).getType()).getShape();
}

static Scalar combine(vector::CombiningKind kind, Scalar a, Scalar b,
                      unsigned width) {
  auto wrap = [&](uint64_t value) {
    return makeInt(wrapInteger(static_cast<int64_t>(value), width));
  };
  uint64_t ua = asUnsigned(a.i, width), ub = asUnsigned(b.i, width);
  int64_t sa = asSigned(a.i, width), sb = asSigned(b.i, width);
  switch (kind) {
  case vector::CombiningKind::ADD:
    return width ? wrap(ua + ub) : makeFloat(a.f + b.f);
  case vector::CombiningKind::MUL:
    return width ? wrap(ua * ub) : makeFloat(a.f * b.f);
  case vector::CombiningKind::MINUI:
    return ua < ub ? a : b;
  case vector::CombiningKind::MAXUI:
    return ua > ub ? a : b;
  case vector::CombiningKind::MINSI:
    return sa < sb ? a : b;
  case vector::CombiningKind::MAXSI:
    return sa > sb ? a : b;
  case vector::CombiningKind::AND:
    return wrap(ua & ub);
  case vector::CombiningKind::OR:
    return wrap(ua | ub);
  case vector::CombiningKind::XOR:
    return wrap(ua ^ ub);
  case vector::CombiningKind::MINNUMF:
    return makeFloat(std::fmin(a.f, b.f));
  case vector::CombiningKind::MAXNUMF:
    return makeFloat(std::fmax(a.f, b.f));
  case vector::CombiningKind::MINIMUMF:
    return makeFloat(minimum(a.f, b.f));
  case vector::CombiningKind::MAXIMUMF:
    return makeFloat(maximum(a.f, b.f));
  }
  return a;
}

/// Like `combine`, rounded to `format`.
static Scalar combine(Machine &machine, const NumberFormat &format,
                      vector::CombiningKind kind, Scalar a, Scalar b,
                      unsigned width) {
  Scalar result = combine(kind, a, b, width);
  if (width == 0 && (kind == vector::CombiningKind::ADD ||
                     kind == vector::CombiningKind::MUL))
    result.f = machine.rounding.round(result.f, format);
  return result;
}

/// The width that `combine` wants: 0 for floats.
static unsigned combineWidth(Type type) {
  return isFloatLike(type) ? 0 : integerWidth(type);
}

static LogicalResult executeReduction(Machine &machine,
                                      vector::ReductionOp op) {
  ArrayPtr source = machine.getArray(op.getVector());
  unsigned width = combineWidth(op.getVector().getType());
  NumberFormat format = NumberFormat::get(op.getVector().getType());
  int64_t count = source->numElements();
  std::optional<Scalar> sum;
  if (op.getAcc())
    sum = machine.get(op.getAcc()).scalar;
  for (int64_t i = 0; i < count; ++i) {
    Scalar value = loadElement(*source, i);
    sum = sum ? combine(machine, format, op.getKind(), *sum, value, width)
              : value;
  }
  machine.set(op.getResult(), sum.value_or(makeInt(0)));
  return success();
}

static LogicalResult executeMultiReduction(Machine &machine,
                                           vector::MultiDimReductionOp op) {
  ArrayPtr source = machine.getArray(op.getSource());
  unsigned width = combineWidth(op.getSource().getType());
  NumberFormat format = NumberFormat::get(op.getSource().getType());
  const Datum &acc = machine.get(op.getAcc());
  ArrayRef<int64_t> reduced = op.getReductionDims();
  bool isScalar = !isa<VectorType>(op.getDest().getType());
  SmallVector<int64_t> shape;
  for (auto [d, size] : enumerate(source->shape))
    if (!is_contained(reduced, static_cast<int64_t>(d)))
      shape.push_back(size);
  FailureOr<MutableArrayPtr> out =
      machine.allocate(op, op.getSource().getType(), shape);
  if (failed(out))
    return failure();
  for (int64_t i = 0, e = (*out)->numElements(); i < e; ++i)
    storeElement(**out, i, isScalar ? acc.scalar : loadElement(*acc.array, i));
  int64_t next = 0;
  forEachIndex(source->shape, [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> to;
    for (auto [d, i] : enumerate(index))
      if (!is_contained(reduced, static_cast<int64_t>(d)))
        to.push_back(i);
    int64_t position = linearIndex(to, shape);
    storeElement(**out, position,
                 combine(machine, format, op.getKind(),
                         loadElement(**out, position),
                         loadElement(*source, next++), width));
    return true;
  });
  if (isScalar)
    machine.set(op.getDest(), loadElement(**out, 0));
  else
    machine.set(op.getDest(), *out);
  return success();
}

static LogicalResult executeBroadcast(Machine &machine,
                                      vector::BroadcastOp op) {
  const Datum source = machine.get(op.getSource());
  return construct(machine, op, shapeOf(op), [&](ArrayRef<int64_t> index) {
    if (!source.array)
      return source.scalar;
    // Trailing dimensions match; those of size 1 are stretched.
    SmallVector<int64_t> from(index.take_back(source.array->shape.size()));
    for (auto [i, size] : zip_equal(from, source.array->shape))
      if (size == 1)
        i = 0;
    return loadElement(*source.array, linearIndex(from, source.array->shape));
  });
}

/// Checks the position of extract and insert, and returns the linear index of
/// the first element there.
static FailureOr<int64_t> findPosition(Operation *op,
                                       ArrayRef<int64_t> position,
                                       ArrayRef<int64_t> shape) {
  SmallVector<int64_t> index(shape.size(), 0);
  copy(position, index.begin());
  for (auto [i, size] : zip(position, shape))
    if (i < 0 || i >= size)
      return op->emitOpError("accesses position ")
             << formatShape(position) << " of a vector of shape "
             << formatShape(shape);
  return linearIndex(index, shape);
}

static LogicalResult executeExtract(Machine &machine, vector::ExtractOp op) {
  ArrayPtr source = machine.getArray(op.getSource());
  SmallVector<int64_t> position = machine.getInts(op.getMixedPosition());
  FailureOr<int64_t> begin = findPosition(op, position, source->shape);
  if (failed(begin))
    return failure();
  if (isa<VectorType>(op.getType()))
    machine.set(op.getResult(),
                viewOf(*source, *begin,
                       ArrayRef(source->shape).drop_front(position.size())));
  else
    machine.set(op.getResult(), loadElement(*source, *begin));
  return success();
}

static LogicalResult executeInsert(Machine &machine, vector::InsertOp op) {
  ArrayPtr dest = machine.getArray(op.getDest());
  SmallVector<int64_t> position = machine.getInts(op.getMixedPosition());
  FailureOr<int64_t> begin = findPosition(op, position, dest->shape);
  if (failed(begin))
    return failure();
  FailureOr<MutableArrayPtr> result = machine.copyOf(op, *dest);
  if (failed(result))
    return failure();
  const Datum &value = machine.get(op.getValueToStore());
  if (value.array)
    for (int64_t i = 0, e = value.array->numElements(); i < e; ++i)
      storeElement(**result, *begin + i, loadElement(*value.array, i));
  else
    storeElement(**result, *begin, value.scalar);
  machine.set(op.getResult(), *result);
  return success();
}

static LogicalResult executeFma(Machine &machine, vector::FMAOp op) {
  ArrayPtr a = machine.getArray(op.getLhs()), b = machine.getArray(op.getRhs()),
           c = machine.getArray(op.getAcc());
  NumberFormat format = NumberFormat::get(op.getType());
  int64_t i = -1;
  return construct(machine, op, shapeOf(op), [&](ArrayRef<int64_t>) {
    ++i;
    return makeFloat(machine.rounding.round(std::fma(loadElement(*a, i).f,
                                                     loadElement(*b, i).f,
                                                     loadElement(*c, i).f),
                                            format));
  });
}

/// A mask that is set below `sizes`.
static LogicalResult makeMask(Machine &machine, Operation *op,
                              ArrayRef<int64_t> sizes) {
  return construct(machine, op, shapeOf(op), [&](ArrayRef<int64_t> index) {
    return makeInt(all_of(zip_equal(index, sizes), [](auto pair) {
      return std::get<0>(pair) < std::get<1>(pair);
    }));
  });
}

static LogicalResult executeTranspose(Machine &machine,
                                      vector::TransposeOp op) {
  ArrayPtr source = machine.getArray(op.getVector());
  ArrayRef<int64_t> permutation = op.getPermutation();
  return construct(machine, op, shapeOf(op), [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> from(index.size());
    for (auto [to, d] : enumerate(permutation))
      from[d] = index[to];
    return loadElement(*source, linearIndex(from, source->shape));
  });
}

static LogicalResult executeShuffle(Machine &machine, vector::ShuffleOp op) {
  ArrayPtr a = machine.getArray(op.getV1()), b = machine.getArray(op.getV2());
  ArrayRef<int64_t> mask = op.getMask();
  int64_t rows = a->shape.empty() ? 1 : a->shape[0];
  return construct(machine, op, shapeOf(op), [&](ArrayRef<int64_t> index) {
    int64_t row = mask[index[0]];
    // A negative entry is poison; any value will do.
    row = std::max<int64_t>(row, 0);
    const HostTensor &source = row < rows ? *a : *b;
    if (source.shape.empty())
      return loadElement(source, 0);
    SmallVector<int64_t> from(index);
    from[0] = row < rows ? row : row - rows;
    return loadElement(source, linearIndex(from, source.shape));
  });
}

static SmallVector<int64_t> toInts(ArrayAttr list) {
  return map_to_vector(list, [](Attribute attribute) {
    return cast<IntegerAttr>(attribute).getInt();
  });
}

static LogicalResult executeExtractStrided(Machine &machine,
                                           vector::ExtractStridedSliceOp op) {
  ArrayPtr source = machine.getArray(op.getOperand());
  SmallVector<int64_t> offsets = toInts(op.getOffsets());
  return construct(machine, op, shapeOf(op), [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> from(index);
    for (auto [i, offset] : zip(from, offsets))
      i += offset;
    return loadElement(*source, linearIndex(from, source->shape));
  });
}

static LogicalResult executeInsertStrided(Machine &machine,
                                          vector::InsertStridedSliceOp op) {
  ArrayPtr source = machine.getArray(op.getValueToStore());
  FailureOr<MutableArrayPtr> result =
      machine.copyOf(op, *machine.getArray(op.getDest()));
  if (failed(result))
    return failure();
  SmallVector<int64_t> offsets = toInts(op.getOffsets());
  size_t lead = (*result)->shape.size() - source->shape.size();
  int64_t next = 0;
  forEachIndex(source->shape, [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> to(lead, 0);
    append_range(to, index);
    for (auto [i, offset] : zip_equal(to, offsets))
      i += offset;
    storeElement(**result, linearIndex(to, (*result)->shape),
                 loadElement(*source, next++));
    return true;
  });
  machine.set(op.getResult(), *result);
  return success();
}

static LogicalResult executeScan(Machine &machine, vector::ScanOp op) {
  ArrayPtr source = machine.getArray(op.getSource());
  unsigned width = combineWidth(op.getSource().getType());
  NumberFormat format = NumberFormat::get(op.getSource().getType());
  int64_t dim = op.getReductionDim();
  FailureOr<MutableArrayPtr> out = machine.copyOf(op, *source);
  FailureOr<MutableArrayPtr> sums =
      machine.copyOf(op, *machine.getArray(op.getInitialValue()));
  FailureOr<MutableArrayPtr> last =
      machine.copyOf(op, *machine.getArray(op.getInitialValue()));
  if (failed(out) || failed(sums) || failed(last))
    return failure();
  int64_t next = 0;
  // Row-major order visits the elements of each scan in order.
  forEachIndex(source->shape, [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> other(index);
    other.erase(other.begin() + dim);
    int64_t at = linearIndex(other, (*sums)->shape);
    Scalar before = loadElement(**sums, at);
    Scalar after = combine(machine, format, op.getKind(), before,
                           loadElement(*source, next), width);
    // The initial value takes no part in the first element of an inclusive
    // scan.
    if (op.getInclusive() && index[dim] == 0)
      after = loadElement(*source, next);
    storeElement(**sums, at, after);
    storeElement(**last, at, op.getInclusive() ? after : before);
    storeElement(**out, next++, loadElement(**last, at));
    return true;
  });
  machine.set(op.getDest(), *out);
  machine.set(op.getAccumulatedValue(), *last);
  return success();
}

void addVectorOps(HandlerTable &table) {
  table.add<vector::ReductionOp>(executeReduction);
  table.add<vector::MultiDimReductionOp>(executeMultiReduction);
  table.add<vector::BroadcastOp>(executeBroadcast);
  table.add<vector::ExtractOp>(executeExtract);
  table.add<vector::InsertOp>(executeInsert);
  table.add<vector::FMAOp>(executeFma);
  table.add<vector::TransposeOp>(executeTranspose);
  table.add<vector::ShuffleOp>(executeShuffle);
  table.add<vector::ExtractStridedSliceOp>(executeExtractStrided);
  table.add<vector::InsertStridedSliceOp>(executeInsertStrided);
  table.add<vector::ScanOp>(executeScan);
  table.add<vector::ShapeCastOp>([](Machine &machine, vector::ShapeCastOp op) {
    ArrayPtr source = machine.getArray(op.getSource());
    machine.set(op.getResult(),
                viewOf(*source, 0, op.getResultVectorType().getShape()));
    return success();
  });
  table.add<vector::CreateMaskOp>(
      [](Machine &machine, vector::CreateMaskOp op) {
        return makeMask(machine, op, machine.getInts(op.getOperands()));
      });
  table.add<vector::ConstantMaskOp>(
      [](Machine &machine, vector::ConstantMaskOp op) {
        return makeMask(machine, op, op.getMaskDimSizes());
      });
  table.add<vector::StepOp>([](Machine &machine, vector::StepOp op) {
    return construct(machine, op, shapeOf(op),
                     [](ArrayRef<int64_t> index) { return makeInt(index[0]); });
  });
  table.add<vector::FromElementsOp>(
      [](Machine &machine, vector::FromElementsOp op) {
        unsigned next = 0;
        return construct(machine, op, shapeOf(op), [&](ArrayRef<int64_t>) {
          return machine.get(op.getElements()[next++]).scalar;
        });
      });
  table.add<vector::ToElementsOp>(
      [](Machine &machine, vector::ToElementsOp op) {
        ArrayPtr source = machine.getArray(op.getSource());
        for (auto [i, element] : enumerate(op.getElements()))
          machine.set(element, loadElement(*source, i));
        return success();
      });
}

} // namespace moe::reference
