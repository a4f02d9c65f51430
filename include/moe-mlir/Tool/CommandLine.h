//===- CommandLine.h - What the tools' command lines share ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Help in groups, the version, completion for shells, and the options that mean
// the same in every tool. docs/tools.md has the vocabulary.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TOOL_COMMANDLINE_H
#define MOE_MLIR_TOOL_COMMANDLINE_H

#include "mlir/Support/LLVM.h"
#include "llvm/Support/CommandLine.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mlir {
class DefaultTimingManager;
class DialectRegistry;
class ModuleOp;
class PassManager;
class TimingScope;
} // namespace mlir

namespace moe::tools {

struct Example {
  llvm::StringRef purpose, command;
};

/// What --help and --version say besides the options.
struct Description {
  llvm::StringRef name;
  /// One sentence.
  llvm::StringRef purpose;
  /// What follows the options in the line of use.
  llvm::StringRef arguments;
  std::vector<Example> examples;
  /// Paragraphs behind the options.
  std::string details = {};
  /// What code is made for or run on, if it is.
  std::vector<std::string> targets = {};
  /// The exit status of wrong use.
  int usageError = 1;
};

/// The command line of a tool, made before its options: LLVM's shared library
/// has hundreds of its own, some with names of ours, which it takes away.
class CommandLine {
public:
  explicit CommandLine(Description description);
  ~CommandLine();
  CommandLine(const CommandLine &) = delete;

  /// A group of --help. Groups are shown in the order in which they were asked
  /// for.
  llvm::cl::OptionCategory &group(llvm::StringRef title);

  /// The only values of an option: anything else is an error that lists them.
  void choose(llvm::cl::opt<std::string> &option,
              std::vector<std::string> values);
  void choose(llvm::cl::list<std::string> &option,
              std::vector<std::string> values);

  /// An option such as --list-targets: the tool writes `lines` and ends.
  void addList(llvm::StringRef name, llvm::StringRef description,
               std::function<std::vector<std::string>()> lines);

  /// Shows an option that a library adds when it parses the command line.
  void describe(llvm::StringRef title, llvm::StringRef name,
                llvm::StringRef description);

  /// Shows options that somebody else made in a group; names that there are not
  /// are left out.
  void adopt(llvm::StringRef title, llvm::ArrayRef<llvm::StringRef> names);

  /// The same for values that are options of their own, such as passes: those
  /// that `describe` has words for.
  void adoptLiterals(llvm::StringRef title,
                     llvm::function_ref<std::string(llvm::StringRef)> describe);

  /// Does what --help, --version, --completion and lists ask for and ends the
  /// program, as it does when the command line is wrong.
  void parse(int argc, char **argv);

  /// That alone, for tools whose options somebody
  /// else parses.
  void answer(int argc, char **argv);

  /// Prints an error and returns the exit status of wrong use.
  int fail(const llvm::Twine &message) const;
  const Description &description() const { return text; }

  void printHelp(llvm::raw_ostream &os);
  void printVersion(llvm::raw_ostream &os) const;
  /// For bash, zsh or fish; false for another shell.
  bool printCompletion(llvm::StringRef shell, llvm::raw_ostream &os);

private:
  /// The values of an option that are known, and those that were given.
  struct Choice {
    std::vector<std::string> known;
    std::function<std::vector<std::string>()> given;
  };
  struct Entry;
  std::vector<Entry> entries(const llvm::cl::OptionCategory &group);

  Description text;
  std::deque<std::string> titles;
  std::deque<llvm::cl::OptionCategory> groups;
  std::map<const llvm::cl::Option *, Choice> choices;
  struct List {
    std::string name, description;
    std::function<std::vector<std::string>()> lines;
  };
  std::vector<List> lists;
  /// Names and descriptions of adopted literals, by group.
  std::map<const llvm::cl::OptionCategory *,
           std::vector<std::pair<std::string, std::string>>>
      literals;
};

/// "a, b and c".
std::string enumerate(llvm::ArrayRef<std::string> names);

//===----------------------------------------------------------------------===//
// Options of several tools
//===----------------------------------------------------------------------===//

/// --load-dialect-plugin and --load-pass-plugin. A plugin that does not load is
/// an error.
struct PluginOptions {
  explicit PluginOptions(CommandLine &line);
  bool load(mlir::DialectRegistry &registry, std::string &error) const;

  static constexpr llvm::StringLiteral value = "library",
                                       dialectHelp =
                                           "Load dialects (policies, "
                                           "activations, ...) from a plugin",
                                       passHelp = "Load passes from a plugin";
  llvm::cl::list<std::string> dialectPlugins, passPlugins;
};

/// The same where upstream's libraries parse the command line: plugins load
/// when they are met, and `add` is given their dialects.
struct EagerPluginOptions {
  EagerPluginOptions(CommandLine &line,
                     std::function<void(mlir::DialectRegistry &)> add);

  PluginOptions options;
};

/// Loads one plugin; the two kinds of it.
bool loadDialectPlugin(const std::string &path, mlir::DialectRegistry &registry,
                       std::string &error);
bool loadPassPlugin(const std::string &path, std::string &error);

/// --tokens=N and --size=NAME=N,...
struct SizeOptions {
  explicit SizeOptions(CommandLine &line);
  bool read(std::map<std::string, int64_t> &sizes, std::string &error) const;

  llvm::cl::opt<std::string> tokens;
  llvm::cl::list<std::string> sizes;
};

/// --random=SEED.
struct RandomOption {
  explicit RandomOption(CommandLine &line);
  bool read(std::optional<uint64_t> &seed, std::string &error) const;

  llvm::cl::opt<std::string> seed;
};

/// --checkpoint=DIR or FILE.
struct CheckpointOption {
  explicit CheckpointOption(CommandLine &line);

  llvm::cl::opt<std::string> path;
};

/// --external=file,...: what has the C functions that experts call.
struct ExternalOption {
  ExternalOption(CommandLine &line, llvm::StringRef what);

  /// Loads the shared libraries among them; others go to `rest`, which is null
  /// where they are of no use.
  bool load(std::vector<std::string> *rest, std::string &error) const;

  llvm::cl::list<std::string> files;

private:
  /// Options refer to their texts.
  std::string help;
};

/// --threads=N, where 0 stands for all CPUs.
struct ThreadsOption {
  explicit ThreadsOption(CommandLine &line);

  llvm::cl::opt<unsigned> threads;
};

/// --device=cuda | vulkan[:N]. `otherwise` says what is done without.
struct DeviceOption {
  DeviceOption(CommandLine &line, llvm::StringRef otherwise);

  llvm::cl::opt<std::string> device;

private:
  /// Options refer to their texts.
  std::string help;
};

/// --entry=NAME.
struct EntryOption {
  explicit EntryOption(CommandLine &line);

  llvm::cl::opt<std::string> entry;
};

/// --pipeline-extension, --activations, --codegen, and upstream's options of
/// whoever runs passes:
/// --mlir-timing, --mlir-print-ir-* and --remarks-filter*. Some of them name
/// passes, which are registered before.
struct CompilationOptions {
  explicit CompilationOptions(CommandLine &line);
  ~CompilationOptions();

  /// Does what they ask for to options of the compiler. Plugins are loaded.
  template <typename CompileOptions>
  bool apply(CompileOptions &options, std::string &error) {
    options.setUp = [this](mlir::PassManager &manager) {
      return setUp(manager);
    };
    options.timing = &startTiming();
    options.oneByOne = printsIR();
    options.activations = activations;
    options.codegen = codegen;
    for (const std::string &text : extensions)
      if (!options.extensions.add(text, error)) {
        error = "--pipeline-extension=" + text + ": " + error;
        return false;
      }
    return true;
  }

  /// Before passes run.
  llvm::LogicalResult setUp(mlir::PassManager &manager) const;

  /// Prints the times, up to now; nothing is compiled any more. The end of the
  /// object does the same.
  void finish();

private:
  mlir::TimingScope &startTiming();
  bool printsIR() const;

  llvm::cl::list<std::string> extensions;
  llvm::cl::opt<std::string> activations, codegen;
  /// By what they filter.
  std::deque<llvm::cl::opt<std::string>> remarks;
  std::unique_ptr<mlir::DefaultTimingManager> timing;
  std::unique_ptr<mlir::TimingScope> whole;
};

/// Runs a --pass-pipeline on a module; `options` may be null.
llvm::LogicalResult runPasses(mlir::ModuleOp module, llvm::StringRef pipeline,
                              const CompilationOptions *options = nullptr);

} // namespace moe::tools

#endif // MOE_MLIR_TOOL_COMMANDLINE_H
