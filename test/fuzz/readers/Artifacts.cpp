//===- Artifacts.cpp - Manifests and packed weights -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Reader.h"

#include "moe-mlir/Artifact/ContentId.h"
#include "moe-mlir/Artifact/FunctionInputs.h"
#include "moe-mlir/Support/TensorIO.h"

using namespace moe;

static bool parse(std::string_view text, std::string_view bytes,
                  Manifest &manifest) {
  std::string error;
  if (parseManifest(text, "m.json", manifest, error))
    return true;
  fuzz::checkRefusal(error, bytes);
  return false;
}

void fuzz::readManifest(std::string_view bytes) {
  Manifest manifest;
  if (!parse(bytes, bytes, manifest))
    return;
  std::string error;
  (void)manifest.select("", error);
  for (const FunctionDesc &function : manifest.functions) {
    if (manifest.find(function.name) != &function)
      fail("a function that is not found by its name");
    std::vector<int64_t> sizes(function.sizes.size(), 3);
    for (const auto *list : {&function.arguments, &function.results})
      for (const ArgumentDesc &value : *list) {
        (void)value.describe();
        (void)function.resolve(value, sizes);
        if (!value.packed)
          continue;
        if (!value.packed->verify(error))
          fail("accepted a packing that does not verify: " + error);
        (void)layoutId(*value.packed);
        if (value.packed->numBytes() < 0)
          fail("a negative size");
      }
  }
}

static const char manifestSeed[] = R"({
  "version": 2, "abi": 2, "later": {"any": "thing"},
  "functions": [
    {"name": "layer_0", "model": "M", "layer": 0, "sizes": ["T"],
     "arguments": [
       {"name": "x", "dtype": "f32", "shape": ["T", 4]},
       {"name": "w", "dtype": "u8", "shape": [512], "packed":
         {"layout": "panels", "columns": 16, "interleave": 8, "k_block": 1,
          "k_padded": 4, "n_padded": 16, "experts": 2, "dtype": "f32",
          "sources": [{"name": "g", "part": 0, "first_expert": 0,
                       "shape": [2, 4, 16], "view": {"offset": 1,
                       "sizes": [2, 8, 4], "strides": [64, 2, 16]}},
                      {"name": "u", "part": 1, "first_expert": 0,
                       "shape": [2, 8, 4], "dtype": "bf16"}]}}],
     "results": [{"name": "y", "dtype": "f32", "shape": ["T", 4]}],
     "checkpoint": {"g": "m.{e}.g | transpose(1, 2) ", "u": "m.u"},
     "invoke": "layer_0__invoke"},
    {"name": "layer_1", "layer": 1, "alias_of": "layer_0"}],
  "targets": [{"name": "x86-64-v3", "platform": "x86_64-linux-gnu",
               "needs": 1, "narrows_rows": true}],
  "extensions": ["after-model:cse"], "pass_pipeline": "cse"})";

std::vector<std::string> fuzz::manifestSeeds() {
  return {manifestSeed, R"({"version":2,"abi":2,"functions":[],"targets":[]})",
          R"({"version":2,"abi":2,"functions":[{"name":"f","sizes":["A","B"],)"
          R"("arguments":[{"name":"x","dtype":"bf16","shape":["A","B"]}],)"
          R"("results":[{"name":"y","dtype":"i1","shape":[]}],)"
          R"("invoke":"f__invoke"}],"targets":[{"name":"a","platform":"p",)"
          R"("needs":0,"narrows_rows":false}]})"};
}

/// Two bytes for the length of a manifest, the manifest, and a file of weights
/// for it: what moe-run and moe-pack do with both.
void fuzz::readWeights(std::string_view bytes) {
  if (bytes.size() < 2)
    return;
  size_t length = uint8_t(bytes[0]) | uint8_t(bytes[1]) << 8;
  bytes.remove_prefix(2);
  length = std::min(length, bytes.size());
  Manifest manifest;
  if (!parse(bytes.substr(0, length), bytes, manifest))
    return;
  FunctionInputs inputs;
  std::string error;
  std::string path = asFile(bytes.substr(length), "in.safetensors");
  if (!inputs.packed.addFile(path, error) ||
      !inputs.tensors.addFile(path, error))
    return checkRefusal(error, bytes);
  for (const FunctionDesc &function : manifest.functions) {
    std::vector<int64_t> sizes;
    if (!inputs.bindSizes(function, sizes, error)) {
      checkRefusal(error, bytes);
      sizes.assign(function.sizes.size(), 2);
    }
    if (!inputs.check(manifest, function, &sizes, error)) {
      checkRefusal(error, bytes);
      continue;
    }
    std::vector<HostTensor> arguments;
    if (!inputs.makeArguments(function, sizes, arguments, error))
      checkRefusal(error, bytes);
  }
}

std::vector<std::string> fuzz::weightsSeeds() {
  auto zeros = [](DType dtype, std::vector<int64_t> shape, const char *name) {
    return HostTensor::allocate(dtype, std::move(shape), name);
  };
  std::vector<std::string> seeds;
  std::string manifest = manifestSeed;
  std::string path = folder() + "/seed.safetensors", error;
  for (bool packed : {false, true}) {
    std::vector<HostTensor> tensors = {zeros(DType::F32, {2, 4}, "x")};
    if (packed) {
      tensors.push_back(zeros(DType::U8, {512}, "layer_0/w"));
    } else {
      tensors.push_back(zeros(DType::F32, {2, 8, 4}, "g"));
      tensors.push_back(zeros(DType::BF16, {2, 8, 4}, "u"));
    }
    OutputSet outputs;
    if (!writeSafetensors(outputs, path, tensors, error) ||
        !outputs.commit(error))
      fail(error);
    std::string seed = {char(manifest.size() & 255),
                        char(manifest.size() >> 8)};
    seeds.push_back(seed + manifest + fileBytes(path));
  }
  return seeds;
}
