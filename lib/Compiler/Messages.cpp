//===- Messages.cpp - Diagnostics of a compilation --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Targets are compiled in contexts of their own, whose messages are said in the
// model's. Equal layers are compiled once, so that an error has the place of
// the first of them, and is about all.
//
//===----------------------------------------------------------------------===//

#include "Internal.h"

#include "moe-mlir/Lowering/EntryPoints.h"

#include "mlir/IR/Diagnostics.h"

using namespace mlir;
using namespace moe;
using namespace moe::compiler;

//===----------------------------------------------------------------------===//
// From context to context
//===----------------------------------------------------------------------===//

Message compiler::capture(Diagnostic &diagnostic) {
  Message message{
      diagnostic.getSeverity(), diagnostic.getLocation(), diagnostic.str(), {}};
  for (Diagnostic &note : diagnostic.getNotes())
    message.notes.push_back(capture(note));
  return message;
}

/// The same location in another context.
static Location copyLocation(Location location, MLIRContext *context) {
  auto text = [&](StringAttr attr) {
    return StringAttr::get(context, attr.getValue());
  };
  if (auto file = dyn_cast<FileLineColRange>(location))
    return FileLineColRange::get(text(file.getFilename()), file.getStartLine(),
                                 file.getStartColumn(), file.getEndLine(),
                                 file.getEndColumn());
  if (auto name = dyn_cast<NameLoc>(location))
    return NameLoc::get(text(name.getName()),
                        copyLocation(name.getChildLoc(), context));
  if (auto call = dyn_cast<CallSiteLoc>(location))
    return CallSiteLoc::get(copyLocation(call.getCallee(), context),
                            copyLocation(call.getCaller(), context));
  if (auto fused = dyn_cast<FusedLoc>(location)) {
    SmallVector<Location> parts;
    for (Location part : fused.getLocations())
      parts.push_back(copyLocation(part, context));
    return FusedLoc::get(context, parts);
  }
  return UnknownLoc::get(context);
}

void compiler::replay(ArrayRef<Message> messages, MLIRContext *context) {
  for (const Message &message : messages) {
    Diagnostic diagnostic(copyLocation(message.location, context),
                          message.severity);
    diagnostic << message.text;
    for (const Message &note : message.notes)
      diagnostic.attachNote(copyLocation(note.location, context)) << note.text;
    context->getDiagEngine().emit(std::move(diagnostic));
  }
}

//===----------------------------------------------------------------------===//
// Shared code
//===----------------------------------------------------------------------===//

/// So many names are listed; of more, the first and the last are.
static constexpr size_t listedNames = 4;

std::optional<SharedCodeErrors::Place>
SharedCodeErrors::findPlace(Location location) {
  std::optional<Place> place;
  location->walk([&](Location part) {
    auto file = dyn_cast<FileLineColRange>(part);
    if (!file)
      return WalkResult::advance();
    place = {file.getFilename().str(), file.getStartLine(),
             file.getStartColumn()};
    return WalkResult::interrupt();
  });
  return place;
}

SharedCodeErrors::SharedCodeErrors(ModuleOp module)
    : module(module), engine(module.getContext()->getDiagEngine()) {
  for (auto function : module.getOps<func::FuncOp>()) {
    if (!isEntryFunction(function))
      continue;
    StringAttr name = getEntryName(function);
    function.walk([&](Operation *op) {
      if (std::optional<Place> place = findPlace(op->getLoc()))
        functions.try_emplace(*place, name);
    });
  }
  handler = engine.registerHandler([this](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
      diagnostic << describe(diagnostic.getLocation());
    // Whoever prints it is next.
    return failure();
  });
}

SharedCodeErrors::~SharedCodeErrors() { engine.eraseHandler(handler); }

void SharedCodeErrors::readAliases() {
  if (auto list = module->getAttrOfType<ArrayAttr>(kAliasesAttr))
    aliases = list;
}

std::string SharedCodeErrors::describe(Location location) {
  std::optional<Place> place = findPlace(location);
  auto found = place ? functions.find(*place) : functions.end();
  readAliases();
  if (found == functions.end() || !aliases)
    return "";
  StringAttr name = found->second;
  std::vector<std::string> names{name.str()};
  for (auto alias : aliases.getAsRange<DictionaryAttr>()) {
    auto of = module.lookupSymbol<func::FuncOp>(
        alias.getAs<StringAttr>("of").getValue());
    if (of && getEntryName(of) == name)
      names.push_back(alias.getAs<StringAttr>("entry").str());
  }
  if (names.size() == 1)
    return "";
  std::string list = names.size() > listedNames
                         ? names.front() + " .. " + names.back()
                         : llvm::join(names, ", ");
  return " (in " + list + ", which share their code)";
}
