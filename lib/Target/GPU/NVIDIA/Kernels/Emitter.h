//===- Emitter.h - Instructions of NVIDIA's GPUs ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What only these GPUs have: barriers in shared memory, and copies that arrive
// at them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_EMITTER_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_EMITTER_H

#include "moe-mlir/Target/GPU/Common/Emitter.h"
#include "moe-mlir/Target/GPU/Common/Tiles.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace moe::nvidia {

using gpu::kGlobal;
using gpu::kShared;
using gpu::Tile;
using gpu::Tiles;
using mlir::Type;
using mlir::Value;
using mlir::ValueRange;

class Emitter : public gpu::Emitter {
public:
  using gpu::Emitter::Emitter;

  Type mapType() { return mlir::LLVM::LLVMArrayType::get(getI8Type(), 128); }

  /// A shared address as the number that descriptors are made of.
  Value sharedNumber(Value address) {
    return create<mlir::LLVM::PtrToIntOp>(i32(), address);
  }

  //===--------------------------------------------------------------------===//
  // Barriers in shared memory, and copies that arrive at them
  //===--------------------------------------------------------------------===//

  void initBarrier(Value barrier, int64_t arrivals) {
    create<mlir::NVVM::MBarrierInitOp>(barrier, constant(arrivals), Value());
  }
  void wait(Value barrier, Value parity) {
    create<mlir::NVVM::MBarrierTryWaitParityOp>(barrier, parity,
                                                constant(0x989680));
  }
  void arrive(Value barrier) {
    create<mlir::NVVM::MBarrierArriveOp>(getI64Type(), barrier, Value(),
                                         blockScope(), getBoolAttr(false));
  }
  void arriveExpecting(Value barrier, int64_t bytes) {
    create<mlir::NVVM::MBarrierArriveExpectTxOp>(Type(), barrier,
                                                 constant(bytes), blockScope(),
                                                 getBoolAttr(false), Value());
  }
  /// A box of the tensor that a map describes; `coordinates`, the innermost
  /// first, are those of its first element.
  void copyBox(Value to, Value map, ValueRange coordinates, Value barrier) {
    create<mlir::NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp>(
        create<mlir::LLVM::AddrSpaceCastOp>(pointer(7), to), map, coordinates,
        barrier, ValueRange(), Value(), Value(),
        mlir::NVVM::TMALoadModeAttr::get(getContext(),
                                         mlir::NVVM::TMALoadMode::TILE),
        getBoolAttr(false), mlir::NVVM::CTAGroupKindAttr(), Value());
  }
  /// 16 bytes, past the first cache; or four.
  void copy16(Value to, Value from) {
    copy(to, from, 16, mlir::NVVM::LoadCacheModifierKind::CG);
  }
  void copy4(Value to, Value from) {
    copy(to, from, 4, mlir::NVVM::LoadCacheModifierKind::CA);
  }
  /// The line of an address of global memory, into the cache of all.
  void prefetch(Value address) {
    create<mlir::NVVM::PrefetchOp>(
        mlir::NVVM::PrefetchCacheLevelAttr::get(
            getContext(), mlir::NVVM::PrefetchCacheLevel::L2),
        mlir::NVVM::CacheEvictionPriorityAttr(), address, Value(),
        mlir::UnitAttr(), mlir::UnitAttr(), mlir::UnitAttr());
  }
  void commitCopies() { create<mlir::NVVM::CpAsyncCommitGroupOp>(); }
  /// Until all but the last `groups` groups have arrived.
  void waitForCopies(int64_t groups) {
    create<mlir::NVVM::CpAsyncWaitGroupOp>(getI32IntegerAttr(groups));
  }
  /// What this thread wrote to shared memory is seen by what reads it without
  /// threads: copies in bulk and products of warpgroups.
  void publishToAsync() {
    create<mlir::NVVM::FenceProxyOp>(
        mlir::NVVM::ProxyKindAttr::get(getContext(),
                                       mlir::NVVM::ProxyKind::async_shared),
        mlir::NVVM::SharedSpaceAttr::get(getContext(),
                                         mlir::NVVM::SharedSpace::shared_cta));
  }

  //===--------------------------------------------------------------------===//
  // Products of warps, and the kernels around
  //===--------------------------------------------------------------------===//

  /// `sums`, four, of m16n8k16.
  void multiplyBF16(mlir::ArrayRef<Value> a, mlir::ArrayRef<Value> b,
                    mlir::MutableArrayRef<Value> sums) {
    Type type = mlir::LLVM::LLVMStructType::getLiteral(
        getContext(), mlir::SmallVector<Type>(4, f32()));
    Value product = create<mlir::NVVM::MmaOp>(
        type, a, b, sums, mlir::ArrayRef<int64_t>{16, 8, 16}, std::nullopt,
        std::nullopt,
        std::array{mlir::NVVM::MMATypes::bf16, mlir::NVVM::MMATypes::bf16},
        std::array{mlir::NVVM::MMALayout::row, mlir::NVVM::MMALayout::col});
    for (int64_t i = 0; i < 4; ++i)
      sums[i] = create<mlir::LLVM::ExtractValueOp>(product, i);
  }

  /// A function of the bits of three words: bit i of `table` where they are
  /// those of i, `a` the highest. The assembler makes two instructions of two
  /// operations with a constant each.
  Value logic(Value a, Value b, Value c, int64_t table) {
    std::string text =
        "lop3.b32 $0, $1, $2, $3, " + std::to_string(table) + ";";
    return create<mlir::LLVM::InlineAsmOp>(
               i32(), ValueRange{a, b, c}, text, "=r,r,r,r",
               /*has_side_effects=*/false, /*is_align_stack=*/false,
               mlir::LLVM::TailCallKind::None, mlir::LLVM::AsmDialectAttr(),
               mlir::ArrayAttr())
        .getResult(0);
  }

  /// A number of bf16, twice in a word.
  static uint32_t getPair(double value) {
    llvm::APFloat number(value);
    bool isInexact;
    number.convert(llvm::APFloat::BFloat(), llvm::APFloat::rmNearestTiesToEven,
                   &isInexact);
    assert(!isInexact && "not a number of bf16");
    auto bits = static_cast<uint32_t>(number.bitcastToAPInt().getZExtValue());
    return bits * 0x10001u;
  }
  Value word(uint32_t bits) { return constant(static_cast<int32_t>(bits)); }
  /// The products, or sums, of two numbers of bf16 each.
  Value multiplyPair(Value a, Value b) {
    return fromPair(create<mlir::arith::MulFOp>(toPair(a), toPair(b)));
  }
  Value addPair(Value a, Value b) {
    return fromPair(create<mlir::arith::AddFOp>(toPair(a), toPair(b)));
  }
  /// Four of eight bytes, those of `low` and then of `high`: which, four bits
  /// of `selector` each say; their highest asks for the sign in all bits.
  Value permute(Value low, Value high, Value selector) {
    return create<mlir::NVVM::PermuteOp>(i32(), low, high, selector,
                                         mlir::NVVM::PermuteMode::DEFAULT);
  }

  /// The lanes of a warp wait for each other.
  void joinWarp() { create<mlir::NVVM::SyncWarpOp>(constant(-1)); }

  /// Four values as E4M3 in a word, rounded to nearest even, those beyond its
  /// largest number to that; NaN stays NaN.
  Value toE4M3(ValueRange values) {
    Value pairs[2];
    for (int64_t i = 0; i < 2; ++i)
      pairs[i] = create<mlir::NVVM::ConvertF32x2ToF8x2Op>(
          getI16Type(), values[2 * i + 1], values[2 * i],
          mlir::NVVM::FPRoundingMode::RN, mlir::NVVM::SaturationMode::SATFINITE,
          false, mlir::Float8E4M3FNType::get(getContext()));
    return bitOr(create<mlir::arith::ExtUIOp>(i32(), pairs[0]),
                 shl(create<mlir::arith::ExtUIOp>(i32(), pairs[1]), 16));
  }

  /// Until the kernels before have ended; and the next one may be set up. A
  /// kernel without it waits at its start.
  void waitForKernels() {
    for (auto kind : {mlir::NVVM::GridDepActionKind::wait,
                      mlir::NVVM::GridDepActionKind::launch_dependents})
      create<mlir::NVVM::GriddepcontrolOp>(kind);
  }

private:
  void copy(Value to, Value from, int64_t bytes,
            mlir::NVVM::LoadCacheModifierKind modifier) {
    create<mlir::NVVM::CpAsyncOp>(
        to, from, getI32IntegerAttr(bytes),
        mlir::NVVM::LoadCacheModifierKindAttr::get(getContext(), modifier),
        Value());
  }
  Value toPair(Value word) {
    return create<mlir::LLVM::BitcastOp>(
        mlir::VectorType::get({2}, getBF16Type()), word);
  }
  Value fromPair(Value pair) {
    return create<mlir::LLVM::BitcastOp>(i32(), pair);
  }
  mlir::NVVM::MemScopeKindAttr blockScope() {
    return mlir::NVVM::MemScopeKindAttr::get(getContext(),
                                             mlir::NVVM::MemScopeKind::CTA);
  }
};

/// As that of all GPUs; an argument of `mapType` is a tensor map by value.
mlir::LLVM::LLVMFuncOp createKernel(Emitter &code, mlir::ModuleOp module,
                                    mlir::StringRef name,
                                    mlir::TypeRange arguments, int64_t threads,
                                    int64_t resident = 1);

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_EMITTER_H
