//===- Passes.td - The passes of the plugin ----------------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One that reads IR, one that changes it.
//
//===----------------------------------------------------------------------===//

include "mlir/Pass/PassBase.td"

def ReportCost : Pass<"acme-report-cost"> {
  let summary = "Say what each expert layer costs";
  let description = [{
    Emits a remark at every `moe.expert`: how many experts it has, how many
    bytes their weights take, and how many multiply-adds one assignment of a
    token to an expert costs. With `min-mib`, smaller layers stay unmentioned.
    The IR does not change.
  }];
  let options = [
    Option<"minMiB", "min-mib", "int64_t", "0",
           "Report only layers with at least this many MiB of weights">
  ];
}

def PruneExperts : Pass<"acme-prune-experts"> {
  let summary = "Keep the first experts of each layer";
  let description = [{
    Drops all experts but the first `keep` of every router and `moe.expert`: the
    scores of the others take no part in the selection, and their weights are
    not read. Layers of no more experts stay as they are. An error if a policy
    cannot select from so few experts.
  }];
  let options = [
    Option<"keep", "keep", "int64_t", "8", "How many experts stay">
  ];
  let dependentDialects = ["mlir::arith::ArithDialect",
                           "mlir::tensor::TensorDialect"];
}
