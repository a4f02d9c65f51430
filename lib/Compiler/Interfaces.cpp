//===- Interfaces.cpp - What variants of an artifact share ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One function in C calls the code of any variant: arguments are the same, but
// for the layout of packed weights, which each device has its own of.
//
//===----------------------------------------------------------------------===//

#include "Internal.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/raw_ostream.h"

using namespace moe;
using namespace mlir;

/// What variants with one layout have in common, or if `anyLayout` is set,
/// those that one function calls.
static std::string getKey(ArrayAttr interfaces, bool anyLayout) {
  std::string key;
  llvm::raw_string_ostream os(key);
  auto print = [&](Attribute tensor) {
    for (NamedAttribute entry : cast<DictionaryAttr>(tensor)) {
      StringRef name = entry.getName();
      bool isPacked = cast<DictionaryAttr>(tensor).get("packed") != nullptr;
      os << name;
      if (!anyLayout || !isPacked || (name != "packed" && name != "shape"))
        os << entry.getValue();
      os << "\n";
    }
  };
  for (Attribute interface : interfaces)
    for (NamedAttribute entry : cast<DictionaryAttr>(interface)) {
      if (entry.getName().strref().starts_with("workspace"))
        continue;
      os << entry.getName().getValue();
      if (entry.getName() == "arguments")
        llvm::for_each(cast<ArrayAttr>(entry.getValue()), print);
      else
        os << entry.getValue() << "\n";
    }
  return key;
}

bool compiler::compareInterfaces(llvm::MutableArrayRef<Variant> variants,
                                 std::string &error) {
  Variant &first = variants.front();
  llvm::StringMap<Variant *> layouts;
  std::string common = getKey(first.interfaces, /*anyLayout=*/true);
  for (Variant &variant : variants) {
    Variant *&layout = layouts[getKey(variant.interfaces, /*anyLayout=*/false)];
    if (!layout)
      layout = &variant;
    variant.layout = layout;
    // The CPU chooses among its variants, whose weights are packed before.
    if (variant.isDevice()
            ? getKey(variant.interfaces, /*anyLayout=*/true) == common
            : layout == &first)
      continue;
    error = "targets " + first.target + " and " + variant.target +
            " need different arguments; compile them into artifacts of their "
            "own";
    return false;
  }
  return true;
}
