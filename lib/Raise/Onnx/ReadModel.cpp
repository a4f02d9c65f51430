//===- ReadModel.cpp - The messages of a .onnx file ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Numbers of fields are those of onnx.proto. Fields that are not named here are
// skipped.
//
//===----------------------------------------------------------------------===//

#include "ReadTensor.h"
#include "Wire.h"
#include "moe-mlir/Support/GitLFS.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/ConvertUTF.h"
#include "llvm/Support/JSON.h"

using namespace moe;
using namespace moe::onnx;
using llvm::StringRef;
using llvm::Twine;

/// A later one may say the same words in another sense.
static constexpr int64_t newestIR = 14;
/// Before 13, axes are attributes and Softmax is another operation.
static constexpr int64_t oldestOpset = 13, newestOpset = 28;
/// A rank beyond this is an attack, not a tensor.
static constexpr size_t maxRank = 64;

namespace {

class Reader {
public:
  Reader(Model &model, std::string &error) : model(model), error(error) {}

  bool read(StringRef bytes);

private:
  bool readOpset(const Field &field);
  bool readFunction(const Field &field);
  bool readGraph(const Field &field);
  bool readNode(const Field &field, Node &node);
  bool readAttribute(const Field &field, NodeAttribute &attribute);
  bool readValue(const Field &field, ValueInfo &value);
  bool readType(const Field &field, ValueInfo &value);
  bool readShape(const Field &field, ValueInfo &value);
  bool checkVersions();

  /// A name, which messages and locations quote.
  bool readText(Message &message, const Field &field, std::string &text,
                const char *name) {
    if (!message.expect(field, Field::Bytes, name))
      return false;
    if (!llvm::json::isUTF8(field.bytes) ||
        field.bytes.find('\0') != StringRef::npos)
      return message.fail(Twine(name) + " is not UTF-8", field.position);
    text = field.bytes.str();
    return true;
  }

  Model &model;
  std::string &error;
  bool hasGraph = false;
};

} // namespace

bool Reader::readOpset(const Field &field) {
  Message message(field, error);
  std::string domain;
  int64_t version = 0;
  for (Field part; !message.atEnd();) {
    if (!message.next(part) ||
        (part.number == 1 &&
         !readText(message, part, domain, "the domain of an operator set")) ||
        (part.number == 2 &&
         !message.expect(part, Field::Varint, "the version of an opset")))
      return false;
    if (part.number == 2)
      version = static_cast<int64_t>(part.value);
  }
  if (domain == "ai.onnx")
    domain.clear();
  if (!model.opsets.emplace(domain, version).second)
    return message.fail("the operator set '" + domain + "' a second time",
                        field.position);
  return true;
}

bool Reader::readFunction(const Field &field) {
  Message message(field, error);
  std::pair<std::string, std::string> function;
  for (Field part; !message.atEnd();)
    if (!message.next(part) ||
        (part.number == 1 &&
         !readText(message, part, function.second, "the name of a function")) ||
        (part.number == 10 &&
         !readText(message, part, function.first, "the domain of a function")))
      return false;
  model.functions.push_back(std::move(function));
  return true;
}

bool Reader::readShape(const Field &field, ValueInfo &value) {
  Message message(field, error);
  value.hasShape = true;
  value.shape.clear();
  for (Field part; !message.atEnd();) {
    if (!message.next(part))
      return false;
    if (part.number != 1)
      continue;
    if (!message.expect(part, Field::Bytes, "a dimension"))
      return false;
    if (value.shape.size() == maxRank)
      return message.fail("a value of more than " + Twine(maxRank) +
                              " dimensions",
                          part.position);
    Dim dim;
    Message inner(part, error);
    for (Field detail; !inner.atEnd();) {
      if (!inner.next(detail))
        return false;
      if (detail.number == 1) {
        if (!inner.expect(detail, Field::Varint, "a size"))
          return false;
        dim.size = static_cast<int64_t>(detail.value);
        if (dim.size < 0)
          return inner.fail("a dimension of " + Twine(dim.size),
                            detail.position);
      } else if (detail.number == 2 &&
                 !readText(inner, detail, dim.name, "the name of a dimension"))
        return false;
    }
    value.shape.push_back(std::move(dim));
  }
  return true;
}

bool Reader::readType(const Field &field, ValueInfo &value) {
  Message message(field, error);
  for (Field part; !message.atEnd();) {
    if (!message.next(part))
      return false;
    if (part.number != 1) {
      if (part.number == 4 || part.number == 5 || part.number == 8 ||
          part.number == 9)
        value.problem = "a sequence, map, sparse tensor or optional value";
      continue;
    }
    if (!message.expect(part, Field::Bytes, "a type"))
      return false;
    Message inner(part, error);
    for (Field detail; !inner.atEnd();) {
      if (!inner.next(detail))
        return false;
      if (detail.number == 1) {
        if (!inner.expect(detail, Field::Varint, "a type of elements"))
          return false;
        int64_t number = static_cast<int64_t>(detail.value);
        value.type = findElementType(number);
        value.problem =
            value.type ? "" : "a tensor of " + nameElementType(number);
      } else if (detail.number == 2 &&
                 !(inner.expect(detail, Field::Bytes, "a shape") &&
                   readShape(detail, value)))
        return false;
    }
  }
  return true;
}

bool Reader::readValue(const Field &field, ValueInfo &value) {
  Message message(field, error);
  value.problem = "a value without a type";
  for (Field part; !message.atEnd();)
    if (!message.next(part) ||
        (part.number == 1 &&
         !readText(message, part, value.name, "the name of a value")) ||
        (part.number == 2 && !(message.expect(part, Field::Bytes, "a type") &&
                               readType(part, value))))
      return false;
  return true;
}

bool Reader::readAttribute(const Field &field, NodeAttribute &attribute) {
  Message message(field, error);
  auto setKind = [&](int64_t kind) {
    if (attribute.kind == NodeAttribute::None)
      attribute.kind = kind;
  };
  for (Field part; !message.atEnd();) {
    if (!message.next(part))
      return false;
    std::string text;
    switch (part.number) {
    case 1:
      if (!readText(message, part, attribute.name, "the name of an attribute"))
        return false;
      break;
    case 2:
      if (!message.expect(part, Field::Fixed32, "a float"))
        return false;
      attribute.number =
          llvm::bit_cast<float>(static_cast<uint32_t>(part.value));
      setKind(NodeAttribute::Float);
      break;
    case 3:
      if (!message.expect(part, Field::Varint, "an integer"))
        return false;
      attribute.integer = static_cast<int64_t>(part.value);
      setKind(NodeAttribute::Int);
      break;
    case 4:
      if (!message.expect(part, Field::Bytes, "a string"))
        return false;
      attribute.text = part.bytes.str();
      setKind(NodeAttribute::String);
      break;
    case 5:
      if (!message.expect(part, Field::Bytes, "a tensor"))
        return false;
      attribute.tensor.emplace();
      if (!readTensor(part, model, *attribute.tensor, error))
        return false;
      setKind(NodeAttribute::TensorValue);
      break;
    case 6:
    case 11:
      setKind(NodeAttribute::Graph);
      break;
    case 7:
      if (!message.floats(part, attribute.floats))
        return false;
      setKind(NodeAttribute::Floats);
      break;
    case 8:
      if (!message.varints(part, attribute.integers))
        return false;
      setKind(NodeAttribute::Ints);
      break;
    case 9:
      if (!message.expect(part, Field::Bytes, "a string"))
        return false;
      attribute.strings.push_back(part.bytes.str());
      setKind(NodeAttribute::Strings);
      break;
    case 20:
      if (!message.expect(part, Field::Varint, "the kind of an attribute"))
        return false;
      attribute.kind = static_cast<int64_t>(part.value);
      break;
    case 21:
      if (!readText(message, part, attribute.reference,
                    "a reference to an attribute"))
        return false;
      break;
    default:
      break;
    }
  }
  return true;
}

bool Reader::readNode(const Field &field, Node &node) {
  Message message(field, error);
  node.position = field.position;
  for (Field part; !message.atEnd();) {
    if (!message.next(part))
      return false;
    std::string text;
    switch (part.number) {
    case 1:
    case 2:
      if (!readText(message, part, text, "the name of a value"))
        return false;
      (part.number == 1 ? node.inputs : node.outputs)
          .push_back(std::move(text));
      break;
    case 3:
      if (!readText(message, part, node.name, "the name of a node"))
        return false;
      break;
    case 4:
      if (!readText(message, part, node.op, "the operator of a node"))
        return false;
      break;
    case 5:
      node.attributes.emplace_back();
      if (!message.expect(part, Field::Bytes, "an attribute") ||
          !readAttribute(part, node.attributes.back()))
        return false;
      break;
    case 7:
      if (!readText(message, part, node.domain, "the domain of a node"))
        return false;
      break;
    default:
      break;
    }
  }
  if (node.domain == "ai.onnx")
    node.domain.clear();
  return true;
}

bool Reader::readGraph(const Field &field) {
  Message message(field, error);
  for (Field part; !message.atEnd();) {
    if (!message.next(part))
      return false;
    auto readInto = [&](auto &list, auto read) {
      list.emplace_back();
      return message.expect(part, Field::Bytes, "a part of the graph") &&
             read(list.back());
    };
    bool good = true;
    switch (part.number) {
    case 1:
      good = readInto(model.nodes,
                      [&](Node &node) { return readNode(part, node); });
      break;
    case 2:
      good = readText(message, part, model.name, "the name of the graph");
      break;
    case 5:
      good = readInto(model.initializers, [&](Tensor &tensor) {
        return readTensor(part, model, tensor, error);
      });
      break;
    case 11:
    case 12:
    case 13:
      good = readInto(part.number == 11   ? model.inputs
                      : part.number == 12 ? model.outputs
                                          : model.values,
                      [&](ValueInfo &value) { return readValue(part, value); });
      break;
    case 15:
      return message.fail("a sparse initializer; make it a dense one",
                          part.position);
    default:
      break;
    }
    if (!good)
      return false;
  }
  return true;
}

bool Reader::checkVersions() {
  auto fail = [&](const Twine &what) {
    error = what.str();
    return false;
  };
  if (model.irVersion < 3 || model.irVersion > newestIR)
    return fail("is of version " + Twine(model.irVersion) +
                " of the format (ir_version); supported are 3 to " +
                Twine(newestIR));
  auto found = model.opsets.find("");
  if (found == model.opsets.end())
    return fail("does not say which version of ONNX's operators it uses "
                "(opset_import)");
  if (found->second < oldestOpset || found->second > newestOpset)
    return fail("uses opset " + Twine(found->second) + "; supported are " +
                Twine(oldestOpset) + " to " + Twine(newestOpset) +
                "; export it with another opset_version");
  return true;
}

bool Reader::read(StringRef bytes) {
  Message message(bytes, 0, error);
  std::vector<Field> graphs;
  for (Field part; !message.atEnd();) {
    if (!message.next(part))
      return false;
    switch (part.number) {
    case 1:
      if (!message.expect(part, Field::Varint, "the version of the format"))
        return false;
      model.irVersion = static_cast<int64_t>(part.value);
      break;
    case 7:
      if (!message.expect(part, Field::Bytes, "the graph"))
        return false;
      if (!graphs.empty())
        return message.fail("a second graph", part.position);
      graphs.push_back(part);
      break;
    case 8:
      if (!message.expect(part, Field::Bytes, "an operator set") ||
          !readOpset(part))
        return false;
      break;
    case 25:
      if (!message.expect(part, Field::Bytes, "a function") ||
          !readFunction(part))
        return false;
      break;
    default:
      break;
    }
  }
  if (graphs.empty()) {
    error = "no ONNX model: it has no graph";
    return false;
  }
  return checkVersions() && readGraph(graphs.front());
}

std::string Node::describe() const {
  std::string text = name.empty() && !outputs.empty()
                         ? "the node of '" + outputs.front() + "'"
                         : "node '" + name + "'";
  return text + " (" + (domain.empty() ? "" : domain + ".") + op + ")";
}

bool moe::onnx::readModel(const std::string &path, Model &model,
                          std::string &error) {
  model = {};
  model.path = path;
  MappedFile &file = model.files[path];
  if (!file.open(path, error))
    return false;
  StringRef bytes(file.data, file.size);
  std::string pointer = describeLFSPointer({file.data, file.size});
  if (!pointer.empty()) {
    error = path + ": " + pointer;
    return false;
  }
  if (Reader(model, error).read(bytes))
    return true;
  // Files of external data have said their own path.
  if (!StringRef(error).starts_with(path + ": "))
    error = path + ": " + error;
  return false;
}
