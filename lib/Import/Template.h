//===- Template.h - The IR of a family, filled in ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The text of a layer is IR with `${expression}` in it, lines of
// `#if expression`, `#elif expression`, `#else` and `#endif`, and lines
// `[%result =] $snippet[(arguments)]`, which stand for a snippet of the family.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_IMPORT_TEMPLATE_H
#define MOE_MLIR_LIB_IMPORT_TEMPLATE_H

#include "FamilyFile.h"
#include "Variables.h"

namespace moe::importer {

/// The text of the snippet `name`, which has no parameters. Empty with `error`
/// set, which says where.
std::string expandSnippet(const FamilyFile &family, Variables &variables,
                          llvm::StringRef name, std::string &error);

} // namespace moe::importer

#endif // MOE_MLIR_LIB_IMPORT_TEMPLATE_H
