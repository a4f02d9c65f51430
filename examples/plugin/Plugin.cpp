//===- Plugin.cpp - What moe-opt looks for in the library -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One entry point for --load-dialect-plugin, one for --load-pass-plugin.
//
//===----------------------------------------------------------------------===//

#include "Acme.h"

#include "moe-mlir/Pipelines/Extensions.h"

#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"

using namespace mlir;

extern "C" LLVM_ATTRIBUTE_WEAK DialectPluginLibraryInfo
mlirGetDialectPluginInfo() {
  return {
      MLIR_PLUGIN_API_VERSION, "Acme", "0.1",
      [](DialectRegistry *registry) { registry->insert<acme::AcmeDialect>(); }};
}

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "Acme", "0.1",
          [] {
            acme::registerAcmePasses();
            acme::registerAcmeChips();
            // In each compilation of the tool that loads it.
            moe::registerPipelineExtension(
                moe::Stage::Model,
                [](OpPassManager &pm, const moe::ExtensionContext &) {
                  pm.addPass(acme::createExpandLowRank());
                });
          }};
}
