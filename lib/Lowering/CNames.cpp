//===- CNames.cpp - Names that C and its libraries leave --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Lists, so that a name in C does not depend on the machine that compiles.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/CNames.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace moe;
using llvm::StringRef;

/// C99 to C23, C++ up to 23, and GNU's.
static constexpr llvm::StringLiteral keywords =
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch "
    "char char8_t char16_t char32_t class co_await co_return co_yield compl "
    "concept const const_cast consteval constexpr constinit continue decltype "
    "default delete do double dynamic_cast else enum explicit export extern "
    "false float for friend goto if inline int long mutable namespace new "
    "noexcept not not_eq nullptr operator or or_eq private protected public "
    "register reinterpret_cast requires restrict return short signed sizeof "
    "static static_assert static_cast struct switch template this "
    "thread_local throw true try typedef typeid typename typeof typeof_unqual "
    "union unsigned using virtual void volatile wchar_t while xor xor_eq";

/// Of stddef.h, stdint.h, moe_rt.h and moe_pack.h, and macros that compilers
/// have.
static constexpr llvm::StringLiteral declared =
    "NULL offsetof ptrdiff_t size_t max_align_t nullptr_t "
    "int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t "
    "intptr_t uintptr_t intmax_t uintmax_t "
    "int_least8_t int_least16_t int_least32_t int_least64_t "
    "uint_least8_t uint_least16_t uint_least32_t uint_least64_t "
    "int_fast8_t int_fast16_t int_fast32_t int_fast64_t "
    "uint_fast8_t uint_fast16_t uint_fast32_t uint_fast64_t "
    "moe_rt moe_status moe_body_fn moe_trace_event moe_trace_kind "
    "moe_invoke_function moe_workspace_function moe_layer moe_cpu_feature "
    "moe_calibration moe_dtype moe_tensor moe_pack_source moe_pack_plan "
    "moe_pack "
    "moe_pack_panel linux unix i386";

/// The functions and variables that glibc 2.36 exports under names that are not
/// its own by the rules of C (libc, which has libpthread's, and libm).
static constexpr llvm::StringLiteral library =
#include "LibraryNames.inc"
    ;

static llvm::StringSet<> makeSet(std::initializer_list<StringRef> lists) {
  llvm::StringSet<> set;
  for (StringRef list : lists)
    for (StringRef word : llvm::split(list, ' '))
      set.insert(word);
  return set;
}

bool moe::isCIdentifier(StringRef name) {
  return !name.empty() && !llvm::isDigit(name.front()) &&
         llvm::all_of(name,
                      [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

bool moe::isReservedWord(StringRef name) {
  static const llvm::StringSet<> words = makeSet({keywords, declared});
  bool isImplementations =
      name.size() > 1 && name[0] == '_' &&
      (name[1] == '_' || (name[1] >= 'A' && name[1] <= 'Z'));
  // Macros: limits (INT8_MAX, SIZE_MAX), constants (INT8_C) and our own.
  StringRef stem = name;
  bool isLimit = (stem.consume_back("_MAX") || stem.consume_back("_MIN") ||
                  stem.consume_back("_C") || stem.consume_back("_WIDTH")) &&
                 (stem.starts_with("INT") || stem.starts_with("UINT") ||
                  stem == "SIZE" || stem == "PTRDIFF" || stem == "WCHAR" ||
                  stem == "WINT" || stem == "SIG_ATOMIC");
  return words.contains(name) || isImplementations || isLimit ||
         name.starts_with("MOE_");
}

bool moe::isReservedFunction(StringRef name) {
  static const llvm::StringSet<> functions = makeSet({library, "main"});
  constexpr llvm::StringLiteral prefixes[] = {
      "_",    "moe_rt_", "moe_runner_", "moe_status_string",
      "omp_", "GOMP_",   "kmp_",        "pthread_"};
  return isReservedWord(name) || functions.contains(name) ||
         llvm::any_of(prefixes,
                      [&](StringRef p) { return name.starts_with(p); });
}

std::string moe::getCName(StringRef name, StringRef prefix) {
  std::string full = (prefix + name).str();
  return isReservedFunction(full) ? "moe_" + full : full;
}

llvm::ArrayRef<llvm::StringLiteral> moe::getCNameEndings() {
  static constexpr llvm::StringLiteral endings[] = {
      "",           "_workspace_bytes",     "_workspace_bytes_on",
      "__invoke",   "__invoke_workspace",   "__invoke_workspace_on",
      "__variant",  "__variant_on",         "__id",
      "__function", "__workspace_function", "__layers",
      "__plans"};
  return endings;
}
