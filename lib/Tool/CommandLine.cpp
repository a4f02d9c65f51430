//===- CommandLine.cpp - What the tools' command lines share ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Support/ExternalFunctions.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/WithColor.h"
#include "llvm/Support/raw_ostream.h"

using namespace moe::tools;
namespace cl = llvm::cl;
using llvm::StringRef;

/// Where the text of an option begins, and where lines end.
static constexpr size_t textColumn = 28, lineEnd = 80;

std::string moe::tools::enumerate(llvm::ArrayRef<std::string> names) {
  if (names.size() < 2)
    return llvm::join(names, "");
  return llvm::join(names.drop_back(), ", ") + " and " + names.back();
}

CommandLine::CommandLine(Description description)
    : text(std::move(description)) {
  cl::ResetCommandLineParser();
}

cl::OptionCategory &CommandLine::group(StringRef title) {
  for (cl::OptionCategory &group : groups)
    if (group.getName() == title)
      return group;
  return groups.emplace_back(titles.emplace_back(title));
}

void CommandLine::choose(cl::opt<std::string> &option,
                         std::vector<std::string> values) {
  choices[std::addressof<cl::Option>(option)] = {
      std::move(values), [&option] {
        return option.getNumOccurrences() ? std::vector<std::string>{option}
                                          : std::vector<std::string>();
      }};
}

void CommandLine::choose(cl::list<std::string> &option,
                         std::vector<std::string> values) {
  choices[std::addressof<cl::Option>(option)] = {
      std::move(values), [&option] {
        return std::vector<std::string>(option.begin(), option.end());
      }};
}

int CommandLine::fail(const llvm::Twine &message) const {
  llvm::WithColor::error(llvm::errs(), text.name) << message << "\n";
  return text.usageError;
}

void CommandLine::answer(int argc, char **argv) {
  for (StringRef argument : llvm::ArrayRef<char *>(argv, argc).drop_front()) {
    if (argument == "--")
      return;
    if (argument == "--help" || argument == "-help" || argument == "-h")
      printHelp(llvm::outs());
    else if (argument == "--version" || argument == "-version")
      printVersion(llvm::outs());
    else if (argument.consume_front("--completion=")) {
      if (!printCompletion(argument, llvm::outs()))
        exit(fail("--completion: unknown shell '" + argument +
                  "'; known are bash, zsh and fish"));
    } else {
      argument.consume_front("--");
      auto list = llvm::find_if(
          lists, [&](const List &list) { return list.name == argument; });
      if (list == lists.end())
        continue;
      for (const std::string &line : list->lines())
        llvm::outs() << line << "\n";
    }
    llvm::outs().flush();
    exit(0);
  }
}

void CommandLine::parse(int argc, char **argv) {
  answer(argc, argv);
  if (!cl::ParseCommandLineOptions(argc, argv, "", &llvm::errs()))
    exit(text.usageError);
  for (const auto &[option, choice] : choices)
    for (const std::string &value : choice.given())
      if (!llvm::is_contained(choice.known, value))
        exit(fail("--" + option->ArgStr + ": unknown value '" + value +
                  "'; known are " + enumerate(choice.known)));
}

//===----------------------------------------------------------------------===//
// --help and --version
//===----------------------------------------------------------------------===//

/// An option as help and completion show it.
struct CommandLine::Entry {
  std::string name, description;
  /// What the value is called; empty if there is none.
  std::string value;
  bool isValueOptional = false;
  llvm::ArrayRef<std::string> choices;

  bool hasValue() const { return !value.empty() && !isValueOptional; }
  std::string dashed() const { return (name.size() == 1 ? "-" : "--") + name; }
  std::string spell() const {
    if (value.empty())
      return dashed();
    std::string text = (name.size() == 1 ? " <" : "=<") + value + ">";
    return dashed() + (isValueOptional ? "[" + text + "]" : text);
  }
};

CommandLine::~CommandLine() = default;

void CommandLine::addList(StringRef name, StringRef description,
                          std::function<std::vector<std::string>()> lines) {
  lists.push_back({name.str(), description.str(), std::move(lines)});
}

void CommandLine::describe(StringRef title, StringRef name,
                           StringRef description) {
  literals[&group(title)].emplace_back(name.str(), description.str());
}

void CommandLine::adopt(StringRef title, llvm::ArrayRef<StringRef> names) {
  for (StringRef name : names)
    if (cl::Option *option = cl::getRegisteredOptions().lookup(name))
      option->addCategory(group(title));
}

void CommandLine::adoptLiterals(
    StringRef title, llvm::function_ref<std::string(StringRef)> describe) {
  auto &names = literals[&group(title)];
  for (const auto &entry : cl::getRegisteredOptions()) {
    if (entry.second->ArgStr == entry.first)
      continue;
    std::string description = describe(entry.first);
    if (!description.empty())
      names.emplace_back(entry.first, description);
  }
}

std::vector<CommandLine::Entry>
CommandLine::entries(const cl::OptionCategory &group) {
  std::vector<Entry> result;
  for (const auto &[name, description] : literals[&group])
    result.push_back({name, description, "", false, {}});
  for (const auto &registered : cl::getRegisteredOptions()) {
    const cl::Option &option = *registered.second;
    if (option.ArgStr != registered.first ||
        option.getOptionHiddenFlag() != cl::NotHidden ||
        !llvm::is_contained(option.Categories, &group))
      continue;
    Entry entry{option.ArgStr.str(), option.HelpStr.str(), "", false, {}};
    cl::ValueExpected expected = option.getValueExpectedFlag();
    entry.isValueOptional = expected == cl::ValueOptional;
    if (expected != cl::ValueDisallowed)
      entry.value = option.ValueStr.str();
    if (expected == cl::ValueRequired && entry.value.empty())
      entry.value = "value";
    if (auto it = choices.find(&option); it != choices.end())
      entry.choices = it->second.known;
    result.push_back(std::move(entry));
  }
  if (group.getName() == "General") {
    static const std::vector<std::string> shells = {"bash", "zsh", "fish"};
    result.push_back(
        {"completion", "Write completion for a shell", "shell", false, shells});
    result.push_back({"help", "Show this text", "", false, {}});
    result.push_back({"version",
                      "Show the versions of the project and of LLVM",
                      "",
                      false,
                      {}});
    for (const List &list : lists)
      result.push_back({list.name, list.description, "", false, {}});
  }
  llvm::sort(result,
             [](const Entry &a, const Entry &b) { return a.name < b.name; });
  return result;
}

/// Words of `text` in lines from `column` on.
static void wrap(llvm::raw_ostream &os, StringRef text, size_t column) {
  size_t at = column;
  llvm::SmallVector<StringRef> words;
  llvm::SplitString(text, words, " \n");
  for (StringRef word : words) {
    if (at != column && at + 1 + word.size() > lineEnd) {
      os << "\n" << std::string(column, ' ');
      at = column;
    } else if (at != column) {
      os << " ";
      ++at;
    }
    os << word;
    at += word.size();
  }
  os << "\n";
}

static void printOption(llvm::raw_ostream &os, StringRef spelled,
                        StringRef text) {
  os << "  " << spelled;
  if (spelled.size() + 4 > textColumn)
    os << "\n" << std::string(textColumn, ' ');
  else
    os << std::string(textColumn - spelled.size() - 2, ' ');
  wrap(os, text, textColumn);
}

void CommandLine::printHelp(llvm::raw_ostream &os) {
  os << "Usage: " << text.name << " [options] " << text.arguments << "\n\n";
  wrap(os, text.purpose, 0);
  cl::OptionCategory &general = group("General");
  auto print = [&](const cl::OptionCategory &group) {
    os << "\n" << group.getName() << ":\n";
    for (const Entry &entry : entries(group)) {
      std::string described = entry.description;
      if (!entry.choices.empty())
        described += ": " + llvm::join(entry.choices, ", ");
      printOption(os, entry.spell(), described);
    }
  };
  for (cl::OptionCategory &group : groups)
    if (&group != &general)
      print(group);
  print(general);
  llvm::SmallVector<StringRef> paragraphs;
  StringRef(text.details).split(paragraphs, "\n\n", -1, /*KeepEmpty=*/false);
  for (StringRef paragraph : paragraphs) {
    os << "\n";
    wrap(os, paragraph, 0);
  }
  os << "\nExamples:\n";
  for (const auto &[i, example] : llvm::enumerate(text.examples))
    os << (i ? "\n" : "") << example.purpose << ":\n\n  " << example.command
       << "\n";
}

void CommandLine::printVersion(llvm::raw_ostream &os) const {
  os << text.name << " (MoE-MLIR) " << MOE_VERSION << "\n"
     << "Made with LLVM and MLIR " << LLVM_VERSION_STRING << ".\n";
  if (!text.targets.empty())
    os << "Targets: " << llvm::join(text.targets, ", ") << ".\n";
  os << "Apache License 2.0 with LLVM Exceptions.\n";
}

//===----------------------------------------------------------------------===//
// --completion
//===----------------------------------------------------------------------===//

/// In single quotes for a shell; fish, too, takes '\'' for a quote.
static std::string quoted(StringRef text) {
  std::string result = "'";
  for (char c : text)
    result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

bool CommandLine::printCompletion(StringRef shell, llvm::raw_ostream &os) {
  std::vector<Entry> all;
  group("General");
  for (const cl::OptionCategory &group : groups)
    for (Entry &entry : entries(group))
      all.push_back(std::move(entry));
  std::string tool = text.name.str();
  if (shell == "bash") {
    std::string function = "_" + tool;
    llvm::replace(function, '-', '_');
    os << "# bash completion of " << tool << "\n"
       << function << "() {\n"
       << "  local word=${COMP_WORDS[COMP_CWORD]} option=\n"
       // A = is a word of its own.
       << "  if [[ $word == = ]]; then option=${COMP_WORDS[COMP_CWORD-1]} "
          "word=\n"
       << "  elif [[ $COMP_CWORD -gt 1 && ${COMP_WORDS[COMP_CWORD-1]} == = ]]; "
          "then option=${COMP_WORDS[COMP_CWORD-2]}\n"
       << "  fi\n"
       << "  case $option in\n";
    for (const Entry &entry : all)
      if (!entry.choices.empty())
        os << "  " << entry.dashed() << ") COMPREPLY=($(compgen -W "
           << quoted(llvm::join(entry.choices, " "))
           << " -- \"$word\")); return ;;\n";
    os << "  esac\n"
       << "  if [[ -z $option && $word == -* ]]; then\n"
       << "    COMPREPLY=($(compgen -W '";
    for (const Entry &entry : all)
      os << entry.dashed()
         << (entry.hasValue() && entry.name.size() > 1 ? "= " : " ");
    os << "' -- \"$word\"))\n"
       << "    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n"
       << "  else\n"
       << "    COMPREPLY=($(compgen -f -- \"$word\"))\n"
       << "  fi\n"
       << "  return 0\n}\n"
       << "complete -o filenames -F " << function << " " << tool << "\n";
    return true;
  }
  if (shell == "zsh") {
    os << "#compdef " << tool << "\n_arguments \\\n";
    for (const Entry &entry : all) {
      std::string described = entry.description;
      // Brackets and colons end parts of an _arguments spec.
      for (char &c : described)
        c = c == '[' ? '(' : c == ']' ? ')' : c == ':' ? ';' : c;
      std::string spec = entry.dashed();
      if (entry.hasValue())
        spec += entry.name.size() == 1 ? "" : "=";
      spec += "[" + described + "]";
      if (entry.hasValue())
        spec += ":value:" + (entry.choices.empty()
                                 ? std::string("_files")
                                 : "(" + llvm::join(entry.choices, " ") + ")");
      os << "  " << quoted(spec) << " \\\n";
    }
    os << "  '*:file:_files'\n";
    return true;
  }
  if (shell != "fish")
    return false;
  for (const Entry &entry : all) {
    os << "complete -c " << tool << (entry.name.size() == 1 ? " -s " : " -l ")
       << entry.name;
    if (entry.hasValue())
      os << (entry.choices.empty()
                 ? " -r"
                 : " -x -a " + quoted(llvm::join(entry.choices, " ")));
    os << " -d " << quoted(entry.description) << "\n";
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Options of several tools
//===----------------------------------------------------------------------===//

SizeOptions::SizeOptions(CommandLine &line)
    : tokens("tokens", cl::value_desc("N"), cl::cat(line.group("Input")),
             cl::desc("Number of tokens: the size T")),
      sizes("size", cl::CommaSeparated, cl::value_desc("NAME=N,..."),
            cl::cat(line.group("Input")),
            cl::desc("Any size of the function")) {}

bool SizeOptions::read(std::map<std::string, int64_t> &result,
                       std::string &error) const {
  auto add = [&](StringRef option, StringRef name, StringRef number) {
    int64_t size;
    if (name.empty()) {
      error = ("--" + option + "=" + number + ": expected NAME=N").str();
    } else if (number.getAsInteger(0, size)) {
      error =
          ("--" + option + ": '" + number + "' is not a whole number in range")
              .str();
    } else {
      auto [it, isNew] = result.try_emplace(name.str(), size);
      if (isNew || it->second == size)
        return true;
      error = "size '" + name.str() + "' is given twice";
    }
    return false;
  };
  if (!tokens.empty() && !add("tokens", "T", tokens))
    return false;
  return llvm::all_of(sizes, [&](StringRef text) {
    auto [name, number] = text.split('=');
    return text.contains('=') ? add("size", name, number)
                              : add("size", "", text);
  });
}

RandomOption::RandomOption(CommandLine &line)
    : seed("random", cl::value_desc("SEED"), cl::cat(line.group("Input")),
           cl::desc("Make up the tensors that no file has, see below")) {}

bool RandomOption::read(std::optional<uint64_t> &result,
                        std::string &error) const {
  if (!seed.getNumOccurrences())
    return true;
  result.emplace();
  if (!StringRef(seed).getAsInteger(0, *result))
    return true;
  error = "--random: '" + seed + "' is not a whole number in range";
  return false;
}

CheckpointOption::CheckpointOption(CommandLine &line)
    : path("checkpoint", cl::value_desc("folder|file"),
           cl::cat(line.group("Input")),
           cl::desc("Weights as they are published: a Hugging Face folder, a "
                    ".safetensors or a .gguf file")) {}

ExternalOption::ExternalOption(CommandLine &line, StringRef what)
    : files("external", cl::CommaSeparated, cl::value_desc("file,..."),
            cl::cat(line.group("Code"))),
      help(("Files with the C functions that experts call: " + what).str()) {
  files.setDescription(help);
}

bool ExternalOption::load(std::vector<std::string> *rest,
                          std::string &error) const {
  for (const std::string &file : files) {
    if (llvm::sys::path::extension(file) == ".so") {
      if (!loadExternals(file, error))
        return false;
    } else if (rest) {
      rest->push_back(file);
    } else {
      error = "--external=" + file + ": expected a shared library (.so)";
      return false;
    }
  }
  return true;
}

ThreadsOption::ThreadsOption(CommandLine &line)
    : threads("threads", cl::init(0), cl::value_desc("N"),
              cl::cat(line.group("Running")),
              cl::desc("Threads (default: one per CPU)")) {}

DeviceOption::DeviceOption(CommandLine &line, StringRef otherwise)
    : device("device", cl::value_desc("cuda | hip | vulkan[:N]"),
             cl::cat(line.group("Running"))),
      help(("Where layers for a device run, the N-th of its kind (default: " +
            otherwise + ")")
               .str()) {
  device.setDescription(help);
}

EntryOption::EntryOption(CommandLine &line)
    : entry("entry", cl::value_desc("name"), cl::cat(line.group("Input")),
            cl::desc("The function to run (default: the only one)")) {}
