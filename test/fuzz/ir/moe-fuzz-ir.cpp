//===- moe-fuzz-ir.cpp - Mutants of IR through every pass -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Changes the .mlir files it is given at random; parses what comes out, runs
// each pass of the project alone and, for some, everything up to machine code.
// Whatever the input, there is a result or an error with a message. No signal,
// no exit, no endless loop, no failure without a word, no result that does not
// verify, and no message that speaks of a bug.
//
// Mutants run in a child process, thousands of them in each. What it works on
// is in memory that both share: when the child dies, the parent saves it, and
// the next child goes on behind it. Mutant I of seed S is the same in every run
// over the same files.
//
//===----------------------------------------------------------------------===//

#include "Mutate.h"
#include "moe-mlir/Compiler/Compiler.h"
#include "moe-mlir/InitAll.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/Signals.h"

#include <chrono>
#include <fcntl.h>
#include <map>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace mlir;
using namespace moe::fuzz;
namespace cl = llvm::cl;

static cl::OptionCategory category("moe-fuzz-ir options");
static cl::list<std::string> inputs(cl::Positional,
                                    cl::desc("<.mlir files and folders>"),
                                    cl::cat(category));
static cl::opt<unsigned long long> seed("seed", cl::init(1), cl::cat(category),
                                        cl::desc("Seed of all mutants"));
static cl::opt<unsigned long long>
    first("first", cl::init(0), cl::cat(category),
          cl::desc("Number of the first mutant"));
static cl::opt<unsigned long long> each("each", cl::init(1), cl::cat(category),
                                        cl::desc("Mutants of each part"));
static cl::opt<unsigned long long>
    count("count", cl::init(0), cl::cat(category),
          cl::desc("Mutants in all, instead of --each"));
static cl::opt<double> seconds("seconds", cl::init(1e9), cl::cat(category),
                               cl::desc("No new mutant after so many"));
static cl::opt<unsigned>
    compilePercent("compile", cl::init(25), cl::cat(category),
                   cl::desc("Percentage of mutants that run through the whole "
                            "compilation, too"));
static cl::opt<unsigned> cpuSeconds("limit", cl::init(20), cl::cat(category),
                                    cl::desc("CPU seconds a mutant may take"));
static cl::opt<std::string> keep("keep", cl::init("fuzz-failures"),
                                 cl::cat(category),
                                 cl::desc("Folder for mutants that fail"));
static cl::opt<std::string>
    known("known", cl::cat(category),
          cl::desc("File with a regular expression a line; failures that match "
                   "one are counted only"));
static cl::opt<bool>
    asIs("as-is", cl::cat(category),
         cl::desc("No mutants: each part of the files as it is, with the whole "
                  "compilation for all targets"));
static cl::opt<bool> listPasses("list-passes", cl::cat(category),
                                cl::desc("Name the passes, and stop"));
static cl::opt<std::string>
    plant("plant", cl::cat(category),
          cl::desc("Fail on purpose at the first mutant that parses: abort, "
                   "exit, loop or silent"));

namespace {

/// What both processes see.
struct Shared {
  uint64_t index; ///< of the current mutant
  uint64_t done;  ///< mutants before this one are finished
  uint64_t parsed, compiled, steps;
  char step[256];     ///< what runs now
  char message[2048]; ///< of a failure that is no crash
  char source[512];   ///< where the mutant comes from
  size_t size;
  char text[1 << 20]; ///< the mutant; empty while it is made
};
Shared *shared;

void setStep(const Twine &step) {
  std::string text = step.str();
  strncpy(shared->step, text.c_str(), sizeof(shared->step) - 1);
  ++shared->steps;
}

/// Ends the child: the parent reports the current mutant.
[[noreturn]] void failStep(const Twine &message) {
  std::string text = message.str();
  strncpy(shared->message, text.c_str(), sizeof(shared->message) - 1);
  _exit(99);
}

/// Remembers what the context says.
class Messages {
public:
  explicit Messages(MLIRContext *context)
      : handler(context, [this](Diagnostic &diagnostic) {
          take(diagnostic);
          return success();
        }) {}
  void clear() { errors = 0, text.clear(); }
  StringRef get() const { return text; }
  /// Of the step that just ended.
  void check(bool succeeded) {
    StringRef all = text;
    for (const char *word : {" bug", "LLVM ERROR", "Assertion", "UNREACHABLE"})
      if (all.contains(word))
        failStep("a message speaks of a bug: " + all);
    if (!succeeded && errors == 0)
      failStep("failed without an error message");
  }

private:
  void take(Diagnostic &diagnostic) {
    errors += diagnostic.getSeverity() == DiagnosticSeverity::Error;
    if (text.size() < 1500)
      text += diagnostic.str() + "\n";
  }
  unsigned errors = 0;
  std::string text;
  ScopedDiagnosticHandler handler;
};

/// Names the pass that runs.
struct NamePasses : PassInstrumentation {
  explicit NamePasses(std::string what) : what(std::move(what)) {}
  void runBeforePass(Pass *pass, Operation *) override {
    if (pass->getName().contains("OpToOpPassAdaptor"))
      return;
    setStep(
        what + ": " +
        (pass->getArgument().empty() ? pass->getName() : pass->getArgument()));
  }
  std::string what;
};

/// A part of a file.
struct Source {
  Source(StringRef file, unsigned part, StringRef text)
      : file(file.str()), text(text.str()), hash(2166136261u) {
    for (char c : (llvm::sys::path::filename(file) + Twine(part)).str())
      hash = (hash ^ uint8_t(c)) * 16777619u;
    for (std::string &token : tokenize(this->text))
      if (token.size() < 40 && !StringRef(token).trim().empty() &&
          !StringRef(token).starts_with("//"))
        words.push_back(std::move(token));
  }
  std::string file, text;
  uint32_t hash;
  std::vector<std::string> words;
};

class Child {
public:
  Child(const std::vector<Source> &sources,
        const std::vector<std::string> &passes)
      : sources(sources), passes(passes) {
    mlir::registerAllDialects(registry);
    mlir::registerAllExtensions(registry);
    moe::registerAllDialects(registry);
    moe::registerCompilerDialects(registry);
    renew();
  }

  void run(uint64_t index) {
    // A context keeps every type and attribute it ever saw.
    if (++used > 200)
      renew();
    shared->size = 0;
    shared->message[0] = 0;
    shared->index = index;
    itimerval limit = {{0, 0}, {long(cpuSeconds), 0}};
    setitimer(ITIMER_PROF, &limit, nullptr);
    setStep("mutate");
    const Source &source = sources[index % sources.size()];
    Draw draw(seed + source.hash, index / sources.size());
    strncpy(shared->source, source.file.c_str(), sizeof(shared->source) - 1);
    std::string text;
    if (asIs)
      text = source.text;
    else if (draw.chance(50))
      text = mutateText(source.text, source.words, draw);
    else if (!mutateAsModule(source, text, draw))
      return;
    if (text.size() >= sizeof(shared->text))
      return;
    memcpy(shared->text, text.data(), text.size());
    shared->size = text.size();
    check(text, draw);
  }

private:
  void renew() {
    context = std::make_unique<MLIRContext>(registry,
                                            MLIRContext::Threading::DISABLED);
    used = 0;
  }

  bool mutateAsModule(const Source &source, std::string &text, Draw &draw) {
    ScopedDiagnosticHandler silent(context.get(),
                                   [](Diagnostic &) { return success(); });
    OwningOpRef<ModuleOp> module =
        parseSourceString<ModuleOp>(source.text, context.get());
    if (!module) {
      text = mutateText(source.text, source.words, draw);
      return true;
    }
    for (unsigned tries = 0; tries < 6; ++tries) {
      OwningOpRef<ModuleOp> mutant = module->clone();
      mutateModule(*mutant, draw);
      if (failed(verify(*mutant)))
        continue;
      llvm::raw_string_ostream os(text);
      mutant->print(os);
      return true;
    }
    return false;
  }

  void check(const std::string &text, Draw &draw) {
    Messages messages(context.get());
    setStep("parse");
    OwningOpRef<ModuleOp> module =
        parseSourceString<ModuleOp>(text, context.get());
    messages.check(bool(module));
    if (!module)
      return;
    ++shared->parsed;
    if (!plant.empty())
      fail(plant);
    for (const std::string &name : passes) {
      OwningOpRef<ModuleOp> clone = module->clone();
      PassManager pm(context.get(), ModuleOp::getOperationName(),
                     OpPassManager::Nesting::Implicit);
      messages.clear();
      // The pass has no options, and some need them.
      if (failed(PassInfo::lookup(name)->addToPipeline(
              pm, "", [](const Twine &) { return failure(); })))
        continue;
      run(pm, *clone, name, messages);
    }
    if (!asIs && !draw.chance(compilePercent))
      return;
    std::vector<std::string> targets = moe::knownTargets();
    if (!asIs)
      targets = {draw.pick(targets)};
    for (const std::string &target : targets)
      compile(*module, target, /*fuse=*/asIs || !draw.chance(20), messages);
  }

  void fail(StringRef how) {
    if (how == "abort")
      abort();
    if (how == "exit")
      exit(1);
    if (how == "silent")
      failStep("failed without an error message");
    for (volatile bool forever = true; forever;) {
    }
  }

  bool run(PassManager &pm, ModuleOp module, const std::string &what,
           Messages &messages) {
    // What a pass made is looked at below; the pass manager would call it an
    // error of the user's.
    pm.enableVerifier(false);
    pm.addInstrumentation(std::make_unique<NamePasses>(what));
    bool succeeded = mlir::succeeded(pm.run(module));
    messages.check(succeeded);
    messages.clear();
    if (succeeded && failed(verify(module)))
      failStep("its result does not verify: " + messages.get());
    return succeeded;
  }

  void compile(ModuleOp module, StringRef target, bool fuse,
               Messages &messages) {
    moe::CompileOptions options;
    options.fuse = fuse;
    options.codegenLevel = 0;
    messages.clear();
    std::string what = ("compile for " + target).str();
    {
      OwningOpRef<ModuleOp> clone = module.clone();
      moe::PipelineOptions pipeline;
      pipeline.target = target.str();
      pipeline.fuse = fuse;
      for (moe::Stage stage : {moe::Stage::Fused, moe::Stage::Bufferized,
                               moe::Stage::Runtime, moe::Stage::LLVM}) {
        pipeline.stopAfter = stage;
        PassManager pm(context.get(), ModuleOp::getOperationName());
        moe::buildPipeline(pm, pipeline, stageBefore);
        stageBefore = stage;
        if (!run(pm, *clone, what, messages)) {
          stageBefore = std::nullopt;
          return;
        }
      }
      stageBefore = std::nullopt;
    }
    setStep(what + ": machine code");
    messages.clear();
    std::string assembly;
    llvm::raw_string_ostream os(assembly);
    // A module that names a target keeps it.
    moek::TargetAttrInterface chip = moek::getTarget(module);
    if (!chip)
      chip = moe::TargetRegistry::get().getChip(context.get(), target);
    bool succeeded = mlir::succeeded(moe::compileToText(
        module, options, chip, moe::CodeKind::Assembly, os));
    messages.check(succeeded);
    shared->compiled += succeeded;
  }

  const std::vector<Source> &sources;
  const std::vector<std::string> &passes;
  DialectRegistry registry;
  std::unique_ptr<MLIRContext> context;
  std::optional<moe::Stage> stageBefore;
  unsigned used = 0;
};

/// What the project registered, as MLIR prints it: there is no other list.
std::vector<std::string> getPassNames() {
  char path[] = "/tmp/moe-fuzz-ir-XXXXXX";
  int file = mkstemp(path), before = dup(1);
  unlink(path);
  llvm::outs().flush();
  dup2(file, 1);
  mlir::printRegisteredPasses();
  llvm::outs().flush();
  fflush(stdout);
  dup2(before, 1);
  close(before);
  std::string text(lseek(file, 0, SEEK_END), 0);
  if (pread(file, text.data(), text.size(), 0) < 0)
    text.clear();
  close(file);
  std::vector<std::string> names;
  for (StringRef line : llvm::split(text, '\n')) {
    if (line = line.ltrim(); !line.consume_front("--"))
      continue;
    // "--name   -   what it does", and no space behind a long name.
    StringRef name = line.take_until([](char c) { return c == ' '; });
    name.consume_back("-");
    if (PassInfo::lookup(name))
      names.push_back(name.str());
  }
  llvm::sort(names);
  return names;
}

void addFile(StringRef path, std::vector<Source> &sources) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer) {
    llvm::errs() << "moe-fuzz-ir: cannot read " << path << "\n";
    exit(2);
  }
  SmallVector<StringRef> parts;
  (*buffer)->getBuffer().split(parts, "// -----\n");
  for (auto [number, part] : llvm::enumerate(parts))
    if (!part.trim().empty())
      sources.emplace_back(path, number, part);
}

std::vector<Source> readSources() {
  std::vector<std::string> paths;
  for (const std::string &input : inputs) {
    if (!llvm::sys::fs::is_directory(input)) {
      paths.push_back(input);
      continue;
    }
    std::error_code code;
    for (llvm::sys::fs::recursive_directory_iterator it(input, code), end;
         it != end && !code; it.increment(code))
      if (StringRef(it->path()).ends_with(".mlir"))
        paths.push_back(it->path());
  }
  llvm::sort(paths);
  std::vector<Source> sources;
  for (const std::string &path : paths)
    addFile(path, sources);
  return sources;
}

std::string readTail(int file, size_t bytes) {
  off_t size = lseek(file, 0, SEEK_END);
  off_t begin = std::max<off_t>(0, size - off_t(bytes));
  std::string text(size - begin, 0);
  ssize_t have = pread(file, text.data(), text.size(), begin);
  text.resize(std::max<ssize_t>(0, have));
  return text;
}

/// The functions of a stack trace, innermost first, and what else was written,
/// without addresses.
std::string summarize(StringRef log) {
  std::string result;
  unsigned frames = 0;
  for (StringRef line : llvm::split(log, '\n')) {
    if (line.contains("LLVM ERROR") ||
        line.contains("ERROR: AddressSanitizer") ||
        line.contains("runtime error:"))
      result += line.substr(0, 300).str() + "\n";
    // " #4 0x00007f... moe::X::y(...) (/path+0x123)"
    StringRef frame = line.ltrim();
    if (!frame.consume_front("#"))
      continue;
    frame = frame.drop_while(llvm::isDigit).ltrim();
    if (!frame.consume_front("0x"))
      continue;
    frame = frame.drop_while(llvm::isHexDigit).ltrim();
    frame.consume_front("in ");
    if (frame.contains("PrintStackTrace") || frame.contains("SignalHandler") ||
        frame.starts_with("(") || frame.contains("libc.so"))
      continue;
    if (frames++ < 8)
      result += "    " +
                frame.substr(0, frame.rfind(" (")).substr(0, 160).str() + "\n";
  }
  return result;
}

struct Failures {
  std::map<std::string, unsigned> seen;
  unsigned known = 0;
  std::vector<std::string> patterns;

  bool report(int status, int log) {
    std::string how;
    if (WIFSIGNALED(status))
      how = WTERMSIG(status) == SIGPROF
                ? "more than " + std::to_string(cpuSeconds) + " s of CPU time"
                : std::string(strsignal(WTERMSIG(status)));
    else if (shared->message[0])
      how = shared->message;
    else
      how = "exit status " + std::to_string(WEXITSTATUS(status));
    std::string tail = readTail(log, 1 << 16);
    std::string summary = summarize(tail);
    std::string key = shared->step + ("\n" + how + "\n" + summary);
    for (const std::string &pattern : patterns)
      if (llvm::Regex(pattern).match(key)) {
        ++known;
        return false;
      }
    // One of each kind: targets and mutants differ, the place does not.
    std::string kind = StringRef(shared->step).split(": ").second.str() +
                       StringRef(how).take_front(100).str() +
                       StringRef(summary).take_front(400).str();
    if (seen[kind]++)
      return true;
    std::string name = "seed" + std::to_string(seed) + "-mutant" +
                       std::to_string(shared->index) + ".mlir";
    SmallString<256> path(keep);
    llvm::sys::fs::create_directories(path);
    llvm::sys::path::append(path, name);
    std::error_code code;
    llvm::raw_fd_ostream os(path, code);
    os << StringRef(shared->text, shared->size);
    llvm::outs() << "FAILED in " << shared->step << ": "
                 << StringRef(how).rtrim() << "\n"
                 << summary << "  the mutant of " << shared->source << " is "
                 << path << "; repeat by\n  moe-fuzz-ir --as-is " << path
                 << "\n";
    llvm::outs().flush();
    return true;
  }
};

} // namespace

int main(int argc, char **argv) {
  llvm::InitLLVM initialized(argc, argv);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv,
                              "Runs mutants of IR through passes\n");
  moe::registerAllPasses();
  std::vector<std::string> passes = getPassNames();
  if (listPasses) {
    for (const std::string &name : passes)
      llvm::outs() << name << "\n";
    return 0;
  }
  std::vector<Source> sources = readSources();
  Failures failures;
  if (!known.empty()) {
    auto buffer = llvm::MemoryBuffer::getFile(known);
    if (!buffer) {
      llvm::errs() << "moe-fuzz-ir: cannot read " << known << "\n";
      return 2;
    }
    for (StringRef line : llvm::split((*buffer)->getBuffer(), '\n'))
      if (!line.trim().empty() && !line.starts_with("#"))
        failures.patterns.push_back(line.trim().str());
  }
  shared = static_cast<Shared *>(mmap(nullptr, sizeof(Shared),
                                      PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  char logPath[] = "/tmp/moe-fuzz-ir-log-XXXXXX";
  int log = mkstemp(logPath);
  unlink(logPath);

  auto began = std::chrono::steady_clock::now();
  auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         began)
        .count();
  };
  if (sources.empty()) {
    llvm::errs() << "moe-fuzz-ir: no .mlir file was given\n";
    return 2;
  }
  uint64_t end =
      asIs ? sources.size() : first + (count ? count : each * sources.size());
  shared->done = asIs ? 0 : first;
  while (shared->done < end && elapsed() < seconds) {
    llvm::outs().flush();
    if (ftruncate(log, 0) != 0)
      return 2;
    pid_t pid = fork();
    if (pid < 0) {
      perror("moe-fuzz-ir: fork");
      return 2;
    }
    if (pid == 0) {
      dup2(log, 2);
#ifndef MOE_SANITIZED
      rlimit memory = {rlim_t(8) << 30, rlim_t(8) << 30};
      setrlimit(RLIMIT_AS, &memory);
#endif
      rlimit none = {0, 0};
      setrlimit(RLIMIT_CORE, &none);
      Child child(sources, passes);
      while (shared->done < end && elapsed() < seconds) {
        child.run(shared->done);
        ++shared->done;
      }
      _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !shared->message[0])
      continue;
    // A mutant that could not even be made is none.
    if (shared->size)
      failures.report(status, log);
    ++shared->done;
  }
  uint64_t mutants = shared->done - (asIs ? 0 : first.getValue());
  llvm::outs() << mutants << " mutants of " << sources.size()
               << " modules, seed " << seed << ", " << shared->parsed
               << " parsed, " << shared->steps << " steps of " << passes.size()
               << " passes, " << shared->compiled << " compiled";
  if (failures.known)
    llvm::outs() << ", " << failures.known << " known failures";
  llvm::outs() << "\n";
  for (auto &[kind, times] : failures.seen)
    if (times > 1)
      llvm::outs() << times << " times: " << StringRef(kind).split('\n').first
                   << "\n";
  llvm::outs() << (failures.seen.empty() ? "no failure" : "FAILED") << ", "
               << failures.seen.size() << " kinds\n";
  return !failures.seen.empty();
}
