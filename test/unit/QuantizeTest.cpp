//===- QuantizeTest.cpp - What encoders write ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Every format of the dialect, found by its interface: values that are encoded
// and decoded by the interpreter's decoder are what they were, as nearly as the
// format says.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/StoredWeights.h"
#include "moe-mlir/Quantize/Convert.h"
#include "moe-mlir/Reference/Interpreter.h"

#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

using namespace mlir;
using namespace moe;
using namespace moe::quantize;

namespace {

/// Formats as a command line has them; of those with parameters more than one.
std::vector<std::string> formats() {
  static const std::map<std::string, std::vector<std::string>> parameters = {
      {"fp8",
       {"fp8", "fp8<rows = 1, columns = 0>", "fp8<rows = 2, columns = 64>"}},
      {"int4",
       {"int4<group = 32, scales = f32>",
        "int4<group = 64, scales = bf16, zeros = true>",
        "int4<group = 128, scales = f16, zeros = true>"}}};
  std::vector<std::string> texts;
  for (const std::string &name : getWeightFormatNames()) {
    // These make zeros of what they do not store: test/Tools/moe-sparsify.
    if (name.rfind("sparse", 0) == 0)
      continue;
    auto it = parameters.find(name);
    if (it == parameters.end())
      texts.push_back(name);
    else
      texts.insert(texts.end(), it->second.begin(), it->second.end());
  }
  return texts;
}

class Encoders : public testing::TestWithParam<std::string> {
protected:
  static constexpr int64_t rows = 5, k = 512;

  void SetUp() override {
    DialectRegistry registry;
    reference::registerReferenceModels(registry);
    registerEncoders(registry);
    context.appendDialectRegistry(registry);
    context.loadDialect<MoeDialect>();
    std::string problem;
    type.format = parseWeightFormat(context, GetParam(), problem);
    ASSERT_TRUE(type.format) << problem;
    // Grids and ternary digits are read, and not written.
    bool isWritten = !StringRef(GetParam()).starts_with("iq2_") &&
                     !StringRef(GetParam()).starts_with("iq3_") &&
                     !StringRef(GetParam()).starts_with("tq");
    ASSERT_EQ(isa<EncodingAttrInterface>(Attribute(type.format)), isWritten);
    if (!isWritten)
      GTEST_SKIP();
  }

  std::optional<Converter> makeConverter(const WeightType &from,
                                         const WeightType &to) {
    std::string error;
    auto converter =
        Converter::get(from, to, rows, k, UnknownLoc::get(&context), error);
    EXPECT_TRUE(converter) << error;
    return converter;
  }

  /// Decodes what converters wrote.
  std::vector<float> decode(ArrayRef<std::vector<uint8_t>> stored) {
    auto back = makeConverter(type, WeightType());
    SmallVector<const uint8_t *> data;
    for (const std::vector<uint8_t> &tensor : stored)
      data.push_back(tensor.data());
    WeightError ignored;
    std::string error;
    EXPECT_TRUE(back->convert(data, {}, 1, ignored, error)) << error;
    std::vector<float> values(rows * k);
    std::memcpy(values.data(), back->result()[0].data(),
                values.size() * sizeof(float));
    return values;
  }

  /// What values become; their errors.
  std::vector<float> roundTrip(const std::vector<float> &values,
                               WeightError &errors,
                               ArrayRef<float> importance = {}) {
    auto converter = makeConverter(WeightType(), type);
    std::string error;
    EXPECT_TRUE(
        converter->convert({reinterpret_cast<const uint8_t *>(values.data())},
                           importance, 1, errors, error))
        << error;
    return decode(converter->result());
  }

  std::vector<float> makeNormal(unsigned seed, float size = 0.02f) {
    std::mt19937 random(seed);
    std::vector<float> values(rows * k);
    for (float &value : values) {
      // The sum of twelve uniform numbers, the same everywhere.
      double sum = -6;
      for (int i = 0; i < 12; ++i)
        sum += random() * 0x1p-32;
      value = size * static_cast<float>(sum);
    }
    return values;
  }

  MLIRContext context;
  WeightType type;
};

} // namespace

TEST_P(Encoders, KeepErrorsWithinTheBound) {
  std::vector<float> values = makeNormal(1);
  WeightError errors;
  std::vector<float> stored = roundTrip(values, errors);
  // Errors of a block together: a search may cut off single values.
  int64_t block = std::min<int64_t>(type.format.getBlockSize(k), 256);
  double bound = type.format.getErrorBound();
  for (size_t begin = 0; begin < values.size(); begin += block) {
    double squares = 0, largest = 0;
    for (int64_t i = 0; i < block; ++i) {
      double error = stored[begin + i] - values[begin + i];
      squares += error * error;
      largest = std::max<double>(largest, std::fabs(values[begin + i]));
    }
    EXPECT_LE(std::sqrt(squares / block), bound * largest)
        << "block at " << begin;
  }
  EXPECT_GT(errors.cosine(), 1 - bound);
  EXPECT_EQ(errors.count, rows * k);
}

TEST_P(Encoders, TellTheErrorsThatThereAre) {
  std::vector<float> values = makeNormal(2);
  WeightError errors;
  std::vector<float> stored = roundTrip(values, errors);
  double largest = 0, squares = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    double error = double(stored[i]) - values[i];
    largest = std::max(largest, std::fabs(error));
    squares += error * error;
  }
  EXPECT_EQ(errors.largest, largest);
  EXPECT_NEAR(errors.rms(), std::sqrt(squares / values.size()), 1e-9);
}

TEST_P(Encoders, KeepWhatIsStoredAlready) {
  WeightError errors, again;
  std::vector<float> once = roundTrip(makeNormal(3), errors);
  roundTrip(once, again);
  // Scales of scales have several ways to say nearly the same.
  bool isSearchedTwice =
      GetParam() == "q4_k" || GetParam() == "q5_k" || GetParam() == "q6_k";
  EXPECT_LE(again.relative(), isSearchedTwice ? errors.relative() / 2 : 1e-6);
}

TEST_P(Encoders, KeepWhatIsSpecial) {
  struct Case {
    const char *what;
    float size, others;
  };
  double bound = type.format.getErrorBound();
  for (Case test :
       {Case{"zeros", 0, 0}, Case{"one value", 0.5f, 0},
        Case{"negative value", -0.5f, 0}, Case{"constants", 0.25f, 0.25f},
        Case{"negative constants", -0.25f, -0.25f},
        Case{"all but one", 0, 0.25f},
        Case{"next to nothing", 0x1p-140f, 0x1p-130f}}) {
    std::vector<float> values(rows * k, test.others);
    for (size_t i = 0; i < values.size(); i += 32)
      values[i + i / 32 % 32] = test.size;
    WeightError errors;
    std::vector<float> stored = roundTrip(values, errors);
    float largest = std::max(std::fabs(test.size), std::fabs(test.others));
    if (largest < 0x1p-100f)
      largest = 0x1p-100f;
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_LE(std::fabs(stored[i] - values[i]), 1.01 * bound * largest)
          << test.what << ", value " << i << " is " << stored[i];
  }
}

TEST_P(Encoders, SpendPrecisionWhereItIsImportant) {
  std::vector<float> values = makeNormal(4), importance(k, 0.05f);
  for (int64_t i = 0; i < k; i += 7)
    importance[i] = 20;
  auto errorOf = [&](ArrayRef<float> given) {
    WeightError told, errors;
    std::vector<float> stored = roundTrip(values, told, given);
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      double error = double(stored[i]) - values[i];
      sum += importance[i % k] * error * error;
    }
    return sum;
  };
  double without = errorOf({}), with = errorOf(importance);
  EXPECT_LE(with, without);
  // Where scales are searched for; of powers of two there are few.
  bool isSearched = type.format.getErrorBound() > 1.0 / 30 &&
                    GetParam().substr(0, 3) != "fp8";
  bool isPower = GetParam().substr(0, 5) == "mxfp4";
  if (isSearched) {
    EXPECT_LT(with, (isPower ? 1.0 : 0.9) * without);
  }
}

TEST_P(Encoders, WriteTheSameOnAnyNumberOfThreads) {
  std::vector<float> values = makeNormal(5);
  auto one = makeConverter(WeightType(), type);
  auto many = makeConverter(WeightType(), type);
  const auto *data = reinterpret_cast<const uint8_t *>(values.data());
  WeightError errors, others;
  std::string error;
  ASSERT_TRUE(one->convert({data}, {}, 1, errors, error)) << error;
  ASSERT_TRUE(many->convert({data}, {}, 3, others, error)) << error;
  EXPECT_TRUE(one->result() == many->result());
  EXPECT_EQ(errors.errors, others.errors);
}

TEST_P(Encoders, SayWhereAValueIsNone) {
  std::vector<float> values = makeNormal(6);
  values[3 * k + 300] = NAN;
  values[4 * k] = INFINITY;
  auto converter = makeConverter(WeightType(), type);
  WeightError errors;
  std::string error;
  EXPECT_FALSE(
      converter->convert({reinterpret_cast<const uint8_t *>(values.data())}, {},
                         2, errors, error));
  EXPECT_NE(error.find("row 3"), std::string::npos) << error;
  EXPECT_NE(error.find("(column 300) is not a number"), std::string::npos)
      << error;
}

TEST_P(Encoders, RefuseWhatTheirScalesCannotBe) {
  std::vector<float> values = makeNormal(7);
  values[2 * k + 100] = 0x1p120f;
  auto converter = makeConverter(WeightType(), type);
  WeightError errors;
  std::string error;
  bool isConverted = converter->convert(
      {reinterpret_cast<const uint8_t *>(values.data())}, {}, 1, errors, error);
  // Scales of f32 and powers of two can be so.
  if (isConverted) {
    EXPECT_LE(errors.largest, 1.01 * type.format.getErrorBound() * 0x1p120);
  } else {
    EXPECT_NE(error.find("row 2"), std::string::npos) << error;
    EXPECT_NE(error.find("has values of up to 1.329"), std::string::npos)
        << error;
  }
}

TEST(ForeignFormats, AreRefusedWithoutAnEncoder) {
  MLIRContext context;
  std::string error;
  WeightType type;
  type.format = parseWeightFormat(context, "q4_0", error);
  ASSERT_TRUE(type.format);
  EXPECT_FALSE(Converter::get(WeightType(), type, 1, 32,
                              UnknownLoc::get(&context), error));
  EXPECT_EQ(error, "q4_0 cannot be written: its dialect has to implement or "
                   "attach moe::quantize::EncodingAttrInterface");
}

TEST(ForeignFormats, AreDecodedByWhatTheyBuild) {
  // Without models of the interpreter.
  DialectRegistry registry;
  registerEncoders(registry);
  MLIRContext context(registry);
  std::string error;
  WeightType type;
  type.format = parseWeightFormat(context, "q4_0", error);
  ASSERT_TRUE(type.format);
  std::vector<float> values(64);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = (static_cast<float>(i % 16) - 8) / 4;
  auto converter = Converter::get(WeightType(), type, 2, 32,
                                  UnknownLoc::get(&context), error);
  ASSERT_TRUE(converter) << error;
  WeightError errors;
  ASSERT_TRUE(converter->convert(
      {reinterpret_cast<const uint8_t *>(values.data())}, {}, 2, errors, error))
      << error;
  EXPECT_EQ(errors.largest, 0);
  EXPECT_EQ(errors.count, 64);
}

INSTANTIATE_TEST_SUITE_P(Dialect, Encoders, testing::ValuesIn(formats()),
                         [](const auto &info) {
                           std::string name = info.param;
                           for (char &c : name)
                             if (!isalnum(c))
                               c = '_';
                           return name;
                         });
