//===- EntryPoints.h - What an entry function's interface is ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The attributes that describe the interface of entry functions, and the sizes
// that its dynamic dimensions stand for.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LOWERING_ENTRYPOINTS_H
#define MOE_MLIR_LOWERING_ENTRYPOINTS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <map>
#include <optional>
#include <string>

namespace moe {

// Attributes of arguments and results.
inline constexpr llvm::StringLiteral kNameAttr = "moe.name";
inline constexpr llvm::StringLiteral kDimsAttr = "moe.dims";
inline constexpr llvm::StringLiteral kPackedAttr = "moe.packed";
/// What an argument is for. Of those that no user wrote: "runtime", "size",
/// "result", "workspace". Of packed weights: "router", or the phase of the
/// kernels that read them, such as "gate_up" and "down".
inline constexpr llvm::StringLiteral kRoleAttr = "moe.role";
// Attributes of functions and of the module.
/// The name of an entry function in the model, where its name in C differs.
inline constexpr llvm::StringLiteral kEntryAttr = "moe.entry";
inline constexpr llvm::StringLiteral kLayerAttr = "moe.layer";
/// Where weights come from; MoeDialect verifies it.
inline constexpr llvm::StringLiteral kCheckpointAttr = "moe.checkpoint";
inline constexpr llvm::StringLiteral kModelAttr = "moe.model";
inline constexpr llvm::StringLiteral kModelInterfaceAttr =
    "moe.model_interface";
inline constexpr llvm::StringLiteral kAliasesAttr = "moe.aliases";
inline constexpr llvm::StringLiteral kInterfacesAttr = "moe.interfaces";

inline constexpr llvm::StringLiteral kRuntimeRole = "runtime";
/// An index: the named size in its `moe.dims`, which no argument of the model
/// has.
inline constexpr llvm::StringLiteral kSizeRole = "size";
inline constexpr llvm::StringLiteral kResultRole = "result";
inline constexpr llvm::StringLiteral kWorkspaceRole = "workspace";
inline constexpr llvm::StringLiteral kRouterRole = "router";

/// Alignment of the workspace, of its parts, and of packed weights.
inline constexpr int64_t kBufferAlignment = 64;

/// No tensor and no workspace is larger: byte counts stay within 64 bits.
inline constexpr int64_t kMaxBytes = int64_t(1) << 56;

/// What buffers of one function may take of a thread's stack.
inline constexpr int64_t kMaxFrameBytes = 256 * 1024;

// What NAME__workspace returns instead of a number of bytes.
inline constexpr int64_t kTooManyBytes = -1;
/// A check of the function fails for these sizes, and says what is wrong.
inline constexpr int64_t kRefusedSizes = -2;

/// Public functions with a body are the entry points of an artifact.
bool isEntryFunction(mlir::func::FuncOp function);

/// Its name in the model.
mlir::StringAttr getEntryName(mlir::func::FuncOp function);

/// The role of argument `index`, empty for one that the model has as it is.
llvm::StringRef getArgumentRole(mlir::func::FuncOp function, unsigned index);

/// The named size that argument `index` is, empty if it is none.
llvm::StringRef getSizeName(mlir::func::FuncOp function, unsigned index);

/// Every size that `moe.dims` of its arguments name, as `value`.
std::map<std::string, int64_t> getAllSizes(mlir::func::FuncOp function,
                                           int64_t value);

/// The argument with `role`, or none.
std::optional<unsigned> findArgument(mlir::func::FuncOp function,
                                     llvm::StringRef role);

/// The runtime argument (`!llvm.ptr`), added as the first one if missing.
mlir::Value getOrAddRuntimeArgument(mlir::func::FuncOp function);

/// The named sizes of an entry function, in order of first appearance in its
/// arguments and results.
class EntrySizes {
public:
  /// Fails (with an error at the function) when a dynamic dimension has no
  /// name.
  static mlir::FailureOr<EntrySizes> get(mlir::func::FuncOp function);

  llvm::ArrayRef<llvm::StringRef> names() const { return sizeNames; }

  /// The size that dynamic dimension `dim` of argument `argument` stands for.
  std::optional<unsigned> lookup(unsigned argument, unsigned dim) const;

  /// Some (argument, dimension) that holds `size`; none when only results have
  /// it.
  std::optional<std::pair<unsigned, unsigned>> find(unsigned size) const;

private:
  unsigned intern(llvm::StringRef name);

  llvm::SmallVector<llvm::StringRef> sizeNames;
  llvm::SmallVector<std::tuple<unsigned, unsigned, unsigned>> dims;
};

} // namespace moe

#endif // MOE_MLIR_LOWERING_ENTRYPOINTS_H
