//===- Generated.cpp - Functions by another code generator ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A function that wraps the generated one makes its buffers, so that what calls
// it sees pointers and vectors as it does otherwise; it is inlined, with what
// it calls, where the generator gives code that can be.
//
//===----------------------------------------------------------------------===//

#include "Generated.h"

#include "RowRegion.h"
#include "moe-mlir/Target/CPU/CodeGenerator.h"

#include "mlir/IR/Remarks.h"
#include "llvm/Support/InterleavedRange.h"

using namespace mlir;
using namespace moe;
using moecpu::Inner;
using moecpu::ScheduleAttr;

StringAttr moe::getCodegen(Operation *kernel) {
  return kernel->getAttrOfType<StringAttr>(moek::kCodegenAttrName);
}

/// Whether the kernel's generator makes `program`; `what` begins the remark.
static std::optional<bool> makes(Operation *kernel, StringRef what,
                                 const std::string &program,
                                 std::string obstacle = {}) {
  StringAttr codegen = getCodegen(kernel);
  if (!codegen)
    return false;
  const CodeGenerator *generator = findCodeGenerator(codegen);
  if (!generator) {
    kernel->emitOpError() << moek::kCodegenAttrName << " is " << codegen
                          << "; known are "
                          << llvm::interleaved(getCodeGeneratorNames());
    return std::nullopt;
  }
  std::string absence = generator->getAbsence();
  if (!absence.empty()) {
    kernel->emitOpError() << moek::kCodegenAttrName << " is " << codegen
                          << ", but " << absence;
    return std::nullopt;
  }
  if (obstacle.empty())
    obstacle = generator->getObstacle(program);
  if (obstacle.empty())
    return true;
  std::string text =
      (what + " not made by " + codegen.getValue() + ": it " + obstacle).str();
  if (generator->isStrict()) {
    kernel->emitOpError(text);
    return std::nullopt;
  }
  remark::missed(kernel->getLoc(), remark::RemarkOpts::name("not-generated")
                                       .category("convert-moek-to-vector"))
      << text;
  return false;
}

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

static Type getPointer(Emitter &e) {
  return LLVM::LLVMPointerType::get(e.getContext());
}

/// Bytes of `halide_buffer_t`, and where the address of the data is in it.
static constexpr int64_t kBufferBytes = 56, kHostOffset = 16;

static Value emitStack(Emitter &e, int64_t bytes, unsigned alignment) {
  Value size =
      LLVM::ConstantOp::create(e, e.getI64Type(), e.getI64IntegerAttr(bytes));
  return LLVM::AllocaOp::create(e, getPointer(e), e.getI8Type(), size,
                                alignment);
}

static Value emitBuffer(Emitter &e, Value host) {
  Value buffer = emitStack(e, kBufferBytes, 8);
  LLVM::StoreOp::create(e, host, e.displace(buffer, kHostOffset), 8);
  return buffer;
}

/// Declares a function to be made, and calls it with these arguments. What it
/// returns is a status of checks that it is made without.
static func::FuncOp emitCall(Emitter &e, StringRef name, StringAttr codegen,
                             const std::string &program, ValueRange arguments) {
  auto module = e.getBlock()->getParentOp()->getParentOfType<ModuleOp>();
  auto type = e.getFunctionType(arguments.getTypes(), e.getI32Type());
  func::FuncOp declared;
  {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToEnd(module.getBody());
    declared = func::FuncOp::create(e, name, type);
    declared.setPrivate();
    declared->setAttr(moek::kCodegenAttrName, codegen);
    declared->setAttr(kProgramAttrName, e.getStringAttr(program));
  }
  func::CallOp::create(e, declared, arguments);
  return declared;
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

static std::string getTileProgram(ScheduleAttr schedule, int64_t rows,
                                  int64_t pitch, bool fetchesNext) {
  std::string text;
  llvm::raw_string_ostream(text)
      << "tile " << stringifyInner(schedule.getInner()) << " rows " << rows
      << " columns " << kPanelColumns / getNumPasses(schedule, rows)
      << " lanes " << schedule.getLanes() << " pitch " << pitch
      << (fetchesNext ? " next" : "");
  return text;
}

std::optional<bool> moe::makesTiles(Operation *kernel, ScheduleAttr schedule,
                                    int64_t pitch) {
  Inner inner = schedule.getInner();
  if (inner != Inner::Fma && inner != Inner::Widen &&
      (inner != Inner::DotBF16 || schedule.getLanes() != 16))
    return makes(kernel, "the product is", {},
                 ("multiplies by " + stringifyInner(inner)).str());
  if (schedule.getScalable())
    return makes(kernel, "the product is", {}, "has vectors of any length");
  return makes(kernel, "the product is",
               getTileProgram(schedule, schedule.getRows(), pitch, false));
}

void moe::emitGeneratedTile(Emitter &e, StringRef name, StringAttr codegen,
                            ScheduleAttr schedule, int64_t rows, int64_t pitch,
                            bool fetchesNext, ValueRange arguments) {
  Value steps = LLVM::TruncOp::create(
      e, e.getI32Type(),
      LLVM::MulOp::create(
          e, arguments[0],
          LLVM::ConstantOp::create(e, e.getI64Type(),
                                   e.getI64IntegerAttr(kBlockSteps))));
  Value sums = emitBuffer(e, arguments[3]);
  SmallVector<Value> call{emitBuffer(e, arguments[1]),
                          emitBuffer(e, arguments[2]), sums, steps};
  if (fetchesNext)
    call.append({LLVM::PtrToIntOp::create(e, e.getI64Type(), arguments[4]),
                 arguments[5]});
  call.push_back(emitBuffer(e, arguments[3]));
  func::FuncOp made =
      emitCall(e, name, codegen,
               getTileProgram(schedule, rows, pitch, fetchesNext), call);
  if (fetchesNext) {
    made->setAttr(kNextLevelAttrName,
                  e.getI64IntegerAttr(schedule.getPrefetchLevel()));
    return;
  }
  moecpu::PrefetchAttr rule = schedule.getPrefetchOf(rows);
  if (!rule)
    return;
  SmallVector<int64_t> ahead;
  for (auto [distance, level] : llvm::zip(rule.getAhead(), rule.getLevels()))
    ahead.append({distance, level});
  made->setAttr(kAheadAttrName, e.getDenseI64ArrayAttr(ahead));
}

//===----------------------------------------------------------------------===//
// Elementwise bodies
//===----------------------------------------------------------------------===//

/// An operation without its dialect, with what it compares for.
static std::string getOpcode(Operation &op) {
  std::string name = op.getName().stripDialect().str();
  if (auto compare = dyn_cast<arith::CmpFOp>(op))
    name += ("." + stringifyCmpFPredicate(compare.getPredicate())).str();
  if (auto compare = dyn_cast<arith::CmpIOp>(op))
    name += ("." + stringifyCmpIPredicate(compare.getPredicate())).str();
  return name;
}

/// Lines of a program; values have the numbers of their lines.
static std::string getElementsProgram(Block &body) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "lanes " << kRowLanes;
  DenseMap<Value, int64_t> numbers;
  int64_t lines = 0;
  for (BlockArgument argument : body.getArguments()) {
    os << "\nargument " << argument.getType();
    numbers[argument] = lines++;
  }
  for (Operation &op : body.without_terminator()) {
    Type type = op.getResult(0).getType();
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      os << "\nconstant " << type << " ";
      APInt bits =
          isa<FloatType>(type)
              ? cast<FloatAttr>(constant.getValue()).getValue().bitcastToAPInt()
              : cast<IntegerAttr>(constant.getValue()).getValue();
      bits.print(os, /*isSigned=*/false);
    } else {
      os << "\n" << getOpcode(op) << " " << type;
      for (Value operand : op.getOperands()) {
        auto known = numbers.find(operand);
        // A value from outside of the body is no number, which is refused.
        os << " ";
        if (known == numbers.end())
          os << "outside";
        else
          os << known->second;
      }
    }
    numbers[op.getResult(0)] = lines++;
  }
  for (Value yielded : body.getTerminator()->getOperands())
    os << "\nyield " << numbers.lookup(yielded);
  return text;
}

std::optional<bool> moe::makesElements(Operation *kernel, Block &body) {
  if (!getCodegen(kernel) || body.without_terminator().empty())
    return false;
  return makes(kernel, "the body is", getElementsProgram(body));
}

/// The type of a value in memory.
static VectorType getStoredType(Emitter &e, Type element) {
  return e.vec(kRowLanes, element.isInteger(1) ? Type(e.getI8Type()) : element);
}

/// The function of vectors that calls what is made of `body`.
static func::FuncOp getOrCreateElements(Emitter &e, StringAttr codegen,
                                        Block &body) {
  auto module = e.getBlock()->getParentOp()->getParentOfType<ModuleOp>();
  std::string program = getElementsProgram(body);
  Attribute key = e.getArrayAttr({codegen, e.getStringAttr(program)});
  constexpr StringLiteral keyName = "moe_cpu.kernels";
  std::string name;
  for (int64_t i = 0;; ++i) {
    name = "moek_elements_" + std::to_string(i);
    auto existing = module.lookupSymbol<func::FuncOp>(name);
    if (!existing)
      break;
    if (existing->getAttr(keyName) == key)
      return existing;
  }
  auto vectors = [&](TypeRange types) {
    return llvm::map_to_vector(
        types, [&](Type type) { return Type(e.vec(kRowLanes, type)); });
  };
  OpBuilder::InsertionGuard guard(e);
  e.setInsertionPointToEnd(module.getBody());
  auto wrapper = func::FuncOp::create(
      e, name,
      e.getFunctionType(vectors(body.getArgumentTypes()),
                        vectors(body.getTerminator()->getOperandTypes())));
  wrapper.setPrivate();
  wrapper->setAttr(keyName, key);
  Block *entry = wrapper.addEntryBlock();
  e.setInsertionPointToStart(entry);
  SmallVector<Value> arguments, results;
  for (Value argument : entry->getArguments()) {
    Type element = getElementTypeOrSelf(argument.getType());
    VectorType stored = getStoredType(e, element);
    if (element.isInteger(1))
      argument = arith::ExtUIOp::create(e, stored, argument);
    Value memory = emitStack(e, kRowLanes * 8, 64);
    LLVM::StoreOp::create(e, argument, memory, 64);
    arguments.push_back(emitBuffer(e, memory));
  }
  SmallVector<Value> memories;
  for (size_t i = 0; i < wrapper.getNumResults(); ++i) {
    memories.push_back(emitStack(e, kRowLanes * 8, 64));
    arguments.push_back(emitBuffer(e, memories.back()));
  }
  emitCall(e, name + "_made", codegen, program, arguments);
  for (auto [memory, type] : llvm::zip(memories, wrapper.getResultTypes())) {
    Type element = getElementTypeOrSelf(type);
    Value result =
        LLVM::LoadOp::create(e, getStoredType(e, element), memory, 64);
    if (element.isInteger(1))
      result = arith::TruncIOp::create(e, type, result);
    results.push_back(result);
  }
  func::ReturnOp::create(e, results);
  return wrapper;
}

SmallVector<Value> moe::emitGeneratedElements(Emitter &e, StringAttr codegen,
                                              Block &body,
                                              ValueRange arguments) {
  func::FuncOp elements = getOrCreateElements(e, codegen, body);
  SmallVector<Value> vectors(arguments);
  for (Value &argument : vectors)
    if (!isa<VectorType>(argument.getType()))
      argument = e.splat(argument, e.vec(kRowLanes, argument.getType()));
  return SmallVector<Value>(
      func::CallOp::create(e, elements, vectors).getResults());
}
