// NLLB-MoE: every fourth layer, the two best experts as GShard has them.

// RUN: moe-import %examples/models/NLLB-MoE-54B.json --layers=27 | FileCheck %s
// RUN: sed 's/fraction": 1.0/fraction": 0.25/' %examples/models/NLLB-MoE-54B.json > %t.json
// RUN: moe-import %t.json | moe-opt --verify-roundtrip | FileCheck %s --check-prefix=DROP
// RUN: sed 's/fraction": 1.0/fraction": 0.25, "normalize_router_prob_before_dropping": true/' %examples/models/NLLB-MoE-54B.json > %t.json
// RUN: moe-import %t.json | FileCheck %s --check-prefix=BEFORE
// RUN: sed 's/fraction": 1.0/fraction": -1.0, "moe_token_dropout": 0.0/' %examples/models/NLLB-MoE-54B.json > %t.json
// RUN: moe-import %t.json | FileCheck %s --check-prefix=TRAINED
// RUN: sed 's/"all"/"random"/' %examples/models/NLLB-MoE-54B.json > %t.json
// RUN: not moe-import %t.json 2>&1 | FileCheck %s --check-prefix=RANDOM

// Of what experts give, 20 % are dropped in training and 80 % taken here.
// CHECK: func.func @layer_27(
// CHECK: %[[P:.+]] = linalg.softmax
// CHECK: %[[R:.+]] = moe.router #moe.gshard<second = all> select(%[[P]]) weighing [#moe.scale<0.8>] : tensor<?x128xf32> -> !moe.routing<128 x 2>
// CHECK: moe.dispatch %{{.+}} by %[[R]]
// CHECK: up_bias({{.+}}) down_bias({{.+}}) activation(#moe.relu)

// 0.25 T = T * 2 * 16 / 128.
// DROP: func.func @layer_3(
// DROP: %[[R:.+]] = moe.router #moe.gshard<second = all> select(%{{[^)]+}}) :
// DROP: %[[K:.+]] = moe.routing.limit %[[R]] factor 1.600000e+01 : !moe.routing<128 x 2>
// DROP: %[[W:.+]] = moe.routing.reweigh %[[K]] weighing [#moe.normalize<clamp, min = {{.+}}>, #moe.scale<0.8>]
// DROP: moe.dispatch %{{.+}} by %[[W]]

// BEFORE: %[[R:.+]] = moe.router {{.+}} weighing [#moe.scale<0.8>]
// BEFORE: %[[K:.+]] = moe.routing.limit %[[R]] factor 1.600000e+01
// BEFORE: moe.dispatch %{{.+}} by %[[K]]

// A fraction that is not above 0 takes the capacity of training, 64 by default.
// TRAINED: %[[R:.+]] = moe.router #moe.gshard<second = all> select(%{{[^)]+}}) :
// TRAINED: %[[K:.+]] = moe.routing.limit %[[R]] capacity 64 :
// TRAINED: moe.routing.reweigh %[[K]] weighing [#moe.normalize<clamp, min = {{[^>]+}}>]

// RANDOM: second_expert_policy{{.*}}is 'random', which draws random numbers
