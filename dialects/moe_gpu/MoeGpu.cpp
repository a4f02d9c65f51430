//===- MoeGpu.cpp - Kernels for any GPU -------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe_gpu/MoeGpu.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace moegpu;

#include "moe_gpu/MoeGpuDialect.cpp.inc"
#include "moe_gpu/MoeGpuEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "moe_gpu/MoeGpuAttrs.cpp.inc"

#define GET_OP_CLASSES
#include "moe_gpu/MoeGpuOps.cpp.inc"

void MoeGpuDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "moe_gpu/MoeGpuAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "moe_gpu/MoeGpuOps.cpp.inc"
      >();
}

LogicalResult
MoeGpuDialect::verifyOperationAttribute(Operation *op,
                                        NamedAttribute attribute) {
  if (attribute.getName() != kKernelAttrName)
    return op->emitError("has the attribute '")
           << attribute.getName().getValue() << "', which nothing knows";
  if (!isa<KernelAttr>(attribute.getValue()) || !isa<LLVM::LLVMFuncOp>(op))
    return op->emitError("has the attribute '")
           << kKernelAttrName
           << "', which is a #moe_gpu.kernel of an 'llvm.func'";
  return success();
}

KernelAttr moegpu::getKernel(Operation *op) {
  return op->getAttrOfType<KernelAttr>(kKernelAttrName);
}

LogicalResult KernelAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t threads, int64_t shared,
                                 int64_t resident) {
  if (threads < 1 || threads > 1024)
    return emitError() << "threads must be 1 to 1024, got " << threads;
  if (shared < 0 || shared % 4)
    return emitError()
           << "shared must be a number of bytes in whole words, got " << shared;
  if (resident < 1)
    return emitError() << "resident must be a number of blocks, got "
                       << resident;
  return success();
}

//===----------------------------------------------------------------------===//
// BlocksAttr
//===----------------------------------------------------------------------===//

moek::BlockPanels BlocksAttr::getPanels() const {
  return {getFormat(), kTeam, /*interleaved=*/false};
}

LogicalResult
BlocksAttr::verifyLayout(function_ref<InFlightDiagnostic()> emitError,
                         RankedTensorType logical) const {
  return getPanels().verify(emitError, logical);
}

RankedTensorType BlocksAttr::getPackedType(RankedTensorType logical) const {
  return getPanels().getPackedType(logical);
}

DictionaryAttr BlocksAttr::getPacking(RankedTensorType logical) const {
  return getPanels().getPacking(logical);
}

BlocksAttr moegpu::getBlocks(moek::GroupedMatmulOp op) {
  moe::WeightFormatAttrInterface format = op.getFormatAttr();
  if (!format)
    return {};
  auto blocks = BlocksAttr::get(op.getContext(), format);
  if (cast<ShapedType>(op.getRhs().getType()).getShape() !=
      blocks.getPackedType(op.getLogicalRhsType()).getShape())
    return {};
  return blocks;
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

void BarrierOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
}

void StoreIfOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  effects.emplace_back(MemoryEffects::Write::get());
}
