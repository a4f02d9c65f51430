// Names in C: what is reserved gets another, and what nobody sees makes way.
// RUN: moe-opt %s --moe-name-entry-points | FileCheck %s
// RUN: moe-opt %s --moe-name-entry-points=prefix=p_ | FileCheck %s --check-prefix=PREFIX

// CHECK: func.func @moe_main(%{{.*}}: f32) -> f32 attributes {moe.entry = "main"}
// CHECK-NEXT: call @[[LOCAL:moe_local_[0-9]+]]
// PREFIX: func.func @p_main(%{{.*}}: f32) -> f32 attributes {moe.entry = "main"}
func.func @main(%x: f32) -> f32 {
  %0 = func.call @moe_main(%x) : (f32) -> f32
  return %0 : f32
}
// CHECK: func.func private @[[LOCAL]]
// PREFIX: func.func private @moe_main
func.func private @moe_main(%x: f32) -> f32 {
  return %x : f32
}
// CHECK: func.func @plain(%{{.*}}: f32) -> f32 {
// A name may be another's old one.
// PREFIX: func.func @p_plain
// PREFIX: func.func @p_p_plain
func.func @plain(%x: f32) -> f32 {
  return %x : f32
}
func.func @p_plain(%x: f32) -> f32 {
  return %x : f32
}
// CHECK: func.func private @moe_local_{{[0-9]+}}
func.func private @plain__invoke(%x: f32) -> f32 {
  return %x : f32
}
// CHECK: func.func @moe_step
func.func @step(%x: f32) -> f32 {
  return %x : f32
}
// CHECK: func.func @moe_moe_pack
func.func @moe_pack(%x: f32) -> f32 {
  return %x : f32
}
