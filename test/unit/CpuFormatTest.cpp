//===- CpuFormatTest.cpp - Formats that instructions of CPUs fit -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What no format of the dialect has: rounds that are not of consecutive k.
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/BuiltinAttributes.h"
#include "moe/Moe.h"
#include "moe_cpu/MoeCpu.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace moe;
using moecpu::Inner;

namespace {
/// Between the k of a round.
int64_t stride = 1;

/// `unit` as a format of 32 bytes a block.
struct UnitFormat
    : WeightFormatAttrInterface::ExternalModel<UnitFormat, UnitAttr> {
  int64_t getBlockSize(Attribute, int64_t) const { return 32; }
  SmallVector<BlockField> getFields(Attribute format, int64_t) const {
    return {{"q", IntegerType::get(format.getContext(), 8), 32}};
  }
  DecodeRounds getRounds(Attribute, int64_t) const {
    return {32, 1, 4, 8, {0, stride, 2 * stride, 3 * stride}};
  }
  void buildShared(Attribute, BlockReader &, int64_t,
                   SmallVectorImpl<Value> &) const {}
  void buildValues(Attribute, BlockReader &, int64_t, Value, Value,
                   SmallVectorImpl<Value> &) const {}
  double getErrorBound(Attribute) const { return 1; }
};

class CpuFormats : public testing::Test {
protected:
  CpuFormats() {
    context.loadDialect<MoeDialect, moecpu::MoeCpuDialect>();
    UnitAttr::attachInterface<UnitFormat>(context);
    format = cast<WeightFormatAttrInterface>(Attribute(UnitAttr::get(&context)));
    stride = 1;
  }
  std::string whyNot(Inner inner, int64_t lanes) {
    return moecpu::getObstacle(inner, lanes, format, /*k=*/64);
  }

  MLIRContext context;
  WeightFormatAttrInterface format;
};
} // namespace

TEST_F(CpuFormats, BF16IsOfConsecutiveK) {
  for (int64_t lanes : {4, 16})
    EXPECT_EQ(whyNot(Inner::DecodeBF16, lanes), "");
  stride = 2;
  EXPECT_EQ(whyNot(Inner::DecodeBF16, 16),
            "multiplies 2 consecutive k at once, and rounds of unit have others");
  EXPECT_EQ(whyNot(Inner::DecodeBF16, 4),
            "multiplies 4 consecutive k at once, and rounds of unit have others");
  EXPECT_EQ(whyNot(Inner::Decode, 4), "");
}
