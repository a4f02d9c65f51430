//===- Replay.h - The kernel's own routing, judged -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Where two scores are nearer to each other than rounding, a kernel and the
// interpreter may choose different experts and both be right. The interpreter
// then takes the kernel's choice, if some change of the scores that rounding
// explains makes the router choose so.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_REPLAY_H
#define MOE_MLIR_RUN_REPLAY_H

#include "moe-mlir/Reference/Interpreter.h"
#include "moe-mlir/Runtime/moe_rt.h"

#include "llvm/ADT/STLExtras.h"

#include <set>
#include <string>
#include <vector>

namespace moe::run {

/// The routings of one call in the order in which they were traced.
class RoutingTrace {
public:
  struct Routing {
    int64_t tokens, experts, slots;
    std::vector<int32_t> expertOf; ///< [tokens, slots], -1 in unused slots.
  };
  std::vector<Routing> routings;

  /// A MOE_TRACE_ROUTING event.
  void record(const moe_trace_event &event);
};

/// Gives the routers of several interpretations of one function the decisions
/// of a trace.
class Replay : public reference::RouterHook {
public:
  /// `rows` are the tokens of the call that are interpreted.
  Replay(const RoutingTrace &trace, llvm::ArrayRef<int64_t> rows)
      : trace(trace), rows(rows) {}

  /// To be called before each interpretation; the first is the exact one.
  void begin();

  llvm::LogicalResult onDecision(mlir::Operation *router,
                                 llvm::ArrayRef<double> scores, Decide decide,
                                 reference::Decision &decision) override;

  /// The tokens, by their place among those that are interpreted, that were
  /// routed as in the trace and not as the interpreter would.
  const std::set<int64_t> &replayed() const { return replayedTokens; }

  /// The tokens whose choice is not known: rounding changes it in some draw,
  /// and the trace does not have the router.
  const std::set<int64_t> &undecided() const { return undecidedTokens; }

  /// After all interpretations: the first token that was routed in a way that
  /// rounding does not explain, or nothing.
  std::string complaint() const;

private:
  /// A token whose choice is not the interpreter's.
  struct Difference {
    int64_t token;
    /// By how much scores have to change; infinite if none was found.
    double change;
    /// The change is in parts of each score.
    bool isRelative;
    std::vector<int32_t> kernel, own;
    /// Whether one of the two has `expert` and the other has not.
    bool changes(int32_t expert) const {
      return llvm::is_contained(kernel, expert) !=
             llvm::is_contained(own, expert);
    }
  };
  /// What was seen of one router.
  struct Router {
    /// What all interpretations take. Of a router that is not traced the exact
    /// decision, so that no draw computes with other experts.
    RoutingTrace::Routing routing;
    bool isTraced = false;
    int64_t experts = 0, slots = 0;
    double slack = 0.0;
    std::vector<double> scores;
    std::vector<double> squares; ///< Of errors, summed over the draws.
    std::vector<Difference> differences;
  };

  /// The largest change of scores that rounding explains.
  double allowedChange(const Router &router,
                       const Difference &difference) const;

  const RoutingTrace::Routing *findRouting(const reference::Decision &decision);
  std::vector<int32_t> tracedChoice(const RoutingTrace::Routing &routing,
                                    const reference::Decision &decision,
                                    int64_t token) const;

  const RoutingTrace &trace;
  llvm::ArrayRef<int64_t> rows;
  std::vector<Router> routers;
  std::set<int64_t> replayedTokens, undecidedTokens;
  int64_t runs = 0;
  size_t nextRouter = 0, nextRouting = 0;
};

} // namespace moe::run

#endif // MOE_MLIR_RUN_REPLAY_H
