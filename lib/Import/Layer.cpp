//===- Layer.cpp - One layer of a family as a function ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Layer.h"
#include "Template.h"

#include "moe-mlir/Analysis/StoredWeights.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/AsmParser/AsmParserState.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/SourceMgr.h"

using namespace moe;
using namespace moe::importer;

namespace {

/// An argument of the function.
struct Argument {
  /// As the text has it, without the percent sign.
  std::string name;
  std::string type;
  /// Empty where there is none.
  std::string expression;
};

class LayerWriter {
public:
  LayerWriter(LayerContext &context, std::string &error)
      : context(context), variables(context.variables), error(error) {}

  /// The text of a module with the function; empty with `error` set.
  std::string write(llvm::StringRef functionName);

  std::vector<Argument> arguments;

private:
  /// Weights that the body uses, in the order in which it does.
  std::vector<const WeightSpec *> findUses(llvm::StringRef body) const;
  void addWeight(const WeightSpec &weight);
  void addStored(const WeightSpec &weight, const std::vector<int64_t> &shape,
                 WeightFormatAttrInterface format,
                 llvm::ArrayRef<std::string> expressions);
  void checkSource(llvm::StringRef name, llvm::StringRef expression,
                   mlir::RankedTensorType type);
  std::string keepExperts(const WeightSpec &weight, std::string expression,
                          const std::vector<int64_t> &shape, bool isFormat);

  LayerContext &context;
  Variables &variables;
  std::string &error;
  /// Ahead of the body: how stored weights are read.
  std::string prologue;
  /// Types of weights under their names.
  std::string aliases;
};

template <typename T> std::string print(T value) {
  std::string text;
  llvm::raw_string_ostream(text) << value;
  return text;
}

bool isNameCharacter(char c) {
  return llvm::isAlnum(c) || c == '_' || c == '.' || c == '$' || c == '-';
}

/// Where the whole name stands in `text`; npos if it does not.
size_t findName(llvm::StringRef text, llvm::StringRef name) {
  std::string token = "%" + name.str();
  for (size_t at = text.find(token); at != llvm::StringRef::npos;
       at = text.find(token, at + 1)) {
    size_t end = at + token.size();
    if (end == text.size() || !isNameCharacter(text[end]))
      return at;
  }
  return llvm::StringRef::npos;
}

std::string writeTensor(llvm::ArrayRef<int64_t> shape,
                        llvm::StringRef elementType) {
  std::string type = "tensor<";
  for (int64_t size : shape)
    type += std::to_string(size) + "x";
  return type + elementType.str() + ">";
}

std::string flatten(llvm::StringRef name) {
  std::string flat = name.str();
  std::replace(flat.begin(), flat.end(), '.', '_');
  return flat;
}

} // namespace

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

std::vector<const WeightSpec *>
LayerWriter::findUses(llvm::StringRef body) const {
  std::vector<std::pair<size_t, const WeightSpec *>> uses;
  for (const WeightSpec &weight : context.family.weights)
    if (size_t at = findName(body, weight.name); at != llvm::StringRef::npos)
      uses.emplace_back(at, &weight);
  std::sort(uses.begin(), uses.end());
  std::vector<const WeightSpec *> ordered;
  for (const auto &use : uses)
    ordered.push_back(use.second);
  return ordered;
}

/// With fewer experts than the checkpoint has, stacked tensors are cut.
std::string LayerWriter::keepExperts(const WeightSpec &weight,
                                     std::string expression,
                                     const std::vector<int64_t> &shape,
                                     bool isFormat) {
  if (weight.shape.front() != "E" || context.options.experts == 0 ||
      context.options.experts == context.allExperts ||
      llvm::StringRef(expression).contains("{e}"))
    return expression;
  // A format's own change of shape comes last, and is for those that are kept.
  std::string first = " | first(0, " + std::to_string(shape.front()) + ")";
  size_t at = isFormat ? expression.rfind(" | reshape(") : std::string::npos;
  return at == std::string::npos ? expression + first
                                 : expression.insert(at, first);
}

/// Sizes of a configuration that are not those of the tensors beside it.
void LayerWriter::checkSource(llvm::StringRef name, llvm::StringRef expression,
                              mlir::RankedTensorType type) {
  std::string problem;
  if (!expression.empty() &&
      !context.sources->check(expression, type, problem) && error.empty())
    error = "'" + name.str() + "': " + problem;
}

void LayerWriter::addStored(const WeightSpec &weight,
                            const std::vector<int64_t> &shape,
                            WeightFormatAttrInterface format,
                            llvm::ArrayRef<std::string> expressions) {
  mlir::MLIRContext &mlirContext = context.context;
  int64_t k = shape.back();
  std::string problem;
  if (!checkRows(format, k, problem)) {
    if (error.empty())
      error = "'" + weight.name + "': " + problem;
    return;
  }
  auto type =
      mlir::RankedTensorType::get(shape, mlir::Float32Type::get(&mlirContext));
  llvm::SmallVector<StorageTensor> storage = format.getStorage(k);
  std::string names, types;
  for (auto [i, tensor] : llvm::enumerate(storage)) {
    std::string own = nameStorage(weight.name, tensor, storage.size());
    // One tensor has the name of the weight, and another value.
    std::string value = own == weight.name ? own + ".stored" : own;
    mlir::RankedTensorType storedType =
        getStorageType(tensor, type, format.getBlockSize(k));
    std::string stored = print(storedType);
    arguments.push_back(
        {value, stored, i < expressions.size() ? expressions[i] : ""});
    checkSource(own, arguments.back().expression, storedType);
    names += (names.empty() ? "%" : ", %") + value;
    types += (types.empty() ? "" : ", ") + stored;
  }
  prologue += "  %" + weight.name + " = moe.dequantize " +
              print(mlir::Attribute(format)) + " (" + names + " : " + types +
              ") : " + print(type) + "\n";
}

void LayerWriter::addWeight(const WeightSpec &weight) {
  std::vector<int64_t> shape;
  for (const std::string &size : weight.shape) {
    shape.push_back(variables.getInteger(size, error));
    if (error.empty() && (shape.back() < 1 || shape.back() > (1 << 28)))
      error = "a size of " + std::to_string(shape.back()) + " ('" + size + "')";
    if (!error.empty()) {
      error = context.family.path + ": the shape of '" + weight.name +
              "': " + error;
      return;
    }
  }
  const std::string &asked = context.options.weightsType;
  bool isAuto = asked == "auto", isStored = weight.type == "stored";
  std::string elementType = isStored ? (isAuto ? "f32" : asked) : weight.type;
  WeightFormatAttrInterface format = isStored ? context.format : nullptr;
  std::vector<std::string> expressions;
  if (context.sources) {
    // Names are of whole tensors.
    Value kept = variables.lookup("E", error);
    if (context.options.experts)
      variables.set("E", context.allExperts);
    std::optional<StoredWeight> found =
        context.sources->find(weight, shape, error);
    variables.set("E", kept);
    if (!found)
      return;
    for (std::string &expression : found->expressions)
      expressions.push_back(
          keepExperts(weight, expression, shape, found->format != nullptr));
    if (found->format && isStored && !isAuto &&
        found->format != context.format) {
      error = "'" + weight.name + "' is stored in " +
              nameWeightFormat(found->format) +
              ", and --weights-type asks for " + asked +
              "; moe-quantize converts weights";
      return;
    }
    if (!found->format && format) {
      error = "'" + weight.name + "' is stored as " + found->elementType +
              ", and --weights-type asks for " + asked +
              "; moe-quantize converts weights";
      return;
    }
    format = found->format;
    if (isStored && isAuto && !format)
      elementType = found->elementType;
  }
  if (format) {
    elementType = "f32";
    addStored(weight, shape, format, expressions);
  } else {
    std::string type = writeTensor(shape, elementType);
    arguments.push_back(
        {weight.name, type, expressions.empty() ? "" : expressions.front()});
    checkSource(weight.name, arguments.back().expression,
                mlir::cast<mlir::RankedTensorType>(
                    mlir::parseType(type, &context.context)));
  }
  // `!experts_up_proj`, and `!one_experts_up_proj` for that of one expert.
  std::string name = flatten(weight.name);
  aliases += "!" + name + " = " + writeTensor(shape, elementType) + "\n" +
             "!one_" + name + " = " +
             writeTensor(llvm::ArrayRef(shape).drop_front(), elementType) +
             "\n";
}

//===----------------------------------------------------------------------===//
// The function
//===----------------------------------------------------------------------===//

std::string LayerWriter::write(llvm::StringRef functionName) {
  std::string body = expandSnippet(context.family, variables, "layer", error);
  if (!error.empty()) {
    error = context.family.path + ": " + error;
    return {};
  }
  for (const auto &[name, text] : context.family.types) {
    aliases += "!" + name + " = " +
               variables.substitute(text, variables, error) + "\n";
    if (!error.empty()) {
      error = context.family.path + ": type '" + name + "': " + error;
      return {};
    }
  }
  for (const WeightSpec *weight : findUses(body)) {
    addWeight(*weight);
    if (!error.empty())
      return {};
  }
  std::string dims = context.options.tokens ? "" : ", moe.dims = [\"T\"]";
  std::string text = aliases + "func.func @" + functionName.str() +
                     "(%x: !x {moe.name = \"x\"" + dims + "}";
  for (const auto &[name, type] : context.family.inputs)
    if (findName(body, name) != llvm::StringRef::npos)
      text += ",\n    %" + name + ": " +
              variables.substitute(type, variables, error) + " {moe.name = \"" +
              name + "\"" + dims + "}";
  if (!error.empty())
    return {};
  for (const Argument &argument : arguments) {
    llvm::StringRef name = argument.name;
    name.consume_back(".stored");
    text += ",\n    %" + argument.name + ": " + argument.type +
            " {moe.name = \"" + name.str() + "\"}";
  }
  return text + ")\n    -> (!x {moe.name = \"y\"" + dims + "}) {\n" + prologue +
         body + "  return %y : !x\n}\n";
}

/// Gives values the names that the text has for them, which the printer then
/// uses.
static void keepNames(mlir::AsmParserState &state, mlir::MLIRContext &context) {
  // The argument has the name of a stored weight, what is read of it the end.
  auto makeLocation = [&](llvm::SMRange range, bool isRead) -> mlir::Location {
    const char *at = range.Start.getPointer();
    llvm::StringRef text(at, range.End.getPointer() - at);
    text.consume_front("%");
    text = text.split(':').first;
    text.consume_back(".stored");
    if (isRead)
      text = text.substr(text.rfind('.') + 1);
    return mlir::NameLoc::get(mlir::StringAttr::get(&context, flatten(text)));
  };
  for (mlir::AsmParserState::OperationDefinition &op : state.getOpDefs())
    if (!op.resultGroups.empty())
      op.op->setLoc(makeLocation(op.resultGroups.front().definition.loc,
                                 mlir::isa<DequantizeOp>(op.op)));
  for (mlir::AsmParserState::BlockDefinition &block : state.getBlockDefs())
    for (auto [i, argument] : llvm::enumerate(block.arguments))
      block.block->getArgument(i).setLoc(makeLocation(argument.loc, false));
}

/// Constants that the layer of a family has and this one does without.
static void eraseUnused(mlir::func::FuncOp function) {
  for (mlir::Operation &op :
       llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
    if (mlir::isOpTriviallyDead(&op))
      op.erase();
}

mlir::func::FuncOp moe::importer::buildLayer(LayerContext &context,
                                             mlir::ModuleOp module,
                                             int64_t layer,
                                             llvm::StringRef modelName,
                                             std::string &error) {
  context.variables.setLayer(layer);
  std::string name = "layer_" + std::to_string(layer);
  LayerWriter writer(context, error);
  // The same for all layers, so that those that are alike are seen to be.
  std::string text = writer.write("layer");
  if (!error.empty()) {
    error = "layer " + std::to_string(layer) + ": " + error;
    return {};
  }
  mlir::MLIRContext &mlirContext = context.context;
  mlir::func::FuncOp &made = context.made[text];
  mlir::func::FuncOp function;
  if (made) {
    function = made.clone();
    module.push_back(function);
  } else {
    std::string refused;
    mlir::ScopedDiagnosticHandler handler(&mlirContext,
                                          [&](mlir::Diagnostic &diagnostic) {
                                            if (refused.empty())
                                              refused = diagnostic.str();
                                            return mlir::success();
                                          });
    mlir::AsmParserState state;
    mlir::ParserConfig config(&mlirContext);
    mlir::Block block;
    llvm::SourceMgr sources;
    sources.AddNewSourceBuffer(
        llvm::MemoryBuffer::getMemBufferCopy(text, "layer"), llvm::SMLoc());
    if (mlir::failed(
            mlir::parseAsmSourceFile(sources, &block, config, &state))) {
      error = context.family.path + ": layer " + std::to_string(layer) +
              " is not valid IR: " + refused;
      return {};
    }
    keepNames(state, mlirContext);
    function = mlir::cast<mlir::func::FuncOp>(block.front());
    function->remove();
    module.push_back(function);
    eraseUnused(function);
    made = function;
  }
  mlir::Builder b(&mlirContext);
  function.setName(name);
  function->setAttr("moe.layer", b.getI64IntegerAttr(layer));
  function->setAttr("moe.model", b.getStringAttr(modelName));
  llvm::SmallVector<mlir::NamedAttribute> expressions;
  for (const Argument &argument : writer.arguments) {
    llvm::StringRef key = argument.name;
    key.consume_back(".stored");
    if (!argument.expression.empty())
      expressions.push_back(
          b.getNamedAttr(key, b.getStringAttr(argument.expression)));
  }
  if (!expressions.empty())
    function->setAttr(MoeDialect::getCheckpointAttrName(),
                      b.getDictionaryAttr(expressions));
  return function;
}
