//===- StoredWeights.cpp - What weights and their tensors are called -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/StoredWeights.h"
#include "moe/SparseFormats.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace moe;

/// The formats of this dialect, as they are written after `#moe.`.
template <typename... Attributes>
static void listFormats(std::vector<std::string> &names) {
  auto add = [&](bool isFormat, llvm::StringRef name) {
    if (isFormat)
      names.push_back(name.str());
  };
  (add(std::is_base_of_v<WeightFormatAttrInterface::Trait<Attributes>,
                         Attributes>,
       Attributes::getMnemonic()),
   ...);
}

std::vector<std::string> moe::getWeightFormatNames() {
  std::vector<std::string> names;
  listFormats<
#define GET_ATTRDEF_LIST
#include "moe/MoeAttrs.cpp.inc"
      >(names);
  return names;
}

WeightFormatAttrInterface moe::parseWeightFormat(MLIRContext &context,
                                                 llvm::StringRef text,
                                                 std::string &problem) {
  context.loadDialect<MoeDialect>();
  std::string said;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    said = diagnostic.str();
    return success();
  });
  std::string whole = (text.starts_with("#") ? "" : "#moe.") + text.str();
  Attribute attribute = parseAttribute(whole, &context);
  if (auto format = dyn_cast_or_null<WeightFormatAttrInterface>(attribute))
    return format;
  llvm::StringRef name = text.take_until([](char c) { return c == '<'; });
  name.consume_front("#moe.");
  if (llvm::is_contained(getWeightFormatNames(), name))
    problem = said;
  return {};
}

std::string moe::nameWeightFormat(WeightFormatAttrInterface format) {
  std::string text;
  llvm::raw_string_ostream(text) << Attribute(format);
  llvm::StringRef name = text;
  name.consume_front("#moe.");
  return name.str();
}

std::string moe::nameStorage(llvm::StringRef weight,
                             const StorageTensor &tensor, size_t count) {
  return count == 1 ? weight.str() : (weight + "." + tensor.name).str();
}

static std::string nameArgument(BlockArgument argument) {
  auto function =
      dyn_cast<FunctionOpInterface>(argument.getOwner()->getParentOp());
  auto name = function ? function.getArgAttrOfType<StringAttr>(
                             argument.getArgNumber(), "moe.name")
                       : StringAttr();
  return name ? name.str() : "arg" + std::to_string(argument.getArgNumber());
}

std::string moe::nameWeight(Value weight) {
  if (auto argument = dyn_cast<BlockArgument>(weight))
    return nameArgument(argument);
  auto op = weight.getDefiningOp<DequantizeOp>();
  if (!op)
    return "";
  auto type = cast<RankedTensorType>(op.getWeights().getType());
  SmallVector<StorageTensor> storage =
      op.getFormat().getStorage(type.getShape().back());
  auto first = dyn_cast<BlockArgument>(op.getStorage().front());
  if (!first)
    return "";
  // Its first tensor's, without what tells that from the others.
  std::string text = nameArgument(first);
  llvm::StringRef name = text;
  if (storage.size() > 1 && name.consume_back(storage.front().name))
    name.consume_back(".");
  return name.str();
}

bool moe::keepsRows(Operation *op) {
  auto isSingle = [](ArrayRef<ReassociationIndices> groups) {
    return !groups.empty() && groups.back().size() == 1;
  };
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return isSingle(expand.getReassociationIndices());
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    return isSingle(collapse.getReassociationIndices());
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    int64_t last = slice.getSourceType().getRank() - 1;
    return last >= 0 && !slice.getDroppedDims().test(last) &&
           slice.getStaticSize(last) ==
               slice.getSourceType().getDimSize(last) &&
           slice.getStaticStride(last) == 1;
  }
  return isa<tensor::CastOp>(op);
}
