//===- Values.h - Values of the interpreter ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What an SSA value is at run time. Tensors and vectors are HostTensors: F64
// or I64 when computed, in their storage type when they came from outside, so
// that gigabytes of weights are never widened.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REFERENCE_VALUES_H
#define MOE_LIB_REFERENCE_VALUES_H

#include "mlir/IR/BuiltinTypes.h"
#include "moe-mlir/Support/HostTensor.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"

namespace moe::reference {

/// One number; the type of the SSA value says which member. Integers of more
/// than one bit are sign extended, an i1 is 0 or 1.
union Scalar {
  double f;
  int64_t i;
};

inline Scalar makeFloat(double value) {
  Scalar scalar;
  scalar.f = value;
  return scalar;
}
inline Scalar makeInt(int64_t value) {
  Scalar scalar;
  scalar.i = value;
  return scalar;
}

using ArrayPtr = std::shared_ptr<const HostTensor>;
using MutableArrayPtr = std::shared_ptr<HostTensor>;

/// The decision of a router: `slots` entries for each token, and the list of
/// assignments in canonical order (expert, token, slot).
struct Routing {
  int64_t tokens = 0, experts = 0, slots = 0;
  std::vector<int32_t> expertOf; // [tokens * slots], -1 = unused
  std::vector<double> weightOf;  // [tokens * slots], 0 where unused
  // Derived by finish():
  std::vector<int64_t> offsets;      // [experts + 1]
  std::vector<int64_t> assignmentAt; // [assignments] -> token * slots + slot

  void finish();
  int64_t numAssignments() const { return offsets.back(); }
};
using RoutingPtr = std::shared_ptr<const Routing>;

/// An SSA value at run time: one of the three, by its type.
struct Datum {
  Scalar scalar = {0.0};
  ArrayPtr array;
  RoutingPtr routing;

  Datum() = default;
  Datum(Scalar scalar) : scalar(scalar) {}
  Datum(ArrayPtr array) : array(std::move(array)) {}
  Datum(MutableArrayPtr array) : array(std::move(array)) {}
  Datum(RoutingPtr routing) : routing(std::move(routing)) {}
};

/// Element `index` of an array of any element type.
Scalar loadElement(const HostTensor &array, int64_t index);
/// Floats [begin, begin + count) as doubles.
void loadFloats(const HostTensor &array, int64_t begin, int64_t count,
                double *out);
/// Stores into an F64 or I64 array.
void storeElement(HostTensor &array, int64_t index, Scalar value);

/// Elements [begin, begin + product of shape), sharing the memory.
ArrayPtr viewOf(const HostTensor &array, int64_t begin,
                llvm::ArrayRef<int64_t> shape);

int64_t productOf(llvm::ArrayRef<int64_t> shape);
int64_t linearIndex(llvm::ArrayRef<int64_t> index,
                    llvm::ArrayRef<int64_t> shape);
/// Calls `body` for every index in row-major order until it fails; false then.
bool forEachIndex(llvm::ArrayRef<int64_t> shape,
                  llvm::function_ref<bool(llvm::ArrayRef<int64_t>)> body);

/// Bits of an integer or index type, or of the elements of a shaped one.
unsigned integerWidth(mlir::Type type);
/// Wraps to `width` bits in the representation of Scalar.
int64_t wrapInteger(int64_t value, unsigned width);
/// The value as a signed or an unsigned number of `width` bits.
int64_t asSigned(int64_t value, unsigned width);
uint64_t asUnsigned(int64_t value, unsigned width);

bool isFloatLike(mlir::Type type);

/// How elements of this type come from outside, if they do.
std::optional<DType> dtypeOf(mlir::Type element);

} // namespace moe::reference

#endif // MOE_LIB_REFERENCE_VALUES_H
