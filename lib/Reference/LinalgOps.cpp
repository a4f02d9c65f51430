//===- LinalgOps.cpp - linalg in the interpreter ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Every structured op is its loops, its indexing maps and its region, so one
// evaluator serves them all, named or generic. Products of matrices take a
// shorter way to the same sums.
//
//===----------------------------------------------------------------------===//

#include "Products.h"
#include "RowRounding.h"
#include "Scalars.h"
#include "SpecMath.h"
#include "moe/Moe.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace llvm;
using namespace mlir;

namespace moe::reference {

namespace {

/// An operand under an indexing map.
struct Access {
  ArrayPtr array; // null for scalars
  Scalar scalar = {0.0};
  AffineMap map;
  /// When all results of the map are linear in the loops, the element is at
  /// base + sum of coefficient * index.
  bool isLinear = true;
  int64_t base = 0;
  SmallVector<int64_t> coefficients;

  /// -1 when out of bounds.
  int64_t position(ArrayRef<int64_t> iteration) const;
};

} // namespace

static int64_t evaluate(AffineExpr expr, ArrayRef<int64_t> dims) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue();
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return dims[dim.getPosition()];
  auto binary = cast<AffineBinaryOpExpr>(expr);
  int64_t l = evaluate(binary.getLHS(), dims);
  int64_t r = evaluate(binary.getRHS(), dims);
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return l + r;
  case AffineExprKind::Mul:
    return l * r;
  case AffineExprKind::Mod:
    return r == 0 ? 0 : ((l % r) + r) % r;
  case AffineExprKind::FloorDiv:
    return r == 0 ? 0 : l / r - (l % r != 0 && (l < 0) != (r < 0));
  default: // CeilDiv
    return r == 0 ? 0 : l / r + (l % r != 0 && (l < 0) == (r < 0));
  }
}

/// Adds `scale` times a linear expression to the coefficients and the base.
static bool addLinear(AffineExpr expr, int64_t scale,
                      MutableArrayRef<int64_t> coefficients, int64_t &base) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr)) {
    base += scale * constant.getValue();
    return true;
  }
  if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
    coefficients[dim.getPosition()] += scale;
    return true;
  }
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return false;
  if (expr.getKind() == AffineExprKind::Add)
    return addLinear(binary.getLHS(), scale, coefficients, base) &&
           addLinear(binary.getRHS(), scale, coefficients, base);
  auto factor = dyn_cast<AffineConstantExpr>(binary.getRHS());
  return expr.getKind() == AffineExprKind::Mul && factor &&
         addLinear(binary.getLHS(), scale * factor.getValue(), coefficients,
                   base);
}

int64_t Access::position(ArrayRef<int64_t> iteration) const {
  int64_t linear = base;
  if (isLinear) {
    for (auto [coefficient, index] : zip_equal(coefficients, iteration))
      linear += coefficient * index;
    return linear;
  }
  for (auto [expr, size] : zip_equal(map.getResults(), array->shape)) {
    int64_t index = evaluate(expr, iteration);
    if (index < 0 || index >= size)
      return -1;
    linear = linear * size + index;
  }
  return linear;
}

/// The size of each loop, from the operands' shapes; they have to agree.
static LogicalResult findLoopSizes(linalg::LinalgOp op,
                                   ArrayRef<Access> accesses,
                                   SmallVectorImpl<int64_t> &sizes) {
  sizes.assign(op.getNumLoops(), -1);
  for (auto [i, access] : enumerate(accesses)) {
    if (!access.array)
      continue;
    for (auto [d, expr] : enumerate(access.map.getResults())) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      if (!dim)
        continue;
      int64_t &size = sizes[dim.getPosition()];
      int64_t found = access.array->shape[d];
      if (size >= 0 && size != found)
        return op.emitOpError("operand #")
               << i << " of shape " << formatShape(access.array->shape)
               << " gives loop d" << dim.getPosition() << " size " << found
               << " where an earlier one gives it " << size;
      size = found;
    }
  }
  if (is_contained(sizes, -1))
    return op.emitOpError("has a loop whose size no operand gives");
  return success();
}

/// Prepares the access and checks that it stays inside the operand. A linear
/// access is checked at its extremes.
static LogicalResult prepare(linalg::LinalgOp op, unsigned index,
                             ArrayRef<int64_t> sizes, Access &access) {
  if (!access.array)
    return success();
  access.coefficients.assign(sizes.size(), 0);
  int64_t stride = 1;
  bool empty = is_contained(sizes, 0);
  for (int64_t d = static_cast<int64_t>(access.array->shape.size()) - 1; d >= 0;
       --d) {
    SmallVector<int64_t> own(sizes.size(), 0);
    int64_t least = 0;
    if (!addLinear(access.map.getResult(d), 1, own, least)) {
      access.isLinear = false;
      access.base = 0;
      return success();
    }
    access.base += stride * least;
    int64_t most = least;
    for (auto [loop, coefficient] : enumerate(own)) {
      (coefficient < 0 ? least : most) += coefficient * (sizes[loop] - 1);
      access.coefficients[loop] += stride * coefficient;
    }
    if (!empty && (least < 0 || most >= access.array->shape[d]))
      return op.emitOpError("reads operand #")
             << index << " of shape " << formatShape(access.array->shape)
             << " out of bounds in dimension " << d;
    stride *= access.array->shape[d];
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Products of matrices
//===----------------------------------------------------------------------===//

static Value skipFloatCasts(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<arith::ExtFOp, arith::TruncFOp>(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

/// Whether the region is out += a * b on floats.
static bool isMultiplyAdd(linalg::LinalgOp op) {
  Block &block = *op.getBlock();
  if (op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1 ||
      block.getNumArguments() != 3)
    return false;
  Value yielded = skipFloatCasts(block.getTerminator()->getOperand(0));
  auto add = yielded.getDefiningOp<arith::AddFOp>();
  if (!add)
    return false;
  Value sum = skipFloatCasts(add.getLhs());
  Value product = skipFloatCasts(add.getRhs());
  if (sum != block.getArgument(2))
    std::swap(sum, product);
  auto multiply = product.getDefiningOp<arith::MulFOp>();
  if (sum != block.getArgument(2) || !multiply)
    return false;
  Value lhs = skipFloatCasts(multiply.getLhs());
  Value rhs = skipFloatCasts(multiply.getRhs());
  return (lhs == block.getArgument(0) && rhs == block.getArgument(1)) ||
         (lhs == block.getArgument(1) && rhs == block.getArgument(0));
}

/// How rows are rounded that factor `i` of a product, if it is weights of an
/// expert, meets.
static RowFormat getRowsOfFactor(Machine &machine, linalg::LinalgOp op,
                                 unsigned i, int64_t depth) {
  if (!op->getParentOfType<moe::ExpertOp>() || depth <= 0)
    return {};
  return getRowFormat(machine.rounding, op->getOperand(i), depth);
}

/// Factor `i` of a product. Inside of an expert, rows meet weights of bf16 as
/// they do in moe.ffn: where the machine that is imitated rounds them, they are.
static std::vector<double> loadFactor(Machine &machine, linalg::LinalgOp op,
                                      ArrayRef<Access> accesses, unsigned i) {
  const HostTensor &array = *accesses[i].array;
  std::vector<double> values(array.numElements());
  loadFloats(array, 0, array.numElements(), values.data());
  auto isHalf = [&](unsigned operand) {
    return getElementTypeOrSelf(op->getOperand(operand).getType()).isBF16();
  };
  if (machine.rounding.narrowsRows() && !isHalf(i) && isHalf(1 - i) &&
      op->getParentOfType<moe::ExpertOp>())
    for (double &value : values)
      value = machine.rounding.round(value, NumberFormat::bf16());
  int64_t depth = array.shape.empty() ? 1 : array.shape.back();
  RowFormat rounded = getRowsOfFactor(machine, op, 1 - i, depth);
  if (!rounded && getRowsOfFactor(machine, op, i, depth).narrowsWeights())
    rounded.type = moe::RowType::BF16;
  return rounded ? roundRows(machine.rounding, values.data(),
                             values.size() / depth, depth, rounded)
                 : values;
}

/// Executes x [m, k] times w [n, k] or [k, n] into out [m, n]; false when the
/// op is something else.
static bool executeMatmul(Machine &machine, linalg::LinalgOp op,
                          ArrayRef<Access> accesses, ArrayRef<int64_t> sizes,
                          HostTensor &out) {
  if (sizes.size() != 3 || !isMultiplyAdd(op) || !accesses[0].array ||
      !accesses[1].array)
    return false;
  MLIRContext *context = op.getContext();
  auto mapIs = [&](const Access &access, unsigned a, unsigned b) {
    return access.map == AffineMap::get(3, 0,
                                        {getAffineDimExpr(a, context),
                                         getAffineDimExpr(b, context)},
                                        context);
  };
  auto iterators = op.getIteratorTypesArray();
  if (iterators[2] != utils::IteratorType::reduction ||
      iterators[0] != utils::IteratorType::parallel ||
      iterators[1] != utils::IteratorType::parallel ||
      !mapIs(accesses[0], 0, 2) || !mapIs(accesses[2], 0, 1))
    return false;
  bool transposed = mapIs(accesses[1], 1, 2);
  if (!transposed && !mapIs(accesses[1], 2, 1))
    return false;
  int64_t rows = sizes[0], columns = sizes[1], depth = sizes[2];
  std::vector<double> x = loadFactor(machine, op, accesses, 0);
  if (transposed)
    machine.showProduct(op->getOperand(1), x.data(), rows, depth);
  NumberFormat format = NumberFormat::get(op->getResult(0).getType());
  (transposed ? addProductTransposed : addProduct)(
      x.data(), rows, *accesses[1].array, columns, depth, out.dataAs<double>(),
      machine.options.numThreads,
      ProductErrors(machine.rounding, format,
                    getRowsOfFactor(machine, op, 1, depth).narrowsWeights()));
  return true;
}

/// Any other out += a * b with linear accesses (batches, convolutions): plain
/// loops without going through the region.
static bool executeContraction(Machine &machine, linalg::LinalgOp op,
                               ArrayRef<Access> accesses,
                               ArrayRef<int64_t> sizes, HostTensor &out) {
  if (!isMultiplyAdd(op) || sizes.empty() ||
      any_of(accesses, [](const Access &access) {
        return !access.array || !access.isLinear;
      }))
    return false;
  std::vector<double> operands[2] = {loadFactor(machine, op, accesses, 0),
                                     loadFactor(machine, op, accesses, 1)};
  // The innermost loop runs here, the others through the index.
  int64_t inner = sizes.back();
  int64_t strideA = accesses[0].coefficients.back();
  int64_t strideB = accesses[1].coefficients.back();
  int64_t strideOut = accesses[2].coefficients.back();
  bool hasErrors = machine.rounding.isOn();
  std::vector<double> squares(hasErrors ? out.numElements() : 0);
  SmallVector<int64_t> full(sizes.size(), 0);
  forEachIndex(sizes.drop_back(), [&](ArrayRef<int64_t> index) {
    copy(index, full.begin());
    const double *a = operands[0].data() + accesses[0].position(full);
    const double *b = operands[1].data() + accesses[1].position(full);
    int64_t first = accesses[2].position(full);
    double *sums = out.dataAs<double>() + first;
    for (int64_t i = 0; i < inner; ++i)
      sums[i * strideOut] += a[i * strideA] * b[i * strideB];
    if (hasErrors)
      for (int64_t i = 0; i < inner; ++i) {
        double product = a[i * strideA] * b[i * strideB];
        squares[first + i * strideOut] += product * product;
      }
    return true;
  });
  if (!hasErrors || out.numElements() == 0)
    return true;
  double unit = NumberFormat::get(op->getResult(0).getType()).unit;
  uint64_t key = machine.rounding.newKey();
  int64_t terms = productOf(sizes) / out.numElements();
  for (int64_t i = 0, e = out.numElements(); i < e; ++i) {
    double &sum = out.dataAs<double>()[i];
    sum += RoundingErrors::sumError(sum, squares[i], terms, unit, key, i);
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Structured ops
//===----------------------------------------------------------------------===//

static LogicalResult executeStructured(Machine &machine, linalg::LinalgOp op) {
  if (!op.hasPureTensorSemantics())
    return op.emitOpError("works on buffers; the interpreter works on tensors");
  Block &block = *op.getBlock();
  unsigned numInputs = op.getNumDpsInputs(), numInits = op.getNumDpsInits();

  SmallVector<Access> accesses;
  SmallVector<MutableArrayPtr> outs;
  for (OpOperand &operand : op->getOpOperands()) {
    Access access;
    access.map = op.getMatchingIndexingMap(&operand);
    access.array = machine.getArray(operand.get());
    access.scalar = machine.get(operand.get()).scalar;
    if (access.map.getNumSymbols())
      return op.emitOpError("has symbols in its indexing maps, which are not "
                            "interpreted");
    if (op.isDpsInit(&operand)) {
      FailureOr<MutableArrayPtr> out = machine.copyOf(op, *access.array);
      if (failed(out))
        return failure();
      outs.push_back(*out);
      access.array = *out;
    }
    accesses.push_back(std::move(access));
  }
  SmallVector<int64_t> sizes;
  if (failed(findLoopSizes(op, accesses, sizes)))
    return failure();
  for (auto [i, access] : enumerate(accesses))
    if (failed(prepare(op, i, sizes, access)))
      return failure();

  auto finish = [&] {
    for (auto [result, out] : zip_equal(op->getResults(), outs))
      machine.set(result, out);
    return success();
  };
  if (executeMatmul(machine, op, accesses, sizes, *outs[0]) ||
      executeContraction(machine, op, accesses, sizes, *outs[0]))
    return finish();

  // linalg.map passes only its inputs to the region in some forms.
  unsigned numArguments = block.getNumArguments();
  if (numArguments != numInputs && numArguments != numInputs + numInits)
    return op.emitOpError("has a region with ")
           << numArguments << " arguments for " << accesses.size()
           << " operands";
  std::optional<ScalarProgram> program = ScalarProgram::build(machine, block);
  SmallVector<Scalar> arguments(numArguments), results;
  SmallVector<int64_t> positions(accesses.size(), 0);
  bool done = forEachIndex(sizes, [&](ArrayRef<int64_t> iteration) {
    for (auto [i, access] : enumerate(accesses)) {
      if (access.array) {
        positions[i] = access.position(iteration);
        if (positions[i] < 0) {
          op.emitOpError("reads operand #")
              << i << " of shape " << formatShape(access.array->shape)
              << " out of bounds at iteration " << formatShape(iteration);
          return false;
        }
      }
      if (i < numArguments)
        arguments[i] = access.array ? loadElement(*access.array, positions[i])
                                    : access.scalar;
    }
    if (program) {
      if (failed(program->run(arguments, iteration, results)))
        return false;
    } else {
      SmallVector<Datum> data(arguments.begin(), arguments.end());
      machine.iterations.push_back(iteration);
      FailureOr<SmallVector<Datum>> yielded =
          machine.run(*block.getParent(), data);
      machine.iterations.pop_back();
      if (failed(yielded))
        return false;
      results = map_to_vector(*yielded,
                              [](const Datum &datum) { return datum.scalar; });
    }
    for (auto [i, out] : enumerate(outs))
      storeElement(*out, positions[numInputs + i], results[i]);
    return true;
  });
  return done ? finish() : failure();
}

static LogicalResult executeSoftmax(Machine &machine, linalg::SoftmaxOp op) {
  ArrayPtr input = machine.getArray(op.getInput());
  if (!input || op->getNumResults() != 1)
    return op.emitOpError("works on buffers; the interpreter works on tensors");
  FailureOr<MutableArrayPtr> out = machine.copyOf(op, *input);
  if (failed(out))
    return failure();
  ArrayRef<int64_t> shape = (*out)->shape;
  int64_t dim = op.getDimension();
  int64_t length = shape[dim];
  int64_t stride = productOf(shape.drop_front(dim + 1));
  int64_t outer = productOf(shape.take_front(dim));
  double *data = (*out)->dataAs<double>();
  // Computed in f32 at least: an exponential, a sum, a quotient.
  constexpr double kSoftmaxUnits = 4.0;
  NumberFormat format = NumberFormat::get(op->getResultTypes()[0]);
  std::vector<double> row(length);
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t s = 0; s < stride; ++s) {
      double *first = data + o * length * stride + s;
      // The distance from the largest is rounded, too.
      for (int64_t i = 0; i < length; ++i)
        row[i] =
            first[i * stride] +
            machine.rounding.error(first[i * stride], format.working(), 1.0);
      softmax(row);
      for (int64_t i = 0; i < length; ++i)
        first[i * stride] = row[i];
    }
  }
  machine.round(**out, op->getResultTypes()[0], kSoftmaxUnits);
  machine.set(op->getResult(0), *out);
  return success();
}

/// Element `index` of a packed tensor is element `unpacked(index)` of the
/// other.
template <typename OpT>
static SmallVector<int64_t> unpackedIndex(OpT op, ArrayRef<int64_t> index,
                                          ArrayRef<int64_t> tiles,
                                          int64_t rank) {
  SmallVector<int64_t> result(index.take_front(rank));
  ArrayRef<int64_t> permutation = op.getOuterDimsPerm();
  for (auto [i, d] : enumerate(permutation))
    result[d] = index[i];
  for (auto [i, d] : enumerate(op.getInnerDimsPos()))
    result[d] = result[d] * tiles[i] + index[rank + i];
  return result;
}

static bool isInside(ArrayRef<int64_t> index, ArrayRef<int64_t> shape) {
  return all_of(zip_equal(index, shape), [](auto pair) {
    return std::get<0>(pair) < std::get<1>(pair);
  });
}

/// A copy of what a pack or unpack writes over; fails on buffers.
template <typename OpTy>
static FailureOr<MutableArrayPtr> copyDest(Machine &machine, OpTy op) {
  if (!machine.getArray(op.getSource()) || op->getNumResults() != 1)
    return op.emitOpError("works on buffers; the interpreter works on tensors");
  return machine.copyOf(op, *machine.getArray(op.getDest()));
}

static LogicalResult executePack(Machine &machine, linalg::PackOp op) {
  FailureOr<MutableArrayPtr> out = copyDest(machine, op);
  if (failed(out))
    return failure();
  ArrayPtr source = machine.getArray(op.getSource());
  ArrayPtr dest = machine.getArray(op.getDest());
  SmallVector<int64_t> tiles = machine.getInts(op.getMixedTiles());
  int64_t next = 0;
  bool done = forEachIndex(dest->shape, [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> from =
        unpackedIndex(op, index, tiles, source->shape.size());
    if (isInside(from, source->shape)) {
      storeElement(**out, next++,
                   loadElement(*source, linearIndex(from, source->shape)));
      return true;
    }
    if (!op.getPaddingValue()) {
      op.emitOpError(
          "has no padding value for a tile that its source of shape ")
          << formatShape(source->shape) << " does not fill";
      return false;
    }
    storeElement(**out, next++, machine.get(op.getPaddingValue()).scalar);
    return true;
  });
  if (!done)
    return failure();
  machine.set(op->getResult(0), *out);
  return success();
}

static LogicalResult executeUnpack(Machine &machine, linalg::UnPackOp op) {
  FailureOr<MutableArrayPtr> out = copyDest(machine, op);
  if (failed(out))
    return failure();
  ArrayPtr source = machine.getArray(op.getSource());
  ArrayPtr dest = machine.getArray(op.getDest());
  SmallVector<int64_t> tiles = machine.getInts(op.getMixedTiles());
  int64_t next = 0;
  forEachIndex(source->shape, [&](ArrayRef<int64_t> index) {
    Scalar value = loadElement(*source, next++);
    SmallVector<int64_t> to =
        unpackedIndex(op, index, tiles, dest->shape.size());
    if (isInside(to, dest->shape))
      storeElement(**out, linearIndex(to, dest->shape), value);
    return true;
  });
  machine.set(op->getResult(0), *out);
  return success();
}

LogicalResult executeLinalg(Machine &machine, Operation *op) {
  return executeStructured(machine, cast<linalg::LinalgOp>(op));
}

void addLinalgOps(HandlerTable &table) {
  table.add<linalg::SoftmaxOp>(executeSoftmax);
  table.add<linalg::PackOp>(executePack);
  table.add<linalg::UnPackOp>(executeUnpack);
  table.add<linalg::IndexOp>([](Machine &machine, linalg::IndexOp op) {
    machine.set(op.getResult(),
                makeInt(machine.iterations.back()[op.getDim()]));
    return success();
  });
}

} // namespace moe::reference
