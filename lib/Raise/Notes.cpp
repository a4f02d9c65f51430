//===- Notes.cpp - What raising says ------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Notes.h"

#include "mlir/IR/Remarks.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Regex.h"

using namespace mlir;
using namespace moe;

std::string moe::findForeignSyntax(StringRef text, StringRef path) {
  llvm::Regex own("^ *(%[^\"=]*= *)?((stablehlo|chlo|mhlo|vhlo|torch|torch_c|"
                  "tm_tensor|onnx|iree_linalg_ext)\\.[a-zA-Z_.]+)");
  unsigned number = 0;
  while (!text.empty()) {
    auto [line, rest] = text.split('\n');
    text = rest;
    ++number;
    SmallVector<StringRef> match;
    if (own.match(line, &match))
      return (path + ":" + Twine(number) + ": '" + match[2] +
              "' is in the form of its own dialect, which is not linked; print "
              "the generic form: --mlir-print-op-generic of the tool that "
              "wrote "
              "it, or operation.get_asm(print_generic_op_form=True) in Python")
          .str();
  }
  return "";
}

bool moe::hasForeignOps(StringRef text) {
  return llvm::Regex(
             "\"(stablehlo|chlo|torch|tm_tensor|onnx)\\.[a-zA-Z_.]+\"\\(")
      .match(text);
}

static std::string describeLocation(Location loc) {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (auto named = dyn_cast<NameLoc>(loc)) {
    if (isa<UnknownLoc>(named.getChildLoc()))
      return named.getName().str();
    return describeLocation(named.getChildLoc());
  }
  if (auto file = dyn_cast<FileLineColLoc>(loc))
    os << file.getFilename().getValue() << ":" << file.getLine() << ":"
       << file.getColumn();
  else
    os << loc;
  return text;
}

namespace {
class Collector : public remark::detail::MLIRRemarkStreamerBase {
public:
  explicit Collector(std::shared_ptr<std::vector<RaiseNotes::Note>> notes)
      : notes(std::move(notes)) {}

  void streamOptimizationRemark(const remark::detail::Remark &said) override {
    RaiseNotes::Note note;
    note.where = describeLocation(said.getLocation());
    for (const auto &argument : said.getArgs())
      note.text += argument.val;
    note.isStay = said.getCategoryName() == "moe-convert-foreign";
    notes->push_back(std::move(note));
  }

private:
  std::shared_ptr<std::vector<RaiseNotes::Note>> notes;
};
} // namespace

RaiseNotes::RaiseNotes(MLIRContext &context)
    : notes(std::make_shared<std::vector<Note>>()) {
  remark::RemarkCategories categories;
  categories.passed = categories.missed = "moe-(convert-foreign|raise-.*)";
  (void)remark::enableOptimizationRemarks(
      context, std::make_unique<Collector>(notes),
      std::make_unique<remark::RemarkEmittingPolicyAll>(), categories,
      /*printAsEmitRemarks=*/false);
}
