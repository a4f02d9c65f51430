//===- ConvertMoekToNVVM.cpp - Kernels and their launches -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/NVIDIA/Passes.h"

#include "Decode.h"
#include "Kernels/BlockWeights.h"
#include "Kernels/Kernels.h"
#include "Kernels/StageWeights.h"

#include "moe-mlir/Target/GPU/Common/KernelConverter.h"

#include "moe/E4M3Rows.h"

namespace moe {
#define GEN_PASS_DEF_CONVERTMOEKTONVVM
#include "moe-mlir/Target/GPU/NVIDIA/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe::nvidia;

/// Blocks up to which a kernel is set up while the ones before it end: that
/// takes a few microseconds off a call of few tokens, and costs more with many.
static constexpr int64_t kFewBlocks = 512;

namespace {
class Converter : public moe::gpu::KernelConverter {
public:
  using KernelConverter::KernelConverter;

  /// Launches what few tokens take instead of the ops of their layer.
  void launchDecode() {
    SmallVector<moek::CombineOp> combines;
    module.walk([&](moek::CombineOp op) { combines.push_back(op); });
    for (moek::CombineOp combine : combines)
      if (auto chain = findDecodeChain(combine))
        launchDecode(*chain);
  }

protected:
  LogicalResult convertMatmul(moek::GroupedMatmulOp op) override {
    auto schedule = moenvidia::getSchedule(op);
    if (!schedule)
      return op.emitOpError("has no schedule of one of NVIDIA's GPUs");
    if (moenvidia::usesTiles(op))
      return launchTiledMatmul(op, schedule.getFew());
    Type out = getElementTypeOrSelf(op.getOutputs()[0].getType());
    if (!out.isBF16())
      return op.emitOpError("writes ") << out << ", and kernels bf16";
    if (moe::WeightFormatAttrInterface format = op.getFormatAttr();
        format && !BlockWeights::canRead(format, op.getK()))
      return op.emitOpError("has weights in ")
             << format
             << ", whose rounds four lanes cannot share: kernels for NVIDIA's "
                "GPUs want four, or a multiple of four, of a period or block";
    if (moe::WeightFormatAttrInterface format = op.getFormatAttr();
        format && schedule.getFew() >= 0 &&
        !canDecodeStages(format, op.getN(), op.getK()))
      return op.emitOpError("has ") << op.getN() << " columns of " << op.getK()
                                    << " weights in " << format
                                    << ", which no kernel for many rows reads; "
                                       "few = -1 makes that for "
                                       "few";
    auto build = [&](StringRef name, bool few, const MatmulShape &shape,
                     Launch &launch) {
      if (!few)
        return buildWarpgroupMatmul(kernels, name, shape, op.getEpilogue(),
                                    launch);
      return buildWarpMatmul(kernels, name, shape, op.getEpilogue(),
                             /*unrolls=*/options.overlaps, launch);
    };
    if (schedule.getRows() != moenvidia::Rows::E4M3) {
      launchMatmul(op, schedule.getFew(), build);
      return success();
    }
    QuantizedRows quantized = allocateQuantized(op);
    launchMatmul(op, schedule.getFew(), build, [&](Builder &b) {
      launchQuantize(b, op, quantized);
      return quantized;
    });
    return success();
  }

private:
  /// Memory for the rows of `op` in 8 bits, and their scales.
  QuantizedRows allocateQuantized(moek::GroupedMatmulOp op) {
    Builder b(op.getLoc(), op);
    Value rows = memref::DimOp::create(b, op.getLhs(), 0);
    auto allocate = [&](int64_t columns, Type element) -> Value {
      return memref::AllocOp::create(
          b, MemRefType::get({ShapedType::kDynamic, columns}, element),
          ValueRange{rows}, b.getI64IntegerAttr(64));
    };
    int64_t k = op.getK();
    return {allocate(k, b.getType<Float8E4M3FNType>()),
            allocate(k / moe::kE4M3Group, b.getF32Type())};
  }

  void launchQuantize(Builder &b, moek::GroupedMatmulOp op,
                      const QuantizedRows &quantized) {
    // Rows of tokens are all there; of rows of experts, as many as they have.
    QuantizeShape shape{int64_t(op.getK()),
                        op.getGather() ? 0 : op.getNumExperts()};
    LLVM::LLVMFuncOp kernel = buildQuantizeRows(
        kernels,
        getName(op, (op.getPhase().value_or("matmul") + "_rows").str()), shape);
    Value rows = memref::DimOp::create(b, op.getLhs(), 0);
    Value groups =
        arith::MulIOp::create(b, rows, constant(b, shape.k / moe::kE4M3Group));
    SmallVector<Value> arguments{op.getLhs(), quantized.values,
                                 quantized.scales};
    if (shape.experts)
      arguments.push_back(op.getOffsets());
    arguments.push_back(rows);
    launch(b, kernel, divide(b, groups, kQuantizeTeams), arguments,
           moe::gpu::kElementwiseBlocks, options.overlaps);
  }

  void launchDecode(DecodeChain chain) {
    auto schedule = moenvidia::getSchedule(chain.rows);
    SmallVector<Operation *> ops = chain.getOps();
    Operation *known = chain.x.getDefiningOp();
    auto canRead = [](moek::GroupedMatmulOp op) {
      if (moe::WeightFormatAttrInterface format = op.getFormatAttr())
        return BlockWeights::canRead(format, op.getK());
      return getElementTypeOrSelf(op.getRhs().getType()).isBF16();
    };
    auto sums = moenvidia::getSchedule(chain.sums);
    if (!schedule || !sums || schedule.getDecode() != sums.getDecode() ||
        !schedule.getDecode() || !canRead(chain.rows) || !canRead(chain.sums) ||
        (known && (known->getBlock() != ops[0]->getBlock() ||
                   !known->isBeforeInBlock(ops[0]))))
      return;
    Builder b(chain.combine.getLoc(), ops[0]);
    Value tokens = memref::DimOp::create(b, chain.x, 0);
    Value rows = arith::MulIOp::create(b, tokens, constant(b, chain.slots));
    Value few = arith::CmpIOp::create(b, arith::CmpIPredicate::ule, rows,
                                      constant(b, schedule.getDecode()));
    for (Operation *op : ops)
      unless[op] = few;

    b.setInsertionPoint(chain.combine);
    auto branch = scf::IfOp::create(b, few, /*withElseRegion=*/false);
    b.setInsertionPointToStart(branch.thenBlock());
    auto start = [&](LLVM::LLVMFuncOp kernel, Value items, int64_t blocks,
                     ArrayRef<Value> arguments) {
      launch(b, kernel, arith::MulIOp::create(b, items, constant(b, blocks)),
             arguments, 0, std::numeric_limits<int32_t>::max());
    };
    DecodeLaunch how;
    MatmulShape shape = getShape(chain.rows);
    shape.rows = getElementTypeOrSelf(chain.x.getType());
    LLVM::LLVMFuncOp kernel =
        buildDecodeRows(kernels, getName(chain.combine, "gate_up_decode"),
                        shape, chain.slots, chain.rows.getEpilogue(), how);
    SmallVector<Value> arguments{chain.rows.getRhs(), chain.x,
                                 chain.routing.indices};
    llvm::append_range(arguments, chain.rows.getParameters());
    arguments.push_back(chain.rows.getOutputs()[0]);
    start(kernel, rows, how.blocks, arguments);

    moe::gpu::CombineShape sum = getShape(chain.combine);
    MatmulShape own = getShape(chain.sums);
    kernel =
        buildDecodeSums(kernels, getName(chain.combine, "down_decode"), own,
                        sum, options.overlaps, chain.sums.getEpilogue(), how);
    arguments = {chain.sums.getRhs(), chain.sums.getLhs(),
                 chain.routing.indices};
    for (Value value :
         {chain.combine.getSlotWeights(), chain.combine.getInit()})
      if (value)
        arguments.push_back(value);
    llvm::append_range(arguments, chain.sums.getParameters());
    arguments.push_back(chain.combine.getOutputs()[0]);
    start(kernel, tokens, how.blocks, arguments);
  }
};

struct ConvertMoekToNVVM : moe::impl::ConvertMoekToNVVMBase<ConvertMoekToNVVM> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    moe::gpu::ConverterOptions options;
    options.device = "NVIDIA's GPUs";
    options.overlaps = moenvidia::overlapsKernels(module) ? kFewBlocks : 0;
    Converter converter(module, options);
    converter.launchDecode();
    if (failed(converter.convert()))
      signalPassFailure();
  }
};
} // namespace
