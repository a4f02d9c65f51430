//===- Notes.h - What raising says --------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_NOTES_H
#define MOE_MLIR_RAISE_NOTES_H

#include "mlir/IR/MLIRContext.h"

#include <memory>
#include <string>
#include <vector>

namespace moe {

/// Where text has ops of a dialect that is not linked in that dialect's own
/// form, which nothing here can read: a line that says so and how to print the
/// generic form. Empty if there are none.
std::string findForeignSyntax(llvm::StringRef text, llvm::StringRef path);

/// Whether text has ops of exporters' dialects in generic form.
bool hasForeignOps(llvm::StringRef text);

/// Collects what the passes of raising say in a context.
class RaiseNotes {
public:
  explicit RaiseNotes(mlir::MLIRContext &context);

  struct Note {
    std::string where, text;
    bool isStay = false; ///< of an op that nothing is known of
  };
  const std::vector<Note> &get() const { return *notes; }

private:
  std::shared_ptr<std::vector<Note>> notes;
};

} // namespace moe

#endif // MOE_MLIR_RAISE_NOTES_H
