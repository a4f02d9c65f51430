//===- ConfigText.cpp - The text of a config.json --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What stands between files and LLVM's parser.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Checkpoint/ConfigText.h"
#include "moe-mlir/Support/GitLFS.h"

using namespace moe;

/// Of UTF-8.
static constexpr llvm::StringLiteral byteOrderMark = "\xef\xbb\xbf";

bool moe::isNestedDeeper(llvm::StringRef json, int deepest) {
  int depth = 0;
  bool inString = false;
  for (size_t i = 0; i < json.size(); ++i) {
    char c = json[i];
    if (inString) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        inString = false;
    } else if (c == '"') {
      inString = true;
    } else if (c == '[' || c == '{') {
      if (++depth > deepest)
        return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

/// Python writes numbers that are not finite as words that JSON does not have,
/// and released files hold some under keys that no layer depends on. In place
/// of them come values that no accessor takes.
static std::string replaceWords(llvm::StringRef json) {
  std::string text;
  text.reserve(json.size());
  bool inString = false;
  while (!json.empty()) {
    if (!inString && json.consume_front("Infinity")) {
      text += "1e999";
    } else if (!inString && json.consume_front("NaN")) {
      text += "\"NaN\"";
    } else {
      size_t length = inString && json.front() == '\\' ? 2 : 1;
      if (json.front() == '"')
        inString = !inString;
      text += json.take_front(length);
      json = json.drop_front(std::min(length, json.size()));
    }
  }
  return text;
}

std::optional<llvm::json::Value> moe::parseConfigText(llvm::StringRef text,
                                                      std::string &problem) {
  constexpr int deepest = 200;
  problem = describeLFSPointer(text);
  if (!problem.empty())
    return std::nullopt;
  // Editors put it there, and JSON has no place for it.
  text.consume_front(byteOrderMark);
  if (isNestedDeeper(text, deepest)) {
    problem = "not a model configuration: nested too deeply";
    return std::nullopt;
  }
  llvm::Expected<llvm::json::Value> value =
      llvm::json::parse(replaceWords(text));
  if (value)
    return std::move(*value);
  problem = "not valid JSON: " + llvm::toString(value.takeError());
  return std::nullopt;
}
