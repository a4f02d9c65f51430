//===- Taint.cpp - Which values depend on data ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Everything loaded is data, except what provably is not: constant tables at
// untainted addresses, the runtime descriptor, and fields of a stack slot that
// got untainted values only. The last is how a parallel body receives its
// sizes: the caller fills a struct and hands its address over.
//
// All facts grow monotonically from "points nowhere" and "untainted", so that
// loops and recursion need no special case.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/Branches/Taint.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Analysis/CycleAnalysis.h"
#include "llvm/Analysis/PostDominators.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/GlobalVariable.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Operator.h"

using namespace llvm;
using namespace moe::branchcheck;

/// The runtime's default descriptor: what it points to is a descriptor.
static constexpr StringLiteral kDefaultRuntime = "moe_rt_default";

static bool isDefaultRuntime(const Value *value) {
  auto *call = dyn_cast<CallBase>(value);
  const Function *callee = call ? call->getCalledFunction() : nullptr;
  return callee && callee->isDeclaration() &&
         callee->getName() == kDefaultRuntime;
}

/// Uses that neither read, write nor publish memory.
static bool isHarmless(const Instruction &user) {
  if (auto *intrinsic = dyn_cast<IntrinsicInst>(&user))
    return intrinsic->isLifetimeStartOrEnd() || isa<DbgInfoIntrinsic>(user) ||
           intrinsic->getIntrinsicID() == Intrinsic::assume;
  return isa<ICmpInst>(user);
}

/// A body and its environment, as handed to the runtime: the environment
/// follows the function and becomes its first argument.
static const Function *getBodyOfEnvironment(const CallBase &call,
                                            unsigned operand) {
  if (operand == 0 || call.getCalledFunction())
    return nullptr;
  auto *body = dyn_cast<Function>(call.getArgOperand(operand - 1));
  if (!body || body->isDeclaration() || body->arg_empty() ||
      !body->getArg(0)->getType()->isPointerTy())
    return nullptr;
  return body;
}

/// The function a call enters, if its body is here.
static const Function *getDefinedCallee(const CallBase &call) {
  const Function *callee = call.getCalledFunction();
  return callee && !callee->isDeclaration() &&
                 callee->arg_size() == call.arg_size()
             ? callee
             : nullptr;
}

Taint::Taint(const Module &module, ArrayRef<const Argument *> given)
    : module(module), layout(module.getDataLayout()),
      descriptors(given.begin(), given.end()) {
  // An entry replaces a null runtime by the default one: both are descriptors.
  for (const Function &function : module)
    for (const Instruction &instruction : instructions(function))
      if (isa<PHINode, SelectInst>(instruction) &&
          any_of(instruction.operands(),
                 [](const Use &use) { return isDefaultRuntime(use.get()); }))
        for (const Use &use : instruction.operands())
          if (auto *argument = dyn_cast<Argument>(use.get()))
            descriptors.insert(argument);
  solvePlaces();
  collectAccesses();
  solveTaint();
}

const Value *Taint::condition(const Instruction &terminator) {
  if (auto *branch = dyn_cast<BranchInst>(&terminator))
    return branch->isConditional() ? branch->getCondition() : nullptr;
  if (auto *choice = dyn_cast<SwitchInst>(&terminator))
    return choice->getCondition();
  if (auto *indirect = dyn_cast<IndirectBrInst>(&terminator))
    return indirect->getAddress();
  return nullptr;
}

bool Taint::isHook(const Value *callee) const {
  auto *load = dyn_cast<LoadInst>(callee);
  if (!load || isTainted(load))
    return false;
  Places from = placesOf(load->getPointerOperand());
  return !from.empty() &&
         all_of(from, [](const Place &place) { return place.descriptor; });
}

//===----------------------------------------------------------------------===//
// Where pointers point
//===----------------------------------------------------------------------===//

bool Taint::add(const Value *pointer, Place place) {
  Places &known = places[pointer];
  if (is_contained(known, place))
    return false;
  // A pointer that walks through an object in a loop points anywhere in it.
  if (place.offset && count_if(known, [&](const Place &other) {
                        return other.object == place.object &&
                               other.descriptor == place.descriptor;
                      }) >= 8)
    return add(pointer, {place.object, place.descriptor, std::nullopt});
  known.push_back(place);
  return true;
}

Taint::Places Taint::placesOf(const Value *pointer) const {
  if (isa<Constant>(pointer))
    return {Place()};
  return places.lookup(pointer);
}

/// Arguments of functions that code outside of the module calls point to
/// memory that is not known; none means that calls tell.
std::optional<Taint::Places>
Taint::argumentPlaces(const Argument &argument) const {
  if (descriptors.contains(&argument))
    return Places{Place{nullptr, true, 0}};
  const Function &function = *argument.getParent();
  if (!function.hasLocalLinkage())
    return Places{Place()};
  for (const Use &use : function.uses()) {
    auto *call = dyn_cast<CallBase>(use.getUser());
    if (!call)
      return Places{Place()};
    if (call->isCallee(&use) && getDefinedCallee(*call))
      continue;
    // Handed to the runtime with its environment: that is the first argument.
    unsigned next = use.getOperandNo() + 1;
    if (argument.getArgNo() != 0 || !call->isArgOperand(&use) ||
        next >= call->arg_size() ||
        getBodyOfEnvironment(*call, next) != &function)
      return Places{Place()};
  }
  return std::nullopt;
}

bool Taint::updatePlaces(const Function &function) {
  bool changed = false;
  auto copy = [&](const Value *to, const Value *from,
                  function_ref<std::optional<int64_t>(int64_t)> shift) {
    for (Place place : placesOf(from)) {
      if (place.offset && shift)
        place.offset = shift(*place.offset);
      changed |= add(to, place);
    }
  };
  for (const Argument &argument : function.args())
    if (argument.getType()->isPointerTy())
      if (std::optional<Places> given = argumentPlaces(argument))
        for (const Place &place : *given)
          changed |= add(&argument, place);
  for (const Instruction &instruction : instructions(function)) {
    if (auto *call = dyn_cast<CallBase>(&instruction)) {
      const Function *callee = getDefinedCallee(*call);
      for (auto [i, use] : enumerate(call->args())) {
        if (!use->getType()->isPointerTy())
          continue;
        if (callee && !argumentPlaces(*callee->getArg(i)))
          copy(callee->getArg(i), use, nullptr);
        else if (const Function *body = getBodyOfEnvironment(*call, i))
          if (!argumentPlaces(*body->getArg(0)))
            copy(body->getArg(0), use, nullptr);
      }
    }
    if (!instruction.getType()->isPointerTy())
      continue;
    if (auto *slot = dyn_cast<AllocaInst>(&instruction)) {
      changed |= add(slot, {slot, false, 0});
    } else if (auto *gep = dyn_cast<GetElementPtrInst>(&instruction)) {
      APInt offset(layout.getIndexTypeSizeInBits(gep->getType()), 0);
      bool constant = gep->accumulateConstantOffset(layout, offset);
      copy(gep, gep->getPointerOperand(),
           [&](int64_t from) -> std::optional<int64_t> {
             if (!constant)
               return std::nullopt;
             return from + offset.getSExtValue();
           });
    } else if (isa<PHINode, SelectInst, FreezeInst>(instruction)) {
      for (const Use &use : instruction.operands())
        if (use->getType()->isPointerTy())
          copy(&instruction, use, nullptr);
    } else if (isDefaultRuntime(&instruction)) {
      changed |= add(&instruction, {nullptr, true, 0});
    } else {
      changed |= add(&instruction, Place());
    }
  }
  return changed;
}

void Taint::solvePlaces() {
  bool changed = true;
  while (changed) {
    changed = false;
    for (const Function &function : module)
      changed |= updatePlaces(function);
  }
}

/// All writes into stack slots, and which slots other code may reach.
void Taint::collectAccesses() {
  auto escape = [&](const Value *pointer) {
    for (const Place &place : placesOf(pointer))
      if (place.object)
        escaped.insert(place.object);
  };
  for (const Function &function : module)
    for (const Instruction &instruction : instructions(function)) {
      if (isHarmless(instruction) ||
          isa<GetElementPtrInst, PHINode, SelectInst, FreezeInst, LoadInst>(
              instruction))
        continue;
      if (auto *store = dyn_cast<StoreInst>(&instruction)) {
        TypeSize size =
            layout.getTypeStoreSize(store->getValueOperand()->getType());
        for (const Place &place : placesOf(store->getPointerOperand()))
          if (place.object)
            stores[place.object].push_back(
                {store, size.isScalable() ? std::nullopt : place.offset,
                 size.isScalable()
                     ? 0
                     : static_cast<int64_t>(size.getFixedValue())});
        if (store->getValueOperand()->getType()->isPointerTy())
          escape(store->getValueOperand());
        continue;
      }
      auto *call = dyn_cast<CallBase>(&instruction);
      for (const Use &use : instruction.operands()) {
        if (!use->getType()->isPointerTy())
          continue;
        if (call && call->isArgOperand(&use)) {
          unsigned number = call->getArgOperandNo(&use);
          const Function *callee = getDefinedCallee(*call);
          if ((callee && !argumentPlaces(*callee->getArg(number))) ||
              (callee && descriptors.contains(callee->getArg(number))))
            continue;
          if (const Function *body = getBodyOfEnvironment(*call, number))
            if (!argumentPlaces(*body->getArg(0)))
              continue;
        }
        escape(use);
      }
    }
}

//===----------------------------------------------------------------------===//
// What is tainted
//===----------------------------------------------------------------------===//

bool Taint::mark(const Value *value, Cause cause) {
  return causes.try_emplace(value, cause).second;
}

std::optional<Cause> Taint::use(const Use &use) const {
  if (isTainted(use.get()))
    return Cause{use.get(), nullptr};
  if (const Instruction *end = late.lookup(&use))
    return Cause{end, nullptr};
  return std::nullopt;
}

std::optional<Cause> Taint::operands(const User &user) const {
  for (const Use &operand : user.operands())
    if (std::optional<Cause> cause = use(operand))
      return cause;
  return std::nullopt;
}

std::optional<Cause> Taint::argument(const Argument &argument) const {
  const Function &function = *argument.getParent();
  // What other code calls gets sizes and addresses by integers and pointers.
  bool calledFromOutside =
      !function.hasLocalLinkage() || any_of(function.uses(), [](const Use &u) {
        auto *call = dyn_cast<CallBase>(u.getUser());
        return !call || !call->isCallee(&u);
      });
  Type *type = argument.getType();
  if (calledFromOutside && !type->isIntegerTy() && !type->isPointerTy())
    return Cause{nullptr, "an argument that is neither a size nor an address"};
  if (!function.hasLocalLinkage())
    return std::nullopt;
  for (const Use &use : function.uses()) {
    auto *call = dyn_cast<CallBase>(use.getUser());
    if (!call || !call->isCallee(&use))
      continue;
    if (!getDefinedCallee(*call))
      return Cause{nullptr, "an argument of a call with another signature"};
    if (std::optional<Cause> cause =
            this->use(call->getArgOperandUse(argument.getArgNo())))
      return cause;
  }
  return std::nullopt;
}

std::optional<Cause> Taint::load(const LoadInst &load) const {
  const Value *address = load.getPointerOperand();
  if (std::optional<Cause> cause = operands(load))
    return cause;
  if (load.isVolatile() || load.isAtomic())
    return Cause{nullptr, "memory that other threads change"};
  if (auto *table = dyn_cast<GlobalVariable>(getUnderlyingObject(address)))
    if (table->isConstant() && table->hasDefinitiveInitializer())
      return std::nullopt;
  Places from = placesOf(address);
  if (from.empty())
    return std::nullopt; // Not reached yet, or never.
  TypeSize bytes = layout.getTypeStoreSize(load.getType());
  for (const Place &place : from) {
    if (place.descriptor)
      continue;
    if (!place.object)
      return Cause{nullptr, "loaded from memory that may hold data"};
    if (escaped.contains(place.object))
      return Cause{nullptr, "loaded from a stack slot that other code reaches"};
    auto overlaps = [&](const Store &store) {
      if (!place.offset || !store.offset || bytes.isScalable())
        return true;
      int64_t size = bytes.getFixedValue();
      return *store.offset < *place.offset + size &&
             *place.offset < *store.offset + store.size;
    };
    auto it = stores.find(place.object);
    if (it == stores.end())
      continue;
    unsigned writers = count_if(it->second, overlaps);
    for (const Store &store : it->second) {
      if (!overlaps(store))
        continue;
      if (std::optional<Cause> cause = operands(*store.instruction))
        return cause;
      // Of one writer that writes once only one value can come, or none at
      // all. Otherwise a branch may choose.
      const BasicBlock *block = store.instruction->getParent();
      const Instruction *decided = repeated.lookup(block);
      if (!decided)
        decided = entered.lookup(block->getParent());
      if (!decided && writers > 1)
        decided = controlled.lookup(block);
      if (decided)
        return Cause{decided, nullptr};
    }
  }
  return std::nullopt;
}

std::optional<Cause> Taint::call(const CallBase &call) const {
  if (const Function *callee = getDefinedCallee(call)) {
    auto it = results.find(callee);
    if (it == results.end())
      return std::nullopt;
    return it->second;
  }
  if (isDefaultRuntime(&call))
    return std::nullopt;
  if (isa<IntrinsicInst>(call) && call.doesNotAccessMemory())
    return operands(call);
  return Cause{nullptr, isa<IntrinsicInst>(call)
                            ? "an intrinsic that reads memory"
                            : "the result of a call"};
}

std::optional<Cause> Taint::transfer(const Instruction &instruction) const {
  if (auto *loaded = dyn_cast<LoadInst>(&instruction))
    return load(*loaded);
  if (auto *called = dyn_cast<CallBase>(&instruction))
    return call(*called);
  if (isa<AllocaInst>(instruction))
    return std::nullopt;
  if (instruction.isTerminator())
    return condition(instruction) ? operands(instruction) : std::nullopt;
  if (instruction.mayReadFromMemory())
    return Cause{nullptr, "read from memory"};
  return operands(instruction);
}

/// Which value a phi takes is decided by the branch whose ways meet there.
bool Taint::markJoins(const BasicBlock &branch, const BasicBlock *join) {
  bool changed = false;
  const Instruction *why = branch.getTerminator();
  // By the block where they meet: from which successors it is reached, and by
  // which edges.
  struct Reached {
    SmallPtrSet<const BasicBlock *, 2> from, edges;
  };
  MapVector<const BasicBlock *, Reached> meetings;
  SmallPtrSet<const BasicBlock *, 2> starts(succ_begin(&branch),
                                            succ_end(&branch));
  for (const BasicBlock *start : starts) {
    SmallPtrSet<const BasicBlock *, 16> seen;
    SmallVector<std::pair<const BasicBlock *, const BasicBlock *>> work = {
        {&branch, start}};
    while (!work.empty()) {
      auto [from, to] = work.pop_back_val();
      if (isa<PHINode>(to->front())) {
        meetings[to].from.insert(start);
        meetings[to].edges.insert(from);
      }
      if (to == join || !seen.insert(to).second)
        continue;
      for (const BasicBlock *next : successors(to))
        work.push_back({to, next});
    }
  }
  for (auto &[block, reached] : meetings)
    if (reached.from.size() > 1 && reached.edges.size() > 1)
      for (const PHINode &phi : block->phis())
        if (!phi.hasConstantOrUndefValue())
          changed |= mark(&phi, {why, nullptr});
  return changed;
}

/// What tainted branches decide besides their own way.
bool Taint::followControl(const Function &function) {
  auto isDecided = [&](const BasicBlock *block) {
    return isTainted(block->getTerminator());
  };
  bool changed = false;
  auto enter = [&](const BasicBlock &block, const Instruction *why) {
    for (const Instruction &instruction : block)
      if (auto *call = dyn_cast<CallBase>(&instruction))
        for (const Use &use : call->operands())
          if (auto *callee = dyn_cast<Function>(use.get()))
            if (!callee->isDeclaration())
              changed |= entered.try_emplace(callee, why).second;
  };
  if (const Instruction *why = entered.lookup(&function))
    for (const BasicBlock &block : function)
      enter(block, why);
  if (none_of(function, [&](const BasicBlock &b) { return isDecided(&b); }))
    return changed;

  PostDominatorTree tree(const_cast<Function &>(function));
  SmallVector<const BasicBlock *> work;
  auto control = [&](const BasicBlock &branch, const Instruction *why) {
    const auto *node = tree.getNode(&branch);
    const auto *join = node ? node->getIDom() : nullptr;
    if (isDecided(&branch))
      changed |= markJoins(branch, join ? join->getBlock() : nullptr);
    for (const BasicBlock *to : successors(&branch))
      for (const auto *at = tree.getNode(to);
           at && at != join && at->getBlock(); at = at->getIDom())
        if (controlled.try_emplace(at->getBlock(), why).second) {
          changed = true;
          work.push_back(at->getBlock());
          enter(*at->getBlock(), why);
        }
  };
  for (const BasicBlock &block : function)
    if (isDecided(&block))
      control(block, block.getTerminator());
  while (!work.empty()) {
    const BasicBlock *block = work.pop_back_val();
    if (condition(*block->getTerminator()))
      control(*block, controlled.lookup(block));
  }

  // How often a loop ran is seen by whoever uses its values afterwards.
  CycleInfo cycles;
  cycles.compute(const_cast<Function &>(function));
  SmallVector<const CycleInfo::CycleT *> pending(cycles.toplevel_cycles());
  while (!pending.empty()) {
    const CycleInfo::CycleT *cycle = pending.pop_back_val();
    append_range(pending, cycle->children());
    const Instruction *why = nullptr;
    for (const BasicBlock *block : cycle->blocks())
      if (isDecided(block) &&
          any_of(successors(block), [&](const BasicBlock *to) {
            return !cycle->contains(const_cast<BasicBlock *>(to));
          }))
        why = block->getTerminator();
    if (!why)
      continue;
    for (const BasicBlock *block : cycle->blocks()) {
      changed |= repeated.try_emplace(block, why).second;
      for (const Instruction &instruction : *block)
        for (const Use &use : instruction.uses()) {
          auto *user = cast<Instruction>(use.getUser());
          if (!cycle->contains(const_cast<BasicBlock *>(user->getParent())))
            changed |= late.try_emplace(&use, why).second;
        }
    }
  }
  return changed;
}

bool Taint::update(const Function &function) {
  bool changed = false;
  for (const Argument &given : function.args())
    if (!isTainted(&given))
      if (std::optional<Cause> cause = argument(given))
        changed |= mark(&given, *cause);
  for (const Instruction &instruction : instructions(function)) {
    if (isTainted(&instruction))
      continue;
    if (std::optional<Cause> cause = transfer(instruction))
      changed |= mark(&instruction, *cause);
  }
  changed |= followControl(function);
  if (results.contains(&function))
    return changed;
  // One return returns one value; of several, a branch chooses.
  SmallVector<const ReturnInst *> returns;
  const Instruction *choice = nullptr;
  for (const BasicBlock &block : function) {
    auto *result = dyn_cast<ReturnInst>(block.getTerminator());
    if (result && result->getReturnValue())
      returns.push_back(result);
    if (isTainted(block.getTerminator()) && !result)
      choice = block.getTerminator();
  }
  for (const ReturnInst *result : returns)
    if (std::optional<Cause> cause = operands(*result))
      return results.try_emplace(&function, *cause).second || changed;
  if (returns.size() > 1 && choice)
    return results.try_emplace(&function, Cause{choice, nullptr}).second ||
           changed;
  return changed;
}

void Taint::solveTaint() {
  bool changed = true;
  while (changed) {
    changed = false;
    for (const Function &function : module)
      if (!function.isDeclaration())
        changed |= update(function);
  }
}
