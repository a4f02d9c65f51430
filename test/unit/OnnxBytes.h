//===- OnnxBytes.h - ONNX models, byte by byte -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A writer for tests that shares nothing with the reader, and can write what is
// wrong. Numbers of fields are those of onnx.proto.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TEST_UNIT_ONNXBYTES_H
#define MOE_TEST_UNIT_ONNXBYTES_H

#include "CheckpointBytes.h"

#include <string>
#include <vector>

namespace onnxbytes {

using Text = std::string;
using Shape = std::vector<int64_t>;
using Names = std::vector<std::string>;

inline Text varint(uint64_t value) {
  Text bytes;
  for (; value > 0x7f; value >>= 7)
    bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
/// A field that is a number.
inline Text number(int field, int64_t value) {
  return varint(field << 3) + varint(static_cast<uint64_t>(value));
}
/// A field of bytes, a string or a message.
inline Text bytes(int field, const Text &value) {
  return varint(field << 3 | 2) + varint(value.size()) + value;
}

inline Text tensor(const Text &name, int type, const Shape &shape,
                   const Text &raw) {
  Text text;
  for (int64_t size : shape)
    text += number(1, size);
  return text + number(2, type) + bytes(8, name) + bytes(9, raw);
}

/// Sizes of -1 are named `d0`, `d1`, ... by their places.
inline Text value(const Text &name, int type, const Shape &shape) {
  Text dims;
  for (size_t i = 0; i < shape.size(); ++i)
    dims += bytes(1, shape[i] < 0 ? bytes(2, "d" + std::to_string(i))
                                  : number(1, shape[i]));
  return bytes(1, name) + bytes(2, bytes(1, number(1, type) + bytes(2, dims)));
}

inline Text intAttribute(const Text &name, int64_t i) {
  return bytes(1, name) + number(3, i) + number(20, 2);
}

inline Text node(const Text &op, const Names &inputs, const Names &outputs,
                 const Names &attributes = {}, const Text &domain = {}) {
  Text text;
  for (const Text &input : inputs)
    text += bytes(1, input);
  for (const Text &output : outputs)
    text += bytes(2, output);
  text += bytes(3, op + "_node") + bytes(4, op);
  for (const Text &attribute : attributes)
    text += bytes(5, attribute);
  return domain.empty() ? text : text + bytes(7, domain);
}

struct Graph {
  Names nodes, initializers, inputs, outputs, values;

  Text message() const {
    Text text;
    auto add = [&](int field, const Names &list) {
      for (const Text &part : list)
        text += bytes(field, part);
    };
    add(1, nodes);
    text += bytes(2, "main");
    add(5, initializers);
    add(11, inputs);
    add(12, outputs);
    add(13, values);
    return text;
  }
};

inline Text model(const Graph &graph, int64_t opset = 20, int64_t ir = 10) {
  return number(1, ir) + bytes(7, graph.message()) +
         bytes(8, bytes(1, "") + number(2, opset)) +
         bytes(8, bytes(1, "com.microsoft") + number(2, 1)) +
         // Where the exporter ran; nobody wants to know.
         bytes(14, bytes(1, "path") + bytes(2, "/somebody/s/machine"));
}

/// y = x W^T with W of [3, 4], and of as many rows as x has.
inline Graph linear() {
  Graph graph;
  graph.nodes = {node("Gemm", {"x", "w"}, {"y"}, {intAttribute("transB", 1)})};
  graph.initializers = {
      tensor("w", 1, {3, 4}, bytesOf(std::vector<float>(12, 0.5f)))};
  graph.inputs = {value("x", 1, {-1, 4})};
  graph.outputs = {value("y", 1, {-1, 3})};
  return graph;
}

} // namespace onnxbytes

#endif // MOE_TEST_UNIT_ONNXBYTES_H
