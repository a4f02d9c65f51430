//===- Taint.h - Which values depend on data --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A value is tainted if it may differ between two calls that get the same
// sizes, the same addresses and different data. A branch on an untainted value
// goes the same way whatever the data is.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_BRANCHES_TAINT_H
#define MOE_MLIR_ANALYSIS_BRANCHES_TAINT_H

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/Function.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/Module.h"

#include <optional>

namespace moe::branchcheck {

/// What makes a value tainted: another value, or itself for a reason.
struct Cause {
  const llvm::Value *from = nullptr;
  const char *why = nullptr;
};

/// Memory that only constant offsets of known pointers reach: a stack slot
/// that never escapes but to the functions that are analysed with it.
struct Place {
  /// The alloca; null stands for any other memory.
  const llvm::AllocaInst *object = nullptr;
  /// The runtime descriptor or an argument declared to hold sizes.
  bool descriptor = false;
  /// Bytes from the start, if known.
  std::optional<int64_t> offset;

  bool operator==(const Place &o) const {
    return object == o.object && descriptor == o.descriptor &&
           offset == o.offset;
  }
};

class Taint {
public:
  /// `descriptors`: arguments that point to memory of sizes only.
  Taint(const llvm::Module &module,
        llvm::ArrayRef<const llvm::Argument *> descriptors);

  const Cause *cause(const llvm::Value *value) const {
    auto it = causes.find(value);
    return it == causes.end() ? nullptr : &it->second;
  }
  bool isTainted(const llvm::Value *value) const { return cause(value); }
  bool isTainted(const llvm::Use &use) const {
    return isTainted(use.get()) || late.contains(&use);
  }

  /// What a conditional terminator decides on; null for others.
  static const llvm::Value *condition(const llvm::Instruction &terminator);

  /// A hook of the runtime, whose code is not part of the kernel.
  bool isHook(const llvm::Value *callee) const;

private:
  using Places = llvm::SmallVector<Place, 2>;
  struct Store {
    const llvm::StoreInst *instruction;
    std::optional<int64_t> offset;
    int64_t size;
  };

  // Where pointers point.
  void solvePlaces();
  bool updatePlaces(const llvm::Function &function);
  bool add(const llvm::Value *pointer, Place place);
  Places placesOf(const llvm::Value *pointer) const;
  std::optional<Places> argumentPlaces(const llvm::Argument &argument) const;
  void collectAccesses();

  // What is tainted.
  void solveTaint();
  bool update(const llvm::Function &function);
  bool mark(const llvm::Value *value, Cause cause);
  std::optional<Cause> transfer(const llvm::Instruction &instruction) const;
  std::optional<Cause> load(const llvm::LoadInst &load) const;
  std::optional<Cause> call(const llvm::CallBase &call) const;
  std::optional<Cause> argument(const llvm::Argument &argument) const;
  std::optional<Cause> use(const llvm::Use &use) const;
  std::optional<Cause> operands(const llvm::User &user) const;
  bool followControl(const llvm::Function &function);
  bool markJoins(const llvm::BasicBlock &branch, const llvm::BasicBlock *join);

  const llvm::Module &module;
  const llvm::DataLayout &layout;
  llvm::SmallPtrSet<const llvm::Argument *, 4> descriptors;
  llvm::DenseMap<const llvm::Value *, Places> places;
  llvm::SmallPtrSet<const llvm::AllocaInst *, 8> escaped;
  llvm::DenseMap<const llvm::AllocaInst *, llvm::SmallVector<Store>> stores;
  llvm::DenseMap<const llvm::Value *, Cause> causes;
  llvm::DenseMap<const llvm::Function *, Cause> results;
  /// Uses of a loop's values after it, where a tainted branch ends the loop.
  llvm::DenseMap<const llvm::Use *, const llvm::Instruction *> late;
  /// Blocks that a tainted branch decides about, and that branch.
  llvm::DenseMap<const llvm::BasicBlock *, const llvm::Instruction *>
      controlled;
  /// Blocks that run a number of times that a tainted branch decides, and
  /// functions that such blocks call.
  llvm::DenseMap<const llvm::BasicBlock *, const llvm::Instruction *> repeated;
  llvm::DenseMap<const llvm::Function *, const llvm::Instruction *> entered;
};

} // namespace moe::branchcheck

#endif // MOE_MLIR_ANALYSIS_BRANCHES_TAINT_H
