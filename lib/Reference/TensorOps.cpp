//===- TensorOps.cpp - tensor in the interpreter ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Tensors are values: an op that changes one makes a copy. Contiguous slices
// and reshapes share the elements.
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <limits>

using namespace llvm;
using namespace mlir;

namespace moe::reference {

static LogicalResult checkIndex(Operation *op, ArrayRef<int64_t> index,
                                ArrayRef<int64_t> shape) {
  for (auto [i, size] : zip_equal(index, shape))
    if (i < 0 || i >= size)
      return op->emitOpError("accesses element ")
             << formatShape(index) << " of a tensor of shape "
             << formatShape(shape);
  return success();
}

/// The sizes of a type with its dynamic ones filled in.
static SmallVector<int64_t> fillDynamic(Machine &machine, RankedTensorType type,
                                        ValueRange dynamicSizes) {
  SmallVector<int64_t> shape(type.getShape());
  unsigned next = 0;
  for (int64_t &size : shape)
    if (ShapedType::isDynamic(size))
      size = machine.getInt(dynamicSizes[next++]);
  return shape;
}

static LogicalResult executeEmpty(Machine &machine, tensor::EmptyOp op) {
  FailureOr<MutableArrayPtr> array = machine.allocate(
      op, op.getType(),
      fillDynamic(machine, op.getType(), op.getDynamicSizes()));
  if (failed(array))
    return failure();
  // Reading what was never written should show.
  if (isFloatLike(op.getType()))
    std::fill_n((*array)->dataAs<double>(), (*array)->numElements(),
                std::numeric_limits<double>::quiet_NaN());
  machine.set(op.getResult(), *array);
  return success();
}

static LogicalResult executeDim(Machine &machine, tensor::DimOp op) {
  ArrayPtr source = machine.getArray(op.getSource());
  int64_t index = machine.getInt(op.getIndex());
  if (index < 0 || index >= static_cast<int64_t>(source->shape.size()))
    return op.emitOpError("asks for dimension ")
           << index << " of a tensor of rank " << source->shape.size();
  machine.set(op.getResult(), makeInt(source->shape[index]));
  return success();
}

static LogicalResult executeCast(Machine &machine, tensor::CastOp op) {
  ArrayPtr source = machine.getArray(op.getSource());
  if (isa<RankedTensorType>(op.getType()) &&
      failed(checkShape(op, op.getType(), source->shape, "the source")))
    return failure();
  machine.set(op.getResult(), source);
  return success();
}

static LogicalResult executeExtract(Machine &machine, tensor::ExtractOp op) {
  ArrayPtr source = machine.getArray(op.getTensor());
  SmallVector<int64_t> index = machine.getInts(op.getIndices());
  if (failed(checkIndex(op, index, source->shape)))
    return failure();
  machine.set(op.getResult(),
              loadElement(*source, linearIndex(index, source->shape)));
  return success();
}

static LogicalResult executeInsert(Machine &machine, tensor::InsertOp op) {
  ArrayPtr dest = machine.getArray(op.getDest());
  SmallVector<int64_t> index = machine.getInts(op.getIndices());
  if (failed(checkIndex(op, index, dest->shape)))
    return failure();
  FailureOr<MutableArrayPtr> result = machine.copyOf(op, *dest);
  if (failed(result))
    return failure();
  storeElement(**result, linearIndex(index, dest->shape),
               machine.get(op.getScalar()).scalar);
  machine.set(op.getResult(), *result);
  return success();
}

//===----------------------------------------------------------------------===//
// Slices
//===----------------------------------------------------------------------===//

namespace {
struct Slice {
  SmallVector<int64_t> offsets, sizes, strides;

  SmallVector<int64_t> at(ArrayRef<int64_t> index) const {
    SmallVector<int64_t> result;
    for (auto [i, offset, stride] : zip_equal(index, offsets, strides))
      result.push_back(offset + i * stride);
    return result;
  }
};
} // namespace

/// Reads the slice of `op` in a tensor of `shape` and checks its bounds.
template <typename OpT>
static FailureOr<Slice> getSlice(Machine &machine, OpT op,
                                 ArrayRef<int64_t> shape) {
  Slice slice{machine.getInts(op.getMixedOffsets()),
              machine.getInts(op.getMixedSizes()),
              machine.getInts(op.getMixedStrides())};
  for (size_t d = 0; d < shape.size(); ++d) {
    int64_t last = slice.offsets[d] + (slice.sizes[d] - 1) * slice.strides[d];
    bool fits = slice.sizes[d] >= 0 && slice.strides[d] > 0 &&
                slice.offsets[d] >= 0 && slice.offsets[d] <= shape[d] &&
                (slice.sizes[d] == 0 || last < shape[d]);
    if (!fits)
      return op.emitOpError("slice [")
             << slice.offsets[d] << "][" << slice.sizes[d] << "]["
             << slice.strides[d] << "] of dimension " << d
             << " leaves a tensor of shape " << formatShape(shape);
  }
  return slice;
}

static SmallVector<int64_t> dropDims(ArrayRef<int64_t> shape,
                                     const SmallBitVector &dropped) {
  SmallVector<int64_t> result;
  for (auto [d, size] : enumerate(shape))
    if (!dropped.test(d))
      result.push_back(size);
  return result;
}

static LogicalResult executeExtractSlice(Machine &machine,
                                         tensor::ExtractSliceOp op) {
  ArrayPtr source = machine.getArray(op.getSource());
  FailureOr<Slice> slice = getSlice(machine, op, source->shape);
  if (failed(slice))
    return failure();
  SmallVector<int64_t> shape = dropDims(slice->sizes, op.getDroppedDims());

  // Contiguous: behind the first dimension of more than one element, all
  // others are whole.
  bool contiguous = true, inside = false;
  for (size_t d = 0; d < source->shape.size(); ++d) {
    if (inside && slice->sizes[d] != source->shape[d])
      contiguous = false;
    if (slice->sizes[d] != 1) {
      contiguous &= slice->strides[d] == 1;
      inside = true;
    }
  }
  if (contiguous && productOf(shape) > 0) {
    machine.set(
        op.getResult(),
        viewOf(*source, linearIndex(slice->offsets, source->shape), shape));
    return success();
  }

  FailureOr<MutableArrayPtr> result = machine.allocateLike(op, *source, shape);
  if (failed(result))
    return failure();
  size_t bytes = dtypeSize(source->dtype);
  char *out = (*result)->dataAs<char>();
  forEachIndex(slice->sizes, [&](ArrayRef<int64_t> index) {
    int64_t from = linearIndex(slice->at(index), source->shape);
    std::memcpy(out, source->dataAs<char>() + from * bytes, bytes);
    out += bytes;
    return true;
  });
  machine.set(op.getResult(), *result);
  return success();
}

static LogicalResult executeInsertSlice(Machine &machine,
                                        tensor::InsertSliceOp op) {
  ArrayPtr source = machine.getArray(op.getSource());
  ArrayPtr dest = machine.getArray(op.getDest());
  FailureOr<Slice> slice = getSlice(machine, op, dest->shape);
  if (failed(slice))
    return failure();
  if (productOf(slice->sizes) != source->numElements())
    return op.emitOpError("inserts a tensor of shape ")
           << formatShape(source->shape) << " into a slice of shape "
           << formatShape(slice->sizes);
  FailureOr<MutableArrayPtr> result = machine.copyOf(op, *dest);
  if (failed(result))
    return failure();
  int64_t next = 0;
  forEachIndex(slice->sizes, [&](ArrayRef<int64_t> index) {
    storeElement(**result, linearIndex(slice->at(index), dest->shape),
                 loadElement(*source, next++));
    return true;
  });
  machine.set(op.getResult(), *result);
  return success();
}

//===----------------------------------------------------------------------===//
// Reshapes
//===----------------------------------------------------------------------===//

static LogicalResult reshape(Machine &machine, Operation *op, Value source,
                             ArrayRef<int64_t> shape) {
  ArrayPtr array = machine.getArray(source);
  bool negative = any_of(shape, [](int64_t size) { return size < 0; });
  if (negative || productOf(shape) != array->numElements())
    return op->emitOpError("reshapes a tensor of shape ")
           << formatShape(array->shape) << " to shape " << formatShape(shape);
  machine.set(op->getResult(0), viewOf(*array, 0, shape));
  return success();
}

static LogicalResult executeCollapse(Machine &machine,
                                     tensor::CollapseShapeOp op) {
  ArrayPtr source = machine.getArray(op.getSrc());
  SmallVector<int64_t> shape;
  for (const auto &group : op.getReassociationIndices()) {
    shape.push_back(1);
    for (int64_t d : group)
      shape.back() *= source->shape[d];
  }
  return reshape(machine, op, op.getSrc(), shape);
}

static LogicalResult executeReshape(Machine &machine, tensor::ReshapeOp op) {
  ArrayPtr sizes = machine.getArray(op.getShape());
  SmallVector<int64_t> shape;
  for (int64_t i = 0, e = sizes->numElements(); i < e; ++i)
    shape.push_back(loadElement(*sizes, i).i);
  return reshape(machine, op, op.getSource(), shape);
}

//===----------------------------------------------------------------------===//
// Construction
//===----------------------------------------------------------------------===//

/// Sets the result to the elements that `element(index)` gives; it returns
/// nothing after an error.
static LogicalResult construct(
    Machine &machine, Operation *op, ArrayRef<int64_t> shape,
    llvm::function_ref<std::optional<Scalar>(ArrayRef<int64_t>)> element) {
  FailureOr<MutableArrayPtr> result =
      machine.allocate(op, op->getResult(0).getType(), shape);
  if (failed(result))
    return failure();
  int64_t next = 0;
  bool done = forEachIndex(shape, [&](ArrayRef<int64_t> index) {
    std::optional<Scalar> value = element(index);
    if (value)
      storeElement(**result, next++, *value);
    return value.has_value();
  });
  if (!done)
    return failure();
  machine.set(op->getResult(0), *result);
  return success();
}

/// Runs a body from an index to one element.
static std::optional<Scalar> runBody(Machine &machine, Region &body,
                                     ArrayRef<int64_t> index) {
  SmallVector<Datum> arguments;
  for (int64_t i : index)
    arguments.push_back(makeInt(i));
  FailureOr<SmallVector<Datum>> results = machine.run(body, arguments);
  if (failed(results))
    return std::nullopt;
  return results->front().scalar;
}

static LogicalResult executeGenerate(Machine &machine, tensor::GenerateOp op) {
  auto type = cast<RankedTensorType>(op.getType());
  return construct(machine, op,
                   fillDynamic(machine, type, op.getDynamicExtents()),
                   [&](ArrayRef<int64_t> index) {
                     return runBody(machine, op.getBody(), index);
                   });
}

static LogicalResult executePad(Machine &machine, tensor::PadOp op) {
  ArrayPtr source = machine.getArray(op.getSource());
  SmallVector<int64_t> low = machine.getInts(op.getMixedLowPad());
  SmallVector<int64_t> high = machine.getInts(op.getMixedHighPad());
  SmallVector<int64_t> shape;
  for (auto [l, size, h] : zip_equal(low, source->shape, high))
    shape.push_back(l + size + h);
  return construct(
      machine, op, shape,
      [&](ArrayRef<int64_t> index) -> std::optional<Scalar> {
        SmallVector<int64_t> from;
        bool inside = true;
        for (auto [i, l, size] : zip_equal(index, low, source->shape)) {
          from.push_back(i - l);
          inside &= from.back() >= 0 && from.back() < size;
        }
        if (inside)
          return loadElement(*source, linearIndex(from, source->shape));
        return runBody(machine, op.getRegion(), index);
      });
}

static LogicalResult executeConcat(Machine &machine, tensor::ConcatOp op) {
  int64_t dim = op.getDim();
  SmallVector<ArrayPtr> inputs = map_to_vector(
      op.getInputs(), [&](Value input) { return machine.getArray(input); });
  SmallVector<int64_t> shape(ArrayRef(inputs.front()->shape));
  for (const ArrayPtr &input : drop_begin(inputs)) {
    for (size_t d = 0; d < shape.size(); ++d)
      if (static_cast<int64_t>(d) != dim && input->shape[d] != shape[d])
        return op.emitOpError("joins tensors of shapes ")
               << formatShape(inputs.front()->shape) << " and "
               << formatShape(input->shape) << " along dimension " << dim;
    shape[dim] += input->shape[dim];
  }
  return construct(machine, op, shape,
                   [&](ArrayRef<int64_t> index) -> std::optional<Scalar> {
                     SmallVector<int64_t> from(index);
                     for (const ArrayPtr &input : inputs) {
                       if (from[dim] < input->shape[dim])
                         return loadElement(*input,
                                            linearIndex(from, input->shape));
                       from[dim] -= input->shape[dim];
                     }
                     return std::nullopt;
                   });
}

static LogicalResult executeGather(Machine &machine, tensor::GatherOp op) {
  ArrayPtr source = machine.getArray(op.getSource());
  ArrayPtr indices = machine.getArray(op.getIndices());
  ArrayRef<int64_t> dims = op.getGatherDims();
  auto type = cast<RankedTensorType>(op.getType());
  ArrayRef<int64_t> batch = ArrayRef(indices->shape).drop_back();
  bool keepsDims = type.getRank() ==
                   static_cast<int64_t>(batch.size() + source->shape.size());
  SmallVector<int64_t> shape(batch);
  for (auto [d, size] : enumerate(source->shape)) {
    if (!is_contained(dims, static_cast<int64_t>(d)))
      shape.push_back(size);
    else if (keepsDims)
      shape.push_back(1);
  }
  return construct(
      machine, op, shape,
      [&](ArrayRef<int64_t> index) -> std::optional<Scalar> {
        int64_t row = linearIndex(index.take_front(batch.size()), batch);
        ArrayRef<int64_t> rest = index.drop_front(batch.size());
        SmallVector<int64_t> from(source->shape.size(), 0);
        for (size_t d = 0; d < from.size(); ++d) {
          bool gathered = is_contained(dims, static_cast<int64_t>(d));
          if (!gathered)
            from[d] = rest.front();
          if (!gathered || keepsDims)
            rest = rest.drop_front();
        }
        for (auto [i, d] : enumerate(dims))
          from[d] = loadElement(*indices, row * dims.size() + i).i;
        if (failed(checkIndex(op, from, source->shape)))
          return std::nullopt;
        return loadElement(*source, linearIndex(from, source->shape));
      });
}

static LogicalResult executeScatter(Machine &machine, tensor::ScatterOp op) {
  ArrayPtr source = machine.getArray(op.getSource());
  ArrayPtr dest = machine.getArray(op.getDest());
  ArrayPtr indices = machine.getArray(op.getIndices());
  ArrayRef<int64_t> dims = op.getScatterDims();
  size_t batch = indices->shape.size() - 1;
  bool keepsDims = source->shape.size() == batch + dest->shape.size();
  FailureOr<MutableArrayPtr> result = machine.copyOf(op, *dest);
  if (failed(result))
    return failure();
  int64_t next = 0;
  bool done = forEachIndex(source->shape, [&](ArrayRef<int64_t> index) {
    int64_t row = linearIndex(index.take_front(batch),
                              ArrayRef(indices->shape).drop_back());
    ArrayRef<int64_t> rest = index.drop_front(batch);
    SmallVector<int64_t> to(dest->shape.size(), 0);
    for (size_t d = 0; d < to.size(); ++d) {
      bool scattered = is_contained(dims, static_cast<int64_t>(d));
      if (!scattered)
        to[d] = rest.front();
      if (!scattered || keepsDims)
        rest = rest.drop_front();
    }
    for (auto [i, d] : enumerate(dims))
      to[d] = loadElement(*indices, row * dims.size() + i).i;
    if (failed(checkIndex(op, to, dest->shape)))
      return false;
    storeElement(**result, linearIndex(to, dest->shape),
                 loadElement(*source, next++));
    return true;
  });
  if (!done)
    return failure();
  machine.set(op.getResult(), *result);
  return success();
}

void addTensorOps(HandlerTable &table) {
  table.add<tensor::EmptyOp>(executeEmpty);
  table.add<tensor::DimOp>(executeDim);
  table.add<tensor::RankOp>([](Machine &machine, tensor::RankOp op) {
    machine.set(op.getResult(),
                makeInt(machine.getArray(op.getTensor())->shape.size()));
    return success();
  });
  table.add<tensor::CastOp>(executeCast);
  table.add<tensor::ExtractOp>(executeExtract);
  table.add<tensor::InsertOp>(executeInsert);
  table.add<tensor::ExtractSliceOp>(executeExtractSlice);
  table.add<tensor::InsertSliceOp>(executeInsertSlice);
  table.add<tensor::ExpandShapeOp>(
      [](Machine &machine, tensor::ExpandShapeOp op) {
        return reshape(machine, op, op.getSrc(),
                       machine.getInts(op.getMixedOutputShape()));
      });
  table.add<tensor::CollapseShapeOp>(executeCollapse);
  table.add<tensor::ReshapeOp>(executeReshape);
  table.add<tensor::SplatOp>([](Machine &machine, tensor::SplatOp op) {
    Scalar value = machine.get(op.getInput()).scalar;
    return construct(machine, op,
                     fillDynamic(machine, op.getType(), op.getDynamicSizes()),
                     [&](ArrayRef<int64_t>) { return value; });
  });
  table.add<tensor::FromElementsOp>(
      [](Machine &machine, tensor::FromElementsOp op) {
        unsigned next = 0;
        return construct(machine, op, op.getType().getShape(),
                         [&](ArrayRef<int64_t>) {
                           return machine.get(op.getElements()[next++]).scalar;
                         });
      });
  table.add<tensor::GenerateOp>(executeGenerate);
  table.add<tensor::PadOp>(executePad);
  table.add<tensor::ConcatOp>(executeConcat);
  table.add<tensor::GatherOp>(executeGather);
  table.add<tensor::ScatterOp>(executeScatter);
}

} // namespace moe::reference
