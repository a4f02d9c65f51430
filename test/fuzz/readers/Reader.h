//===- Reader.h - What a reader under test is -------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A reader is a function of bytes from a stranger. It may refuse them, with a
// message; what it accepts is then used as the tools use it.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TEST_FUZZ_READERS_READER_H
#define MOE_TEST_FUZZ_READERS_READER_H

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace moe::fuzz {

struct Reader {
  const char *name;
  void (*read)(std::string_view bytes);
  /// Good inputs, and some that are nearly good, to start from.
  std::vector<std::string> (*seeds)();
};

void readSafetensors(std::string_view bytes);
std::vector<std::string> safetensorsSeeds();
void readNpy(std::string_view bytes);
std::vector<std::string> npySeeds();
void readStrictJSON(std::string_view bytes);
std::vector<std::string> jsonSeeds();
void readManifest(std::string_view bytes);
std::vector<std::string> manifestSeeds();
void readWeights(std::string_view bytes);
std::vector<std::string> weightsSeeds();
void readProfile(std::string_view bytes);
std::vector<std::string> profileSeeds();
void readGGUF(std::string_view bytes);
std::vector<std::string> ggufSeeds();
void readIndex(std::string_view bytes);
std::vector<std::string> indexSeeds();
void readExpression(std::string_view bytes);
std::vector<std::string> expressionSeeds();
void readConfig(std::string_view bytes);
std::vector<std::string> configSeeds();
void readOnnx(std::string_view bytes);
std::vector<std::string> onnxSeeds();
void readIR(std::string_view bytes);
std::vector<std::string> irSeeds();

inline const Reader readers[] = {
    {"safetensors", readSafetensors, safetensorsSeeds},
    {"npy", readNpy, npySeeds},
    {"strict-json", readStrictJSON, jsonSeeds},
    {"manifest", readManifest, manifestSeeds},
    {"weights", readWeights, weightsSeeds},
    {"profile", readProfile, profileSeeds},
    {"gguf", readGGUF, ggufSeeds},
    {"index", readIndex, indexSeeds},
    {"expression", readExpression, expressionSeeds},
    {"config", readConfig, configSeeds},
    {"onnx", readOnnx, onnxSeeds},
    {"ir", readIR, irSeeds},
};

/// A file of these bytes whose name ends in `suffix`; the same one each time.
std::string asFile(std::string_view bytes, const char *suffix);
std::string fileBytes(const std::string &path);
/// A folder of this process for asFile() and for seeds that are written.
const std::string &folder();

/// What no reader may do.
[[noreturn]] inline void fail(const std::string &what) {
  std::fprintf(stderr, "reader: %s\n", what.c_str());
  std::abort();
}

/// A refusal of `bytes` says why. Messages quote what they refuse.
inline void checkRefusal(const std::string &error, std::string_view bytes) {
  if (error.empty())
    fail("refused without a message");
  if (error.find(" bug") != std::string::npos &&
      bytes.find("bug") == std::string_view::npos)
    fail("the message speaks of a bug: " + error);
}

} // namespace moe::fuzz

#endif // MOE_TEST_FUZZ_READERS_READER_H
