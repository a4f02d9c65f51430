//===- CpuFormatTest.cpp - Formats that instructions of CPUs fit -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What no format of the dialect has: codes above 127 beside minima, and rounds
// that are not of consecutive k.
//
//===----------------------------------------------------------------------===//

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "moe/Moe.h"
#include "moe_cpu/MoeCpu.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace moe;
using moecpu::Inner;

namespace {
CodeForm form;
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
  double getErrorBound(Attribute) const { return 1; }
};

struct UnitCodes
    : CodedFormatAttrInterface::ExternalModel<UnitCodes, UnitAttr> {
  CodeForm getCodeForm(Attribute, int64_t) const { return form; }
  Value buildCodes(Attribute, BlockReader &reader, int64_t, Value, Value word,
                   int64_t) const {
    return reader.readWord(0, word);
  }
};

class CpuFormats : public testing::Test {
protected:
  CpuFormats() {
    context.loadDialect<MoeDialect, moecpu::MoeCpuDialect>();
    UnitAttr::attachInterface<UnitFormat, UnitCodes>(context);
    format =
        cast<WeightFormatAttrInterface>(Attribute(UnitAttr::get(&context)));
    form = {/*subBlock=*/32, /*zero=*/0, /*hasMinimum=*/true, /*most=*/127};
    stride = 1;
  }
  std::string whyNot(Inner inner, int64_t lanes) {
    return moecpu::getObstacle(inner, lanes, format, /*k=*/64);
  }

  MLIRContext context;
  WeightFormatAttrInterface format;
};
} // namespace

TEST_F(CpuFormats, LargeCodesBesideMinimaHaveNoSign) {
  for (int64_t most : {127, 255}) {
    form.most = most;
    for (bool hasMinimum : {false, true}) {
      form.hasMinimum = hasMinimum;
      for (Inner inner : {Inner::DotInt8, Inner::MmlaInt8})
        EXPECT_EQ(whyNot(inner, 4),
                  most == 255 && hasMinimum
                      ? "multiplies codes as numbers with a sign, and unit has "
                        "codes above 127 beside minima"
                      : "");
      for (int64_t lanes : {8, 16})
        for (Inner inner : {Inner::DotInt8, Inner::MaddInt8})
          EXPECT_EQ(whyNot(inner, lanes), "");
      EXPECT_EQ(whyNot(Inner::Decode, 4), "");
    }
  }
}

TEST_F(CpuFormats, BF16IsOfConsecutiveK) {
  for (int64_t lanes : {4, 16})
    EXPECT_EQ(whyNot(Inner::DecodeBF16, lanes), "");
  stride = 2;
  EXPECT_EQ(
      whyNot(Inner::DecodeBF16, 16),
      "multiplies 2 consecutive k at once, and rounds of unit have others");
  EXPECT_EQ(
      whyNot(Inner::DecodeBF16, 4),
      "multiplies 4 consecutive k at once, and rounds of unit have others");
  EXPECT_EQ(whyNot(Inner::Decode, 4), "");
}

/// Those that AArch64 multiplies today all stay so.
TEST_F(CpuFormats, FormatsOfTheDialectHaveNoObstacle) {
  for (const char *text :
       {"#moe.q4_k", "#moe.q5_1", "#moe.q2_k", "#moe.q8_0"}) {
    auto own = cast<WeightFormatAttrInterface>(parseAttribute(text, &context));
    for (Inner inner : {Inner::DotInt8, Inner::MmlaInt8, Inner::DecodeBF16})
      EXPECT_EQ(moecpu::getObstacle(inner, 4, own, 256), "");
  }
}
