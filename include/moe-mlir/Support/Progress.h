//===- Progress.h - How far a long run is -----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A line on the terminal that says how much of a run is done, how fast it goes
// and how long it will take. Nobody sees it in files, pipes and short runs.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_PROGRESS_H
#define MOE_MLIR_SUPPORT_PROGRESS_H

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

namespace moe {

/// Told by libraries after each piece of work: how much is done of how much,
/// and what comes next, if that has a name. From any thread.
using ProgressFn =
    std::function<void(uint64_t done, uint64_t total, const std::string &step)>;

class Progress {
public:
  /// What is done, and the unit of its numbers: "B" for bytes.
  Progress(std::string what, std::string unit);
  Progress(const Progress &) = delete;
  /// Takes the line away.
  ~Progress();

  /// From any thread.
  void update(uint64_t done, uint64_t total, const std::string &step = "");

  /// Takes the line away for a moment, because something is printed.
  void hide();

  ProgressFn function();

  /// Whether standard error is a terminal that can show such a line.
  static bool isShown();

  /// The line, without what moves the cursor.
  static std::string text(const std::string &what, uint64_t done,
                          uint64_t total, const std::string &unit,
                          double seconds, const std::string &step);

private:
  using Clock = std::chrono::steady_clock;

  std::string what, unit;
  bool shown, isVisible = false;
  std::mutex mutex;
  Clock::time_point begin, drawn;
};

} // namespace moe

#endif // MOE_MLIR_SUPPORT_PROGRESS_H
