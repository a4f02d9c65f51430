//===- ConvertGpuToROCDL.cpp - Kernels for any GPU become ROCDL -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A team is one half of a wavefront. Its lanes take the same branches, whatever
// those of the other half do, and they exchange values with each other alone:
// ds_swizzle works within 32 lanes by itself, for ds_bpermute and ballots the
// half is picked out.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/AMD/Passes.h"

#include "moe-mlir/Target/GPU/Common/Emitter.h"
#include "moe-mlir/Target/GPU/Common/KernelGlobals.h"

#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_CONVERTGPUTOROCDL
#include "moe-mlir/Target/GPU/AMD/Passes.h.inc"
} // namespace moe

using namespace mlir;

/// A store of a word in the lanes of a mask. The hardware skips lanes; the code
/// generator would branch around a store that no lane makes.
static constexpr StringLiteral kStoreIf = "s_and_saveexec_b64 $0, $1\n\t"
                                          "global_store_dword $2, $3, off\n\t"
                                          "s_mov_b64 exec, $0";
static constexpr StringLiteral kStoreIfOperands = "=&s,s,v,v,~{scc},~{memory}";

/// Gives a kernel the attributes that the code generator reads.
static void convertKernel(LLVM::LLVMFuncOp func) {
  moegpu::KernelAttr kernel = moegpu::getKernel(func);
  Builder b(func.getContext());
  auto threads = static_cast<int32_t>(kernel.getThreads());
  func->removeAttr(moegpu::kKernelAttrName);
  func->setAttr(ROCDL::ROCDLDialect::getKernelFuncAttrName(), b.getUnitAttr());
  func->setAttr(ROCDL::ROCDLDialect::getReqdWorkGroupSizeAttrName(),
                b.getDenseI32ArrayAttr({threads, 1, 1}));
  func->setAttr(ROCDL::ROCDLDialect::getFlatWorkGroupSizeAttrName(),
                b.getStringAttr(Twine(threads) + "," + Twine(threads)));
}

namespace {
/// Emits what one operation becomes, in front of it.
class Conversion {
public:
  Conversion(IRRewriter &b, Operation *op) : b(b), op(op), loc(op->getLoc()) {
    b.setInsertionPoint(op);
  }

  void run() {
    if (isa<moegpu::ThreadOp>(op)) {
      b.replaceOp(op, getThread());
    } else if (isa<moegpu::BlockOp>(op)) {
      b.replaceOpWithNewOp<ROCDL::BlockIdXOp>(op, b.getI32Type());
    } else if (isa<moegpu::NumBlocksOp>(op)) {
      Value number = ROCDL::GridDimXOp::create(b, loc, b.getI64Type());
      b.replaceOpWithNewOp<arith::TruncIOp>(op, b.getI32Type(), number);
    } else if (isa<moegpu::BarrierOp>(op)) {
      barrier();
    } else if (isa<moegpu::SharedOp>(op)) {
      b.replaceOpWithNewOp<LLVM::AddressOfOp>(op, op->getResult(0).getType(),
                                              moe::gpu::kSharedName);
    } else if (auto shuffle = dyn_cast<moegpu::ShuffleOp>(op)) {
      convertShuffle(shuffle);
    } else if (auto ballot = dyn_cast<moegpu::BallotOp>(op)) {
      Value mask = getMask(ballot.getCondition());
      Value half = arith::ExtUIOp::create(b, loc, b.getI64Type(), getHalf());
      Value own = arith::ShRUIOp::create(b, loc, mask, half);
      b.replaceOpWithNewOp<arith::TruncIOp>(op, b.getI32Type(), own);
    } else if (auto lookUp = dyn_cast<moegpu::LookUpOp>(op)) {
      b.replaceOp(op, moe::gpu::loadEntry(b, lookUp));
    } else if (auto store = dyn_cast<moegpu::StoreIfOp>(op)) {
      LLVM::InlineAsmOp::create(
          b, loc, b.getI64Type(),
          ValueRange{getMask(store.getCondition()), store.getAddress(),
                     store.getValue()},
          kStoreIf, kStoreIfOperands, /*has_side_effects=*/true,
          /*is_align_stack=*/false, LLVM::TailCallKind::None,
          LLVM::AsmDialectAttr(), ArrayAttr());
      b.eraseOp(op);
    }
  }

private:
  Value constant(int64_t value) {
    return arith::ConstantIntOp::create(b, loc, b.getI32Type(), value);
  }
  Value getThread() {
    return ROCDL::ThreadIdXOp::create(b, loc, b.getI32Type());
  }
  /// The first lane of the team in its wavefront: 0 or 32.
  Value getHalf() {
    Value thread = getThread(), bit = constant(32);
    return arith::AndIOp::create(b, loc, thread, bit);
  }
  /// The lanes of the wavefront in which a condition holds.
  Value getMask(Value condition) {
    return ROCDL::BallotOp::create(b, loc, b.getI64Type(), condition);
  }

  void barrier() {
    LLVM::FenceOp::create(b, loc, LLVM::AtomicOrdering::release, "workgroup");
    ROCDL::SBarrierOp::create(b, loc);
    LLVM::FenceOp::create(b, loc, LLVM::AtomicOrdering::acquire, "workgroup");
    b.eraseOp(op);
  }

  /// ds_swizzle takes `((lane & and) | or) ^ xor`, of five bits each.
  static std::optional<int64_t> getSwizzle(moegpu::ShuffleOp shuffle) {
    APInt lane;
    if (!matchPattern(shuffle.getLane(), m_ConstantInt(&lane)))
      return std::nullopt;
    int64_t bits = lane.getZExtValue() % moegpu::kTeam;
    switch (shuffle.getKind()) {
    case moegpu::ShuffleKind::Index:
      return bits << 5;
    case moegpu::ShuffleKind::Xor:
      return bits << 10 | 31;
    case moegpu::ShuffleKind::Up:
      return std::nullopt;
    }
    llvm_unreachable("all kinds are there");
  }

  /// The number of the lane whose value is taken, in the block.
  Value getSource(moegpu::ShuffleOp shuffle) {
    Value thread = getThread(), lane = shuffle.getLane();
    switch (shuffle.getKind()) {
    case moegpu::ShuffleKind::Index:
      return arith::OrIOp::create(b, loc, getHalf(), lane);
    case moegpu::ShuffleKind::Xor:
      return arith::XOrIOp::create(b, loc, thread, lane);
    case moegpu::ShuffleKind::Up: {
      Value bits = constant(31);
      Value own = arith::AndIOp::create(b, loc, thread, bits);
      Value has =
          arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, own, lane);
      return arith::SelectOp::create(
          b, loc, has, arith::SubIOp::create(b, loc, thread, lane), thread);
    }
    }
    llvm_unreachable("all kinds are there");
  }

  void convertShuffle(moegpu::ShuffleOp shuffle) {
    Type type = shuffle.getType(), i32 = b.getI32Type();
    Value word = shuffle.getValue();
    if (type != i32)
      word = LLVM::BitcastOp::create(b, loc, i32, word);
    if (std::optional<int64_t> swizzle = getSwizzle(shuffle)) {
      word = ROCDL::DsSwizzleOp::create(b, loc, i32, word, constant(*swizzle));
    } else {
      // Lanes are counted in bytes, modulo the wavefront.
      Value source = getSource(shuffle), two = constant(2);
      Value at = arith::ShLIOp::create(b, loc, source, two);
      word = ROCDL::DsBpermuteOp::create(b, loc, i32, at, word);
    }
    if (type != i32)
      word = LLVM::BitcastOp::create(b, loc, type, word);
    b.replaceOp(op, word);
  }

  IRRewriter &b;
  Operation *op;
  Location loc;
};

struct ConvertGpuToROCDL : moe::impl::ConvertGpuToROCDLBase<ConvertGpuToROCDL> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    IRRewriter b(&getContext());
    SmallVector<Operation *> ops;
    SmallVector<ModuleOp> modules;
    module.walk([&](LLVM::LLVMFuncOp func) {
      if (!moegpu::getKernel(func))
        return;
      auto kernels = func->getParentOfType<ModuleOp>();
      if (!llvm::is_contained(modules, kernels))
        modules.push_back(kernels);
      moe::gpu::expandReductions(func);
      func.walk([&](Operation *op) {
        if (isa<moegpu::MoeGpuDialect>(op->getDialect()))
          ops.push_back(op);
      });
      convertKernel(func);
    });
    for (ModuleOp kernels : modules)
      moe::gpu::declareShared(kernels, /*alignment=*/16);
    for (Operation *op : ops)
      Conversion(b, op).run();
  }
};
} // namespace
