//===- KernelFacts.cpp - What a SPIR-V module says of kernels ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "SPIRV.h"

#include "moe-mlir/Target/KernelFacts.h"

#include "llvm/ADT/SmallPtrSet.h"

using namespace mlir;
using moe::KernelFacts;

/// Bytes of what a variable holds.
static int64_t getBytes(Type type) {
  if (auto array = dyn_cast<spirv::ArrayType>(type))
    return array.getNumElements() * getBytes(array.getElementType());
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.getNumElements() * getBytes(vector.getElementType());
  return type.isIntOrFloat() ? type.getIntOrFloatBitWidth() / 8 : 0;
}

static KernelFacts describe(spirv::FuncOp function, KernelFacts facts) {
  facts.instructions = facts.localAccesses = facts.barriers = 0;
  facts.sharedBytes = 0;
  llvm::SmallPtrSet<Operation *, 4> seen;
  auto module = function->getParentOfType<spirv::ModuleOp>();
  function.walk([&](Operation *op) {
    // Constants and addresses of variables are no instructions.
    if (isa<spirv::ConstantOp, spirv::ReferenceOfOp, spirv::FuncOp>(op))
      return;
    if (auto address = dyn_cast<spirv::AddressOfOp>(op)) {
      auto variable =
          module.lookupSymbol<spirv::GlobalVariableOp>(address.getVariable());
      auto type = variable ? cast<spirv::PointerType>(variable.getType())
                           : spirv::PointerType();
      if (type && type.getStorageClass() == spirv::StorageClass::Workgroup &&
          seen.insert(variable).second)
        facts.sharedBytes += getBytes(type.getPointeeType());
      return;
    }
    ++facts.instructions;
    facts.barriers += isa<spirv::ControlBarrierOp>(op);
    // Arrays of a thread's own are in its memory; other variables are not.
    if (isa<spirv::LoadOp, spirv::StoreOp>(op)) {
      auto chain = op->getOperand(0).getDefiningOp<spirv::AccessChainOp>();
      auto type = cast<spirv::PointerType>(op->getOperand(0).getType());
      facts.localAccesses +=
          chain && type.getStorageClass() == spirv::StorageClass::Function;
    }
  });
  return facts;
}

bool moe::vulkan::describeImage(StringRef image,
                                std::vector<KernelFacts> &facts,
                                std::string &error) {
  MLIRContext context;
  OwningOpRef<spirv::ModuleOp> module = readImage(image, context, error);
  if (!module)
    return false;
  for (auto entry : module->getOps<spirv::EntryPointOp>()) {
    auto function = module->lookupSymbol<spirv::FuncOp>(entry.getFn());
    auto known = llvm::find_if(facts, [&](const KernelFacts &each) {
      return each.name == entry.getFn();
    });
    KernelFacts own = known == facts.end() ? KernelFacts() : *known;
    own.name = entry.getFn().str();
    own = describe(function, std::move(own));
    for (auto mode : module->getOps<spirv::ExecutionModeOp>())
      if (mode.getFn() == entry.getFn() &&
          mode.getExecutionMode() == spirv::ExecutionMode::LocalSize)
        own.threads = cast<IntegerAttr>(mode.getValues()[0]).getInt();
    if (known == facts.end())
      facts.push_back(std::move(own));
    else
      *known = std::move(own);
  }
  return true;
}
