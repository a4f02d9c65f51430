//===- Progress.cpp - How far a long run is ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Support/Progress.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <sys/ioctl.h>
#include <unistd.h>

using namespace moe;

/// Runs shorter than the first show nothing; the line changes every second one.
static constexpr std::chrono::milliseconds firstDrawn(1000), redrawn(200);

bool Progress::isShown() {
  const char *terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) && terminal && std::strcmp(terminal, "dumb");
}

Progress::Progress(std::string what, std::string unit)
    : what(std::move(what)), unit(std::move(unit)), shown(isShown()),
      begin(Clock::now()), drawn(begin) {}

Progress::~Progress() { hide(); }

void Progress::hide() {
  std::lock_guard<std::mutex> lock(mutex);
  if (isVisible)
    std::fputs("\r\033[K", stderr);
  isVisible = false;
}

/// A number with three digits that mean something.
static std::string number(double value) {
  char text[32];
  int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

/// Bytes in a unit that makes them readable, other things as they are.
static std::string amount(double value, const std::string &unit) {
  if (unit != "B")
    return (value == std::floor(value) && value < 1e15
                ? std::to_string(static_cast<uint64_t>(value))
                : number(value)) +
           " " + unit;
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  size_t i = 0;
  for (; value >= 1000 && i + 1 < std::size(units); ++i)
    value /= 1000;
  return (i ? number(value) : std::to_string(static_cast<uint64_t>(value))) +
         " " + units[i];
}

static std::string duration(double seconds) {
  auto whole = static_cast<uint64_t>(std::ceil(seconds));
  if (whole < 120)
    return std::to_string(whole) + " s";
  if (whole < 2 * 3600)
    return std::to_string(whole / 60) + " min";
  return std::to_string(whole / 3600) + " h " +
         std::to_string(whole / 60 % 60) + " min";
}

std::string Progress::text(const std::string &what, uint64_t done,
                           uint64_t total, const std::string &unit,
                           double seconds, const std::string &step) {
  std::string line = what + ": ";
  if (total)
    line += std::to_string(static_cast<uint64_t>(100.0 * done / total)) +
            " % of " + amount(total, unit);
  else
    line += amount(done, unit);
  if (done && seconds > 0) {
    double rate = done / seconds;
    line += ", " + amount(rate, unit) + "/s";
    if (total > done)
      line += ", " + duration((total - done) / rate) + " left";
  }
  if (!step.empty())
    line += ": " + step;
  return line;
}

ProgressFn Progress::function() {
  if (!shown)
    return {};
  return [this](uint64_t done, uint64_t total, const std::string &step) {
    update(done, total, step);
  };
}

void Progress::update(uint64_t done, uint64_t total, const std::string &step) {
  if (!shown)
    return;
  std::lock_guard<std::mutex> lock(mutex);
  Clock::time_point now = Clock::now();
  if (now - begin < firstDrawn || (isVisible && now - drawn < redrawn))
    return;
  drawn = now;
  isVisible = true;
  std::chrono::duration<double> seconds = now - begin;
  std::string line = text(what, done, total, unit, seconds.count(), step);
  // A line that wraps could not be taken back.
  winsize size = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 &&
      line.size() >= size.ws_col)
    line.resize(size.ws_col - 1);
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
}
