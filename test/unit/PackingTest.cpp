//===- PackingTest.cpp - The layout of packed weights ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Compares with the layout written down once more, element by element.
//
//===----------------------------------------------------------------------===//

#include "TestFiles.h"
#include "moe-mlir/Artifact/ContentId.h"
#include "moe-mlir/Artifact/PackedWeights.h"
#include "moe-mlir/Support/FloatConversions.h"
#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Support/TensorIO.h"

#include <gtest/gtest.h>

#include <cstring>

using namespace moe;

namespace {

int64_t roundUp(int64_t value, int64_t to) {
  return (value + to - 1) / to * to;
}

struct Problem {
  int64_t experts, shared, n, k;
  bool gated;
  DType from, sharedFrom, to;
  int64_t kBlock = 0; // 0 is what the type usually has.
};

PackSpec makeSpec(const Problem &p, bool withShapes) {
  PackSpec spec;
  spec.interleave = p.gated ? 16 : 0;
  spec.kBlock = p.kBlock ? p.kBlock : p.to == DType::F32 ? 1 : 2;
  spec.kPadded = roundUp(p.k, spec.kBlock);
  spec.nPadded = roundUp(p.gated ? 2 * roundUp(p.n, 16) : p.n, 32);
  spec.experts = p.experts + p.shared;
  spec.dtype = p.to;
  for (int64_t part = 0; part < spec.numParts(); ++part) {
    std::string suffix = std::to_string(part);
    spec.sources.push_back({"routed" + suffix, part, 0, {}, p.from});
    if (withShapes)
      spec.sources.back().shape = {p.experts, p.n, p.k};
    if (!p.shared)
      continue;
    spec.sources.push_back(
        {"shared" + suffix, part, p.experts, {}, p.sharedFrom});
    if (withShapes)
      spec.sources.back().shape = {p.n, p.k};
  }
  return spec;
}

TensorPool makeSources(const Problem &p) {
  TensorPool pool;
  for (int64_t part = 0; part < (p.gated ? 2 : 1); ++part) {
    std::string suffix = std::to_string(part);
    HostTensor routed =
        HostTensor::allocate(p.from, {p.experts, p.n, p.k}, "routed" + suffix);
    HostTensor shared =
        HostTensor::allocate(p.sharedFrom, {p.n, p.k}, "shared" + suffix);
    fillRandom(routed, 1, 1.0);
    fillRandom(shared, 1, 1.0);
    pool.add(routed);
    if (p.shared)
      pool.add(shared);
  }
  return pool;
}

/// What element (expert, panel, k, column) has to be.
double expected(const Problem &p, const TensorPool &pool, int64_t expert,
                int64_t panel, int64_t k, int64_t column) {
  int64_t part = p.gated ? column / 16 : 0;
  int64_t n = p.gated ? panel * 16 + column % 16 : panel * 32 + column;
  if (n >= p.n || k >= p.k)
    return 0.0;
  bool isShared = expert >= p.experts;
  const HostTensor *tensor =
      pool.find("", (isShared ? "shared" : "routed") + std::to_string(part));
  double value = tensor->get(((isShared ? 0 : expert) * p.n + n) * p.k + k);
  float rounded = static_cast<float>(value);
  return p.to == DType::BF16  ? bf16ToF32(f32ToBF16(rounded))
         : p.to == DType::F16 ? f16ToF32(f32ToF16(rounded))
                              : value;
}

} // namespace

TEST(Packing, MatchesTheLayout) {
  const Problem problems[] = {
      // A whole panel and strip; one below and one above each of them.
      {2, 0, 32, 64, false, DType::F32, DType::F32, DType::F32},
      {2, 0, 31, 63, false, DType::F32, DType::F32, DType::BF16},
      {2, 1, 33, 65, false, DType::BF16, DType::BF16, DType::BF16},
      {1, 0, 1, 1, false, DType::F32, DType::F32, DType::F32},
      // Gate and up, with a last panel that is half empty.
      {3, 0, 16, 130, true, DType::F32, DType::F32, DType::F32},
      {3, 1, 24, 127, true, DType::BF16, DType::F32, DType::BF16},
      {2, 1, 40, 70, true, DType::F16, DType::BF16, DType::F32},
      {2, 1, 5, 6, true, DType::F16, DType::F16, DType::BF16},
      {2, 1, 17, 66, false, DType::F32, DType::BF16, DType::F16},
      // Four k side by side.
      {2, 1, 33, 65, false, DType::BF16, DType::F32, DType::BF16, 4},
      {3, 1, 24, 127, true, DType::BF16, DType::F32, DType::BF16, 4},
  };
  for (const Problem &p : problems) {
    SCOPED_TRACE(testing::Message()
                 << p.experts << "+" << p.shared << " experts of " << p.n << "x"
                 << p.k << " gated " << p.gated);
    PackSpec spec = makeSpec(p, true);
    TensorPool pool = makeSources(p);
    auto lookup = [&](const std::string &name) { return pool.find("", name); };
    HostTensor packed;
    std::string error;
    ASSERT_TRUE(pack(spec, lookup, packed, error)) << error;
    ASSERT_EQ(packed.numElements(), spec.numBytes());
    HostTensor view = packed;
    view.dtype = p.to;
    int64_t linear = 0;
    for (int64_t e = 0; e < spec.experts; ++e)
      for (int64_t panel = 0; panel < spec.nPadded / 32; ++panel)
        for (int64_t k = 0; k < spec.kPadded; k += spec.kBlock)
          for (int64_t column = 0; column < 32; ++column)
            for (int64_t i = 0; i < spec.kBlock; ++i)
              ASSERT_EQ(view.get(linear++),
                        expected(p, pool, e, panel, k + i, column))
                  << "expert " << e << " panel " << panel << " k " << k + i
                  << " column " << column;
  }
}

TEST(Packing, MadeUpPartByPart) {
  // Sources that are only described are packed as if they were all there.
  Problem p{5, 1, 24, 127, true, DType::F32, DType::BF16, DType::BF16};
  PackSpec spec = makeSpec(p, true);
  TensorPool whole = makeSources(p), described;
  for (HostTensor tensor : whole.all()) {
    tensor.data = nullptr;
    tensor.storage = nullptr;
    described.add(tensor);
  }
  auto lookup = [&](const std::string &name) { return whole.find("", name); };
  auto describe = [&](const std::string &name) {
    return described.find("", name);
  };
  auto fill = [](HostTensor &part, uint64_t first) {
    fillRandom(part, 1, 1.0, first);
  };
  HostTensor packed;
  std::string error;
  ASSERT_TRUE(pack(spec, lookup, packed, error)) << error;
  int64_t perExpert = spec.bytesPerExpert();
  HostTensor part = HostTensor::allocate(DType::U8, {2 * perExpert});
  for (int64_t begin : {0, 2, 4}) {
    ASSERT_TRUE(packExperts(spec, describe, begin, begin + 2, part.data, fill));
    EXPECT_EQ(std::memcmp(part.data, packed.dataAs<char>() + begin * perExpert,
                          part.numBytes()),
              0)
        << "experts from " << begin;
  }
}

TEST(Packing, SharedExpertCutIntoSeveral) {
  // A shared expert twice as wide as a routed one counts as two: each takes
  // half of its rows (gate, up) or of its columns (down).
  HostTensor wide = HostTensor::allocate(DType::F32, {48, 40}, "wide");
  fillRandom(wide, 1, 1.0);
  auto lookup = [&](const std::string &) { return &wide; };
  for (bool byRows : {true, false}) {
    int64_t n = byRows ? 24 : 48, k = byRows ? 40 : 20;
    PackSpec spec;
    spec.nPadded = roundUp(n, 32);
    spec.kPadded = k;
    spec.experts = 2;
    for (int64_t half : {0, 1}) {
      PackSource source{"wide", 0, half, {48, 40}, DType::F32};
      source.firstRow = byRows ? half * n : 0;
      source.rows = n;
      source.firstColumn = byRows ? 0 : half * k;
      source.columns = k;
      spec.sources.push_back(source);
    }
    HostTensor packed;
    std::string error;
    ASSERT_TRUE(pack(spec, lookup, packed, error)) << error;
    packed.dtype = DType::F32;
    int64_t linear = 0;
    for (int64_t half : {0, 1})
      for (int64_t panel = 0; panel < spec.nPadded / 32; ++panel)
        for (int64_t i = 0; i < k; ++i)
          for (int64_t column = 0; column < 32; ++column) {
            int64_t row = panel * 32 + column;
            int64_t from =
                byRows ? (half * n + row) * 40 + i : row * 40 + half * k + i;
            ASSERT_EQ(packed.get(linear++), row < n ? wide.get(from) : 0.0);
          }
    spec.sources[1].firstColumn += 1;
    EXPECT_FALSE(pack(spec, lookup, packed, error));
    EXPECT_NE(error.find("rows or columns that its shape does not"),
              std::string::npos)
        << error;
  }
}

TEST(Packing, RejectsWhatDoesNotFit) {
  Problem p{4, 1, 24, 10, true, DType::F32, DType::F32, DType::F32};
  TensorPool pool = makeSources(p);
  auto lookup = [&](const std::string &name) { return pool.find("", name); };
  auto expectError = [&](const PackSpec &spec, const char *message) {
    HostTensor packed;
    std::string error;
    EXPECT_FALSE(pack(spec, lookup, packed, error)) << message;
    EXPECT_NE(error.find(message), std::string::npos) << error;
  };
  auto changed = [&](auto change) {
    PackSpec spec = makeSpec(p, true);
    change(spec);
    return spec;
  };
  expectError(changed([](PackSpec &s) { s.layout = "tiles"; }), "'tiles'");
  expectError(changed([](PackSpec &s) { s.columns = 0; }), "columns = 0");
  expectError(changed([](PackSpec &s) { s.interleave = 8; }), "interleave = 8");
  expectError(changed([](PackSpec &s) { s.nPadded = 33; }), "n_padded = 33");
  expectError(changed([](PackSpec &s) { s.kPadded = 0; }), "k_padded = 0");
  expectError(changed([](PackSpec &s) { s.kBlock = 3; }), "k_block = 3");
  expectError(changed([](PackSpec &s) {
                s.kBlock = 4;
                s.dtype = DType::F32;
              }),
              "4 of 16-bit elements");
  expectError(changed([](PackSpec &s) { s.experts = 0; }), "experts = 0");
  expectError(changed([](PackSpec &s) { s.kPadded = int64_t(1) << 62; }),
              "do not make a tensor");
  expectError(changed([](PackSpec &s) { s.dtype = DType::I8; }), "of i8");
  expectError(changed([](PackSpec &s) { s.kPadded = 8; }), "does not fit");
  expectError(changed([](PackSpec &s) { s.experts = 6; }), "does not fit");
  expectError(changed([](PackSpec &s) { s.sources.pop_back(); }),
              "does not fit");
  expectError(changed([](PackSpec &s) { s.sources.clear(); }),
              "no source for expert 0 of part 0");
  expectError(changed([](PackSpec &s) {
                s.sources.push_back({"more", 2, 0, {}, DType::F32});
              }),
              "source 'more' has part 2 and first expert 0, beyond 2 parts");
  expectError(changed([](PackSpec &s) { s.sources[1].firstExpert = 0; }),
              "two sources for expert 0");
  expectError(changed([](PackSpec &s) { s.sources[0].name = "none"; }),
              "'none' is missing, expected f32[4x24x10]");
  expectError(changed([](PackSpec &s) { s.sources[0].shape[1] = 23; }),
              "'routed0' is f32[4x24x10], expected f32[4x23x10]");
}

TEST(Packing, LogicalOrder) {
  // Panels of one row, the parts of an expert one after the other.
  Problem p{3, 1, 5, 70, true, DType::BF16, DType::F32, DType::F32};
  TensorPool pool = makeSources(p);
  PackSpec spec = makeSpec(p, true);
  spec.columns = spec.kBlock = 1;
  spec.interleave = 0;
  spec.parts = 2;
  spec.nPadded = 2 * p.n;
  spec.kPadded = p.k;
  HostTensor packed;
  std::string error;
  auto lookup = [&](const std::string &name) { return pool.find("", name); };
  ASSERT_TRUE(pack(spec, lookup, packed, error)) << error;
  ASSERT_EQ(packed.numBytes(), size_t(4 * 2 * 5 * 70 * 4));
  const float *element = packed.dataAs<float>();
  for (int64_t expert = 0; expert < 4; ++expert)
    for (int64_t part = 0; part < 2; ++part)
      for (int64_t n = 0; n < p.n; ++n)
        for (int64_t k = 0; k < p.k; ++k, ++element)
          ASSERT_EQ(*element, expected(p, pool, expert, 0, k, part * 16 + n))
              << expert << " " << part << " " << n << " " << k;
  spec.parts = 3;
  EXPECT_FALSE(spec.verify(error));
  EXPECT_NE(error.find("parts = 3"), std::string::npos) << error;
  spec.parts = 2;
  spec.nPadded = 11;
  EXPECT_FALSE(spec.verify(error));
  EXPECT_NE(error.find("n_padded = 11"), std::string::npos) << error;
}

TEST(Packing, FileIsMappedInPlace) {
  Problem p{5, 1, 24, 10, true, DType::F32, DType::BF16, DType::BF16};
  TensorPool pool = makeSources(p);
  Manifest manifest;
  for (const char *name : {"layer_0", "layer_1"}) {
    FunctionDesc function;
    function.name = name;
    function.sizes = {"T"};
    PackSpec spec = makeSpec(p, true);
    function.arguments.push_back({"x", DType::F32, {{"T", 0}, {"", 10}}, {}});
    function.arguments.push_back({"bias", DType::F32, {{"", 3}}, {}});
    function.arguments.push_back(
        {"w", DType::U8, {{"", spec.numBytes()}}, spec});
    manifest.functions.push_back(function);
  }
  auto source =
      [&](const FunctionDesc &function, const std::string &name, DType dtype,
          const std::vector<int64_t> &shape) -> std::optional<HostTensor> {
    if (const HostTensor *found = pool.find(function.name, name))
      return *found;
    HostTensor made;
    made.dtype = dtype;
    made.shape = shape;
    made.name = name;
    return made;
  };
  auto fill = [](HostTensor &part, uint64_t first) {
    fillRandom(part, 9, 1.0, first);
  };
  TestFolder folder;
  std::string error, path = folder.file("w.safetensors");
  {
    OutputSet outputs;
    ASSERT_TRUE(writePackedWeights(
        outputs, path, manifest,
        {&manifest.functions[0], &manifest.functions[1]}, source, fill, error))
        << error;
    ASSERT_TRUE(outputs.commit(error)) << error;
  }
  TensorPool read;
  ASSERT_TRUE(read.addFile(path, error)) << error;
  EXPECT_EQ(read.all().size(), 4u);
  auto lookup = [&](const std::string &name) { return pool.find("", name); };
  HostTensor packed;
  ASSERT_TRUE(pack(makeSpec(p, true), lookup, packed, error));
  for (const char *name : {"layer_0", "layer_1"}) {
    const HostTensor *w = read.find(name, "w");
    ASSERT_TRUE(w && read.find(name, "bias"));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(w->data) % 64, 0u);
    ASSERT_EQ(w->numBytes(), packed.numBytes());
    EXPECT_EQ(std::memcmp(w->data, packed.data, packed.numBytes()), 0);
  }
  // A missing tensor leaves no file behind.
  auto nothing = [](const FunctionDesc &, const std::string &, DType,
                    const std::vector<int64_t> &) {
    return std::optional<HostTensor>();
  };
  {
    OutputSet outputs;
    EXPECT_FALSE(writePackedWeights(outputs, folder.file("n.safetensors"),
                                    manifest, {&manifest.functions[0]}, nothing,
                                    fill, error));
  }
  EXPECT_NE(error.find("function 'layer_0': tensor 'bias' is missing"),
            std::string::npos)
      << error;
  EXPECT_EQ(folder.numFiles(), 1u);
}

TEST(Packing, SourcesCanBeCutOutOfATensor) {
  // Two experts that are the halves of one matrix, by rows and by columns.
  const int64_t n = 20, k = 6;
  for (bool byRows : {true, false}) {
    SCOPED_TRACE(byRows);
    PackSpec spec;
    spec.kPadded = byRows ? k : k / 2;
    spec.nPadded = 32;
    spec.experts = 2;
    TensorPool pool;
    HostTensor whole = HostTensor::allocate(DType::F32, {n, k}, "whole");
    fillRandom(whole, 4, 1.0);
    pool.add(whole);
    for (int64_t half = 0; half < 2; ++half) {
      PackSource source{"whole", 0, half, {n, k}, DType::F32};
      source.rows = byRows ? n / 2 : n;
      source.columns = spec.kPadded;
      source.firstRow = byRows ? half * n / 2 : 0;
      source.firstColumn = byRows ? 0 : half * k / 2;
      spec.sources.push_back(source);
    }
    auto lookup = [&](const std::string &name) { return pool.find("", name); };
    HostTensor packed;
    std::string error;
    ASSERT_TRUE(pack(spec, lookup, packed, error)) << error;
    const float *out = packed.dataAs<float>();
    for (const PackSource &source : spec.sources)
      for (int64_t column = 0; column < spec.kPadded; ++column)
        for (int64_t row = 0; row < spec.nPadded; ++row) {
          int64_t from =
              (source.firstRow + row) * k + source.firstColumn + column;
          double wanted = row < source.rows ? whole.get(from) : 0.0;
          ASSERT_EQ(
              out[(source.firstExpert * spec.kPadded + column) * 32 + row],
              wanted);
        }
    spec.sources[1].firstRow = n;
    EXPECT_FALSE(pack(spec, lookup, packed, error));
    EXPECT_NE(error.find("rows or columns that its shape does not have"),
              std::string::npos)
        << error;
    spec.sources[1].shape.clear();
    EXPECT_FALSE(pack(spec, lookup, packed, error));
    EXPECT_NE(error.find("cut out of a tensor of unknown shape"),
              std::string::npos)
        << error;
  }
}

TEST(Packing, SomeExpertsOfATensor) {
  constexpr int64_t experts = 6, n = 32, k = 8;
  PackSpec spec;
  spec.kPadded = k;
  spec.nPadded = n;
  spec.experts = 3;
  PackSource source{"whole", 0, 0, {experts, n, k}, DType::F32};
  source.firstMatrix = 2;
  source.matrices = 3;
  spec.sources.push_back(source);
  HostTensor whole = HostTensor::allocate(DType::F32, {experts, n, k}, "whole");
  fillRandom(whole, 4, 1.0);
  HostTensor packed, made;
  std::string error;
  ASSERT_TRUE(pack(
      spec, [&](const std::string &) { return &whole; }, packed, error))
      << error;
  const float *out = packed.dataAs<float>();
  for (int64_t expert = 0; expert < spec.experts; ++expert)
    for (int64_t column = 0; column < k; ++column)
      for (int64_t row = 0; row < n; ++row)
        ASSERT_EQ(out[(expert * k + column) * n + row],
                  whole.get(((expert + 2) * n + row) * k + column));

  // The same when the tensor is filled in where it is needed.
  HostTensor described = whole;
  described.data = nullptr;
  ASSERT_TRUE(pack(
      spec, [&](const std::string &) { return &described; }, made, error,
      [&](HostTensor &part, uint64_t first) {
        std::memcpy(part.data, whole.dataAs<float>() + first, part.numBytes());
      }))
      << error;
  EXPECT_EQ(std::memcmp(made.data, packed.data, packed.numBytes()), 0);

  std::string id = layoutId(spec);
  spec.sources[0].firstMatrix = 3;
  EXPECT_NE(layoutId(spec), id);
  spec.sources[0].firstMatrix = 4;
  EXPECT_FALSE(spec.verify(error));
  EXPECT_NE(error.find("matrices, rows or columns that its shape does not"),
            std::string::npos)
      << error;
}
