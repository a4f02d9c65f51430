//===- Model.h - What a .onnx file says ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Private to lib/Raise/Onnx: the parts of ONNX's messages that are read. What
// only describes (doc_string, metadata_props with the paths of the machine that
// exported) is not.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_RAISE_ONNX_MODEL_H
#define MOE_LIB_RAISE_ONNX_MODEL_H

#include "moe-mlir/Support/MappedFile.h"

#include "llvm/ADT/StringRef.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace moe::onnx {

/// Numbers that the format gives to types of elements.
enum class ElementType : int32_t {
  F32 = 1,
  U8 = 2,
  I8 = 3,
  U16 = 4,
  I16 = 5,
  I32 = 6,
  I64 = 7,
  String = 8,
  Bool = 9,
  F16 = 10,
  F64 = 11,
  U32 = 12,
  U64 = 13,
  BF16 = 16,
  F8E4M3FN = 17,
};

/// What the reader knows of a type of elements.
struct ElementTypeInfo {
  ElementType type;
  const char *name;
  unsigned bytes;
  /// That of weights, if they can be of this type.
  std::optional<DType> dtype;
  bool isUnsigned;
};
/// Null if the reader has no elements of this type.
const ElementTypeInfo *findElementType(int64_t number);
/// "f32", or "of type 15" for what has no name here.
std::string nameElementType(int64_t number);

struct Tensor {
  std::string name;
  const ElementTypeInfo *type = nullptr;
  std::vector<int64_t> shape;
  /// All elements, little-endian and in order: a view of a mapped file, or of
  /// `owned`. A bool takes a byte.
  llvm::StringRef bytes;
  std::shared_ptr<std::string> owned;

  int64_t numElements() const;
  /// "f32[4x32]", for messages.
  std::string describe() const;
};

struct Dim {
  /// -1 for one that has a name or is not known.
  int64_t size = -1;
  std::string name;
};

/// The type of a value.
struct ValueInfo {
  std::string name;
  /// Null if the value is no tensor, or of a type that the reader has not.
  const ElementTypeInfo *type = nullptr;
  /// Why it is null.
  std::string problem;
  bool hasShape = false;
  std::vector<Dim> shape;
};

struct NodeAttribute {
  /// Numbers that the format gives.
  enum Kind {
    None = 0,
    Float = 1,
    Int = 2,
    String = 3,
    TensorValue = 4,
    Graph = 5,
    Floats = 6,
    Ints = 7,
    Strings = 8,
  };
  std::string name, reference;
  int64_t kind = None;
  float number = 0;
  int64_t integer = 0;
  std::string text;
  std::optional<Tensor> tensor;
  std::vector<float> floats;
  std::vector<int64_t> integers;
  std::vector<std::string> strings;
};

struct Node {
  std::string name, op, domain;
  std::vector<std::string> inputs, outputs;
  std::vector<NodeAttribute> attributes;
  uint64_t position = 0;

  /// "node 'n' (MatMul)", for messages.
  std::string describe() const;
};

struct Model {
  std::string path;
  int64_t irVersion = 0;
  /// Versions by domain; that of ONNX is the empty one.
  std::map<std::string, int64_t> opsets;
  std::string name;
  std::vector<Node> nodes;
  std::vector<Tensor> initializers;
  std::vector<ValueInfo> inputs, outputs, values;
  /// Domain and name of functions that the model defines.
  std::vector<std::pair<std::string, std::string>> functions;
  /// Files that tensors are in, by their paths, and the file itself.
  std::map<std::string, MappedFile> files;
};

/// Reads a model. False, with a message that begins with the path, if it is
/// none that can be read.
bool readModel(const std::string &path, Model &model, std::string &error);

} // namespace moe::onnx

#endif // MOE_LIB_RAISE_ONNX_MODEL_H
