//===- Mutate.h - Random changes to IR --------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Two ways to change IR: as text, which mostly tests parsers and verifiers, and
// as operations, where what is left mostly verifies and reaches the passes.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TEST_FUZZ_IR_MUTATE_H
#define MOE_TEST_FUZZ_IR_MUTATE_H

#include "mlir/IR/BuiltinOps.h"

#include <cstdint>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace moe::fuzz {

/// Draws the same numbers with every standard library, which the distributions
/// of <random> do not.
class Draw {
public:
  explicit Draw(uint64_t seed, uint64_t index)
      : engine(seed * 0x9e3779b97f4a7c15u + index * 0xbf58476d1ce4e5b9u + 1) {
    engine.discard(4);
  }
  /// Of [0, n); 0 where n is 0.
  size_t below(size_t n) { return n ? engine() % n : 0; }
  bool chance(unsigned percent) { return below(100) < percent; }
  template <typename List> auto &pick(List &list) {
    return list[below(std::size(list))];
  }

private:
  std::mt19937_64 engine;
};

/// A number that tends to break things, sometimes near `old`.
int64_t drawNumber(Draw &draw, int64_t old);

/// `text` with one to a few changes. Words are also taken from `words`.
std::string mutateText(const std::string &text,
                       const std::vector<std::string> &words, Draw &draw);

/// Cuts text where MLIR's lexer would; whitespace and comments are tokens.
std::vector<std::string> tokenize(const std::string &text);

/// Changes `module` in place; it may not verify any longer.
void mutateModule(mlir::ModuleOp module, Draw &draw);

} // namespace moe::fuzz

#endif // MOE_TEST_FUZZ_IR_MUTATE_H
