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

PackSource makeSource(std::string name, int64_t part, int64_t firstExpert,
                      std::vector<int64_t> shape, DType dtype = DType::F32) {
  PackSource source;
  source.name = std::move(name);
  source.part = part;
  source.firstExpert = firstExpert;
  source.shape = std::move(shape);
  source.dtype = dtype;
  source.view = PackView::whole(source.shape);
  return source;
}

PackSpec makeSpec(const Problem &p) {
  PackSpec spec;
  spec.interleave = p.gated ? 16 : 0;
  spec.kBlock = p.kBlock ? p.kBlock : p.to == DType::F32 ? 1 : 2;
  spec.kPadded = roundUp(p.k, spec.kBlock);
  spec.nPadded = roundUp(p.gated ? 2 * roundUp(p.n, 16) : p.n, 32);
  spec.experts = p.experts + p.shared;
  spec.dtype = p.to;
  for (int64_t part = 0; part < spec.numParts(); ++part) {
    std::string suffix = std::to_string(part);
    spec.sources.push_back(
        makeSource("routed" + suffix, part, 0, {p.experts, p.n, p.k}, p.from));
    if (p.shared)
      spec.sources.push_back(makeSource("shared" + suffix, part, p.experts,
                                        {p.n, p.k}, p.sharedFrom));
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
    PackSpec spec = makeSpec(p);
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
  PackSpec spec = makeSpec(p);
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
  auto fill = [](HostTensor &part, uint64_t first, const StoredGroup *) {
    fillRandom(part, 1, 1.0, first);
  };
  HostTensor packed;
  std::string error;
  ASSERT_TRUE(pack(spec, lookup, packed, error)) << error;
  int64_t perExpert = spec.bytesPerExpert();
  HostTensor part = HostTensor::allocate(DType::U8, {2 * perExpert});
  for (int64_t begin : {0, 2, 4}) {
    ASSERT_TRUE(
        packExperts(spec, describe, begin, begin + 2, part.data, error, fill))
        << error;
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
      PackSource source = makeSource("wide", 0, half, {48, 40});
      source.view = {byRows ? half * n * 40 : half * k, {1, n, k}, {0, 40, 1}};
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
    spec.sources[1].view.offset += 1;
    EXPECT_FALSE(pack(spec, lookup, packed, error));
    EXPECT_NE(error.find("elements that its shape does not have"),
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
    PackSpec spec = makeSpec(p);
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
  expectError(changed([](PackSpec &s) { s.experts = 6; }),
              "no source for expert 5 of part 0");
  expectError(changed([](PackSpec &s) { s.sources.pop_back(); }),
              "no source for expert 4 of part 1");
  expectError(changed([](PackSpec &s) { s.sources.clear(); }),
              "no source for expert 0 of part 0");
  expectError(changed([](PackSpec &s) {
                s.sources.push_back(makeSource("more", 2, 0, {4, 24, 10}));
              }),
              "source 'more' has part 2 and first expert 0, beyond 2 parts");
  expectError(changed([](PackSpec &s) { s.sources[1].firstExpert = 0; }),
              "two sources for expert 0");
  expectError(changed([](PackSpec &s) { s.sources[0].name = "none"; }),
              "'none' is missing, expected f32[4x24x10]");
  expectError(changed([](PackSpec &s) { s.sources[0].shape[1] = 25; }),
              "'routed0' is f32[4x24x10], expected f32[4x25x10]");
}

TEST(Packing, LogicalOrder) {
  // Panels of one row, the parts of an expert one after the other.
  Problem p{3, 1, 5, 70, true, DType::BF16, DType::F32, DType::F32};
  TensorPool pool = makeSources(p);
  PackSpec spec = makeSpec(p);
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
    PackSpec spec = makeSpec(p);
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
  auto fill = [](const FunctionDesc &, HostTensor &part, uint64_t first,
                 const StoredGroup *) { fillRandom(part, 9, 1.0, first); };
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
  ASSERT_TRUE(pack(makeSpec(p), lookup, packed, error));
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

TEST(Packing, SomeExpertsOfATensor) {
  constexpr int64_t experts = 6, n = 32, k = 8;
  PackSpec spec;
  spec.kPadded = k;
  spec.nPadded = n;
  spec.experts = 3;
  PackSource source = makeSource("whole", 0, 0, {experts, n, k});
  source.view.offset = 2 * n * k;
  source.view.sizes[0] = 3;
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
      [&](HostTensor &part, uint64_t first, const StoredGroup *) {
        std::memcpy(part.data, whole.dataAs<float>() + first, part.numBytes());
      }))
      << error;
  EXPECT_EQ(std::memcmp(made.data, packed.data, packed.numBytes()), 0);

  std::string id = layoutId(spec);
  spec.sources[0].view.offset = 3 * n * k;
  EXPECT_NE(layoutId(spec), id);
  spec.sources[0].view.offset = 4 * n * k;
  EXPECT_FALSE(spec.verify(error));
  EXPECT_NE(error.find("uses elements that its shape does not have"),
            std::string::npos)
      << error;
}

namespace {
/// Two parts of two experts of 20 x 12, put together in different ways, and
/// what element [e][n][k] of a part then is of which tensor.
struct Views {
  static constexpr int64_t experts = 2, n = 20, k = 12;
  PackSpec spec;
  std::vector<HostTensor> tensors;
  struct Element {
    size_t tensor;
    int64_t linear;
  };
  std::function<Element(int64_t part, int64_t e, int64_t n, int64_t k)> at;

  const HostTensor *find(const std::string &name) const {
    for (const HostTensor &tensor : tensors)
      if (tensor.name == name)
        return &tensor;
    return nullptr;
  }
  void addTensor(std::string name, std::vector<int64_t> shape,
                 DType dtype = DType::F32) {
    tensors.push_back(HostTensor::allocate(dtype, std::move(shape), name));
    fillRandom(tensors.back(), 5, 1.0);
  }
  void add(size_t tensor, int64_t part, std::array<int64_t, 3> first,
           PackView view) {
    PackSource source;
    source.name = tensors[tensor].name;
    source.shape = tensors[tensor].shape;
    source.dtype = tensors[tensor].dtype;
    source.part = part;
    source.firstExpert = first[0];
    source.firstN = first[1];
    source.firstK = first[2];
    source.view = view;
    spec.sources.push_back(source);
  }
};

/// Gate and up are `[E, 2I, H]`: its halves, or its even and odd rows.
Views makeHalves(bool interleaved) {
  Views v;
  constexpr int64_t n = Views::n, k = Views::k;
  v.addTensor("gate_up", {Views::experts, 2 * n, k});
  for (int64_t part : {0, 1})
    v.add(0, part, {},
          {interleaved ? part * k : part * n * k,
           {Views::experts, n, k},
           {2 * n * k, interleaved ? 2 * k : k, 1}});
  v.at = [=](int64_t part, int64_t e, int64_t row, int64_t column) {
    int64_t from = interleaved ? 2 * row + part : part * n + row;
    return Views::Element{0, (e * 2 * n + from) * k + column};
  };
  return v;
}

/// `[E, H, 2I]`, both with the other dimension first.
Views makeTransposed(bool interleaved, DType dtype) {
  Views v;
  constexpr int64_t n = Views::n, k = Views::k;
  v.addTensor("gate_up", {Views::experts, k, 2 * n}, dtype);
  for (int64_t part : {0, 1})
    v.add(0, part, {},
          {interleaved ? part : part * n,
           {Views::experts, n, k},
           {2 * n * k, interleaved ? 2 : 1, 2 * n}});
  v.at = [=](int64_t part, int64_t e, int64_t row, int64_t column) {
    int64_t from = interleaved ? 2 * row + part : part * n + row;
    return Views::Element{0, (e * k + column) * 2 * n + from};
  };
  return v;
}

/// A matrix for each expert and part, the first cut after 7 rows and the second
/// after 5 columns, in the middle of what k_block keeps together.
Views makePieces() {
  Views v;
  constexpr int64_t n = Views::n, k = Views::k;
  for (int64_t part : {0, 1}) {
    std::string name = part ? "up" : "gate";
    v.addTensor(name + ".0.top", {7, k});
    v.addTensor(name + ".0.bottom", {n - 7, k});
    v.addTensor(name + ".1.left", {n, 5}, DType::BF16);
    v.addTensor(name + ".1.right", {k - 5, n}, DType::F16);
    size_t first = 4 * part;
    v.add(first, part, {}, {0, {1, 7, k}, {0, k, 1}});
    v.add(first + 1, part, {0, 7, 0}, {0, {1, n - 7, k}, {0, k, 1}});
    v.add(first + 2, part, {1, 0, 0}, {0, {1, n, 5}, {0, 5, 1}});
    v.add(first + 3, part, {1, 0, 5}, {0, {1, n, k - 5}, {0, 1, n}});
  }
  v.at = [=](int64_t part, int64_t e, int64_t row, int64_t column) {
    size_t first = 4 * part;
    if (e == 0)
      return row < 7 ? Views::Element{first, row * k + column}
                     : Views::Element{first + 1, (row - 7) * k + column};
    return column < 5 ? Views::Element{first + 2, row * 5 + column}
                      : Views::Element{first + 3, (column - 5) * n + row};
  };
  return v;
}
} // namespace

TEST(Packing, Views) {
  for (auto [dtype, kBlock] :
       {std::pair<DType, int64_t>{DType::F32, 1}, {DType::F32, 2},
        {DType::BF16, 2}, {DType::BF16, 4}, {DType::F16, 1}})
    for (Views v :
         {makeHalves(false), makeHalves(true), makeTransposed(false, DType::F32),
          makeTransposed(true, DType::BF16), makePieces()}) {
      PackSpec &spec = v.spec;
      spec.dtype = dtype;
      spec.kBlock = kBlock;
      spec.interleave = 16;
      spec.nPadded = 64;
      spec.kPadded = 16;
      spec.experts = Views::experts;
      HostTensor packed;
      std::string error;
      auto lookup = [&](const std::string &name) { return v.find(name); };
      ASSERT_TRUE(pack(spec, lookup, packed, error)) << error;
      HostTensor typed = packed;
      typed.dtype = dtype;
      int64_t linear = 0;
      for (int64_t e = 0; e < spec.experts; ++e)
        for (int64_t panel = 0; panel < 2; ++panel)
          for (int64_t unit = 0; unit < spec.kPadded; unit += kBlock)
            for (int64_t column = 0; column < 32; ++column)
              for (int64_t i = 0; i < kBlock; ++i) {
                int64_t n = panel * 16 + column % 16, k = unit + i;
                double wanted = 0;
                if (n < Views::n && k < Views::k) {
                  Views::Element from = v.at(column / 16, e, n, k);
                  HostTensor one = HostTensor::allocate(dtype, {1});
                  one.set(0, v.tensors[from.tensor].get(from.linear));
                  wanted = one.get(0);
                }
                ASSERT_EQ(typed.get(linear++), wanted)
                    << v.tensors[0].describe() << " expert " << e << " row "
                    << n << " column " << k;
              }

      // The same when tensors are made up where they are needed.
      Views described = v;
      for (HostTensor &tensor : described.tensors)
        tensor.data = nullptr;
      HostTensor made;
      ASSERT_TRUE(pack(
          spec, [&](const std::string &name) { return described.find(name); },
          made, error,
          [&](HostTensor &part, uint64_t first, const StoredGroup *) {
            fillRandom(part, 5, 1.0, first);
          }))
          << error;
      EXPECT_EQ(std::memcmp(made.data, packed.data, packed.numBytes()), 0);

      // And in C.
      PackPlan plan(spec);
      std::vector<moe_tensor> tensors(plan.plan.tensors,
                                      plan.plan.tensors +
                                          plan.plan.num_tensors);
      for (moe_tensor &tensor : tensors)
        tensor.data = v.find(tensor.name)->data;
      HostTensor byC = HostTensor::allocate(DType::U8, {spec.numBytes()});
      std::memset(byC.data, 0xff, byC.numBytes());
      ASSERT_EQ(moe_pack(nullptr, &plan.plan, tensors.data(), byC.data,
                         byC.numBytes()),
                MOE_OK);
      EXPECT_EQ(std::memcmp(byC.data, packed.data, packed.numBytes()), 0);
    }
}

TEST(Packing, RejectsViewsThatDoNotFit) {
  auto expectError = [&](Views v, auto change, const char *message) {
    v.spec.interleave = 16;
    v.spec.nPadded = 64;
    v.spec.kPadded = 16;
    v.spec.experts = Views::experts;
    change(v.spec.sources);
    std::string error;
    EXPECT_FALSE(v.spec.verify(error)) << message;
    EXPECT_NE(error.find(message), std::string::npos) << error;
  };
  using Sources = std::vector<PackSource>;
  expectError(
      makePieces(), [](Sources &s) { s[1].firstN = 6; },
      "two sources for expert 0 of part 0: 'gate.0.top' and 'gate.0.bottom'");
  expectError(
      makePieces(), [](Sources &s) { s[1].firstN = 8; },
      "no source for some of expert 0 of part 0");
  expectError(
      makePieces(), [](Sources &s) { s.pop_back(); },
      "no source for some of expert 1 of part 1");
  expectError(
      makePieces(), [](Sources &s) { s[3].firstK = 10; },
      "the shape of source 'gate.1.right' does not fit into its panels");
  expectError(
      makePieces(), [](Sources &s) { s[3].name = "gate.1.left"; },
      "source 'gate.1.left' has two shapes");
  expectError(
      makeHalves(true), [](Sources &s) { s[1].view.strides[1] += 1; },
      "source 'gate_up' uses elements that its shape does not have");
  expectError(
      makeHalves(true),
      [](Sources &s) { s[1].view.strides[0] = int64_t(1) << 62; },
      "source 'gate_up' uses elements that its shape does not have");
  expectError(
      makeHalves(true), [](Sources &s) { s[1].view.sizes[2] = 0; },
      "source 'gate_up' uses elements that its shape does not have");
}

// What moe_pack() says of what it is given; nothing is written.
TEST(Packing, ErrorsInC) {
  Views v = makeTransposed(false, DType::F32);
  v.spec.interleave = 16;
  v.spec.nPadded = 64;
  v.spec.kPadded = 16;
  v.spec.experts = Views::experts;
  PackPlan plan(v.spec);
  plan.plan.name = "experts.gate_up";
  HostTensor out = HostTensor::allocate(DType::U8, {v.spec.numBytes()});
  static std::string message;
  moe_rt rt;
  moe_rt_init(&rt, 1);
  rt.error = [](const moe_rt *, int, const char *text) { message = text; };
  auto call = [&](auto change) {
    moe_pack_plan own = plan.plan;
    moe_tensor tensor = own.tensors[0];
    tensor.data = v.tensors[0].data;
    int64_t shape[] = {1, tensor.shape[0], tensor.shape[1], tensor.shape[2]};
    tensor.shape = shape;
    tensor.rank = 4;
    char *to = out.dataAs<char>();
    size_t bytes = out.numBytes();
    moe_rt hooks = rt;
    change(own, tensor, shape, to, bytes, hooks);
    message.clear();
    return moe_pack(&hooks, &own, &tensor, to, bytes);
  };
#define CHANGE(statement)                                                      \
  [&](moe_pack_plan &plan, moe_tensor &tensor, int64_t *shape, char *&to,      \
      size_t &bytes, moe_rt &rt) {                                             \
    (void)plan, (void)tensor, (void)shape, (void)to, (void)bytes, (void)rt;    \
    statement;                                                                 \
  }
  EXPECT_EQ(call(CHANGE(tensor.data = nullptr)), MOE_ERR_NULL_ARGUMENT);
  EXPECT_EQ(message, "packing 'experts.gate_up': tensor 'gate_up' has no data "
                     "or no shape");
  EXPECT_EQ(call(CHANGE(to = nullptr)), MOE_ERR_NULL_ARGUMENT);
  EXPECT_EQ(message, "packing 'experts.gate_up': 'out' is null");
  EXPECT_EQ(call(CHANGE(rt.parallel_for = nullptr)), MOE_ERR_NULL_ARGUMENT);
  EXPECT_EQ(call(CHANGE(shape[3] = 39)), MOE_ERR_BAD_SIZE);
  EXPECT_EQ(message, "packing 'experts.gate_up': tensor 'gate_up' is "
                     "[1x2x12x39], and the model has [2x12x40]");
  EXPECT_EQ(call(CHANGE(shape[0] = 2)), MOE_ERR_BAD_SIZE);
  EXPECT_EQ(call(CHANGE(--bytes)), MOE_ERR_BAD_SIZE);
  EXPECT_EQ(message, "packing 'experts.gate_up': 'out' has 8191 bytes, and it "
                     "takes 8192");
  EXPECT_EQ(call(CHANGE(tensor.dtype = 77)), MOE_ERR_BAD_VALUE);
  EXPECT_EQ(call(CHANGE(tensor.name = "up")), MOE_ERR_BAD_VALUE);
  EXPECT_EQ(message, "packing 'experts.gate_up': tensor 0 is 'up', and the "
                     "plan wants 'gate_up' there");
  EXPECT_EQ(call(CHANGE(to += 32)), MOE_ERR_ALIGNMENT);
  EXPECT_EQ(call(CHANGE(plan.layout = "tiles")), MOE_ERR_BAD_ABI);
  EXPECT_EQ(call(CHANGE(plan.dtype = 77)), MOE_ERR_BAD_ABI);
  EXPECT_EQ(call(CHANGE(plan.size = 64)), MOE_ERR_BAD_ABI);
  EXPECT_EQ(call(CHANGE(rt.abi = 1)), MOE_ERR_BAD_ABI);
  EXPECT_EQ(moe_pack(&rt, nullptr, nullptr, out.data, out.numBytes()),
            MOE_ERR_NULL_ARGUMENT);
  for (int64_t i = 0; i < out.numElements(); ++i)
    ASSERT_EQ(out.get(i), 0) << i;
  // A name is not needed, nor is an error hook.
  EXPECT_EQ(call(CHANGE(rt.error = nullptr; tensor.rank = 0)),
            MOE_ERR_BAD_SIZE);
  EXPECT_EQ(call(CHANGE(tensor.name = nullptr)), MOE_OK);
#undef CHANGE
}
