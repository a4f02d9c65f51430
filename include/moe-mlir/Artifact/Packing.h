//===- Packing.h - Weights in the layout of the kernels --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Kernels read weights as panels: a contiguous stream of the columns that one
// register tile needs, in the order it needs them. A column here is a row of
// the `[N, K]` source, because weights are stored transposed.
//
//   [experts][nPadded / columns][kPadded / kBlock][columns][kBlock]
//
// With `interleave` i, a panel holds i columns of part 0 (gate), then the same
// i columns of part 1 (up), so that both meet in one register tile. Without it
// the panels of one part follow those of the other: panels of one column are
// the weights as they are. Padding is zeros. Experts may come from several
// tensors (routed and shared ones), and tensors may hold several weights (gate
// and up). Weights in a format of blocks stay as they are stored: moe_pack.h
// says in which order.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ARTIFACT_PACKING_H
#define MOE_MLIR_ARTIFACT_PACKING_H

#include "moe-mlir/Runtime/moe_pack.h"
#include "moe-mlir/Support/HostTensor.h"
#include "moe-mlir/Support/Random.h"

#include <array>
#include <functional>
#include <optional>

namespace moe {

/// Elements of a tensor as matrices: `[e][n][k]` is element
/// `offset + e * strides[0] + n * strides[1] + k * strides[2]` of it. A stride
/// of a dimension of one is 0.
struct PackView {
  int64_t offset = 0;
  std::array<int64_t, 3> sizes{}, strides{};

  /// All of a tensor of this shape `[E, N, K]`, or `[N, K]` for one expert.
  static PackView whole(const std::vector<int64_t> &shape);
  bool operator==(const PackView &other) const;
};

/// A tensor of the model.
struct PackTensor {
  std::string name;
  std::vector<int64_t> shape;
  /// What the model stores.
  DType dtype = DType::F32;
  /// Where the numbers of blocks are, if not row after row.
  std::optional<moe_pack_order> order;
};

/// A box of a packed argument, and what it comes from.
struct PackSource {
  /// The tensor, or the weight that `storage` stores.
  std::string name;
  /// 0, or of two parts 0 (gate) or 1 (up).
  int64_t part = 0;
  /// Where it begins: its expert, and its row and column of the `[N, K]`
  /// matrices.
  int64_t firstExpert = 0, firstN = 0, firstK = 0;
  /// Of the tensor in the model, or of the matrices that `storage` stores.
  std::vector<int64_t> shape;
  /// What the model stores; packing converts. Only meant for making tensors up.
  DType dtype = DType::F32;
  /// What is used of the tensor.
  PackView view;
  /// Of blocks: what they are stored in, as PackSpec::storage says.
  std::vector<PackTensor> storage;

  std::vector<PackTensor> getTensors() const;
};

/// Numbers of a block, as in moe_pack_field.
struct PackField {
  int64_t storage = 0, offset = 0, bytes = 0, unit = 1;
  /// I8 for integers of any size.
  DType dtype = DType::I8;
  StoredBits bits = {};
  /// What made-up ones are, if not any bits.
  std::optional<StoredRange> range;
};

/// A tensor that blocks are stored in, as in moe_pack_storage.
struct PackStorage {
  /// What it is called beside the others.
  std::string name;
  int64_t bytes = 0, rows = 1, blocks = 1;
};

struct PackSpec {
  std::string layout = "panels";
  int64_t columns = 32;
  int64_t interleave = 0;
  /// Of blocks, the weights in one.
  int64_t kBlock = 1;
  int64_t kPadded = 0;
  int64_t nPadded = 0;
  /// Where they do not interleave; those that do are two.
  int64_t parts = 1;
  int64_t experts = 0;
  DType dtype = DType::F32;
  /// Of blocks.
  std::vector<PackField> fields;
  std::vector<PackStorage> storage;
  std::vector<PackSource> sources;

  bool isBlocks() const { return layout == "blocks"; }
  int64_t numParts() const { return interleave ? 2 : parts; }
  /// Of `kBlock` weights of one row.
  int64_t bytesPerBlock() const;
  int64_t bytesPerExpert() const {
    return nPadded * (kPadded / kBlock) * bytesPerBlock();
  }
  int64_t numBytes() const { return experts * bytesPerExpert(); }

  /// Whether the numbers make sense together and each element of each part of
  /// each expert has one source. Sizes multiply without overflow then.
  bool verify(std::string &error) const;

  /// What storage tensor `index` of `source` is made up of.
  StoredGroup getGroup(const PackSource &source, size_t index) const;

  static constexpr size_t maxSources = size_t(1) << 16;
};

/// A spec as the runtime has it; refers to what the spec holds. Without an id.
class PackPlan {
public:
  explicit PackPlan(const PackSpec &spec);
  PackPlan(const PackPlan &) = delete;
  PackPlan &operator=(const PackPlan &) = delete;
  moe_pack_plan plan{};

private:
  std::vector<moe_tensor> tensors;
  std::vector<moe_pack_source> sources;
  std::vector<moe_pack_field> fields;
  std::vector<moe_pack_storage> storage;
  std::vector<moe_pack_matrix> matrices;
  std::vector<moe_pack_order> orders;
};

/// Finds a source tensor by its name, null when there is none. A tensor whose
/// `data` is null is filled in when it is needed, see TensorFill.
using TensorLookup = std::function<const HostTensor *(const std::string &)>;

/// Computes the elements of `part`, which begins with element `first` of the
/// tensor of that name. Stored weights consist of `stored`, others of numbers.
/// `part` has memory for them, and may be made to be other memory instead.
using TensorFill = std::function<void(HostTensor &part, uint64_t first,
                                      const StoredGroup *stored)>;

/// Whether tensors of type `given` can be packed where the model has `wanted`.
bool isPackable(const PackSpec &spec, DType given, DType wanted);
/// The types beside `wanted`, for messages: " (f32, bf16 or f16 elements)".
std::string describePackable(const PackSpec &spec, DType wanted);

/// Checks that all sources are there, of a fitting type, and of fitting shapes.
bool checkPackSources(const PackSpec &spec, const TensorLookup &lookup,
                      std::string &error);

/// Packs experts [begin, end) to `out`, `bytesPerExpert` each, on all CPUs.
/// The spec and the sources have been checked. False when there is no memory
/// for parts that `fill` computes, or scales are not finite.
bool packExperts(const PackSpec &spec, const TensorLookup &lookup,
                 int64_t begin, int64_t end, void *out, std::string &error,
                 const TensorFill &fill = {});

/// How many experts to pack at once, so that a buffer of moderate size holds
/// them.
int64_t packBatch(const PackSpec &spec);

/// Checks everything and packs all experts into a U8 tensor. Floats are
/// rounded to nearest even.
bool pack(const PackSpec &spec, const TensorLookup &lookup, HostTensor &packed,
          std::string &error, const TensorFill &fill = {});

} // namespace moe

#endif // MOE_MLIR_ARTIFACT_PACKING_H
