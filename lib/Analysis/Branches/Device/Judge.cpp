//===- Judge.cpp - Where data goes in a kernel ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A forward analysis: which registers may hold something that depends on data,
// before each block. Registers are physical ones in some codes, so that what
// is written over is forgotten. As long as no branch is tainted, data decides
// about no path, and values alone carry it.
//
//===----------------------------------------------------------------------===//

#include "DeviceCode.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"

#include <deque>
#include <set>

using namespace llvm;
using namespace moe::branchcheck::device;

namespace {
/// The instruction that tainted a register.
constexpr int kClean = -1, kGiven = -2;
/// By register.
using State = std::vector<int>;

class Solver {
public:
  explicit Solver(const Kernel &kernel)
      : kernel(kernel), origins(kernel.code.size(), kClean) {}
  Judgement run();

private:
  void split();
  std::vector<unsigned> successors(unsigned block) const;
  void enter(unsigned block, const State &state);
  void step(unsigned index, State &state);
  bool isGuard(unsigned branch) const;
  std::string describe(unsigned branch, int cause) const;
  std::string quote(unsigned index) const;

  const Kernel &kernel;
  /// Where blocks begin, and the block of each beginning.
  std::vector<unsigned> begins;
  std::vector<int> blockAt;
  std::vector<State> before;
  std::vector<bool> isReached;
  std::deque<unsigned> queue;
  /// Of instructions that taint, what tainted something they read.
  std::vector<int> origins;
  std::vector<std::string> problems;
};
} // namespace

void Solver::split() {
  std::set<unsigned> starts = {0};
  for (const auto &label : kernel.labels)
    starts.insert(label.second);
  for (auto [i, instruction] : enumerate(kernel.code))
    if (!instruction.targets.empty() || !instruction.falls ||
        instruction.isBranch)
      starts.insert(i + 1);
  blockAt.assign(kernel.code.size() + 1, -1);
  for (unsigned start : starts)
    if (start < kernel.code.size()) {
      blockAt[start] = begins.size();
      begins.push_back(start);
    }
  before.resize(begins.size());
  isReached.assign(begins.size(), false);
}

std::vector<unsigned> Solver::successors(unsigned block) const {
  unsigned end =
      block + 1 < begins.size() ? begins[block + 1] : kernel.code.size();
  const Instruction &last = kernel.code[end - 1];
  std::vector<unsigned> next;
  if (last.falls && end < kernel.code.size())
    next.push_back(block + 1);
  for (const std::string &target : last.targets) {
    auto found = kernel.labels.find(target);
    if (found != kernel.labels.end() && blockAt[found->second] >= 0)
      next.push_back(blockAt[found->second]);
  }
  return next;
}

void Solver::enter(unsigned block, const State &state) {
  bool isNew = !isReached[block];
  bool isChanged = isNew;
  if (isNew) {
    isReached[block] = true;
    before[block] = state;
  } else {
    for (auto [known, given] : zip_equal(before[block], state))
      if (known == kClean && given != kClean) {
        known = given;
        isChanged = true;
      }
  }
  if (isChanged && !is_contained(queue, block))
    queue.push_back(block);
}

void Solver::step(unsigned index, State &state) {
  const Instruction &instruction = kernel.code[index];
  bool isTainted = instruction.data;
  for (Reg use : instruction.uses)
    if (state[use] != kClean) {
      isTainted = true;
      // The first one found is on the way to where data came from.
      if (!instruction.data && origins[index] == kClean)
        origins[index] = state[use];
    }
  bool isPartial =
      instruction.isPartial ||
      (instruction.isPartialBy && state[*instruction.isPartialBy] != kClean);
  for (Reg def : instruction.defs)
    if (isTainted)
      state[def] = index;
    else if (!isPartial)
      state[def] = kClean;
}

/// Whether a branch is around plain instructions alone, and both ways meet
/// behind them.
bool Solver::isGuard(unsigned branch) const {
  const Instruction &from = kernel.code[branch];
  if (!from.mayGuard || from.targets.size() + from.falls != 2)
    return false;
  auto find = [&](StringRef label) {
    auto found = kernel.labels.find(label);
    return found == kernel.labels.end() ? kernel.code.size()
                                        : size_t(found->second);
  };
  size_t at = from.falls ? branch + 1 : find(from.targets[0]);
  size_t end = find(from.targets.back());
  while (at < kernel.code.size() && at != end && kernel.code[at].isPlain)
    ++at;
  if (from.falls)
    return at == end;
  if (at >= kernel.code.size() || end >= kernel.code.size())
    return false;
  const Instruction &last = kernel.code[at];
  return !last.isBranch && !last.falls && last.targets.size() == 1 &&
         find(last.targets[0]) == end && !kernel.code[end].isPhi;
}

std::string Solver::quote(unsigned index) const {
  const Instruction &instruction = kernel.code[index];
  return instruction.line ? "line " + std::to_string(instruction.line) + ": " +
                                instruction.text
                          : instruction.text;
}

std::string Solver::describe(unsigned branch, int cause) const {
  std::string text = "a branch depends on data\n      " + quote(branch);
  std::set<int> seen;
  while (cause >= 0 && seen.insert(cause).second) {
    const Instruction &from = kernel.code[cause];
    if (!from.isExtra)
      text += "\n      from " + quote(cause);
    if (from.data)
      return text + "\n      which is " + from.data;
    cause = origins[cause];
  }
  return text;
}

Judgement Solver::run() {
  Judgement judgement;
  if (kernel.code.empty())
    return judgement;
  split();
  State start(kernel.numRegs(), kClean);
  for (Reg reg : kernel.tainted)
    start[reg] = kGiven;
  enter(0, start);
  auto walk = [&](unsigned block, State &state, auto visit) {
    unsigned end =
        block + 1 < begins.size() ? begins[block + 1] : kernel.code.size();
    for (unsigned i = begins[block]; i < end; ++i) {
      visit(i, state);
      step(i, state);
    }
  };
  while (!queue.empty()) {
    unsigned block = queue.front();
    queue.pop_front();
    State state = before[block];
    walk(block, state, [](unsigned, const State &) {});
    for (unsigned next : successors(block))
      enter(next, state);
  }
  for (unsigned block = 0; block < begins.size(); ++block) {
    if (!isReached[block])
      continue;
    State state = before[block];
    walk(block, state, [&](unsigned i, const State &now) {
      const Instruction &instruction = kernel.code[i];
      judgement.instructions += !instruction.isExtra;
      if (!instruction.isBranch)
        return;
      ++judgement.branches;
      for (Reg use : instruction.uses)
        if (now[use] != kClean) {
          if (isGuard(i)) {
            ++judgement.guards;
            return;
          }
          ++judgement.tainted;
          judgement.problems.push_back(describe(i, now[use]));
          return;
        }
    });
  }
  return judgement;
}

Judgement moe::branchcheck::device::judge(const Kernel &kernel) {
  return Solver(kernel).run();
}

void Kernel::problem(const Twine &text) {
  std::string said = text.str();
  if (!is_contained(problems, said))
    problems.push_back(std::move(said));
}

SmallVector<StringRef> moe::branchcheck::device::splitOperands(StringRef text) {
  SmallVector<StringRef> operands;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    char c = i < text.size() ? text[i] : ',';
    depth += c == '[' || c == '{' || c == '(';
    depth -= c == ']' || c == '}' || c == ')';
    if (i < text.size() && (c != ',' || depth > 0))
      continue;
    if (StringRef operand = text.slice(begin, i).trim(); !operand.empty())
      operands.push_back(operand);
    begin = i + 1;
  }
  return operands;
}
