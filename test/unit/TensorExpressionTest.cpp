//===- TensorExpressionTest.cpp - Weights out of a checkpoint --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Checkpoint/TensorExpression.h"
#include "moe-mlir/Support/FloatConversions.h"

#include "CheckpointBytes.h"
#include "TestFiles.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

using namespace moe;
using Sizes = std::vector<int64_t>;

#define EXPECT_HAS(text, part)                                                 \
  EXPECT_NE((text).find(part), std::string::npos) << (text)

namespace {

TensorExpression parsed(const std::string &text) {
  std::string error;
  std::optional<TensorExpression> expression =
      TensorExpression::parse(text, error);
  EXPECT_TRUE(expression) << text << ": " << error;
  return expression.value_or(TensorExpression());
}

/// Elements of a tensor, for a definition of the steps that shares nothing with
/// the reader: each makes all elements anew.
struct Elements {
  Sizes shape;
  std::vector<double> values;

  double at(const Sizes &index) const {
    int64_t linear = 0;
    for (size_t d = 0; d < shape.size(); ++d)
      linear = linear * shape[d] + index[d];
    return values[linear];
  }
  /// Of `shape`, each element from where `from` says.
  template <typename From> Elements make(Sizes sizes, From from) const {
    Elements result{sizes, {}};
    Sizes index(sizes.size());
    int64_t count = std::accumulate(sizes.begin(), sizes.end(), int64_t(1),
                                    std::multiplies<int64_t>());
    for (int64_t i = 0; i < count; ++i) {
      int64_t rest = i;
      for (size_t d = sizes.size(); d-- > 0; rest /= sizes[d])
        index[d] = rest % sizes[d];
      result.values.push_back(at(from(index)));
    }
    return result;
  }
  Elements apply(const TensorStep &step) const {
    const std::vector<int64_t> &n = step.numbers;
    Sizes sizes = shape;
    switch (step.kind) {
    case TensorStep::Kind::Transpose:
      std::swap(sizes[n[0]], sizes[n[1]]);
      return make(sizes, [&](Sizes index) {
        std::swap(index[n[0]], index[n[1]]);
        return index;
      });
    case TensorStep::Kind::Part:
      sizes[n[0]] /= n[2];
      return make(sizes, [&](Sizes index) {
        index[n[0]] += n[1] * sizes[n[0]];
        return index;
      });
    case TensorStep::Kind::Every:
      sizes[n[0]] /= n[2];
      return make(sizes, [&](Sizes index) {
        index[n[0]] = index[n[0]] * n[2] + n[1];
        return index;
      });
    case TensorStep::Kind::First:
      sizes[n[0]] = n[1];
      return make(sizes, [](Sizes index) { return index; });
    case TensorStep::Kind::Reshape:
      return {n, values};
    case TensorStep::Kind::GPTQ:
      break; // Needs other tensors; test/Checkpoint has it.
    }
    return {};
  }
};

/// Experts of [R, C] each in files of its own, with elements that all differ.
struct Experts : TestFolder {
  Experts(int64_t experts, int64_t rows, int64_t columns,
          const std::string &type = "F32", size_t gap = 0)
      : whole{{experts, rows, columns}, {}} {
    std::string all;
    for (int64_t e = 0; e < experts; ++e) {
      std::string bytes;
      for (int64_t i = 0; i < rows * columns; ++i) {
        float value = static_cast<float>(whole.values.size());
        whole.values.push_back(value);
        if (type == "F32")
          bytes += bytesOf(value);
        else if (type == "F64")
          bytes += bytesOf<double>(value);
        else if (type == "F16")
          bytes += bytesOf(f32ToF16(value));
        else
          bytes += bytesOf(f32ToBF16(value));
      }
      std::string name = "e." + std::to_string(e) + ".w";
      write(name + ".safetensors",
            safetensors({{name, type, {rows, columns}, bytes}}, gap));
      all += bytes;
    }
    write("all.safetensors",
          safetensors({{"all", type, {experts, rows, columns}, all}}, gap));
    std::string error;
    checkpoint = Checkpoint::open(path, error);
    EXPECT_TRUE(checkpoint) << error;
  }
  /// Reads by `text`, and compares with the definition.
  void check(const std::string &text, DType dtype = DType::F32) {
    TensorExpression expression = parsed(text);
    Elements expected = whole;
    for (const TensorStep &step : expression.getSteps())
      expected = expected.apply(step);
    std::string error;
    HostTensor result =
        evaluate(*checkpoint, expression, dtype, expected.shape, error);
    ASSERT_TRUE(result.data) << text << ": " << error;
    ASSERT_EQ(result.shape, expected.shape);
    for (int64_t i = 0; i < result.numElements(); ++i)
      ASSERT_EQ(result.get(i), expected.values[i]) << text << " " << i;
    // Any range of it.
    std::optional<TensorReader> reader = TensorReader::make(
        *checkpoint, expression, dtype, expected.shape, error);
    ASSERT_TRUE(reader) << error;
    std::mt19937 random(1);
    for (int i = 0; i < 20; ++i) {
      int64_t first = random() % result.numElements();
      int64_t count = random() % (result.numElements() - first + 1);
      HostTensor part = HostTensor::allocate(dtype, {count});
      reader->read(first, count, part.data);
      for (int64_t j = 0; j < count; ++j)
        ASSERT_EQ(part.get(j), expected.values[first + j]) << text;
    }
  }
  std::string refusal(const std::string &text, Sizes shape,
                      DType dtype = DType::F32) {
    std::string error;
    HostTensor result =
        evaluate(*checkpoint, parsed(text), dtype, shape, error);
    EXPECT_FALSE(result.data) << text;
    return error;
  }

  Elements whole;
  std::unique_ptr<Checkpoint> checkpoint;
};

} // namespace

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

TEST(TensorExpression, PrintsWhatItParses) {
  TensorExpression expression =
      parsed(" a.{e}.w |every( 1,0 , 2)|transpose(2,1) | reshape(4,2)  ");
  EXPECT_EQ(expression.print(),
            "a.{e}.w | every(1, 0, 2) | transpose(2, 1) | reshape(4, 2)");
  EXPECT_TRUE(parsed(expression.print()) == expression);
  EXPECT_EQ(expression.names(2), (std::vector<std::string>{"a.0.w", "a.1.w"}));
  EXPECT_EQ(parsed("w | first(0, 3) | part(0, 1, 3)").names(2),
            std::vector<std::string>{"w"});
}

TEST(TensorExpression, SaysWhereItIsWrong) {
  auto check = [](const std::string &text, const std::string &problem) {
    std::string error;
    EXPECT_FALSE(TensorExpression::parse(text, error)) << text;
    EXPECT_HAS(error, problem);
  };
  check("", "expected the name of a tensor (column 1)");
  check("| part(0, 0, 2)", "expected the name of a tensor (column 1)");
  check("a b", "expected '|' (column 3)");
  check("a |", "expected one of transpose(A, B)");
  check("a | slice(1)", "(column 5)");
  check("a | part(0, 0)", "expected part(AXIS, I, N) (column 5)");
  check("a | part(0, 2, 2)", "part 2 of 2");
  check("a | every(0, 0, 0)", "part 0 of 0");
  check("a | first(64, 1)", "an axis of 64");
  check("a | first(0, -1)", "expected a number (column 14)");
  check("a | first(0, 1", "expected ')' (column 15)");
  check("a | reshape()", "expected a number");
  check("a | reshape(9223372036854775808)", "beyond 2^63 - 1");
  check("a | reshape(4294967296, 4294967296)", "overflows");
  check("a.{e}.{e}", "one '{e}' and no other braces (column 7)");
  check("a.{E}", "(column 3)");
}

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

TEST(TensorReader, DoesAsTheStepsSay) {
  for (const char *type : {"F32", "F64", "F16", "BF16"}) {
    Experts experts(2, 6, 10, type);
    for (DType dtype : {DType::F32, DType::BF16}) {
      for (const char *steps :
           {"", " | transpose(1, 2)", " | part(1, 1, 2)", " | part(2, 1, 5)",
            " | every(1, 1, 3)", " | every(2, 0, 2)",
            " | every(2, 1, 2) | transpose(1, 2)", " | first(2, 7)",
            " | reshape(2, 3, 2, 10) | every(2, 1, 2)",
            " | transpose(1, 2) | reshape(2, 60)",
            " | part(1, 0, 3) | part(2, 1, 2) | reshape(2, 10)"})
        for (const char *name : {"e.{e}.w", "all"})
          experts.check(std::string(name) + steps, dtype);
      for (const char *steps :
           {" | transpose(0, 1)", " | transpose(0, 2)", " | first(0, 1)",
            " | reshape(12, 10)", " | every(0, 1, 2)",
            " | transpose(0, 2) | reshape(5, 24) | transpose(0, 1)"})
        experts.check(std::string("all") + steps, dtype);
    }
  }
}

TEST(TensorReader, ReadsLargeTensors) {
  // Beyond a chunk and a tile, and no multiple of either.
  Experts experts(3, 331, 517);
  for (const char *steps :
       {"", " | transpose(1, 2)", " | every(2, 1, 11)", " | every(1, 0, 331)"})
    experts.check(std::string("e.{e}.w") + steps);
  experts.check("all | transpose(0, 2)");
}

TEST(TensorReader, ReadsAcrossExperts) {
  // As many experts as rows and columns, so that steps may exchange them.
  Experts experts(40, 40, 40);
  for (const char *steps : {" | transpose(0, 1)", " | transpose(0, 2)",
                            " | transpose(0, 2) | transpose(1, 2)"})
    experts.check(std::string("e.{e}.w") + steps);
}

TEST(TensorReader, ReadsWhatIsNotAligned) {
  for (size_t gap : {1, 3}) {
    Experts experts(2, 4, 6, "F32", gap);
    experts.check("e.{e}.w");
    experts.check("e.{e}.w | transpose(1, 2)");
    experts.check("e.{e}.w", DType::F64);
  }
}

TEST(TensorReader, CopiesOnlyWhatItHasTo) {
  Experts experts(1, 4, 6);
  auto isView = [&](const std::string &text, DType dtype, Sizes shape) {
    std::string error;
    std::optional<TensorReader> reader = TensorReader::make(
        *experts.checkpoint, parsed(text), dtype, shape, error);
    EXPECT_TRUE(reader) << error;
    bool isView = reader && reader->isView();
    const char *data =
        experts.checkpoint->getData(*experts.checkpoint->find("e.0.w"));
    HostTensor tensor = reader->get("w");
    bool isInFile = tensor.dataAs<char>() >= data &&
                    tensor.dataAs<char>() < data + 4 * 6 * 4;
    EXPECT_EQ(isView, isInFile);
    return isView;
  };
  EXPECT_TRUE(isView("e.0.w", DType::F32, {4, 6}));
  EXPECT_TRUE(isView("e.{e}.w", DType::F32, {1, 4, 6}));
  EXPECT_TRUE(isView("e.0.w | part(0, 1, 2)", DType::F32, {2, 6}));
  EXPECT_TRUE(isView("e.0.w | reshape(2, 12) | first(0, 1)", DType::F32, {12}));
  EXPECT_FALSE(isView("e.0.w | part(1, 0, 2)", DType::F32, {4, 3}));
  EXPECT_FALSE(isView("e.0.w", DType::BF16, {4, 6}));
}

TEST(TensorReader, RoundsToNearestEven) {
  TestFolder folder;
  // Halves between neighbours of bf16, whose last bits are even and odd; and
  // what would become one of them if it went through f32.
  std::vector<double> values = {1 + 0x1p-8,
                                1 + 0x1p-7 + 0x1p-8,
                                1 + 0x1p-8 + 0x1p-40,
                                -1 - 0x1p-8,
                                65536.0,
                                0x1p-24};
  std::string path = folder.write(
      "a.safetensors", safetensors({{"w", "F64", {6}, bytesOf(values)}}));
  std::string error;
  std::unique_ptr<Checkpoint> checkpoint = Checkpoint::open(path, error);
  ASSERT_TRUE(checkpoint) << error;
  HostTensor bf16 = evaluate(*checkpoint, parsed("w"), DType::BF16, {6}, error);
  ASSERT_TRUE(bf16.data) << error;
  std::vector<double> expected = {1,  1 + 0x1p-6, 1 + 0x1p-7,
                                  -1, 65536,      0x1p-24};
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(bf16.get(i), expected[i]) << i;
  HostTensor f16 = evaluate(*checkpoint, parsed("w"), DType::F16, {6}, error);
  EXPECT_TRUE(std::isinf(f16.get(4)));
  EXPECT_EQ(f16.get(5), 0x1p-24);
}

TEST(TensorReader, KeepsBlocksWhole) {
  TestFolder folder;
  GGUFBytes gguf;
  std::string bytes;
  for (int i = 0; i < 2 * 4 * 2 * 18; ++i)
    bytes += static_cast<char>(i);
  gguf.tensor("w", {64, 4, 2}, 2, bytes);
  std::string error;
  std::unique_ptr<Checkpoint> checkpoint =
      Checkpoint::open(folder.write("m.gguf", gguf.file()), error);
  ASSERT_TRUE(checkpoint) << error;
  auto get = [&](const std::string &text, Sizes shape) {
    error.clear();
    return evaluate(*checkpoint, parsed(text), DType::I8, shape, error);
  };
  HostTensor rows = get("w | every(1, 1, 2)", {2, 2, 36});
  ASSERT_TRUE(rows.data) << error;
  EXPECT_EQ(rows.dataAs<char>()[0], bytes[36]);
  EXPECT_EQ(rows.dataAs<char>()[36], bytes[3 * 36]);
  HostTensor half = get("w | part(2, 1, 2)", {2, 4, 18});
  ASSERT_TRUE(half.data) << error;
  EXPECT_EQ(half.dataAs<char>()[18], bytes[36 + 18]);
  EXPECT_TRUE(get("w | reshape(8, 36)", {8, 36}).data) << error;
  // As formats have them: the blocks of a row along an axis.
  EXPECT_TRUE(get("w", {2, 4, 2, 18}).data) << error;
  EXPECT_FALSE(get("w", {2, 4, 18, 2}).data);
  for (const char *text :
       {"w | transpose(1, 2)", "w | every(2, 0, 2)", "w | part(2, 0, 4)",
        "w | first(2, 20)", "w | reshape(2, 48, 3)"}) {
    EXPECT_FALSE(get(text, {1}).data);
    EXPECT_HAS(error, "cut through blocks of 18 bytes");
  }
}

TEST(TensorReader, SaysWhatDoesNotFit) {
  Experts experts(3, 4, 6);
  EXPECT_HAS(experts.refusal("e.{e}.w", {8, 4, 6}),
             experts.path + ": lacks 5 tensors 'e.3.w', 'e.4.w', 'e.5.w', ...");
  EXPECT_HAS(experts.refusal("nothing", {4, 6}), "lacks tensor 'nothing'");
  std::string error = experts.refusal("e.{e}.w", {3, 4, 5});
  EXPECT_HAS(error, experts.file("e.0.w.safetensors") + ": tensor 'e.0.w'");
  EXPECT_HAS(error, "F32[4x6]");
  EXPECT_HAS(error, "gives [3x4x6]");
  EXPECT_HAS(error, "f32[3x4x5]");
  EXPECT_HAS(experts.refusal("e.0.w | part(0, 0, 3)", {4, 6}),
             "axis 0 has 4 elements, which are not 3 equal parts");
  EXPECT_HAS(experts.refusal("e.0.w | transpose(0, 2)", {4, 6}),
             "there is no axis 2 of 2");
  EXPECT_HAS(experts.refusal("e.0.w | reshape(5, 5)", {5, 5}),
             "there are 24 elements, not 25");
  EXPECT_HAS(experts.refusal("e.0.w", {4, 6}, DType::I32), "cannot become");
  EXPECT_HAS(experts.refusal("e.{e}.w", {}), "one tensor per expert");
  // Far more experts than there are tensors.
  EXPECT_HAS(experts.refusal("e.{e}.w", {int64_t(1) << 40, 0}), "lacks");
}

TEST(TensorReader, StacksOnlyWhatIsAlike) {
  TestFolder folder;
  std::string path = folder.write(
      "a.safetensors", safetensors({{"e0", "F32", {1}, bytesOf(1.0f)},
                                    {"e1", "F32", {1, 1}, bytesOf(2.0f)}}));
  std::string error;
  std::unique_ptr<Checkpoint> checkpoint = Checkpoint::open(path, error);
  ASSERT_TRUE(checkpoint) << error;
  EXPECT_FALSE(
      evaluate(*checkpoint, parsed("e{e}"), DType::F32, {2, 1}, error).data);
  EXPECT_HAS(error, path + ": tensor 'e1' is F32[1x1], and 'e0' is F32[1]");
  // Dimensions of one come and go.
  EXPECT_TRUE(evaluate(*checkpoint, parsed("e1"), DType::F32, {}, error).data);
}
