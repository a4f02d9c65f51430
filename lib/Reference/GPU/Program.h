//===- Program.h - Kernels as lists of instructions -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A kernel is decoded once: values become numbers of registers, and operations
// instructions, each with the function that executes it for a warp. Structured
// control flow becomes jumps and masks of lanes. What an operation means is in
// tables, one for each dialect: another vendor's is another table.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_REFERENCE_GPU_PROGRAM_H
#define MOE_MLIR_LIB_REFERENCE_GPU_PROGRAM_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Operation.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Allocator.h"
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace moe::reference::simt {

class Warp;
struct Instruction;

/// The first of the units of 32 bits for each lane that hold a scalar: one, or
/// two for what has 64 bits. Floats are their bits.
using Slot = uint32_t;
using Slots = llvm::ArrayRef<Slot>;

enum class Outcome {
  Next,
  /// The program counter has been set.
  Jump,
  /// The same instruction again, once others have done something.
  Wait,
  Exit,
  /// An error has been reported.
  Fail
};

using Execute = Outcome (*)(Warp &, const Instruction &);

struct Instruction {
  Execute run = nullptr;
  mlir::Operation *op = nullptr;
  Slots results, operands;
  /// What else it needs; a jump's target is `a`.
  int64_t a = 0, b = 0;
  /// A lane of the results is defined where it is in all operands, and the
  /// instruction can do nothing but go on.
  bool isPlain = false;
};

struct Program {
  std::string name;
  /// Of a block, as the kernel says; 0 if it does not.
  int64_t threads = 0;
  /// Bytes that a block shares, if the kernel says that.
  std::optional<int64_t> shared;
  /// What orders the lanes of a warp, for messages.
  std::string laneBarrier = "bar.warp.sync";
  /// Of a warp.
  unsigned numLanes = 32;
  std::vector<Instruction> code;
  unsigned numSlots = 0;
  struct Constant {
    Slot slot;
    uint64_t bits;
    bool isWide;
  };
  std::vector<Constant> constants;
  /// Slots that hold nothing that is defined.
  std::vector<Slot> undefined;
  /// The slot of each argument, and whether it is a tensor map by value.
  struct Argument {
    Slot slot;
    bool isWide, isMap;
  };
  std::vector<Argument> arguments;

  /// Constants in memory. Addresses of different ones are far apart.
  struct Table {
    uint64_t base;
    std::vector<uint8_t> bytes;
  };
  std::vector<Table> tables;

  /// Lists of slots, and what instructions point to.
  llvm::BumpPtrAllocator memory;
  std::vector<std::shared_ptr<void>> kept;
};

class Decoder;

/// What the operations of some dialects mean, by their names.
class InstructionTable {
public:
  using Decode =
      std::function<llvm::LogicalResult(Decoder &, mlir::Operation *)>;

  void add(llvm::StringRef name, Decode decode) {
    decoders[name] = std::move(decode);
  }
  /// What operations of a dialect mean that have no name here.
  void addDialect(llvm::StringRef name, Decode decode) {
    decoders[name] = std::move(decode);
  }
  const Decode *find(llvm::StringRef name) const {
    auto it = decoders.find(name);
    if (it == decoders.end())
      it = decoders.find(name.split('.').first);
    return it == decoders.end() ? nullptr : &it->second;
  }

private:
  llvm::StringMap<Decode> decoders;
};

void addArithInstructions(InstructionTable &table);
void addLLVMInstructions(InstructionTable &table);
void addMemRefInstructions(InstructionTable &table);
/// Of NVIDIA's: threads and what warps do together, barriers and copies,
/// products.
void addNVVMThreadInstructions(InstructionTable &table);
void addNVVMCopyInstructions(InstructionTable &table);
void addNVVMProductInstructions(InstructionTable &table);
/// Permutations of bytes.
void addNVVMBitInstructions(InstructionTable &table);
/// Of AMD's: threads and what wavefronts do together; products.
void addROCDLThreadInstructions(InstructionTable &table);
void addROCDLProductInstructions(InstructionTable &table);

/// Of the kernels of Vulkan, in the form before SPIR-V: threads and blocks.
void addMoeGpuInstructions(InstructionTable &table);

/// Bits of a scalar: 1, 8, 16, 32 or 64. Pointers and indices have 64.
unsigned getWidth(mlir::Type type);

/// The scalars that a value consists of: elements of vectors, structs, and
/// arrays of a fixed size.
llvm::LogicalResult getScalars(mlir::Type type,
                               llvm::SmallVectorImpl<mlir::Type> &scalars);

class Decoder {
public:
  /// `subgroup`: lanes of a warp of kernels that do not say.
  Decoder(const InstructionTable &table, Program &program, unsigned subgroup)
      : table(table), program(program), subgroup(subgroup) {}

  /// Decodes all of a kernel. Fails with an error at an operation that has no
  /// instruction.
  llvm::LogicalResult decode(mlir::LLVM::LLVMFuncOp kernel);

  //===--------------------------------------------------------------------===//
  // Values
  //===--------------------------------------------------------------------===//

  Slots get(mlir::Value value) { return values.lookup(value); }
  Slot getScalar(mlir::Value value) { return get(value).front(); }
  /// The value is these from now on; nothing is copied.
  void set(mlir::Value value, Slots slots);
  /// New slots for a value.
  Slots define(mlir::Value value);
  Slot add(unsigned width);
  Slot addConstant(uint64_t bits, unsigned width);
  Slot addUndefined(unsigned width);
  /// The address of numbers in memory.
  uint64_t addTable(mlir::DenseElementsAttr values);
  /// What an attribute is, element by element.
  llvm::FailureOr<llvm::SmallVector<Slot>> addConstants(mlir::Type type,
                                                        mlir::Attribute value);

  //===--------------------------------------------------------------------===//
  // Instructions
  //===--------------------------------------------------------------------===//

  Instruction &emit(Execute run, mlir::Operation *op, Slots results,
                    Slots operands, int64_t a = 0, int64_t b = 0);
  /// Keeps what an instruction points to.
  template <typename T> int64_t keepObject(T object) {
    auto kept = std::make_shared<T>(std::move(object));
    program.kept.push_back(kept);
    return reinterpret_cast<int64_t>(kept.get());
  }
  /// One that each element of the result has, of those of the operands.
  llvm::LogicalResult emitElements(Execute run, mlir::Operation *op,
                                   int64_t a = 0, int64_t b = 0,
                                   bool isPlain = true);

private:
  llvm::LogicalResult decodeBlock(mlir::Block &block);
  llvm::LogicalResult decodeOperation(mlir::Operation *op);
  llvm::LogicalResult decodeIf(mlir::Operation *op);
  llvm::LogicalResult decodeFor(mlir::Operation *op);
  llvm::LogicalResult decodeWhile(mlir::Operation *op);
  /// Copies all at once, in the lanes that are active.
  void emitCopies(mlir::Operation *op, Slots to, Slots from,
                  llvm::ArrayRef<unsigned> widths);
  void emitCopies(mlir::Operation *op, mlir::ValueRange to,
                  mlir::ValueRange from);
  Slots keep(Slots slots);

  const InstructionTable &table;
  Program &program;
  unsigned subgroup;
  llvm::DenseMap<mlir::Value, Slots> values;
  llvm::DenseMap<std::pair<uint64_t, unsigned>, Slot> known;
};

/// Registers as they are between two blocks of code.
Outcome runCopy(Warp &warp, const Instruction &instruction);

} // namespace moe::reference::simt

#endif // MOE_MLIR_LIB_REFERENCE_GPU_PROGRAM_H
