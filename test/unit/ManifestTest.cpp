//===- ManifestTest.cpp - Reading manifests --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A good one, and one message for each way to be bad.
//
//===----------------------------------------------------------------------===//

#include "TestFiles.h"
#include "moe-mlir/Artifact/ArtifactLibrary.h"

#include <gtest/gtest.h>

using namespace moe;

static const char good[] = R"({
  "version": 2, "abi": 2, "later": {"any": "thing"},
  "functions": [
    {"name": "layer_0", "model": "M", "layer": 0, "sizes": ["T"],
     "arguments": [
       {"name": "x", "dtype": "f32", "shape": ["T", 64]},
       {"name": "experts.gate_up", "dtype": "u8", "shape": [32768], "packed":
         {"layout": "panels", "columns": 32, "interleave": 16, "k_block": 1,
          "k_padded": 64, "n_padded": 64, "experts": 2, "dtype": "f32",
          "sources": [{"name": "g", "part": 0, "first_expert": 0,
                       "first_n": 0, "first_k": 0, "shape": [2, 64, 64],
                       "view": {"offset": 64, "sizes": [2, 32, 64],
                                "strides": [4096, 128, 1]}},
                      {"name": "u", "part": 1, "first_expert": 0,
                       "shape": [2, 32, 64], "dtype": "bf16"}]}}],
     "results": [{"name": "y", "dtype": "f32", "shape": ["T", 64]}],
     "checkpoint": {"g": "a.{e}.g | transpose(1, 2) ", "u": "a.u"},
     "invoke": "layer_0__invoke"},
    {"name": "layer_1", "layer": 1, "alias_of": "layer_0",
     "checkpoint": {"g": "b.g"}}],
  "targets": [{"name": "x86-64-v3", "platform": "x86_64-linux-gnu",
               "needs": 1, "narrows_rows": true,
               "models": [[1, 2], [8591310864, 8591310879]]}]})";

TEST(Manifest, Parses) {
  Manifest manifest;
  std::string error;
  ASSERT_TRUE(parseManifest(good, "m.json", manifest, error)) << error;
  ASSERT_EQ(manifest.functions.size(), 2u);
  const FunctionDesc &function = manifest.functions[0];
  EXPECT_EQ(function.model, "M");
  EXPECT_EQ(function.layer, 0);
  EXPECT_EQ(function.checkpoint.at("g"), "a.{e}.g | transpose(1, 2) ");
  // An alias has its own, and all of it.
  EXPECT_EQ(manifest.functions[1].checkpoint.size(), 1u);
  EXPECT_EQ(function.getWeights().size(), 2u);
  ASSERT_EQ(function.arguments.size(), 2u);
  EXPECT_EQ(function.arguments[0].describe(), "f32[Tx64]");
  EXPECT_EQ(function.resolve(function.arguments[0], {7}),
            (std::vector<int64_t>{7, 64}));
  const PackSpec &spec = *function.arguments[1].packed;
  EXPECT_EQ(spec.numBytes(), 32768);
  EXPECT_EQ(spec.sources[0].shape, (std::vector<int64_t>{2, 64, 64}));
  EXPECT_EQ(spec.sources[0].view,
            (PackView{64, {2, 32, 64}, {4096, 128, 1}}));
  EXPECT_EQ(spec.sources[1].view, PackView::whole({2, 32, 64}));
  EXPECT_EQ(spec.sources[0].dtype, DType::F32);
  EXPECT_EQ(spec.sources[1].dtype, DType::BF16);
  ASSERT_EQ(manifest.targets[0].models.size(), 2u);
  EXPECT_EQ(manifest.targets[0].models[1].last, 8591310879u);
  EXPECT_EQ(function.variant, "");
  const FunctionDesc &alias = manifest.functions[1];
  EXPECT_EQ(alias.invoke, "layer_0__invoke");
  EXPECT_EQ(alias.arguments.size(), 2u);
  EXPECT_EQ(alias.sizes, std::vector<std::string>{"T"});
  EXPECT_TRUE(manifest.select("layer_1", error));
  EXPECT_FALSE(manifest.select("", error));
  EXPECT_EQ(error, "which function? choose one with --entry=; there are: "
                   "layer_0, layer_1");
  EXPECT_FALSE(manifest.select("layer_2", error));
}

static const char stored[] = R"({
  "version": 2, "abi": 2,
  "functions": [
    {"name": "f", "sizes": [], "results": [], "arguments": [
       {"name": "up", "dtype": "u8", "shape": [2304], "packed":
         {"layout": "blocks", "columns": 32, "interleave": 0, "block": 32,
          "k_padded": 64, "n_padded": 32, "experts": 2, "dtype": "i8",
          "fields": [{"storage": 1, "offset": 0, "bytes": 2, "unit": 2,
                      "float": "f16", "range": {"dtype": "f16", "center": 0.5,
                      "spread": 0.25, "has_size": 1}},
                     {"storage": 0, "offset": 0, "bytes": 16, "unit": 4}],
          "storage": [{"name": "q", "bytes": 16, "rows": 1, "blocks": 1},
                      {"name": "d", "bytes": 2, "rows": 8, "blocks": 0}],
          "sources": [{"name": "up", "part": 0, "first_expert": 0,
                       "dtype": "f32", "shape": [2, 20, 64], "storage": [
                       {"name": "up.q", "dtype": "i8", "shape": [2, 20, 32]},
                       {"name": "up.d", "dtype": "f16", "shape": [2, 3]}]}]
         }}]}]})";

TEST(Manifest, ParsesStoredWeights) {
  Manifest manifest;
  std::string error;
  ASSERT_TRUE(parseManifest(stored, "m.json", manifest, error)) << error;
  const PackSpec &spec = *manifest.functions[0].arguments[0].packed;
  ASSERT_TRUE(spec.isBlocks());
  EXPECT_EQ(spec.kBlock, 32);
  EXPECT_EQ(spec.bytesPerBlock(), 18);
  ASSERT_EQ(spec.fields.size(), 2u);
  EXPECT_EQ(spec.fields[0].dtype, DType::F16);
  EXPECT_EQ(spec.fields[1].dtype, DType::I8);
  EXPECT_EQ(spec.fields[1].unit, 4);
  EXPECT_FALSE(spec.fields[1].range);
  EXPECT_EQ(spec.storage[1].name, "d");
  EXPECT_EQ(spec.storage[1].rows, 8);
  EXPECT_EQ(spec.storage[1].blocks, 0);
  const PackSource &source = spec.sources[0];
  EXPECT_EQ(source.view, PackView::whole({2, 20, 64}));
  ASSERT_EQ(source.getTensors().size(), 2u);
  EXPECT_EQ(source.storage[1].name, "up.d");
  EXPECT_EQ(source.storage[1].shape, (std::vector<int64_t>{2, 3}));
  StoredGroup group = spec.getGroup(source, 1);
  EXPECT_EQ(group.bytes, 2);
  ASSERT_EQ(group.numbers.size(), 1u);
  EXPECT_EQ(group.numbers[0].range.center, 0.5 / 8);
  EXPECT_EQ(group.numbers[0].range.scale, 0.25 / 8);
  EXPECT_TRUE(spec.getGroup(source, 0).numbers.empty());

  for (auto [from, to, message] :
       {std::tuple{"\"block\": 32", "\"k_block\": 32", "lacks \"block\""},
        {"\"fields\"", "\"field\"", "lacks \"fields\""},
        {"\"float\": \"f16\"", "\"float\": \"f17\"",
         "fields[0].float: unknown element type 'f17'"},
        {"\"center\": 0.5", "\"center\": \"x\"",
         "fields[0].range.center: expected a number"},
        {"\"bytes\": 16, \"unit\"", "\"bytes\": 17, \"unit\"",
         "a field of 17 bytes in units of 4"},
        {"[2, 3]", "[2, 4]", "source 'up' is stored in 'up.d' of f16[2x4]"},
        {"\"shape\": [2304]", "\"shape\": [2305]",
         "packed weights of 2304 bytes"}}) {
    std::string text = stored;
    size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, std::string(from).size(), to);
    EXPECT_FALSE(parseManifest(text, "m.json", manifest, error)) << to;
    EXPECT_NE(error.find(message), std::string::npos) << error;
  }
}

TEST(Manifest, Rejects) {
  struct Case {
    const char *from, *to, *message;
  };
  const Case cases[] = {
      {"\"version\": 2", "\"version\": 1",
       "version: 1 is not supported (expected 2); compile the model again"},
      {"\"version\": 2", "\"version\": 3", "version: 3 is not supported"},
      {"\"version\": 2,", "", "lacks \"version\""},
      {"\"abi\": 2,", "",
       "abi: the code is for version 1 of the runtime's interface, and this is "
       "version 2; run moe-compile again"},
      {"\"abi\": 2", "\"abi\": 3", "abi: the code is for version 3 of"},
      {"\"abi\": 2", "\"abi\": \"2\"",
       "manifest.abi: expected a non-negative integer"},
      {"\"functions\": [", "\"functions\": 5, \"f\": [",
       "functions: expected a list"},
      {"\"name\": \"layer_0\",", "", "functions[0]: lacks \"name\""},
      {"\"name\": \"layer_1\"", "\"name\": \"layer_0\"",
       "a second function 'layer_0'"},
      {"\"dtype\": \"f32\", \"shape\": [\"T\"",
       "\"dtype\": \"f31\", \"shape\": [\"T\"",
       "functions[0].arguments[0].dtype: unknown element type 'f31'"},
      {"\"shape\": [\"T\", 64]}", "\"shape\": [\"U\", 64]}",
       "'U' is not one of the function's sizes"},
      {"\"shape\": [\"T\", 64]}", "\"shape\": [\"T\", -64]}",
       "shape[1]: expected a non-negative integer"},
      {"\"shape\": [\"T\", 64]}", "\"shape\": [\"T\", 4294967296, 4294967296]}",
       "overflows"},
      {"\"shape\": [32768]", "\"shape\": [32767]",
       "packed weights of 32768 bytes, but the argument is u8[32767]"},
      {"\"columns\": 32", "\"columns\": 31", "columns = 31"},
      {"\"experts\": 2", "\"experts\": 1e300",
       "expected a non-negative integer"},
      {"\"experts\": 2", "\"experts\": 4611686018427387904",
       "do not make a tensor"},
      {"\"part\": 1", "\"part\": 0", "two sources for expert 0"},
      {"\"offset\": 64", "\"offset\": 65",
       "source 'g' uses elements that its shape does not have"},
      {"\"sizes\": [2, 32, 64]", "\"sizes\": [2, 32]",
       "sources[0].view.sizes: expected three numbers"},
      {"\"shape\": [2, 32, 64]", "\"shape\": [4096]",
       "sources[1]: has rank 1 and no \"view\""},
      {"\"alias_of\": \"layer_0\"", "\"alias_of\": \"layer_1\"",
       "functions[1].alias_of: 'layer_1' is not"},
      {"\"sizes\": [\"T\"]", "\"sizes\": [\"T\", \"T\"]",
       "sizes[1]: expected a name"},
      {"\"name\": \"layer_0\"", "\"name\": \"a,b\"",
       "functions[0].name: expected letters, digits and '_', not 'a,b'"},
      {"\"name\": \"layer_0\"", "\"symbol\": \"\", \"name\": \"layer_0\"",
       "functions[0].symbol: expected letters"},
      {"\"invoke\": \"layer_0__invoke\"", "\"invoke\": \"f -o/x\"",
       "functions[0].invoke: expected letters"},
      {"\"sizes\": [\"T\"]", "\"sizes\": [\"T U\"]",
       "sizes[0]: expected a name"},
      {"\"name\": \"layer_0\"",
       "\"workspace\": {\"x\": [[1, 2, 3]]}, \"name\": \"layer_0\"",
       "workspace.x[0]: expected a size and its bytes"},
      {"transpose(1, 2)", "transpose(1)",
       "functions[0].checkpoint.g: expected transpose(A, B) (column 11)"},
      {"\"a.u\"", "5", "functions[0].checkpoint.u: expected a string"},
      {"\"checkpoint\": {\"g\": \"b.g\"}", "\"checkpoint\": []",
       "functions[1].checkpoint: expected an object"},
      {"\"version\": 2", "\"id\": 5, \"version\": 2", "id: expected a string"},
      {"{\"name\": \"x86-64-v3\"", "5, {\"name\": \"x86-64-v3\"",
       "targets[0]: expected an object"},
      {"\"narrows_rows\": true", "\"narrows_rows\": 1",
       "targets[0].narrows_rows: expected true or false"},
      {"\"needs\": 1", "\"needs\": -1",
       "targets[0].needs: expected a non-negative integer"},
      {"[1, 2]", "[2, 1]",
       "targets[0].models[0]: expected the first and the last of models"},
      {"[1, 2]", "[1]",
       "targets[0].models[0]: expected the first and the last of models"},
      {"\"invoke\": \"layer_0__invoke\"", "\"variant\": \"f()\"",
       "functions[0].variant: expected letters"},
      {"{\n", "{[", "m.json: "},
  };
  for (const Case &c : cases) {
    std::string text = good;
    size_t at = text.find(c.from);
    ASSERT_NE(at, std::string::npos) << c.from;
    text.replace(at, std::string(c.from).size(), c.to);
    Manifest manifest;
    std::string error;
    EXPECT_FALSE(parseManifest(text, "m.json", manifest, error)) << c.to;
    EXPECT_NE(error.find(c.message), std::string::npos)
        << error << "\n  expected: " << c.message;
    EXPECT_EQ(error.find("m.json: "), 0u) << error;
    EXPECT_TRUE(manifest.functions.empty());
  }
  Manifest manifest;
  std::string error;
  EXPECT_FALSE(
      parseManifest(std::string(1 << 22, '['), "m.json", manifest, error));
  EXPECT_EQ(error, "m.json: nested too deeply for a manifest");
  for (size_t length = 0; length + 1 < sizeof(good); length += 13)
    EXPECT_FALSE(parseManifest({good, length}, "m.json", manifest, error));
}

TEST(ArtifactLibrary, SaysWhatIsMissing) {
  TestFolder folder;
  std::string error;
  EXPECT_FALSE(ArtifactLibrary::open(folder.file("a.txt"), error));
  EXPECT_NE(error.find("expected BASE.so or BASE.json"), std::string::npos);
  // The id is of what the text means, and not of how it is written.
  Manifest manifest;
  std::string text = good;
  ASSERT_TRUE(parseManifest(text, "", manifest, error)) << error;
  text.insert(1, "\"id\": \"" + manifest.contentId + "\",  \n");
  folder.write("a.json", text);
  EXPECT_TRUE(readManifest(folder.file("a.json"), manifest, error)) << error;
  EXPECT_EQ(manifest.id, manifest.contentId);
  folder.write("b.json", good);
  EXPECT_FALSE(readManifest(folder.file("b.json"), manifest, error));
  EXPECT_NE(error.find("b.json: its id is not that of its contents"),
            std::string::npos)
      << error;
  EXPECT_FALSE(ArtifactLibrary::open(folder.file("a.json"), error));
  EXPECT_NE(error.find("a.so: no such file"), std::string::npos) << error;
  folder.write("a.so", "not a library");
  EXPECT_FALSE(ArtifactLibrary::open(folder.file("a.so"), error));
  EXPECT_EQ(error.find("cannot load "), 0u) << error;
}
