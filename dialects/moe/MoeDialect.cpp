//===- MoeDialect.cpp - The moe dialect ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Registration, and the interfaces the dialect offers to upstream passes.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"


#include "mlir/Interfaces/FoldInterfaces.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Transforms/InliningUtils.h"

using namespace mlir;
using namespace moe;

#include "moe/MoeDialect.cpp.inc"
#include "moe/MoeInterfaces.cpp.inc"

namespace {

/// Bodies are cloned into kernels, so they keep their constants to themselves.
struct MoeFoldInterface : DialectFoldInterface {
  using DialectFoldInterface::DialectFoldInterface;

  bool shouldMaterializeInto(Region *) const final { return true; }
};

/// Calls inside a body can be inlined, and so can functions that hold layers.
struct MoeInlinerInterface : DialectInlinerInterface {
  using DialectInlinerInterface::DialectInlinerInterface;

  bool isLegalToInline(Operation *, Region *, bool, IRMapping &) const final {
    return true;
  }
  bool isLegalToInline(Region *, Region *, bool, IRMapping &) const final {
    return true;
  }
};

} // namespace

void MoeDialect::initialize() {
  registerTypes();
  registerAttributes();
  addOperations<
#define GET_OP_LIST
#include "moe/MoeOps.cpp.inc"
      >();
  addInterfaces<MoeFoldInterface, MoeInlinerInterface>();
}

LogicalResult MoeDialect::verifyOperationAttribute(Operation *op,
                                                   NamedAttribute attribute) {
  if (attribute.getName() == getExternalAttrName())
    return verifyExternal(op, attribute.getValue());
  if (attribute.getName() != getCheckpointAttrName())
    return success();
  auto fail = [&] {
    return op->emitOpError() << "`" << getCheckpointAttrName() << "` ";
  };
  if (!isa<FunctionOpInterface>(op))
    return fail() << "is an attribute of functions";
  auto weights = dyn_cast<DictionaryAttr>(attribute.getValue());
  if (!weights)
    return fail() << "has to be a dictionary of strings, not "
                  << attribute.getValue();
  for (NamedAttribute weight : weights) {
    auto text = dyn_cast<StringAttr>(weight.getValue());
    if (!text)
      return fail() << "says of '" << weight.getName().getValue()
                    << "' what is no string: " << weight.getValue();
  }
  return success();
}
