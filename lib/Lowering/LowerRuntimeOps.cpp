//===- LowerRuntimeOps.cpp - Hooks of the runtime ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The number of threads, trace events and checks, by the layout of moe_rt.h.
//
//===----------------------------------------------------------------------===//

#include "Pointers.h"

#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"
#include "moe-mlir/Runtime/moe_rt_layout.h"
#include "moe_rt/MoeRt.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

#include <cstddef>

namespace moe {
#define GEN_PASS_DEF_LOWERRUNTIMEOPSPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

struct LowerRuntimeOps : moe::impl::LowerRuntimeOpsPassBase<LowerRuntimeOps> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<moert::NumThreadsOp> threads;
    SmallVector<moert::TraceOp> traces;
    SmallVector<moert::CheckOp> checks;
    SmallVector<moert::CallOp> calls;
    WalkResult result = module.walk([&](Operation *op) {
      if (!isa<moert::NumThreadsOp, moert::TraceOp, moert::CheckOp,
               moert::CallOp>(op))
        return WalkResult::advance();
      auto function = op->getParentOfType<func::FuncOp>();
      if (!function || !moe::isEntryFunction(function)) {
        op->emitOpError("needs the runtime, which only public entry functions "
                        "have; inline this function into its callers");
        return WalkResult::interrupt();
      }
      if (auto thread = dyn_cast<moert::NumThreadsOp>(op))
        threads.push_back(thread);
      else if (auto check = dyn_cast<moert::CheckOp>(op))
        checks.push_back(check);
      else if (auto call = dyn_cast<moert::CallOp>(op))
        calls.push_back(call);
      else
        traces.push_back(cast<moert::TraceOp>(op));
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      return signalPassFailure();
    for (moert::NumThreadsOp op : threads)
      lower(op);
    for (moert::CheckOp op : checks)
      lower(op);
    for (moert::CallOp op : calls)
      if (failed(lower(op)))
        return signalPassFailure();
    for (moert::TraceOp op : traces)
      if (failed(lower(op)))
        return signalPassFailure();
  }

  Type pointerType() { return LLVM::LLVMPointerType::get(&getContext()); }

  Value fieldPointer(OpBuilder &b, Location loc, Value base, size_t offset) {
    return LLVM::GEPOp::create(
        b, loc, pointerType(), b.getI8Type(), base,
        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)});
  }

  void lower(moert::NumThreadsOp op) {
    auto function = op->getParentOfType<func::FuncOp>();
    Value rt = moe::getOrAddRuntimeArgument(function);
    OpBuilder b(op);
    Location loc = op.getLoc();
    Value threads = LLVM::LoadOp::create(
        b, loc, b.getI32Type(),
        fieldPointer(b, loc, rt, offsetof(moe_rt, num_threads)));
    op.replaceAllUsesWith(
        arith::IndexCastOp::create(b, loc, b.getIndexType(), threads)
            .getResult());
    op.erase();
  }

  /// What a check says when it fails; `moek-lower-checks` does the rest, when
  /// all control flow is branches.
  void lower(moert::CheckOp op) {
    auto function = op->getParentOfType<func::FuncOp>();
    op.getRuntimeMutable().assign(moe::getOrAddRuntimeArgument(function));
    op.setMessage((function.getName() + ": " + op.getMessage()).str());
  }

  LogicalResult lower(moert::CallOp op) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    auto toWord = [&](Value value) -> Value {
      return arith::IndexCastOp::create(b, loc, b.getI64Type(), value);
    };
    SmallVector<Value> operands{
        moe::getOrAddRuntimeArgument(op->getParentOfType<func::FuncOp>()),
        toWord(op.getExpert()), toWord(op.getRows())};
    for (Value argument : op.getArguments())
      operands.push_back(moe::buildPointer(b, loc, argument));
    auto type = LLVM::LLVMFunctionType::get(
        b.getI32Type(), llvm::to_vector(ValueRange(operands).getTypes()));
    auto function = getOperation().lookupSymbol<LLVM::LLVMFuncOp>(op.getCallee());
    if (!function) {
      OpBuilder top = OpBuilder::atBlockBegin(getOperation().getBody());
      function = LLVM::LLVMFuncOp::create(top, loc, op.getCallee(), type);
    }
    if (function.getFunctionType() != type)
      return op.emitOpError("calls '")
             << op.getCallee() << "', which is called with other arguments "
             << "elsewhere";
    op.replaceAllUsesWith(
        LLVM::CallOp::create(b, loc, function, operands).getResult());
    op.erase();
    return success();
  }

  LogicalResult lower(moert::TraceOp op) {
    auto function = op->getParentOfType<func::FuncOp>();
    Value rt = moe::getOrAddRuntimeArgument(function);
    Location loc = op.getLoc();
    int32_t kind = llvm::StringSwitch<int32_t>(op.getKind())
                       .Case("begin", MOE_TRACE_PHASE_BEGIN)
                       .Case("end", MOE_TRACE_PHASE_END)
                       .Case("routing", MOE_TRACE_ROUTING)
                       .Default(-1);
    if (kind < 0)
      return op.emitOpError() << "has unknown kind '" << op.getKind()
                              << "'; use begin, end or routing";
    bool isRouting = kind == MOE_TRACE_ROUTING;
    if (isRouting && (op.getRouting().size() != 3 ||
                      !llvm::all_of(op.getRouting(), [](Value v) {
                        auto type = cast<MemRefType>(v.getType());
                        return type.getLayout().isIdentity() &&
                               type.getRank() >= 1;
                      })))
      return op.emitError("a routing is traced by its contiguous offsets, "
                          "indices and weights");

    // The event lives in the entry block: stack slots in loops would add up.
    OpBuilder front = OpBuilder::atBlockBegin(&function.getBody().front());
    Value one = LLVM::ConstantOp::create(front, loc, front.getI32Type(), 1);
    Value event = LLVM::AllocaOp::create(
        front, loc, pointerType(),
        LLVM::LLVMArrayType::get(front.getI8Type(), sizeof(moe_trace_event)),
        one, /*alignment=*/alignof(moe_trace_event));

    OpBuilder b(op);
    Value hook =
        LLVM::LoadOp::create(b, loc, pointerType(),
                             fieldPointer(b, loc, rt, offsetof(moe_rt, trace)));
    Value null = LLVM::ZeroOp::create(b, loc, pointerType());
    Value isSet =
        LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::ne, hook, null);
    auto branch = scf::IfOp::create(b, loc, isSet, /*withElseRegion=*/false);
    b.setInsertionPointToStart(branch.thenBlock());
    auto store = [&](size_t offset, Value value) {
      LLVM::StoreOp::create(b, loc, value, fieldPointer(b, loc, event, offset));
    };
    Value zero = LLVM::ConstantOp::create(b, loc, b.getI64Type(), 0);
    store(offsetof(moe_trace_event, kind),
          LLVM::ConstantOp::create(b, loc, b.getI32Type(), kind));
    store(offsetof(moe_trace_event, size),
          LLVM::ConstantOp::create(b, loc, b.getI32Type(),
                                   sizeof(moe_trace_event)));
    store(offsetof(moe_trace_event, function),
          getString(function, function.getName()));
    store(offsetof(moe_trace_event, phase),
          isRouting ? null : getString(function, op.getPhase()));
    auto extent = [&](unsigned index, int64_t dim) -> Value {
      if (!isRouting)
        return zero;
      return arith::IndexCastOp::create(
          b, loc, b.getI64Type(),
          memref::DimOp::create(b, loc, op.getRouting()[index], dim));
    };
    auto data = [&](unsigned index) -> Value {
      if (!isRouting)
        return null;
      return moe::buildPointer(b, loc, op.getRouting()[index]);
    };
    store(offsetof(moe_trace_event, tokens), extent(1, 0));
    Value experts = extent(0, 0);
    if (isRouting)
      experts = arith::SubIOp::create(
          b, loc, experts,
          arith::ConstantIntOp::create(b, loc, b.getI64Type(), 1));
    store(offsetof(moe_trace_event, experts), experts);
    Value slots = zero;
    if (isRouting)
      slots = cast<MemRefType>(op.getRouting()[1].getType()).getRank() == 2
                  ? extent(1, 1)
                  : Value(LLVM::ConstantOp::create(b, loc, b.getI64Type(), 1));
    store(offsetof(moe_trace_event, slots), slots);
    store(offsetof(moe_trace_event, offsets), data(0));
    store(offsetof(moe_trace_event, indices), data(1));
    store(offsetof(moe_trace_event, weights), data(2));
    auto hookType = LLVM::LLVMFunctionType::get(
        LLVM::LLVMVoidType::get(&getContext()), {pointerType(), pointerType()});
    LLVM::CallOp::create(b, loc, hookType, ValueRange{hook, rt, event});
    op.erase();
    return success();
  }

  /// The address of a constant C string, taken in the entry block.
  Value getString(func::FuncOp function, StringRef text) {
    Location loc = function.getLoc();
    ModuleOp module = getOperation();
    std::string name = ("moe_str_" + function.getName() + "_" + text).str();
    for (char &c : name)
      if (!llvm::isAlnum(c))
        c = '_';
    OpBuilder b = OpBuilder::atBlockBegin(&function.getBody().front());
    std::string value = (text + Twine('\0')).str();
    auto global = module.lookupSymbol<LLVM::GlobalOp>(name);
    if (global &&
        cast<StringAttr>(global.getValueOrNull()).getValue() != value) {
      name += "_" + std::to_string(counter++);
      global = {};
    }
    if (!global) {
      OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
      global = LLVM::GlobalOp::create(
          top, loc, LLVM::LLVMArrayType::get(top.getI8Type(), value.size()),
          /*isConstant=*/true, LLVM::Linkage::Internal, name,
          top.getStringAttr(value));
    }
    return LLVM::AddressOfOp::create(b, loc, global);
  }

  unsigned counter = 0;
};

} // namespace
