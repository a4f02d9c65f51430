//===- RoutingTables.h - Who does the work, as tables ---------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REPORT_ROUTINGTABLES_H
#define MOE_LIB_REPORT_ROUTINGTABLES_H

#include "Table.h"

#include "moe-mlir/Report/RoutingReport.h"

namespace moe::report {

/// The experts of each layer that have nearly all of the weight.
Table makeCommitteeTable(const RoutingReport &report,
                         const std::vector<RoutingHealth> &health);

/// Weights that met zeros.
Table makeDensityTable(const RoutingReport &report);

} // namespace moe::report

#endif // MOE_LIB_REPORT_ROUTINGTABLES_H
