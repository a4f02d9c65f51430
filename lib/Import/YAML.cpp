//===- YAML.cpp - YAML documents as JSON values -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "YAML.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/YAMLParser.h"

using namespace llvm;
using namespace moe::importer;

namespace {

class Converter {
public:
  Converter(yaml::Stream &stream) : stream(stream) {}

  std::optional<json::Value> convert(yaml::Node *node, int depth = 0) {
    if (!node || stream.failed())
      return std::nullopt;
    // LLVM's reader recurses, too.
    if (depth > 50)
      return fail(node, "nested too deeply");
    if (auto *scalar = dyn_cast<yaml::ScalarNode>(node))
      return convertScalar(*scalar);
    if (auto *block = dyn_cast<yaml::BlockScalarNode>(node))
      return json::Value(json::fixUTF8(block->getValue()));
    if (isa<yaml::NullNode>(node))
      return json::Value(nullptr);
    if (auto *sequence = dyn_cast<yaml::SequenceNode>(node)) {
      json::Array array;
      for (yaml::Node &element : *sequence) {
        std::optional<json::Value> value = convert(&element, depth + 1);
        if (!value)
          return std::nullopt;
        array.push_back(std::move(*value));
      }
      return json::Value(std::move(array));
    }
    if (auto *mapping = dyn_cast<yaml::MappingNode>(node))
      return convertMapping(*mapping, depth);
    return fail(node, "anchors and aliases are not understood");
  }

private:
  std::optional<json::Value> fail(yaml::Node *node, const Twine &message) {
    stream.printError(node, message);
    return std::nullopt;
  }

  std::optional<json::Value> convertMapping(yaml::MappingNode &mapping,
                                            int depth) {
    json::Object object;
    for (yaml::KeyValueNode &entry : mapping) {
      auto *key = dyn_cast_or_null<yaml::ScalarNode>(entry.getKey());
      if (!key)
        return fail(&entry, "a key has to be a word");
      SmallString<32> storage;
      std::string name = json::fixUTF8(key->getValue(storage));
      std::optional<json::Value> value = convert(entry.getValue(), depth + 1);
      if (!value)
        return std::nullopt;
      if (!object.try_emplace(name, std::move(*value)).second)
        return fail(&entry, "a second '" + name + "'");
    }
    return json::Value(std::move(object));
  }

  static json::Value convertScalar(yaml::ScalarNode &node) {
    SmallString<64> storage;
    StringRef text = node.getValue(storage);
    StringRef raw = node.getRawValue();
    if (raw.starts_with("\"") || raw.starts_with("'"))
      return json::fixUTF8(text);
    if (text == "null" || text == "~" || text.empty())
      return nullptr;
    if (text == "true" || text == "false")
      return text == "true";
    int64_t integer;
    double number;
    if (!text.getAsInteger(10, integer))
      return integer;
    if (text.find_first_not_of("+-.0123456789eE") == StringRef::npos &&
        !text.getAsDouble(number))
      return number;
    return json::fixUTF8(text);
  }

  yaml::Stream &stream;
};

} // namespace

std::optional<json::Value> moe::importer::parseYAML(StringRef text,
                                                    StringRef fileName,
                                                    std::string &error) {
  SourceMgr sources;
  auto keepFirst = [](const SMDiagnostic &diagnostic, void *context) {
    auto *message = static_cast<std::string *>(context);
    if (message->empty())
      *message = (Twine("line ") + Twine(diagnostic.getLineNo()) + ": " +
                  diagnostic.getMessage())
                     .str();
  };
  std::string problem;
  sources.setDiagHandler(keepFirst, &problem);
  yaml::Stream stream(MemoryBufferRef(text, fileName), sources);
  std::optional<json::Value> value;
  // An empty file has a document, too.
  yaml::document_iterator document = stream.begin();
  if (document != stream.end())
    value = Converter(stream).convert(document->getRoot());
  if (value && !stream.failed() && ++document != stream.end())
    problem = "more than one document";
  if (stream.failed() || !problem.empty() || !value) {
    error = fileName.str() +
            ": not valid YAML: " + (problem.empty() ? "no document" : problem);
    return std::nullopt;
  }
  return value;
}
