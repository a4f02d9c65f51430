//===- Patterns.h - What kernels become in SPIR-V ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_VULKAN_PATTERNS_H
#define MOE_MLIR_LIB_TARGET_GPU_VULKAN_PATTERNS_H

#include "moe_gpu/MoeGpu.h"

#include "mlir/Dialect/SPIRV/IR/SPIRVOps.h"
#include "mlir/Dialect/SPIRV/Transforms/SPIRVConversion.h"
#include "mlir/Transforms/DialectConversion.h"

namespace moe::vulkan {

using namespace mlir;

/// Variables of all kernels: numbers of threads and blocks, in three dimensions.
constexpr StringLiteral kThread = "thread", kBlock = "block",
                        kNumBlocks = "num_blocks";

/// What a kernel's threads share: words.
std::string getSharedName(StringRef kernel);

/// A builder of what several patterns need.
struct Code {
  ConversionPatternRewriter &b;
  Location loc;
  Operation *op;

  Type i32() { return b.getI32Type(); }
  Value constant(Type type, int64_t value) {
    return spirv::ConstantOp::create(b, loc, type,
                                     b.getIntegerAttr(type, value));
  }
  Value constant(int64_t value) { return constant(i32(), value); }

  StringRef kernel() { return op->getParentOfType<spirv::FuncOp>().getName(); }
  Value addressOf(StringRef name) {
    auto module = op->getParentOfType<spirv::ModuleOp>();
    auto variable = cast<spirv::GlobalVariableOp>(module.lookupSymbol(name));
    return spirv::AddressOfOp::create(b, loc, variable);
  }
  Value getBuiltin(StringRef name, int32_t dimension) {
    Value all = spirv::LoadOp::create(b, loc, addressOf(name));
    return spirv::CompositeExtractOp::create(b, loc, all,
                                             ArrayRef<int32_t>{dimension});
  }
  Value getThread() { return getBuiltin(kThread, 0); }

  Value bitcast(Type type, Value value) {
    return value.getType() == type
               ? value
               : Value(spirv::BitcastOp::create(b, loc, type, value));
  }
  void barrier() {
    spirv::ControlBarrierOp::create(
        b, loc, spirv::Scope::Workgroup, spirv::Scope::Workgroup,
        spirv::MemorySemantics::AcquireRelease |
            spirv::MemorySemantics::UniformMemory |
            spirv::MemorySemantics::WorkgroupMemory);
  }

  /// The pointer to a value of `type`: at an address in the device's memory, or
  /// at an offset in shared memory, where there are words alone.
  Value getPointer(Type type, Value address, bool isShared) {
    if (!isShared)
      return spirv::ConvertUToPtrOp::create(
          b, loc,
          spirv::PointerType::get(type,
                                  spirv::StorageClass::PhysicalStorageBuffer),
          address);
    Value index =
        spirv::ShiftRightLogicalOp::create(b, loc, address, constant(2));
    return spirv::AccessChainOp::create(
        b, loc, addressOf(getSharedName(kernel())), ValueRange{index});
  }
};

/// Addresses, loads and stores, arrays of a thread, and vectors of `llvm`.
void populateMemoryPatterns(const SPIRVTypeConverter &types,
                            RewritePatternSet &patterns);
/// Operations of `moe_gpu`.
void populateThreadPatterns(const SPIRVTypeConverter &types,
                            RewritePatternSet &patterns);
/// bf16, which is its bits.
void populateBF16Patterns(const SPIRVTypeConverter &types,
                          RewritePatternSet &patterns);

/// Makes zeros that floats are added to, multiplied by or divided by ones that
/// drivers do not fold.
void hideZeros(spirv::ModuleOp module, spirv::FuncOp func);

} // namespace moe::vulkan

#endif // MOE_MLIR_LIB_TARGET_GPU_VULKAN_PATTERNS_H
