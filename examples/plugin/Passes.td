//===- Passes.td - The passes of the plugin ----------------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One so far.
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
