//===- LowerChecks.cpp - Checks that end a call -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Splits the block at each check. A failed one reports and returns; the entry
// point hands the status on.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/Passes.h"
#include "moe-mlir/Runtime/moe_rt.h"
#include "moe_rt/MoeRt.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace moe {
#define GEN_PASS_DEF_LOWERCHECKSPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

static_assert(static_cast<int>(moert::Status::BadSize) == MOE_ERR_BAD_SIZE);
static_assert(static_cast<int>(moert::Status::BadRouting) ==
              MOE_ERR_BAD_ROUTING);
static_assert(static_cast<int>(moert::Status::BadValue) == MOE_ERR_BAD_VALUE);
static_assert(static_cast<int>(moert::Status::Expert) == MOE_ERR_EXPERT);

namespace {
struct LowerChecks : moe::impl::LowerChecksPassBase<LowerChecks> {
  void runOnOperation() override {
    SmallVector<moert::CheckOp> checks;
    getOperation().walk([&](moert::CheckOp op) { checks.push_back(op); });
    SymbolTable symbols(getOperation());
    for (moert::CheckOp op : checks)
      if (failed(lower(op, symbols)))
        return signalPassFailure();
  }

  static LogicalResult lower(moert::CheckOp op, SymbolTable &symbols) {
    auto function = dyn_cast<func::FuncOp>(op->getParentOp());
    if (!function)
      return op.emitOpError("is still inside of '")
             << op->getParentOp()->getName()
             << "'; run convert-scf-to-cf before this pass";
    auto report = symbols.lookup<LLVM::LLVMFuncOp>("moe_report");
    if (!op.getRuntime() || !report)
      return op.emitOpError("has nobody to report to; run "
                            "moek-lower-runtime-ops and moek-emit-entry-points "
                            "before this pass");
    Location loc = op.getLoc();
    OpBuilder b(op);
    std::string text = (op.getMessage() + Twine('\0')).str();
    OpBuilder top =
        OpBuilder::atBlockBegin(&symbols.getOp()->getRegion(0).front());
    auto global = LLVM::GlobalOp::create(
        top, loc, LLVM::LLVMArrayType::get(top.getI8Type(), text.size()),
        /*isConstant=*/true, LLVM::Linkage::Internal, "moe_check",
        top.getStringAttr(text));
    symbols.insert(global);

    Block *from = op->getBlock();
    Block *next = from->splitBlock(op->getNextNode());
    Block *fail = b.createBlock(&function.getBody(), function.getBody().end());
    Value status = LLVM::ConstantOp::create(
        b, loc, b.getI32Type(), static_cast<int32_t>(op.getStatus()));
    Value message = LLVM::AddressOfOp::create(b, loc, global);
    Value code =
        LLVM::CallOp::create(b, loc, report,
                             ValueRange{op.getRuntime(), status, message})
            .getResult();
    func::ReturnOp::create(b, loc, code);
    b.setInsertionPointToEnd(from);
    cf::CondBranchOp::create(b, loc, op.getOk(), next, ValueRange(), fail,
                             ValueRange());
    op.erase();
    return success();
  }
};
} // namespace
