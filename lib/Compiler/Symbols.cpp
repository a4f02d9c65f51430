//===- Symbols.cpp - What an object may need --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// An artifact needs libmoe_rt, libm and the C library's copies of memory, and
// nothing of a compiler's own library: that differs from machine to machine.
// LLVM calls it for what a CPU has no instruction for, without a word.
//
//===----------------------------------------------------------------------===//

#include "Internal.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Object/ObjectFile.h"

using namespace moe;
using namespace llvm;

/// docs/abi.md has the same lists.
static bool isProvided(StringRef name) {
  static const StringSet<> names = {"moe_rt_default", "memcpy", "memmove",
                                    "memset"};
  // Each with and without the f of f32.
  static const StringSet<> math = {
      "acos",      "acosh", "asin",   "asinh", "atan", "atan2", "atanh", "cbrt",
      "ceil",      "cos",   "cosh",   "erf",   "erfc", "exp",   "exp10", "exp2",
      "expm1",     "floor", "fma",    "fmax",  "fmin", "fmod",  "ldexp", "log",
      "log10",     "log1p", "log2",   "pow",   "rint", "round", "sin",   "sinh",
      "roundeven", "sqrt",  "sincos", "tan",   "tanh", "trunc"};
  return names.contains(name) || math.contains(name) ||
         (name.ends_with("f") && math.contains(name.drop_back()));
}

bool compiler::checkSymbols(ArrayRef<char> object,
                            ArrayRef<std::string> externals,
                            std::string &error) {
  MemoryBufferRef buffer(StringRef(object.data(), object.size()), "object");
  Expected<std::unique_ptr<object::ObjectFile>> file =
      object::ObjectFile::createObjectFile(buffer);
  if (!file) {
    error = toString(file.takeError());
    return false;
  }
  for (const object::SymbolRef &symbol : (*file)->symbols()) {
    Expected<uint32_t> flags = symbol.getFlags();
    Expected<StringRef> name = symbol.getName();
    if (!flags || !name) {
      error = toString(joinErrors(flags.takeError(), name.takeError()));
      return false;
    }
    if (!(*flags & object::SymbolRef::SF_Undefined) || name->empty() ||
        isProvided(*name) || is_contained(externals, *name))
      continue;
    error = ("the code needs '" + *name +
             "', which is in neither libmoe_rt, libm nor libc: a function that "
             "the model calls, or LLVM's for an operation that this CPU has no "
             "instruction for")
                .str();
    return false;
  }
  return true;
}
