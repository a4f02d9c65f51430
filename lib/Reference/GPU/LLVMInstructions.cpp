//===- LLVMInstructions.cpp - llvm operations in lanes ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Access.h"
#include "ScalarInstructions.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Matchers.h"
#include <cmath>
#include <cstring>

using namespace mlir;
using namespace moe::reference::simt;

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

namespace {
/// What an access moves in each lane: elements of so many bytes.
struct Shape {
  unsigned space, elementBytes, alignment;
};
} // namespace

/// The address is the first operand, what is stored follows.
static Outcome runLoad(Warp &warp, const Instruction &instruction) {
  const Shape &shape = *reinterpret_cast<const Shape *>(instruction.a);
  if (!warp.checkDefined(instruction, instruction.operands[0], "the address"))
    return Outcome::Fail;
  const uint64_t *address = warp.get<uint64_t>(instruction.operands[0]);
  unsigned bytes = shape.elementBytes * instruction.results.size();
  LaneMask undefined = 0;
  bool isFine = true;
  forEachLane(warp.active, [&](unsigned lane) {
    uint8_t data[64];
    bool isSet = false;
    if (!isFine)
      return;
    isFine = Access{warp, instruction, int(lane)}.read(
        shape.space, address[lane], bytes, data, isSet, shape.alignment);
    if (!isFine)
      return;
    if (!isSet) {
      undefined |= laneBit(lane);
      warp.undefinedRead = &instruction;
      warp.undefinedAddress = address[lane];
    }
    for (auto [i, slot] : llvm::enumerate(instruction.results)) {
      uint64_t bits = 0;
      std::memcpy(&bits, data + i * shape.elementBytes, shape.elementBytes);
      if (shape.elementBytes == 8)
        warp.get<uint64_t>(slot)[lane] = bits;
      else
        warp.get<uint32_t>(slot)[lane] = bits;
    }
  });
  for (Slot slot : instruction.results)
    warp.undefined(slot) = undefined;
  return isFine ? Outcome::Next : Outcome::Fail;
}

static Outcome runStore(Warp &warp, const Instruction &instruction) {
  const Shape &shape = *reinterpret_cast<const Shape *>(instruction.a);
  if (!warp.checkDefined(instruction, instruction.operands[0], "the address"))
    return Outcome::Fail;
  const uint64_t *address = warp.get<uint64_t>(instruction.operands[0]);
  Slots values = instruction.operands.drop_front();
  unsigned bytes = shape.elementBytes * values.size();
  LaneMask undefined = 0;
  for (Slot slot : values) {
    undefined |= warp.undefined(slot);
    if (warp.ticket(slot) && !warp.checkDefined(instruction, slot, ""))
      return Outcome::Fail;
  }
  bool isFine = true;
  forEachLane(warp.active, [&](unsigned lane) {
    uint8_t data[64];
    for (auto [i, slot] : llvm::enumerate(values)) {
      uint64_t bits = shape.elementBytes == 8 ? warp.get<uint64_t>(slot)[lane]
                                              : warp.get<uint32_t>(slot)[lane];
      std::memcpy(data + i * shape.elementBytes, &bits, shape.elementBytes);
    }
    isFine = isFine && Access{warp, instruction, int(lane)}.write(
                           shape.space, address[lane], bytes, data,
                           !(undefined >> lane & 1), shape.alignment);
  });
  return isFine ? Outcome::Next : Outcome::Fail;
}

static FailureOr<Shape> getShape(Type pointer, Type value,
                                 std::optional<uint64_t> alignment) {
  unsigned space = cast<LLVM::LLVMPointerType>(pointer).getAddressSpace();
  SmallVector<Type> scalars;
  if ((space != kGlobalSpace && space != kSharedSpace &&
       space != kConstantSpace) ||
      failed(getScalars(value, scalars)) || scalars.size() > 8)
    return failure();
  for (Type scalar : scalars)
    if (getWidth(scalar) != getWidth(scalars[0]) || getWidth(scalar) < 8)
      return failure();
  unsigned element = getWidth(scalars[0]) / 8;
  return Shape{space, element,
               alignment ? unsigned(*alignment)
                         : element * unsigned(scalars.size())};
}

static LogicalResult decodeLoad(Decoder &decoder, Operation *op) {
  auto load = cast<LLVM::LoadOp>(op);
  FailureOr<Shape> shape =
      getShape(load.getAddr().getType(), load.getType(), load.getAlignment());
  if (failed(shape))
    return failure();
  decoder.emit(runLoad, op, decoder.define(load.getResult()),
               decoder.get(load.getAddr()), decoder.keepObject(*shape));
  return success();
}

static LogicalResult decodeStore(Decoder &decoder, Operation *op) {
  auto store = cast<LLVM::StoreOp>(op);
  FailureOr<Shape> shape =
      getShape(store.getAddr().getType(), store.getValue().getType(),
               store.getAlignment());
  if (failed(shape) || shape->space == kConstantSpace)
    return failure();
  SmallVector<Slot> operands(decoder.get(store.getAddr()));
  llvm::append_range(operands, decoder.get(store.getValue()));
  decoder.emit(runStore, op, {}, operands, decoder.keepObject(*shape));
  return success();
}

//===----------------------------------------------------------------------===//
// Addresses
//===----------------------------------------------------------------------===//

/// An address and so many bytes, and an index of `b` bytes each.
template <typename Index>
static Outcome runAddress(Warp &warp, const Instruction &instruction) {
  uint64_t *result = warp.get<uint64_t>(instruction.results[0]);
  const uint64_t *base = warp.get<uint64_t>(instruction.operands[0]);
  const Index *index = warp.get<Index>(instruction.operands[1]);
  for (unsigned lane = 0; lane < warp.numLanes; ++lane)
    result[lane] =
        base[lane] + uint64_t(int64_t(index[lane])) * uint64_t(instruction.b);
  return Outcome::Next;
}

static LogicalResult decodeAddress(Decoder &decoder, Operation *op) {
  auto gep = cast<LLVM::GEPOp>(op);
  SmallVector<Type> scalars;
  if (gep.getRawConstantIndices().size() != 1 ||
      failed(getScalars(gep.getElemType(), scalars)))
    return failure();
  int64_t bytes = 0;
  for (Type scalar : scalars)
    bytes += getWidth(scalar) / 8;
  Slot index;
  bool isWide = true;
  if (gep.getDynamicIndices().empty()) {
    index = decoder.addConstant(int64_t(gep.getRawConstantIndices()[0]), 64);
  } else {
    Value dynamic = gep.getDynamicIndices().front();
    index = decoder.getScalar(dynamic);
    isWide = getWidth(dynamic.getType()) == 64;
    if (getWidth(dynamic.getType()) < 32)
      return failure();
  }
  decoder
      .emit(isWide ? runAddress<int64_t> : runAddress<int32_t>, op,
            decoder.define(gep.getResult()),
            {decoder.getScalar(gep.getBase()), index}, 0, bytes)
      .isPlain = true;
  return success();
}

static LogicalResult decodeAddressOf(Decoder &decoder, Operation *op) {
  auto address = cast<LLVM::AddressOfOp>(op);
  auto global = SymbolTable::lookupNearestSymbolFrom<LLVM::GlobalOp>(
      op, address.getGlobalNameAttr());
  auto values =
      global ? dyn_cast_or_null<DenseElementsAttr>(global.getValueOrNull())
             : DenseElementsAttr();
  if (values && !values.isSplat() && global.getConstant() &&
      global.getAddrSpace() == kConstantSpace) {
    decoder.set(address.getResult(),
                decoder.addConstant(decoder.addTable(values), 64));
    return success();
  }
  // Memory of a size that the launch gives.
  auto type = global ? dyn_cast<LLVM::LLVMArrayType>(global.getGlobalType())
                     : LLVM::LLVMArrayType();
  if (!type || type.getNumElements() != 0 ||
      global.getAddrSpace() != kSharedSpace)
    return failure();
  decoder.set(address.getResult(),
              decoder.addConstant(SharedMemory::kBase, 64));
  return success();
}

static Outcome runNarrow(Warp &warp, const Instruction &instruction) {
  uint32_t *result = warp.get<uint32_t>(instruction.results[0]);
  const uint64_t *a = warp.get<uint64_t>(instruction.operands[0]);
  for (unsigned lane = 0; lane < warp.numLanes; ++lane)
    result[lane] = a[lane];
  return Outcome::Next;
}

static LogicalResult decodePtrToInt(Decoder &decoder, Operation *op) {
  Type type = op->getResult(0).getType();
  if (getWidth(type) == 64) {
    decoder.set(op->getResult(0), decoder.get(op->getOperand(0)));
    return success();
  }
  return getWidth(type) == 32 ? decoder.emitElements(runNarrow, op) : failure();
}

/// Spaces have no addresses in common but those of a block and its cluster,
/// which is the block alone here.
static LogicalResult decodeSpaceCast(Decoder &decoder, Operation *op) {
  auto isShared = [](Type type) {
    unsigned space = cast<LLVM::LLVMPointerType>(type).getAddressSpace();
    return space == kSharedSpace || space == kClusterSpace;
  };
  if (!isShared(op->getOperand(0).getType()) ||
      !isShared(op->getResult(0).getType()))
    return failure();
  decoder.set(op->getResult(0), decoder.get(op->getOperand(0)));
  return success();
}

//===----------------------------------------------------------------------===//
// Parts of values
//===----------------------------------------------------------------------===//

/// `b` elements of `a` bits in one of 32 or 64, the first lowest.
template <typename T>
static Outcome runPack(Warp &warp, const Instruction &instruction) {
  T *result = warp.get<T>(instruction.results[0]);
  for (unsigned lane = 0; lane < warp.numLanes; ++lane) {
    T bits = 0;
    for (auto [i, slot] : llvm::enumerate(instruction.operands))
      bits |= T(warp.get<uint32_t>(slot)[lane]) << (i * instruction.a);
    result[lane] = bits;
  }
  return Outcome::Next;
}

template <typename T>
static Outcome runUnpack(Warp &warp, const Instruction &instruction) {
  const T *from = warp.get<T>(instruction.operands[0]);
  for (auto [i, slot] : llvm::enumerate(instruction.results))
    for (unsigned lane = 0; lane < warp.numLanes; ++lane)
      warp.get<uint32_t>(slot)[lane] = from[lane] >> (i * instruction.a) &
                                       ((uint64_t(1) << instruction.a) - 1);
  return Outcome::Next;
}

static LogicalResult decodeBitcast(Decoder &decoder, Operation *op) {
  SmallVector<Type> from, to;
  (void)getScalars(op->getOperand(0).getType(), from);
  (void)getScalars(op->getResult(0).getType(), to);
  unsigned fromWidth = getWidth(from[0]), toWidth = getWidth(to[0]);
  if (from.size() * fromWidth != to.size() * toWidth)
    return failure();
  Slots source = decoder.get(op->getOperand(0));
  if (fromWidth == toWidth) {
    decoder.set(op->getResult(0), source);
    return success();
  }
  Slots result = decoder.define(op->getResult(0));
  if (fromWidth < toWidth) {
    size_t each = toWidth / fromWidth;
    for (auto [i, slot] : llvm::enumerate(result))
      decoder
          .emit(toWidth == 64 ? runPack<uint64_t> : runPack<uint32_t>, op, slot,
                source.slice(i * each, each), fromWidth)
          .isPlain = true;
    return success();
  }
  size_t each = fromWidth / toWidth;
  for (auto [i, slot] : llvm::enumerate(source))
    decoder
        .emit(fromWidth == 64 ? runUnpack<uint64_t> : runUnpack<uint32_t>, op,
              result.slice(i * each, each), slot, toWidth)
        .isPlain = true;
  return success();
}

static LogicalResult decodeExtractElement(Decoder &decoder, Operation *op) {
  APInt at;
  Slots source = decoder.get(op->getOperand(0));
  if (!matchPattern(op->getOperand(1), m_ConstantInt(&at)) ||
      at.uge(source.size()))
    return failure();
  decoder.set(op->getResult(0), source[at.getZExtValue()]);
  return success();
}

static LogicalResult decodeInsertElement(Decoder &decoder, Operation *op) {
  auto insert = cast<LLVM::InsertElementOp>(op);
  APInt at;
  SmallVector<Slot> slots(decoder.get(insert.getVector()));
  if (!matchPattern(insert.getPosition(), m_ConstantInt(&at)) ||
      at.uge(slots.size()))
    return failure();
  slots[at.getZExtValue()] = decoder.getScalar(insert.getValue());
  decoder.set(insert.getResult(), slots);
  return success();
}

/// Structs of scalars only, so that a position is a scalar's number.
static LogicalResult decodeExtractValue(Decoder &decoder, Operation *op) {
  auto extract = cast<LLVM::ExtractValueOp>(op);
  Slots source = decoder.get(extract.getContainer());
  auto type = dyn_cast<LLVM::LLVMStructType>(extract.getContainer().getType());
  if (!type || type.getBody().size() != source.size() ||
      extract.getPosition().size() != 1)
    return failure();
  decoder.set(extract.getResult(), source[extract.getPosition()[0]]);
  return success();
}

static LogicalResult decodeInsertValue(Decoder &decoder, Operation *op) {
  auto insert = cast<LLVM::InsertValueOp>(op);
  SmallVector<Slot> slots(decoder.get(insert.getContainer()));
  auto type = dyn_cast<LLVM::LLVMStructType>(insert.getContainer().getType());
  if (!type || type.getBody().size() != slots.size() ||
      insert.getPosition().size() != 1)
    return failure();
  slots[insert.getPosition()[0]] = decoder.getScalar(insert.getValue());
  decoder.set(insert.getResult(), slots);
  return success();
}

//===----------------------------------------------------------------------===//
// Constants and functions
//===----------------------------------------------------------------------===//

template <bool isDefined>
static LogicalResult decodeNothing(Decoder &decoder, Operation *op) {
  SmallVector<Type> scalars;
  (void)getScalars(op->getResult(0).getType(), scalars);
  SmallVector<Slot> slots;
  for (Type scalar : scalars)
    slots.push_back(isDefined ? decoder.addConstant(0, getWidth(scalar))
                              : decoder.addUndefined(getWidth(scalar)));
  decoder.set(op->getResult(0), slots);
  return success();
}

static LogicalResult decodeConstant(Decoder &decoder, Operation *op) {
  auto constant = cast<LLVM::ConstantOp>(op);
  auto slots = decoder.addConstants(constant.getType(), constant.getValue());
  if (failed(slots))
    return failure();
  decoder.set(constant.getResult(), *slots);
  return success();
}

static Outcome runFma(Warp &warp, const Instruction &instruction) {
  float *result = warp.get<float>(instruction.results[0]);
  const float *a = warp.get<float>(instruction.operands[0]);
  const float *b = warp.get<float>(instruction.operands[1]);
  const float *c = warp.get<float>(instruction.operands[2]);
  // The product is exact in f64, and the sum rounded twice: of importance to
  // nobody who does not know the order of the hardware's sums.
  for (unsigned lane = 0; lane < warp.numLanes; ++lane)
    result[lane] = float(double(a[lane]) * b[lane] + c[lane]);
  return Outcome::Next;
}

static Outcome runPopulation(Warp &warp, const Instruction &instruction) {
  uint32_t *result = warp.get<uint32_t>(instruction.results[0]);
  const uint32_t *a = warp.get<uint32_t>(instruction.operands[0]);
  for (unsigned lane = 0; lane < warp.numLanes; ++lane)
    result[lane] = __builtin_popcount(a[lane]);
  return Outcome::Next;
}

/// Reads registers, and nothing else.
static Outcome runRead(Warp &, const Instruction &) { return Outcome::Next; }

/// The empty text that ties its results to its operands, so that what uses them
/// stays behind it.
static LogicalResult decodeInlineAsm(Decoder &decoder, Operation *op) {
  auto assembly = cast<LLVM::InlineAsmOp>(op);
  if (assembly.getAsmString().contains("lop3"))
    return decodeBitLogic(decoder, assembly);
  if (!assembly.getAsmString().trim().empty() || op->getNumResults() != 1)
    return failure();
  SmallVector<StringRef> constraints;
  assembly.getConstraints().split(constraints, ',');
  SmallVector<Slot> operands, results;
  for (Value operand : op->getOperands())
    operands.push_back(decoder.getScalar(operand));
  results.resize(operands.size());
  if (constraints.size() != 2 * operands.size())
    return failure();
  for (auto [i, operand] : llvm::enumerate(operands)) {
    unsigned to;
    if (constraints[operands.size() + i].getAsInteger(10, to) ||
        to >= results.size())
      return failure();
    results[to] = operand;
  }
  decoder.emit(runRead, op, {}, operands).isPlain = true;
  decoder.set(op->getResult(0), results);
  return success();
}

static Outcome runReturn(Warp &, const Instruction &) { return Outcome::Exit; }

void moe::reference::simt::addLLVMInstructions(InstructionTable &table) {
  table.add(LLVM::LoadOp::getOperationName(), decodeLoad);
  table.add(LLVM::StoreOp::getOperationName(), decodeStore);
  table.add(LLVM::GEPOp::getOperationName(), decodeAddress);
  table.add(LLVM::AddressOfOp::getOperationName(), decodeAddressOf);
  table.add(LLVM::PtrToIntOp::getOperationName(), decodePtrToInt);
  table.add(LLVM::AddrSpaceCastOp::getOperationName(), decodeSpaceCast);
  table.add(LLVM::BitcastOp::getOperationName(), decodeBitcast);
  table.add(LLVM::ExtractElementOp::getOperationName(), decodeExtractElement);
  table.add(LLVM::InsertElementOp::getOperationName(), decodeInsertElement);
  table.add(LLVM::ExtractValueOp::getOperationName(), decodeExtractValue);
  table.add(LLVM::InsertValueOp::getOperationName(), decodeInsertValue);
  table.add(LLVM::PoisonOp::getOperationName(), decodeNothing<false>);
  table.add(LLVM::UndefOp::getOperationName(), decodeNothing<false>);
  table.add(LLVM::ZeroOp::getOperationName(), decodeNothing<true>);
  table.add(LLVM::ConstantOp::getOperationName(), decodeConstant);
  table.add(LLVM::InlineAsmOp::getOperationName(), decodeInlineAsm);
  table.add(LLVM::ReturnOp::getOperationName(),
            [](Decoder &decoder, Operation *op) {
              decoder.emit(runReturn, op, {}, {});
              return success();
            });
  table.add(LLVM::FMAOp::getOperationName(),
            [](Decoder &decoder, Operation *op) {
              return getElementTypeOrSelf(op->getResult(0).getType()).isF32()
                         ? decoder.emitElements(runFma, op)
                         : failure();
            });
  table.add(
      LLVM::CtPopOp::getOperationName(), [](Decoder &decoder, Operation *op) {
        return getElementTypeOrSelf(op->getResult(0).getType()).isInteger(32)
                   ? decoder.emitElements(runPopulation, op)
                   : failure();
      });
}
