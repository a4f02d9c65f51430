//===- MicroKernelSve.cpp - Tiles of SVE, for any vector length -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Which columns a vector holds is known at run time: a loop walks the panel's
// columns, and a mask ends the vectors that reach beyond them.
//
//===----------------------------------------------------------------------===//

#include "LaneKernel.h"

using namespace mlir;
using namespace moe;
using moecpu::Inner;
using moecpu::ScheduleAttr;

static constexpr int64_t kLanes = 4;

/// Few rows take more columns, to have enough chains of multiply-adds.
static int64_t getVectors(int64_t rows) { return rows <= 3 ? 4 : 2; }

int64_t moe::getSvePasses(ScheduleAttr, int64_t rows) {
  return kPanelColumns / (getVectors(rows) * kLanes);
}

namespace {
class SveKernel : public LaneKernel {
public:
  SveKernel(Emitter &e, ScheduleAttr schedule, int64_t rows, int64_t pitch)
      : LaneKernel(e, schedule, rows, pitch, getVectors(rows),
                   VectorType::get({kLanes}, e.getF32Type(), {true})),
        maskType(vecType.clone(e.getI1Type())) {}

  void forEachPass(PassBody body) override {
    Value lanes = e.mul(vector::VectorScaleOp::create(e), kLanes);
    emitPassLoop(e.mul(lanes, vectors), [&](Pass &pass, Value column) {
      pass.offset = pass.panelOffset = e.toI64(e.mul(column, 4));
      for (int64_t v = 0; v < vectors; ++v)
        pass.masks.push_back(call("llvm.aarch64.sve.whilelo", maskType,
                                  {e.toI64(e.add(column, e.mul(lanes, v))),
                                   e.toI64(e.idx(kPanelColumns))}));
      body(pass);
    });
  }

protected:
  Value loadColumns(VectorType type, const Pass &pass, Value base,
                    int64_t v) override {
    return LLVM::MaskedLoadOp::create(e, type, column(base, v), pass.masks[v],
                                      e.zeros(type), /*alignment=*/4);
  }
  void storeColumns(Value vector, const Pass &pass, Value base,
                    int64_t v) override {
    LLVM::MaskedStoreOp::create(e, vector, column(base, v), pass.masks[v],
                                /*alignment=*/4);
  }
  Value loadQuad(Value pointer) override {
    Value all =
        arith::ConstantOp::create(e, DenseElementsAttr::get(maskType, true));
    return call("llvm.aarch64.sve.ld1rq", vecType, {all, pointer});
  }
  Value multiplyLane(Value x, Value weights, Value quad,
                     int64_t lane) override {
    Value index =
        LLVM::ConstantOp::create(e, e.getI32Type(), e.getI32IntegerAttr(lane));
    return call("llvm.aarch64.sve.fmla.lane", vecType,
                {x, weights, quad, index});
  }

private:
  VectorType maskType;

  Value call(StringRef intrinsic, Type result, ValueRange operands) {
    return LLVM::CallIntrinsicOp::create(e, result, e.getStringAttr(intrinsic),
                                         operands)
        .getResult(0);
  }
  /// Vector `v` behind `base`.
  Value column(Value base, int64_t v) {
    if (v == 0)
      return base;
    return LLVM::GEPOp::create(e, e.ptrType(), vecType, base,
                               ArrayRef<LLVM::GEPArg>{(int32_t)v});
  }
};
} // namespace

std::unique_ptr<TileKernel> moe::createSveKernel(Emitter &e,
                                                 ScheduleAttr schedule,
                                                 int64_t rows, int64_t pitch) {
  return std::make_unique<SveKernel>(e, schedule, rows, pitch);
}
