//===- Diagnostics.cpp - Equal messages become one --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Tool/Diagnostics.h"

#include "mlir/IR/Location.h"
#include "mlir/IR/Operation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace moe::tools;

/// So many names are listed; of more, the first and the last are.
static constexpr size_t listedNames = 4;

struct DiagnosticMerger::Group {
  Diagnostic first;
  /// How often it was said since it was last handed on.
  size_t count = 0;
  bool wasHandedOn = false;
  std::vector<Place> places;
};

DiagnosticMerger::DiagnosticMerger(MLIRContext &context) : context(context) {
  handler = context.getDiagEngine().registerHandler(
      [this](Diagnostic &diagnostic) { return handle(diagnostic); });
}

DiagnosticMerger::~DiagnosticMerger() {
  flush();
  context.getDiagEngine().eraseHandler(handler);
}

/// The first file and line of a location; line 0 if there is none.
static std::pair<std::string, unsigned> findPlace(Location location) {
  std::pair<std::string, unsigned> place;
  location->walk([&](Location part) {
    auto file = dyn_cast<FileLineColRange>(part);
    if (!file)
      return WalkResult::advance();
    place = {file.getFilename().str(), file.getStartLine()};
    return WalkResult::interrupt();
  });
  return place;
}

void DiagnosticMerger::addFunctions(Operation *op) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  op->walk<WalkOrder::PreOrder>([&](FunctionOpInterface function) {
    auto place = findPlace(function->getLoc());
    // What passes make has the place of what it was made from.
    if (place.second)
      functions.try_emplace(place, function.getName().str());
    return WalkResult::skip();
  });
}

static std::string keyOf(Diagnostic &diagnostic) {
  std::string key = std::to_string(static_cast<int>(diagnostic.getSeverity())) +
                    diagnostic.str();
  for (Diagnostic &note : diagnostic.getNotes())
    key += "\n" + note.str();
  return key;
}

LogicalResult DiagnosticMerger::handle(Diagnostic &diagnostic) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  if (isHandingOn)
    return failure();
  Group *&group = byText[keyOf(diagnostic)];
  bool isError = diagnostic.getSeverity() == DiagnosticSeverity::Error;
  Place place = findPlace(diagnostic.getLocation());
  if (!group) {
    if (isError)
      flushLocked();
    groups.push_back(std::make_unique<Group>(
        Group{Diagnostic(diagnostic.getLocation(), diagnostic.getSeverity()),
              0,
              isError,
              {}}));
    group = groups.back().get();
    group->places.push_back(place);
    group->first << diagnostic.str();
    for (Diagnostic &note : diagnostic.getNotes())
      group->first.attachNote(note.getLocation()) << note.str();
    if (isError)
      return failure();
  } else {
    group->places.push_back(place);
  }
  ++group->count;
  return success();
}

void DiagnosticMerger::handOn(Diagnostic &&diagnostic) {
  isHandingOn = true;
  context.getDiagEngine().emit(std::move(diagnostic));
  isHandingOn = false;
}

/// Where a group was said: functions, or lines where none is known.
std::string DiagnosticMerger::describe(const Group &group) const {
  std::vector<std::string> names;
  for (const Place &place : group.places) {
    // The function that begins last before the place.
    auto it = functions.upper_bound(place);
    std::string name;
    if (it != functions.begin() && (--it)->first.first == place.first)
      name = it->second;
    else if (place.second)
      name = "line " + std::to_string(place.second);
    if (!name.empty() && !llvm::is_contained(names, name))
      names.push_back(name);
  }
  if (names.empty())
    return "";
  if (names.size() > listedNames)
    return ": " + names.front() + " .. " + names.back();
  return ": " + llvm::join(names, ", ");
}

void DiagnosticMerger::flush() {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  flushLocked();
}

void DiagnosticMerger::flushLocked() {
  for (std::unique_ptr<Group> &group : groups) {
    if (!group->count)
      continue;
    size_t said = group->places.size();
    Diagnostic merged(group->first.getLocation(), group->first.getSeverity());
    merged << group->first.str();
    if (said > 1)
      merged << " (" << std::to_string(said) << " times" << describe(*group)
             << ")";
    // Once is enough for the notes.
    if (!group->wasHandedOn)
      for (Diagnostic &note : group->first.getNotes())
        merged.attachNote(note.getLocation()) << note.str();
    group->wasHandedOn = true;
    group->count = 0;
    handOn(std::move(merged));
  }
}
