// Layers, a fixed number of tokens, fewer experts, output files, standard input.

// RUN: rm -rf %t && mkdir -p %t/My-Model
// RUN: moe-import --layers=2-4 --tokens=16 %examples/models/OLMoE-1B-7B.json -o %t/range.mlir
// RUN: FileCheck %s --input-file=%t/range.mlir
// RUN: moe-import --tokens=16 %examples/models/gpt-oss-20b.json | moe-opt -o /dev/null

// CHECK-NOT: moe.dims
// CHECK:     func.func @layer_2(%x: tensor<16x2048xf32> {moe.name = "x"}, {{.+}} -> (tensor<16x2048xf32> {moe.name = "y"})
// CHECK-NOT:   tensor.dim
// CHECK:       tensor.empty() : tensor<16x64xf32>
// CHECK:       moe.dispatch %x by %{{.+}} : tensor<16x2048xf32>, !moe.routing<64 x 8> -> tensor<?x2048xf32>
// CHECK:       moe.combine {{.+}} -> tensor<16x2048xf32>
// CHECK:     func.func @layer_3(
// CHECK:     func.func @layer_4(
// CHECK-NOT: func.func

// The groups of a smaller layer: their number stays while it can, then their
// size; one group is no group.
// RUN: moe-import --experts=32 %examples/models/DeepSeek-V3.json | FileCheck %s --check-prefix=COUNT
// COUNT: moe.router #moe.group_top_k<8, groups = 8, keep = 4, reduce = top2> {{.+}} : tensor<?x32xf32> -> !moe.routing<32 x 8>
// RUN: moe-import --experts=20 %examples/models/DeepSeek-V2.json | FileCheck %s --check-prefix=SIZE
// SIZE: moe.router #moe.top_k<6> {{.+}} : tensor<?x20xf32> -> !moe.routing<20 x 6>
// RUN: moe-import --experts=4 %examples/models/Mixtral-8x7B.json | FileCheck %s --check-prefix=FEWER
// FEWER: %router_weight: tensor<4x4096xf32>
// FEWER-SAME: %experts_down_proj: tensor<4x4096x14336xf32>
// FEWER: experts 0 to 4 weights

// Files called config.json are named after their folder, standard input after
// its model type.
// RUN: cp %examples/models/Mixtral-8x7B.json %t/My-Model/config.json
// RUN: moe-import %t/My-Model/config.json | FileCheck %s --check-prefix=NAME
// NAME: module attributes {moe.model = "My-Model"}
// RUN: moe-import - < %examples/models/Mixtral-8x7B.json | FileCheck %s --check-prefix=STDIN
// STDIN: module attributes {moe.model = "mixtral"}

// RUN: moe-import --help | FileCheck %s --check-prefix=HELP
// HELP: Supported model types:
// HELP: deepseek_v3
