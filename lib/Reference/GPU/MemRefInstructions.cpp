//===- MemRefInstructions.cpp - Memory of a thread's own --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Arrays of a fixed size that a thread has to itself are registers here, one
// for each element, which lanes choose by their own indices.
//
//===----------------------------------------------------------------------===//

#include "Warp.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace moe::reference::simt;

namespace {
/// The registers of an array, one behind the other.
struct Array {
  Slot first;
  bool isWide;
  SmallVector<int64_t> shape;

  Slot get(int64_t element) const {
    return first + Slot(element) * (isWide ? 2 : 1);
  }
};
} // namespace

static Outcome runAlloca(Warp &warp, const Instruction &instruction) {
  for (Slot slot : instruction.results)
    warp.undefined(slot) |= warp.active;
  return Outcome::Next;
}

/// The element that a lane's indices are of; nothing after an error.
static std::optional<int64_t> getElement(Warp &warp,
                                         const Instruction &instruction,
                                         const Array &array, Slots indices,
                                         unsigned lane) {
  int64_t element = 0;
  for (auto [slot, size] : llvm::zip(indices, array.shape)) {
    int64_t index = warp.get<int64_t>(slot)[lane];
    if (index < 0 || index >= size) {
      warp.fail(instruction,
                "index " + Twine(index) + " is out of the bounds of " +
                    Twine(size) + " elements",
                lane);
      return std::nullopt;
    }
    element = element * size + index;
  }
  return element;
}

/// The value that is stored, if there is one, is the last operand.
template <typename T, bool isStore>
static Outcome runAccess(Warp &warp, const Instruction &instruction) {
  const Array &array = *reinterpret_cast<const Array *>(instruction.a);
  Slots indices = instruction.operands.take_front(array.shape.size());
  for (Slot slot : indices)
    if (!warp.checkDefined(instruction, slot, "an index"))
      return Outcome::Fail;
  Slot value =
      isStore ? instruction.operands.back() : instruction.results.front();
  if (isStore && warp.ticket(value) &&
      !warp.checkDefined(instruction, value, ""))
    return Outcome::Fail;
  bool isFine = true;
  LaneMask undefined = 0;
  forEachLane(warp.active, [&](unsigned lane) {
    std::optional<int64_t> element =
        isFine ? getElement(warp, instruction, array, indices, lane)
               : std::nullopt;
    isFine = element.has_value();
    if (!isFine)
      return;
    Slot slot = array.get(*element);
    Slot from = isStore ? value : slot, to = isStore ? slot : value;
    warp.get<T>(to)[lane] = warp.get<T>(from)[lane];
    LaneMask bit = laneBit(lane), own = warp.undefined(from) & bit;
    if (isStore)
      warp.undefined(slot) = (warp.undefined(slot) & ~bit) | own;
    undefined |= own;
  });
  if (!isStore)
    warp.undefined(value) = undefined;
  return isFine ? Outcome::Next : Outcome::Fail;
}

/// The registers of a memref, and the instruction's operands.
static FailureOr<Array> getArray(Decoder &decoder, Value memref,
                                 ValueRange indices,
                                 SmallVectorImpl<Slot> &operands) {
  auto type = cast<MemRefType>(memref.getType());
  Slots slots = decoder.get(memref);
  if (slots.empty())
    return failure();
  for (Value index : indices)
    operands.push_back(decoder.getScalar(index));
  return Array{slots.front(), getWidth(type.getElementType()) == 64,
               llvm::to_vector(type.getShape())};
}

void moe::reference::simt::addMemRefInstructions(InstructionTable &table) {
  table.add(memref::AllocaOp::getOperationName(),
            [](Decoder &decoder, Operation *op) {
              decoder.emit(runAlloca, op, decoder.define(op->getResult(0)), {});
              return success();
            });
  table.add(memref::LoadOp::getOperationName(),
            [](Decoder &decoder, Operation *op) -> LogicalResult {
              auto load = cast<memref::LoadOp>(op);
              SmallVector<Slot> operands;
              auto array = getArray(decoder, load.getMemRef(),
                                    load.getIndices(), operands);
              if (failed(array))
                return failure();
              decoder.emit(array->isWide ? runAccess<uint64_t, false>
                                         : runAccess<uint32_t, false>,
                           op, decoder.define(load.getResult()), operands,
                           decoder.keepObject(*array));
              return success();
            });
  table.add(memref::StoreOp::getOperationName(),
            [](Decoder &decoder, Operation *op) -> LogicalResult {
              auto store = cast<memref::StoreOp>(op);
              SmallVector<Slot> operands;
              auto array = getArray(decoder, store.getMemRef(),
                                    store.getIndices(), operands);
              if (failed(array))
                return failure();
              operands.push_back(decoder.getScalar(store.getValueToStore()));
              decoder.emit(array->isWide ? runAccess<uint64_t, true>
                                         : runAccess<uint32_t, true>,
                           op, {}, operands, decoder.keepObject(*array));
              return success();
            });
}
