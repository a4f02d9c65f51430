//===- Program.cpp - Kernels as lists of instructions -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Program.h"
#include "Warp.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "moe_gpu/MoeGpu.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace moe::reference::simt;

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

unsigned moe::reference::simt::getWidth(Type type) {
  if (isa<LLVM::LLVMPointerType, IndexType>(type))
    return 64;
  return type.getIntOrFloatBitWidth();
}

LogicalResult moe::reference::simt::getScalars(Type type,
                                               SmallVectorImpl<Type> &scalars) {
  if (auto vector = dyn_cast<VectorType>(type)) {
    if (vector.isScalable())
      return failure();
    for (int64_t i = 0; i < vector.getNumElements(); ++i)
      if (failed(getScalars(vector.getElementType(), scalars)))
        return failure();
    return success();
  }
  if (auto memref = dyn_cast<MemRefType>(type)) {
    // More than that is no thread's own.
    constexpr int64_t kMostElements = 4096;
    if (!memref.hasStaticShape() || !memref.getLayout().isIdentity() ||
        memref.getMemorySpace() || memref.getNumElements() > kMostElements)
      return failure();
    for (int64_t i = 0; i < memref.getNumElements(); ++i)
      if (failed(getScalars(memref.getElementType(), scalars)))
        return failure();
    return success();
  }
  if (auto structure = dyn_cast<LLVM::LLVMStructType>(type)) {
    for (Type element : structure.getBody())
      if (failed(getScalars(element, scalars)))
        return failure();
    return success();
  }
  if (!isa<LLVM::LLVMPointerType, IndexType>(type) && !type.isIntOrFloat())
    return failure();
  if (!llvm::is_contained({1u, 8u, 16u, 32u, 64u}, getWidth(type)))
    return failure();
  scalars.push_back(type);
  return success();
}

uint64_t Decoder::addTable(DenseElementsAttr values) {
  constexpr uint64_t kFirst = uint64_t(1) << 52, kApart = uint64_t(1) << 32;
  ArrayRef<char> raw = values.getRawData();
  uint64_t base = kFirst + program.tables.size() * kApart;
  program.tables.push_back({base, {raw.begin(), raw.end()}});
  return base;
}

Slots Decoder::keep(Slots slots) { return slots.copy(program.memory); }

void Decoder::set(Value value, Slots slots) { values[value] = keep(slots); }

Slot Decoder::add(unsigned width) {
  Slot slot = program.numSlots;
  program.numSlots += width == 64 ? 2 : 1;
  return slot;
}

Slots Decoder::define(Value value) {
  SmallVector<Type> scalars;
  SmallVector<Slot> slots;
  if (failed(getScalars(value.getType(), scalars)))
    llvm_unreachable("types are checked before");
  for (Type scalar : scalars)
    slots.push_back(add(getWidth(scalar)));
  set(value, slots);
  return get(value);
}

Slot Decoder::addConstant(uint64_t bits, unsigned width) {
  if (width < 64)
    bits &= (uint64_t(1) << width) - 1;
  auto [it, isNew] = known.try_emplace({bits, width}, 0);
  if (isNew) {
    it->second = add(width);
    program.constants.push_back({it->second, bits, width == 64});
  }
  return it->second;
}

Slot Decoder::addUndefined(unsigned width) {
  Slot slot = add(width);
  program.undefined.push_back(slot);
  return slot;
}

FailureOr<SmallVector<Slot>> Decoder::addConstants(Type type, Attribute value) {
  SmallVector<Type> scalars;
  if (failed(getScalars(type, scalars)))
    return failure();
  auto bitsOf = [](Attribute element) -> std::optional<uint64_t> {
    if (auto integer = dyn_cast<IntegerAttr>(element))
      return integer.getValue().sextOrTrunc(64).getZExtValue();
    if (auto number = dyn_cast<FloatAttr>(element))
      return number.getValue().bitcastToAPInt().getZExtValue();
    return std::nullopt;
  };
  SmallVector<Slot> slots;
  if (auto dense = dyn_cast<DenseElementsAttr>(value)) {
    for (Attribute element : dense.getValues<Attribute>())
      slots.push_back(addConstant(bitsOf(element).value_or(0),
                                  getWidth(scalars[slots.size()])));
    return slots;
  }
  std::optional<uint64_t> bits = bitsOf(value);
  if (!bits || scalars.size() != 1)
    return failure();
  slots.push_back(addConstant(*bits, getWidth(scalars.front())));
  return slots;
}

//===----------------------------------------------------------------------===//
// Instructions
//===----------------------------------------------------------------------===//

Instruction &Decoder::emit(Execute run, Operation *op, Slots results,
                           Slots operands, int64_t a, int64_t b) {
  program.code.push_back({run, op, keep(results), keep(operands), a, b, false});
  return program.code.back();
}

LogicalResult Decoder::emitElements(Execute run, Operation *op, int64_t a,
                                    int64_t b, bool isPlain) {
  Slots results = define(op->getResult(0));
  for (auto [i, result] : llvm::enumerate(results)) {
    SmallVector<Slot> operands;
    for (Value operand : op->getOperands()) {
      // The condition of a select may be one for all.
      Slots own = get(operand);
      operands.push_back(own.size() == 1 ? own.front() : own[i]);
    }
    emit(run, op, result, operands, a, b).isPlain = isPlain;
  }
  return success();
}

void Decoder::emitCopies(Operation *op, Slots to, Slots from,
                         ArrayRef<unsigned> widths) {
  llvm::DenseSet<Slot> written(to.begin(), to.end());
  SmallVector<Slot> temporary;
  if (llvm::any_of(llvm::zip(to, from), [&](auto pair) {
        return std::get<0>(pair) != std::get<1>(pair) &&
               written.contains(std::get<1>(pair));
      })) {
    for (unsigned width : widths)
      temporary.push_back(add(width));
    emitCopies(op, temporary, from, widths);
    from = temporary;
  }
  for (bool isWide : {false, true}) {
    SmallVector<Slot> results, operands;
    for (auto [i, width] : llvm::enumerate(widths))
      if ((width == 64) == isWide && to[i] != from[i]) {
        results.push_back(to[i]);
        operands.push_back(from[i]);
      }
    if (!results.empty())
      emit(runCopy, op, results, operands, isWide);
  }
}

void Decoder::emitCopies(Operation *op, ValueRange to, ValueRange from) {
  SmallVector<Slot> results, operands;
  SmallVector<unsigned> widths;
  for (auto [a, b] : llvm::zip(to, from)) {
    llvm::append_range(results, get(a));
    llvm::append_range(operands, get(b));
    SmallVector<Type> scalars;
    (void)getScalars(a.getType(), scalars);
    for (Type scalar : scalars)
      widths.push_back(getWidth(scalar));
  }
  emitCopies(op, results, operands, widths);
}

LogicalResult Decoder::decode(LLVM::LLVMFuncOp kernel) {
  program.name = kernel.getSymName().str();
  bool isAMD = kernel->hasAttr(ROCDL::ROCDLDialect::getKernelFuncAttrName());
  if (isAMD)
    program.numLanes = 64;
  if (moegpu::KernelAttr how = moegpu::getKernel(kernel)) {
    program.numLanes = subgroup;
    program.shared = how.getShared();
    program.threads = how.getThreads();
    program.laneBarrier = moegpu::BarrierOp::getOperationName().str();
  }
  if (auto threads = kernel->getAttrOfType<DenseI32ArrayAttr>(
          isAMD ? ROCDL::ROCDLDialect::getReqdWorkGroupSizeAttrName()
                : NVVM::NVVMDialect::getMaxntidAttrName()))
    program.threads = threads.empty() ? 0 : threads[0];
  if (!kernel.getBody().hasOneBlock())
    return kernel.emitError()
           << "kernel '" << program.name
           << "' has branches; the interpreter runs structured control flow";
  for (BlockArgument argument : kernel.getArguments()) {
    SmallVector<Type> scalars;
    if (failed(getScalars(argument.getType(), scalars)) || scalars.size() != 1)
      return kernel.emitError() << "kernel '" << program.name
                                << "' takes what the interpreter cannot give: "
                                << argument.getType();
    Slot slot = define(argument).front();
    bool isMap = bool(kernel.getArgAttr(argument.getArgNumber(),
                                        LLVM::LLVMDialect::getByValAttrName()));
    program.arguments.push_back({slot, getWidth(scalars[0]) == 64, isMap});
  }
  return decodeBlock(kernel.getBody().front());
}

LogicalResult Decoder::decodeBlock(mlir::Block &block) {
  for (Operation &op : block)
    if (failed(decodeOperation(&op)))
      return failure();
  return success();
}

LogicalResult Decoder::decodeOperation(Operation *op) {
  for (Type type : op->getResultTypes()) {
    SmallVector<Type> scalars;
    if (failed(getScalars(type, scalars)))
      return emitError(op->getLoc())
             << "'" << op->getName()
             << "' makes what the interpreter has no registers for: " << type;
  }
  if (isa<scf::YieldOp, scf::ConditionOp>(op))
    return success(); // Those around take their operands.
  if (isa<scf::IfOp>(op))
    return decodeIf(op);
  if (isa<scf::ForOp>(op))
    return decodeFor(op);
  if (isa<scf::WhileOp>(op))
    return decodeWhile(op);
  const InstructionTable::Decode *decode =
      table.find(op->getName().getStringRef());
  if (!decode)
    return emitError(op->getLoc())
           << "'" << op->getName() << "' is not known to the interpreter";
  if (failed((*decode)(*this, op)))
    return emitError(op->getLoc())
           << "'" << op->getName()
           << "' is known to the interpreter, but not in this form";
  return success();
}

//===----------------------------------------------------------------------===//
// Control flow
//===----------------------------------------------------------------------===//

static Outcome runIf(Warp &warp, const Instruction &instruction);
static Outcome runElse(Warp &warp, const Instruction &instruction);
static Outcome runEnd(Warp &warp, const Instruction &instruction);
static Outcome runLoop(Warp &warp, const Instruction &instruction);
template <typename T>
static Outcome runForTest(Warp &warp, const Instruction &instruction);
template <typename T>
static Outcome runForStep(Warp &warp, const Instruction &instruction);
static Outcome runWhileTest(Warp &warp, const Instruction &instruction);
static Outcome runJump(Warp &warp, const Instruction &instruction);

LogicalResult Decoder::decodeIf(Operation *op) {
  auto branch = cast<scf::IfOp>(op);
  for (Value result : branch.getResults())
    (void)define(result);
  size_t begin = program.code.size();
  emit(runIf, op, {}, get(branch.getCondition()));
  if (failed(decodeBlock(*branch.thenBlock())))
    return failure();
  emitCopies(op, branch.getResults(), branch.thenYield().getOperands());
  size_t middle = program.code.size();
  emit(runElse, op, {}, {});
  if (branch.elseBlock()) {
    if (failed(decodeBlock(*branch.elseBlock())))
      return failure();
    emitCopies(op, branch.getResults(), branch.elseYield().getOperands());
  }
  program.code[begin].a = middle;
  program.code[middle].a = program.code.size();
  emit(runEnd, op, {}, {});
  return success();
}

LogicalResult Decoder::decodeFor(Operation *op) {
  auto loop = cast<scf::ForOp>(op);
  for (BlockArgument argument : loop.getBody()->getArguments())
    (void)define(argument);
  unsigned width = getWidth(loop.getInductionVar().getType());
  if (width < 32)
    return emitError(op->getLoc())
           << "the interpreter counts loops in 32 or 64 bits, not " << width;
  if (loop.getUnsignedCmp())
    return emitError(op->getLoc())
           << "the interpreter counts loops by signed numbers";
  emitCopies(op, loop.getBody()->getArguments(),
             llvm::to_vector(
                 llvm::concat<Value>(SmallVector<Value>{loop.getLowerBound()},
                                     SmallVector<Value>(loop.getInitArgs()))));
  emit(runLoop, op, {}, {});
  size_t test = program.code.size();
  Slot number = getScalar(loop.getInductionVar());
  emit(width == 64 ? runForTest<int64_t> : runForTest<int32_t>, op, {},
       {number, getScalar(loop.getUpperBound())});
  if (failed(decodeBlock(*loop.getBody())))
    return failure();
  emitCopies(op, loop.getRegionIterArgs(),
             loop.getBody()->getTerminator()->getOperands());
  emit(width == 64 ? runForStep<int64_t> : runForStep<int32_t>, op, number,
       getScalar(loop.getStep()), test);
  program.code[test].a = program.code.size();
  emit(runEnd, op, {}, {});
  for (auto [result, own] :
       llvm::zip(loop.getResults(), loop.getRegionIterArgs()))
    set(result, get(own));
  return success();
}

LogicalResult Decoder::decodeWhile(Operation *op) {
  auto loop = cast<scf::WhileOp>(op);
  for (BlockArgument argument : loop.getBeforeArguments())
    (void)define(argument);
  for (BlockArgument argument : loop.getAfterArguments())
    (void)define(argument);
  emitCopies(op, loop.getBeforeArguments(), loop.getInits());
  emit(runLoop, op, {}, {});
  size_t begin = program.code.size();
  if (failed(decodeBlock(*loop.getBeforeBody())))
    return failure();
  scf::ConditionOp condition = loop.getConditionOp();
  emitCopies(op, loop.getAfterArguments(), condition.getArgs());
  size_t test = program.code.size();
  emit(runWhileTest, op, {}, get(condition.getCondition()));
  if (failed(decodeBlock(*loop.getAfterBody())))
    return failure();
  emitCopies(op, loop.getBeforeArguments(), loop.getYieldOp().getOperands());
  emit(runJump, op, {}, {}, begin);
  program.code[test].a = program.code.size();
  emit(runEnd, op, {}, {});
  for (auto [result, own] :
       llvm::zip(loop.getResults(), loop.getAfterArguments()))
    set(result, get(own));
  return success();
}

//===----------------------------------------------------------------------===//
// What control flow does with lanes
//===----------------------------------------------------------------------===//

static LaneMask getLanesWhere(Warp &warp, Slot condition) {
  const uint32_t *bits = warp.get<uint32_t>(condition);
  LaneMask lanes = 0;
  for (unsigned lane = 0; lane < warp.numLanes; ++lane)
    lanes |= LaneMask(bits[lane] & 1) << lane;
  return lanes;
}

static Outcome jump(Warp &warp, int64_t to) {
  warp.pc = to;
  return Outcome::Jump;
}

static Outcome runIf(Warp &warp, const Instruction &instruction) {
  Slot condition = instruction.operands[0];
  if (!warp.checkDefined(instruction, condition, "the condition of a branch"))
    return Outcome::Fail;
  LaneMask lanes = getLanesWhere(warp, condition);
  warp.frames.push_back({warp.active, warp.active & ~lanes});
  warp.active &= lanes;
  return warp.active ? Outcome::Next : jump(warp, instruction.a);
}

static Outcome runElse(Warp &warp, const Instruction &instruction) {
  warp.active = warp.frames.back().other;
  return warp.active ? Outcome::Next : jump(warp, instruction.a);
}

static Outcome runEnd(Warp &warp, const Instruction &) {
  warp.active = warp.frames.pop_back_val().outer;
  return Outcome::Next;
}

static Outcome runLoop(Warp &warp, const Instruction &) {
  warp.frames.push_back({warp.active, 0});
  return Outcome::Next;
}

template <typename T>
static Outcome runForTest(Warp &warp, const Instruction &instruction) {
  for (Slot slot : instruction.operands)
    if (!warp.checkDefined(instruction, slot, "a bound of a loop"))
      return Outcome::Fail;
  const T *number = warp.get<T>(instruction.operands[0]);
  const T *end = warp.get<T>(instruction.operands[1]);
  LaneMask lanes = 0;
  for (unsigned lane = 0; lane < warp.numLanes; ++lane)
    lanes |= LaneMask(number[lane] < end[lane]) << lane;
  warp.active &= lanes;
  return warp.active ? Outcome::Next : jump(warp, instruction.a);
}

template <typename T>
static Outcome runForStep(Warp &warp, const Instruction &instruction) {
  using Bits = std::make_unsigned_t<T>;
  Bits *number = warp.get<Bits>(instruction.results[0]);
  const Bits *step = warp.get<Bits>(instruction.operands[0]);
  forEachLane(warp.active, [&](unsigned lane) { number[lane] += step[lane]; });
  return jump(warp, instruction.a);
}

static Outcome runWhileTest(Warp &warp, const Instruction &instruction) {
  Slot condition = instruction.operands[0];
  if (!warp.checkDefined(instruction, condition, "the condition of a loop"))
    return Outcome::Fail;
  warp.active &= getLanesWhere(warp, condition);
  return warp.active ? Outcome::Next : jump(warp, instruction.a);
}

static Outcome runJump(Warp &warp, const Instruction &instruction) {
  return jump(warp, instruction.a);
}

template <typename T>
static void copy(Warp &warp, const Instruction &instruction) {
  for (auto [to, from] : llvm::zip(instruction.results, instruction.operands)) {
    T *own = warp.get<T>(to);
    const T *other = warp.get<T>(from);
    for (unsigned lane = 0; lane < warp.numLanes; ++lane)
      own[lane] = (warp.active >> lane) & 1 ? other[lane] : own[lane];
    warp.undefined(to) = (warp.undefined(to) & ~warp.active) |
                         (warp.undefined(from) & warp.active);
    warp.ticket(to) = warp.ticket(from);
  }
}

Outcome moe::reference::simt::runCopy(Warp &warp,
                                      const Instruction &instruction) {
  instruction.a ? copy<uint64_t>(warp, instruction)
                : copy<uint32_t>(warp, instruction);
  return Outcome::Next;
}
