//===- Emit.cpp - From programs to code -------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// No exception passes the border: Halide reports all that it finds by them, its
// own errors, too.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Halide/KernelEmitter.h"

#include "Kernels.h"

#include <algorithm>
#include <cstdio>
#include <sstream>

using namespace Halide;
using namespace moe_halide;

Lines moe_halide::splitLines(const std::string &program) {
  Lines lines;
  std::istringstream text(program);
  for (std::string line; std::getline(text, line);) {
    std::istringstream stream(line);
    std::vector<std::string> words;
    for (std::string word; stream >> word;)
      words.push_back(word);
    if (!words.empty())
      lines.push_back(words);
  }
  return lines;
}

uint64_t moe_halide::parseNumber(const std::string &text, uint64_t most) {
  uint64_t number = 0;
  bool isNumber = !text.empty();
  for (char c : text) {
    uint64_t digit = static_cast<uint64_t>(c - '0');
    isNumber &=
        c >= '0' && c <= '9' && digit <= most && number <= (most - digit) / 10;
    if (!isNumber)
      break;
    number = number * 10 + digit;
  }
  if (!isNumber)
    throw Refused("'" + text + "' is no number up to " + std::to_string(most));
  return number;
}

Kernel moe_halide::makeKernel(const std::string &program) {
  Lines lines = splitLines(program);
  if (!lines.empty() && lines.front().front() == "tile")
    return makeTile(lines.front());
  if (!lines.empty() && lines.front().front() == "lanes")
    return makeLanes(lines);
  throw Refused("a program begins with 'tile' or 'lanes'");
}

/// The first line of a message of Halide, which may be several.
static std::string getLine(const std::string &message) {
  std::string line = message.substr(0, message.find('\n'));
  return line.empty() ? "Halide reports an error without a message" : line;
}

/// Calls `body`; what it throws becomes a text, empty if nothing is thrown.
template <typename Body> static std::string catchAll(Body body) {
  try {
    body();
    return {};
  } catch (const Refused &refused) {
    return refused.what();
  } catch (const Error &error) {
    return getLine(error.what());
  } catch (const std::exception &error) {
    return getLine(error.what());
  } catch (...) {
    return "Halide failed for a reason that it does not say";
  }
}

static void emit(const moe_halide_kernel *kernels, size_t count,
                 const char *targetText, int kind, const char *file) {
  Target plain(targetText);
  plain.set_features(
      {Target::NoRuntime, Target::NoAsserts, Target::NoBoundsQuery});
  std::vector<Module> modules;
  for (size_t i = 0; i < count; ++i) {
    Kernel kernel = makeKernel(kernels[i].program);
    Target target = plain;
    // Without it NaN and infinities are undefined, and sums may be reordered.
    if (!kernel.multipliesPairs)
      target.set_feature(Target::StrictFloat);
    modules.push_back(kernel.pipeline.compile_to_module(
        kernel.arguments, kernels[i].name, target));
  }
  Module all = link_modules("moe_halide", modules);
  all.set_any_strict_float(true);
  all.compile({{kind == MOE_HALIDE_ASSEMBLY ? OutputFileType::assembly
                                            : OutputFileType::bitcode,
                file}});
}

int moe_halide_emit(const moe_halide_kernel *kernels, size_t count,
                    const char *target, int kind, const char *file, char *error,
                    size_t room) {
  std::string message =
      catchAll([&] { emit(kernels, count, target, kind, file); });
  if (room)
    std::snprintf(error, room, "%s", message.c_str());
  return message.empty() ? 0 : 1;
}

const char *moe_halide_obstacle(const char *program) {
  static thread_local std::string message;
  message = catchAll([&] { makeKernel(program); });
  return message.c_str();
}

#define MOE_TEXT(X) #X
#define MOE_VALUE(X) MOE_TEXT(X)
const char *moe_halide_version(void) {
  return MOE_VALUE(HALIDE_VERSION_MAJOR) "." MOE_VALUE(
      HALIDE_VERSION_MINOR) "." MOE_VALUE(HALIDE_VERSION_PATCH);
}
