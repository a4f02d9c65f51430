//===- HeaderComments.cpp - What a C header explains ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The comments on tensors and on the workspace of a function.
//
//===----------------------------------------------------------------------===//

#include "Internal.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace moe;
using namespace mlir;
using compiler::Variant;

std::string compiler::comment(StringRef text) {
  std::string safe;
  llvm::raw_string_ostream os(safe);
  for (char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      os << "\\x" << llvm::toHex(StringRef(&c, 1), /*LowerCase=*/true);
    else if (!safe.empty() && ((safe.back() == '*' && c == '/') ||
                               (safe.back() == '/' && c == '*')))
      os << ' ' << c;
    else
      os << c;
  }
  return safe;
}

static std::string shapeText(ArrayAttr shape) {
  std::string text = "[";
  llvm::raw_string_ostream os(text);
  llvm::interleaveComma(shape, os, [&](Attribute dim) {
    if (auto name = dyn_cast<StringAttr>(dim))
      os << name.getValue();
    else
      os << cast<IntegerAttr>(dim).getInt();
  });
  os << "]";
  return text;
}

void compiler::describeTensor(llvm::raw_ostream &os, DictionaryAttr value,
                              StringRef id, bool isResult) {
  StringRef name = value.getAs<StringAttr>("name").getValue();
  StringRef dtype = value.getAs<StringAttr>("dtype").getValue();
  os << " *   " << llvm::left_justify(id, 24) << " ";
  auto packed = value.getAs<DictionaryAttr>("packed");
  if (!packed) {
    auto shape = value.getAs<ArrayAttr>("shape");
    os << (isResult ? "out: " : "") << dtype
       << (shape.empty() ? " scalar" : shapeText(shape));
    if (name != id)
      os << "  (" << comment(name) << ")";
    os << "\n";
    return;
  }
  auto integer = [&](StringRef key) {
    return packed.getAs<IntegerAttr>(key).getInt();
  };
  os << "packed, "
     << cast<IntegerAttr>(value.getAs<ArrayAttr>("shape")[0]).getInt()
     << " bytes  (" << comment(name) << ")\n";
  auto fields = packed.getAs<ArrayAttr>("fields");
  int64_t columns = integer("columns");
  int64_t kBlock = integer(fields ? "block" : "k_block");
  os << " *     " << packed.getAs<StringAttr>("dtype").getValue() << "["
     << integer("experts") << " experts, " << integer("n_padded") / columns
     << " panels, " << integer("k_padded") / kBlock
     << (fields ? " blocks, " : " k, ") << columns << " columns";
  if (fields)
    os << ", " << kBlock << " k in " << fields.size() << " fields each";
  else if (kBlock > 1)
    os << ", " << kBlock << " k each";
  os << "], zero-padded";
  if (int64_t interleave = integer("interleave"))
    os << ";\n *     a panel holds " << interleave
       << " columns of part 0, then the same of part 1";
  else if (packed.get("parts"))
    os << ";\n *     first all panels of part 0, then those of part 1";
  os << "\n";
  for (Attribute attr : packed.getAs<ArrayAttr>("sources")) {
    auto source = cast<DictionaryAttr>(attr);
    os << " *     from " << comment(source.getAs<StringAttr>("name").getValue())
       << " (part " << source.getAs<IntegerAttr>("part").getInt()
       << ", first expert "
       << source.getAs<IntegerAttr>("first_expert").getInt();
    if (auto shape = source.getAs<ArrayAttr>("shape"))
      os << ", " << shapeText(shape);
    for (StringRef key : {"first_n", "first_k"})
      if (auto first = source.getAs<IntegerAttr>(key))
        os << ", " << (key == "first_n" ? "first row " : "first column ")
           << first.getInt();
    if (auto view = source.getAs<DictionaryAttr>("view"))
      os << ";\n *       " << shapeText(view.getAs<ArrayAttr>("sizes"))
         << " from element " << view.getAs<IntegerAttr>("offset").getInt()
         << ", strides " << shapeText(view.getAs<ArrayAttr>("strides"));
    if (auto storage = source.getAs<ArrayAttr>("storage"))
      for (Attribute stored : storage) {
        auto tensor = cast<DictionaryAttr>(stored);
        os << ";\n *       in "
           << comment(tensor.getAs<StringAttr>("name").getValue()) << " "
           << tensor.getAs<StringAttr>("dtype").getValue()
           << shapeText(tensor.getAs<ArrayAttr>("shape"));
      }
    os << ")\n";
  }
}

void compiler::describeWorkspace(llvm::raw_ostream &os,
                                 const ArtifactInfo &info, size_t index,
                                 ArrayRef<std::string> sizes) {
  os << " *\n * Workspace";
  if (!sizes.empty()) {
    os << " in bytes, for ";
    for (const std::string &size : sizes)
      os << size << " = ";
  }
  bool first = true;
  for (const compiler::Variant &variant : info.variants) {
    auto table = cast<DictionaryAttr>(variant.interfaces[index])
                     .getAs<ArrayAttr>("workspace");
    auto column = [&](Attribute row, unsigned i) {
      return cast<IntegerAttr>(cast<ArrayAttr>(row)[i]).getInt();
    };
    if (sizes.empty()) {
      os << (first ? ": " : ", ") << (table.empty() ? 0 : column(table[0], 1))
         << " bytes (" << comment(variant.target) << ")";
      first = false;
      continue;
    }
    if (first) {
      for (Attribute row : table)
        os << (row == table[0] ? "" : " | ") << column(row, 0);
      os << "\n";
      first = false;
    }
    os << " *   " << llvm::left_justify(comment(variant.target), 16) << " ";
    for (Attribute row : table)
      os << (row == table[0] ? "" : " | ") << column(row, 1);
    os << "\n";
    if (auto growth = cast<DictionaryAttr>(variant.interfaces[index])
                          .getAs<IntegerAttr>("workspace_growth"))
      os << " *   " << llvm::left_justify("", 16) << " then at most "
         << growth.getInt() << " for each of " << sizes[0] << " more\n";
  }
  if (sizes.empty())
    os << "\n";
}
