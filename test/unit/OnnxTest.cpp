//===- OnnxTest.cpp - Models in .onnx files --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Onnx.h"
#include "moe-mlir/Support/TensorIO.h"

#include "OnnxBytes.h"
#include "TestFiles.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"

#include <gtest/gtest.h>

using namespace moe;
using namespace onnxbytes;

namespace {

#define EXPECT_HAS(text, part)                                                 \
  EXPECT_NE((text).find(part), std::string::npos) << (text)

/// The module that a model becomes, as text; empty if it is refused.
std::string readText(const std::string &path, std::string &error) {
  std::unique_ptr<OnnxModel> model = OnnxModel::read(path, error);
  if (!model)
    return {};
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module = model->makeModule(context, error);
  if (!module)
    return {};
  EXPECT_TRUE(mlir::succeeded(mlir::verify(*module)));
  std::string text;
  llvm::raw_string_ostream os(text);
  module->print(os, mlir::OpPrintingFlags().printGenericOpForm());
  return text;
}

std::string accepted(const Text &bytes) {
  TestFolder folder;
  std::string error, text = readText(folder.write("m.onnx", bytes), error);
  EXPECT_FALSE(text.empty()) << error;
  return text;
}

/// The message that a model is refused with, one line with its name.
std::string refusal(const Text &bytes) {
  TestFolder folder;
  std::string error, path = folder.write("m.onnx", bytes);
  EXPECT_EQ(readText(path, error), "");
  EXPECT_EQ(error.rfind(path + ": ", 0), 0u) << error;
  EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  return error;
}

/// `linear` with another tensor for w.
Text withWeight(const Text &weight) {
  Graph graph = linear();
  graph.initializers = {weight};
  return model(graph);
}

/// `linear` with these nodes.
Text withNodes(const Names &nodes) {
  Graph graph = linear();
  graph.nodes = nodes;
  return model(graph);
}

/// A weight in another file.
Text external(const Names &entries) {
  Text text = number(1, 3) + number(1, 4) + number(2, 1) + bytes(8, "w") +
              number(14, 1);
  for (size_t i = 0; i + 1 < entries.size(); i += 2)
    text += bytes(13, bytes(1, entries[i]) + bytes(2, entries[i + 1]));
  return text;
}

} // namespace

//===----------------------------------------------------------------------===//
// What becomes of a model
//===----------------------------------------------------------------------===//

TEST(Onnx, ArgumentsAreInputsAndWeights) {
  std::string text = accepted(model(linear()));
  EXPECT_HAS(text, "sym_name = \"model\"");
  EXPECT_HAS(text, "(tensor<?x4xf32>, tensor<3x4xf32>) -> tensor<?x3xf32>");
  EXPECT_HAS(text,
             "{moe.dims = [\"d0\"], moe.name = \"x\"}, {moe.name = \"w\"}");
  EXPECT_HAS(text, "res_attrs = [{moe.dims = [\"d0\"], moe.name = \"y\"}]");
  EXPECT_HAS(text, "\"onnx.Gemm\"(%arg0, %arg1) {transB = 1 : i64}");
  EXPECT_EQ(text.find("machine"), std::string::npos);
}

TEST(Onnx, SmallTensorsAreConstants) {
  Graph graph = linear();
  graph.nodes = {
      node("Reshape", {"x", "shape"}, {"r"}),
      node("Constant", {}, {"two"}, {bytes(1, "value_int") + number(3, 2)}),
      node("Less", {"two", "two"}, {"b"}),
      node("Clip", {"r", "", "limit"}, {"y"}),
  };
  graph.initializers = {
      tensor("shape", 7, {2}, bytesOf(std::vector<int64_t>{-1, 3})),
      // A list in the message, not raw bytes.
      number(2, 1) + bytes(8, "limit") +
          bytes(4, bytesOf(std::vector<float>{7})),
      // Not used: no argument of the function.
      tensor("unused", 1, {8}, std::string(32, '\0')),
  };
  std::string text = accepted(model(graph));
  EXPECT_HAS(text, "dense<[-1, 3]> : tensor<2xi64>");
  EXPECT_HAS(text, "dense<7.000000e+00> : tensor<f32>");
  EXPECT_HAS(text, "dense<2> : tensor<i64>");
  EXPECT_HAS(text, "(tensor<i64>, tensor<i64>) -> tensor<*xi1>");
  EXPECT_HAS(text, "{onnx_absent = array<i64: 1>} : "
                   "(tensor<*xf32>, tensor<f32>) -> tensor<?x3xf32>");
  EXPECT_EQ(text.find("unused"), std::string::npos);
}

TEST(Onnx, NumbersInMessages) {
  // One number a field, and many in one; halves and bools are such, too.
  Text ints = number(1, 4) + number(2, 7) + bytes(8, "a") + number(7, 5) +
              number(7, -6) + bytes(7, varint(7) + varint(8));
  Text halves = number(1, 2) + number(2, 10) + bytes(8, "b") +
                bytes(5, varint(0x3c00) + varint(0xc000));
  Text bools = number(1, 2) + number(2, 9) + bytes(8, "c") +
               bytes(5, varint(1) + varint(0));
  Graph graph = linear();
  graph.nodes = {node("F", {"x", "a", "b", "c"}, {"y"}, {}, "com.microsoft")};
  graph.initializers = {ints, halves, bools};
  std::string text = accepted(model(graph));
  EXPECT_HAS(text, "dense<[5, -6, 7, 8]> : tensor<4xi64>");
  EXPECT_HAS(text, "dense<[1.000000e+00, -2.000000e+00]> : tensor<2xf16>");
  EXPECT_HAS(text, "dense<[true, false]> : tensor<2xi1>");
  EXPECT_HAS(text, "\"onnx.com.microsoft.F\"");
}

TEST(Onnx, WhatIsScatteredIntoIsAConstant) {
  Graph graph = linear();
  graph.nodes = {node("Shape", {"x"}, {"i"}),
                 node("ScatterND", {"zeros", "i", "w"}, {"y"})};
  graph.initializers.push_back(
      tensor("zeros", 1, {2, 3}, std::string(24, '\0')));
  std::string text = accepted(model(graph));
  EXPECT_HAS(text, "dense<0.000000e+00> : tensor<2x3xf32>");
  EXPECT_EQ(text.find("moe.name = \"zeros\""), std::string::npos);
}

TEST(Onnx, UnsignedOperandsAreMarked) {
  Graph graph = linear();
  graph.nodes = {node("F", {"x", "q"}, {"y"})};
  graph.initializers = {tensor("q", 2, {2, 8}, std::string(16, '\xff'))};
  std::string text = accepted(model(graph));
  EXPECT_HAS(text, "onnx_unsigned = array<i64: 1>");
  EXPECT_HAS(text, "tensor<2x8xi8>");
}

TEST(Onnx, WeightsAreWritten) {
  TestFolder folder;
  Graph graph = linear();
  graph.initializers = {
      external({"location", "sub/w.bin", "offset", "4", "length", "48"})};
  std::string path = folder.write("m.onnx", model(graph)), error;
  std::filesystem::create_directory(folder.file("sub"));
  std::vector<float> numbers(13);
  for (size_t i = 0; i < numbers.size(); ++i)
    numbers[i] = static_cast<float>(i);
  folder.write("sub/w.bin", bytesOf(numbers));
  std::unique_ptr<OnnxModel> opened = OnnxModel::read(path, error);
  ASSERT_TRUE(opened) << error;
  EXPECT_TRUE(opened->hasWeights());
  OutputSet outputs;
  std::string out = folder.file("out.safetensors");
  ASSERT_TRUE(opened->writeWeights(outputs, out, error)) << error;
  ASSERT_TRUE(outputs.commit(error)) << error;
  std::vector<HostTensor> tensors;
  ASSERT_TRUE(readTensors(out, tensors, error)) << error;
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_EQ(tensors[0].name, "w");
  EXPECT_EQ(tensors[0].describe(), "f32[3x4]");
  EXPECT_EQ(tensors[0].get(0), 1);
  EXPECT_EQ(tensors[0].get(11), 12);
}

//===----------------------------------------------------------------------===//
// What is refused
//===----------------------------------------------------------------------===//

TEST(Onnx, CutFiles) {
  Text whole = model(linear());
  // Every beginning of a model is one error, or a model without what follows.
  for (size_t i = 0; i < whole.size(); ++i) {
    TestFolder folder;
    std::string error;
    std::string path = folder.write("m.onnx", whole.substr(0, i));
    if (readText(path, error).empty()) {
      EXPECT_NE(error, "");
    }
  }
  EXPECT_HAS(refusal(""), "no graph");
  EXPECT_HAS(refusal(whole.substr(0, 40)), "(truncated?)");
  // 2^63 bytes, and a number that does not end.
  EXPECT_HAS(refusal(varint(7 << 3 | 2) + varint(uint64_t(1) << 63)),
             "9223372036854775808 bytes");
  EXPECT_HAS(refusal(std::string(20, '\xff')), "more than ten bytes");
  EXPECT_HAS(refusal("{\"model_type\": 1}"), "no ONNX file");
}

TEST(Onnx, Versions) {
  EXPECT_HAS(refusal(model(linear(), 99)),
             "uses opset 99; supported are 13 to 28");
  EXPECT_HAS(refusal(model(linear(), 12)), "uses opset 12");
  EXPECT_HAS(refusal(model(linear(), 20, 99)), "version 99 of the format");
  EXPECT_HAS(refusal(number(1, 10) + bytes(7, linear().message())),
             "opset_import");
}

TEST(Onnx, SizesOfWeights) {
  Text twelve(48, '\0');
  EXPECT_HAS(refusal(withWeight(tensor("w", 1, {3, 5}, twelve))),
             "tensor 'w' has raw_data of 48 bytes, but f32[3x5] takes 60");
  EXPECT_HAS(refusal(withWeight(tensor("w", 1, {3, -4}, twelve))),
             "has a dimension of -4");
  EXPECT_HAS(
      refusal(withWeight(tensor("w", 1, {INT64_MAX, INT64_MAX, 4}, twelve))),
      "overflows");
  EXPECT_HAS(refusal(withWeight(tensor("w", 8, {3, 4}, twelve))),
             "is of strings");
  EXPECT_HAS(refusal(withWeight(tensor("w", 1, Shape(65, 1), twelve))),
             "65 dimensions");
  EXPECT_HAS(refusal(withWeight(number(1, 3) + number(2, 1) + bytes(8, "w") +
                                bytes(4, bytesOf(std::vector<float>{1})))),
             "lists 1 elements, but f32[3] has 3");
}

TEST(Onnx, ExternalData) {
  EXPECT_HAS(refusal(withWeight(external({}))), "'location' is missing");
  EXPECT_HAS(refusal(withWeight(external({"location", "none.bin"}))),
             "cannot open");
  for (const char *outside : {"/etc/hostname", "../w.bin", "a/../../w.bin"})
    EXPECT_HAS(refusal(withWeight(external({"location", outside}))),
               "not beside the model");
  // The model itself is a file beside the model.
  EXPECT_HAS(refusal(withWeight(external(
                 {"location", "m.onnx", "offset", "9223372036854775807"}))),
             "truncated file?");
  EXPECT_HAS(
      refusal(withWeight(external({"location", "m.onnx", "length", "9"}))),
      "has 9 bytes in");
  EXPECT_HAS(
      refusal(withWeight(external({"location", "m.onnx", "offset", "-1"}))),
      "has '-1' for the 'offset'");
}

TEST(Onnx, Graphs) {
  Text relu = node("Relu", {"a"}, {"y"});
  EXPECT_HAS(refusal(withNodes({relu, node("Relu", {"x"}, {"a"})})),
             "node 'Relu_node' (Relu) reads 'a', which is no input, weight or "
             "result of a node in front of it");
  EXPECT_HAS(refusal(withNodes({node("Relu", {"x"}, {"x"})})),
             "makes 'x', which there is already");
  EXPECT_HAS(refusal(withNodes({node("Relu", {"x"}, {"z"})})),
             "output 'y' is made by no node");
  EXPECT_HAS(refusal(withNodes({node(
                 "If", {"x"}, {"y"},
                 {bytes(1, "then_branch") + bytes(6, "") + number(20, 5)})})),
             "'then_branch' is a graph");
  EXPECT_HAS(refusal(withNodes({node("A\"b", {"x"}, {"y"})})),
             "has an operator that is no name");
  EXPECT_HAS(refusal(withNodes(
                 {node("F", {"x"}, {"y"}, {intAttribute("moe.name", 1)})})),
             "is no name of letters");
  EXPECT_HAS(
      refusal(withNodes({node("F", {"x"}, {"y"},
                              {intAttribute("a", 1), intAttribute("a", 2)})})),
      "a second time");
  EXPECT_HAS(
      refusal(model(linear()) + bytes(25, bytes(1, "Gemm") + bytes(10, ""))),
      "calls a function of the model");
  Graph twice = linear();
  twice.initializers.push_back(twice.initializers[0]);
  EXPECT_HAS(refusal(model(twice)), "two initializers are named 'w'");
  Graph typed = linear();
  typed.outputs = {value("y", 7, {-1, 3})};
  EXPECT_HAS(accepted(model(typed)), "-> tensor<?x3xi64>");
  typed.nodes.push_back(node("Relu", {"x"}, {"z"}));
  typed.values = {value("z", 1, {-1, 4})};
  typed.outputs = {bytes(1, "z")};
  EXPECT_HAS(refusal(model(typed)), "value without a type");
  Graph input = linear();
  input.inputs = {bytes(1, "x") + bytes(2, bytes(1, number(1, 1)))};
  EXPECT_HAS(refusal(model(input)), "input 'x' has no shape");
  input.inputs = {value("x", 13, {2, 4})};
  EXPECT_HAS(refusal(model(input)), "is of u64");
}

TEST(Onnx, NamesOfResults) {
  // An output that is an input is a result of another name.
  Graph graph = linear();
  graph.outputs.push_back(value("x", 1, {-1, 4}));
  EXPECT_HAS(accepted(model(graph)), "moe.name = \"x.out\"");
  // A size that is no name in C.
  Graph odd = linear();
  Text shape = bytes(1, bytes(2, "3*S")) + bytes(1, number(1, 4));
  odd.inputs = {bytes(1, "x") +
                bytes(2, bytes(1, number(1, 1) + bytes(2, shape)))};
  EXPECT_HAS(accepted(model(odd)), "moe.dims = [\"d3_S\"]");
}
