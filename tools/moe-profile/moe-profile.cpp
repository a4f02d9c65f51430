//===- moe-profile.cpp - Shows and merges profiles ------------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What moe-run --profile-out and moe_mlir.record() saw: added up, as tables and
// as a page.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/Profile.h"
#include "moe-mlir/Profile/Summary.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace {

struct Options {
  moe::tools::CommandLine line{
      {"moe-profile",
       "Shows and merges what was seen when a model ran.",
       "<show | merge> <profile.json>...",
       {{"Who does the work, in a terminal and as a page",
         "moe-profile show profile.json --html=profile.html"},
        {"Several runs of one model, added up",
         "moe-profile merge monday.json tuesday.json -o both.json"}},
       "Several profiles are added up by both. Sums are exact: the order does "
       "not matter. Profiles of different models are refused."}};
  cl::OptionCategory &out = line.group("Output");

  cl::opt<std::string> action{cl::Positional, cl::Required, cl::cat(out),
                              cl::desc("<show | merge>")};
  cl::list<std::string> files{cl::Positional, cl::OneOrMore, cl::cat(out),
                              cl::desc("<profile.json>...")};
  cl::opt<std::string> outputFile{"o", cl::value_desc("profile.json"),
                                  cl::cat(out),
                                  cl::desc("Of merge: the file to write")};
  cl::opt<std::string> page{
      "html", cl::value_desc("file.html"), cl::cat(out),
      cl::desc("Of show: write the page of moe-run --routing-report, too")};
};

} // namespace

/// All files, added up.
static bool readAll(const Options &options, moe::Profile &profile,
                    std::string &error) {
  for (const std::string &file : options.files) {
    moe::Profile next;
    if (!moe::readProfile(file, next, error))
      return false;
    if (&file == &options.files.front())
      profile = std::move(next);
    else if (!profile.merge(next, error))
      return false;
  }
  return true;
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-profile");
  Options options;
  options.line.parse(argc, argv);
  auto fail = [&](const Twine &message) { return options.line.fail(message); };
  bool isMerge = options.action == "merge";
  if (!isMerge && options.action != "show")
    return fail("unknown action '" + options.action +
                "'; known are show and merge");
  if (isMerge && options.outputFile.empty())
    return fail("merge writes a file; name it by -o");
  if (!isMerge && !options.outputFile.empty())
    return fail("-o is for merge; show writes a page by --html");
  if (isMerge && !options.page.empty())
    return fail("--html is for show");

  std::string error;
  moe::Profile profile;
  if (!readAll(options, profile, error))
    return fail(error);
  moe::OutputSet outputs;
  std::string text;
  raw_string_ostream os(text);
  if (isMerge) {
    moe::writeProfile(os, profile);
    if (!outputs.write(options.outputFile, text, error) ||
        !outputs.commit(error))
      return fail(error);
    return 0;
  }
  moe::RoutingReport report = moe::profile::summarize(profile);
  report.title = sys::path::stem(options.files.front()).str();
  for (const std::string &file : options.files)
    report.facts.push_back({"Profile", sys::path::filename(file).str()});
  if (!options.page.empty() &&
      (!outputs.write(options.page, report.html(), error) ||
       !outputs.commit(error)))
    return fail(error);
  std::string shown = report.text();
  outs() << (shown.empty() ? "no routings, and no zeros\n" : shown);
  return 0;
}
