//===- ExternalCalls.cpp - C functions of experts, called -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Rows go out and come back in the types that the declaration says, in calls of at
// most so many rows as it says.
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include "moe-mlir/Support/ExternalFunctions.h"
#include "moe/Moe.h"

using namespace llvm;
using namespace mlir;

namespace moe::reference {

/// `from` as the elements of `type` are in C; null without memory.
static HostTensor toNative(const HostTensor &from, Type type) {
  DType dtype = *dtypeOf(getElementTypeOrSelf(type));
  if (from.dtype == dtype)
    return from;
  HostTensor native = HostTensor::allocate(dtype, from.shape);
  for (int64_t i = 0, e = native.data ? native.numElements() : 0; i < e; ++i) {
    if (isFloat(dtype))
      native.set(i, loadElement(from, i).f);
    else if (dtype == DType::I32)
      native.dataAs<int32_t>()[i] = loadElement(from, i).i;
    else if (dtype == DType::I64)
      native.dataAs<int64_t>()[i] = loadElement(from, i).i;
    else
      native.set(i, static_cast<double>(loadElement(from, i).i));
  }
  return native;
}

LogicalResult executeExternal(Machine &machine, func::CallOp op,
                              func::FuncOp callee) {
  auto expert = dyn_cast<ExpertOp>(op->getParentOp());
  if (!expert || !machine.expert)
    return op.emitOpError("calls a C function outside of the body of an expert");
  void *function = findExternal(op.getCallee());
  if (!function)
    return op.emitOpError("calls '")
           << op.getCallee()
           << "', which is in no library; say which has it with --external=FILE";
  if (op.getNumOperands() + 1 > kMaxExternalPointers)
    return op.emitOpError("passes more than ")
           << kMaxExternalPointers - 1 << " tensors to a C function";
  ExternalAttr external = getExternal(callee);
  int64_t number =
      expert.getGroupBegin(op->getParentRegion()->getRegionNumber()) +
      *machine.expert;

  SmallVector<HostTensor> arguments;
  for (Value operand : op.getOperands()) {
    if (!dtypeOf(getElementTypeOrSelf(operand.getType())))
      return op.emitOpError("passes a C function ") << operand.getType();
    arguments.push_back(
        toNative(*machine.getArray(operand), operand.getType()));
    if (!arguments.back().data && arguments.back().numElements())
      return op.emitOpError("has no memory for its arguments");
  }
  auto type = cast<RankedTensorType>(op.getResult(0).getType());
  int64_t rows = arguments.front().shape[0], columns = type.getDimSize(1);
  HostTensor out = HostTensor::allocate(DType::F32, {rows, columns});
  FailureOr<MutableArrayPtr> result =
      machine.allocate(op, type, {rows, columns});
  if (failed(result))
    return failure();
  if (!out.data && rows)
    return op.emitOpError("has no memory for its result");
  int64_t batch = external.getBatch() ? external.getBatch() : rows;
  for (int64_t first = 0; first < rows; first += batch) {
    int64_t count = std::min(batch, rows - first);
    SmallVector<void *> pointers;
    for (auto [argument, operand] : zip_equal(arguments, op.getOperands()))
      pointers.push_back(isExternalRows(operand.getType())
                             ? argument.rows(first, first + count).data
                             : argument.data);
    pointers.push_back(out.rows(first, first + count).data);
    int status = callExternal(function, number, count, pointers);
    if (status && external.getOnFailure() == OnFailure::End)
      return op.emitOpError("fails: '")
             << op.getCallee() << "' returned " << status << " for " << count
             << " rows of expert " << number;
    for (int64_t i = first * columns, e = (first + count) * columns; i < e; ++i)
      storeElement(**result, i, makeFloat(status ? 0 : out.get(i)));
  }
  machine.set(op.getResult(0), *result);
  return success();
}

} // namespace moe::reference
