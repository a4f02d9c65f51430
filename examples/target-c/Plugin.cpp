//===- Plugin.cpp - What tools look for in the library ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The dialect for --load-dialect-plugin, the target and its passes for
// --load-pass-plugin.
//
//===----------------------------------------------------------------------===//

#include "AcmeC.h"

#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"

using namespace mlir;

extern "C" LLVM_ATTRIBUTE_WEAK DialectPluginLibraryInfo
mlirGetDialectPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "AcmeC", "0.1",
          [](DialectRegistry *registry) {
            registry->insert<acmec::AcmeCDialect>();
          }};
}

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "AcmeC", "0.1", [] {
            acmec::registerAcmeCPasses();
            moe::TargetRegistry::get().add(acmec::createTarget());
          }};
}
