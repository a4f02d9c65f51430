"builtin.module"() <{sym_name = "jit_ragged"}> ({
  "func.func"() <{function_type = (tensor<12x32xf32>, tensor<8x48x32xf32>, tensor<8x32x48xf32>, tensor<32x8xf32>, tensor<8x32x48xf32>) -> tensor<12x32xf32>, res_attrs = [{jax.result_info = "result"}], sym_name = "main", sym_visibility = "public"}> ({
  ^bb0(%arg21: tensor<12x32xf32>, %arg22: tensor<8x48x32xf32>, %arg23: tensor<8x32x48xf32>, %arg24: tensor<32x8xf32>, %arg25: tensor<8x32x48xf32>):
    %81 = "stablehlo.dot_general"(%arg21, %arg24) <{dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision HIGHEST>, #stablehlo<precision HIGHEST>]}> : (tensor<12x32xf32>, tensor<32x8xf32>) -> tensor<12x8xf32>
    %82 = "stablehlo.constant"() <{value = dense<0xFF800000> : tensor<f32>}> : () -> tensor<f32>
    %83 = "stablehlo.reduce"(%81, %82) <{dimensions = array<i64: 1>}> ({
    ^bb0(%arg32: tensor<f32>, %arg33: tensor<f32>):
      %134 = "stablehlo.maximum"(%arg32, %arg33) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      "stablehlo.return"(%134) : (tensor<f32>) -> ()
    }) : (tensor<12x8xf32>, tensor<f32>) -> tensor<12xf32>
    %84 = "stablehlo.constant"() <{value = dense<0xFF800000> : tensor<f32>}> : () -> tensor<f32>
    %85 = "stablehlo.broadcast_in_dim"(%84) <{broadcast_dimensions = array<i64>}> : (tensor<f32>) -> tensor<12xf32>
    %86 = "stablehlo.maximum"(%85, %83) : (tensor<12xf32>, tensor<12xf32>) -> tensor<12xf32>
    %87 = "stablehlo.broadcast_in_dim"(%86) <{broadcast_dimensions = array<i64: 0>}> : (tensor<12xf32>) -> tensor<12x1xf32>
    %88 = "stablehlo.broadcast_in_dim"(%87) <{broadcast_dimensions = array<i64: 0, 1>}> : (tensor<12x1xf32>) -> tensor<12x8xf32>
    %89 = "stablehlo.subtract"(%81, %88) : (tensor<12x8xf32>, tensor<12x8xf32>) -> tensor<12x8xf32>
    %90 = "stablehlo.exponential"(%89) : (tensor<12x8xf32>) -> tensor<12x8xf32>
    %91 = "stablehlo.constant"() <{value = dense<0.000000e+00> : tensor<f32>}> : () -> tensor<f32>
    %92 = "stablehlo.reduce"(%90, %91) <{dimensions = array<i64: 1>}> ({
    ^bb0(%arg30: tensor<f32>, %arg31: tensor<f32>):
      %133 = "stablehlo.add"(%arg30, %arg31) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      "stablehlo.return"(%133) : (tensor<f32>) -> ()
    }) : (tensor<12x8xf32>, tensor<f32>) -> tensor<12xf32>
    %93 = "stablehlo.broadcast_in_dim"(%92) <{broadcast_dimensions = array<i64: 0>}> : (tensor<12xf32>) -> tensor<12x1xf32>
    %94 = "stablehlo.broadcast_in_dim"(%93) <{broadcast_dimensions = array<i64: 0, 1>}> : (tensor<12x1xf32>) -> tensor<12x8xf32>
    %95 = "stablehlo.divide"(%90, %94) : (tensor<12x8xf32>, tensor<12x8xf32>) -> tensor<12x8xf32>
    %96:2 = "chlo.top_k"(%95) <{k = 2 : i64}> : (tensor<12x8xf32>) -> (tensor<12x2xf32>, tensor<12x2xi32>)
    %97 = "stablehlo.constant"() <{value = dense<0.000000e+00> : tensor<f32>}> : () -> tensor<f32>
    %98 = "stablehlo.reduce"(%96#0, %97) <{dimensions = array<i64: 1>}> ({
    ^bb0(%arg28: tensor<f32>, %arg29: tensor<f32>):
      %132 = "stablehlo.add"(%arg28, %arg29) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      "stablehlo.return"(%132) : (tensor<f32>) -> ()
    }) : (tensor<12x2xf32>, tensor<f32>) -> tensor<12xf32>
    %99 = "stablehlo.broadcast_in_dim"(%98) <{broadcast_dimensions = array<i64: 0>}> : (tensor<12xf32>) -> tensor<12x1xf32>
    %100 = "stablehlo.broadcast_in_dim"(%99) <{broadcast_dimensions = array<i64: 0, 1>}> : (tensor<12x1xf32>) -> tensor<12x2xf32>
    %101 = "stablehlo.divide"(%96#0, %100) : (tensor<12x2xf32>, tensor<12x2xf32>) -> tensor<12x2xf32>
    %102 = "stablehlo.reshape"(%96#1) : (tensor<12x2xi32>) -> tensor<24xi32>
    %103 = "func.call"(%102) <{callee = @argsort}> : (tensor<24xi32>) -> tensor<24xi32>
    %104 = "stablehlo.constant"() <{value = dense<2> : tensor<i32>}> : () -> tensor<i32>
    %105 = "func.call"(%103, %104) <{callee = @floor_divide}> : (tensor<24xi32>, tensor<i32>) -> tensor<24xi32>
    %106 = "func.call"(%arg21, %105) <{callee = @_take}> : (tensor<12x32xf32>, tensor<24xi32>) -> tensor<24x32xf32>
    %107 = "stablehlo.constant"() <{value = dense<0> : tensor<i32>}> : () -> tensor<i32>
    %108 = "stablehlo.broadcast_in_dim"(%107) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<8xi32>
    %109 = "stablehlo.constant"() <{value = dense<0> : tensor<i32>}> : () -> tensor<i32>
    %110 = "func.call"(%102, %109) <{callee = @clip}> : (tensor<24xi32>, tensor<i32>) -> tensor<24xi32>
    %111 = "stablehlo.constant"() <{value = dense<0> : tensor<i32>}> : () -> tensor<i32>
    %112 = "stablehlo.broadcast_in_dim"(%111) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24xi32>
    %113 = "stablehlo.compare"(%110, %112) <{compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction LT>}> : (tensor<24xi32>, tensor<24xi32>) -> tensor<24xi1>
    %114 = "stablehlo.constant"() <{value = dense<8> : tensor<i32>}> : () -> tensor<i32>
    %115 = "stablehlo.broadcast_in_dim"(%114) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24xi32>
    %116 = "stablehlo.add"(%110, %115) : (tensor<24xi32>, tensor<24xi32>) -> tensor<24xi32>
    %117 = "stablehlo.select"(%113, %116, %110) : (tensor<24xi1>, tensor<24xi32>, tensor<24xi32>) -> tensor<24xi32>
    %118 = "stablehlo.broadcast_in_dim"(%117) <{broadcast_dimensions = array<i64: 0>}> : (tensor<24xi32>) -> tensor<24x1xi32>
    %119 = "stablehlo.constant"() <{value = dense<1> : tensor<i32>}> : () -> tensor<i32>
    %120 = "stablehlo.broadcast_in_dim"(%119) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24xi32>
    %121 = "stablehlo.scatter"(%108, %118, %120) <{indices_are_sorted = false, scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>, unique_indices = false}> ({
    ^bb0(%arg26: tensor<i32>, %arg27: tensor<i32>):
      %131 = "stablehlo.add"(%arg26, %arg27) : (tensor<i32>, tensor<i32>) -> tensor<i32>
      "stablehlo.return"(%131) : (tensor<i32>) -> ()
    }) : (tensor<8xi32>, tensor<24x1xi32>, tensor<24xi32>) -> tensor<8xi32>
    %122 = "chlo.ragged_dot"(%106, %arg23, %121) <{precision_config = [#chlo<precision HIGHEST>, #chlo<precision HIGHEST>], ragged_dot_dimension_numbers = #chlo.ragged_dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1], lhs_ragged_dimensions = [0], rhs_group_dimensions = [0]>}> : (tensor<24x32xf32>, tensor<8x32x48xf32>, tensor<8xi32>) -> tensor<24x48xf32>
    %123 = "chlo.ragged_dot"(%106, %arg25, %121) <{precision_config = [#chlo<precision HIGHEST>, #chlo<precision HIGHEST>], ragged_dot_dimension_numbers = #chlo.ragged_dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1], lhs_ragged_dimensions = [0], rhs_group_dimensions = [0]>}> : (tensor<24x32xf32>, tensor<8x32x48xf32>, tensor<8xi32>) -> tensor<24x48xf32>
    %124 = "func.call"(%122) <{callee = @silu}> : (tensor<24x48xf32>) -> tensor<24x48xf32>
    %125 = "stablehlo.multiply"(%124, %123) : (tensor<24x48xf32>, tensor<24x48xf32>) -> tensor<24x48xf32>
    %126 = "chlo.ragged_dot"(%125, %arg22, %121) <{precision_config = [#chlo<precision HIGHEST>, #chlo<precision HIGHEST>], ragged_dot_dimension_numbers = #chlo.ragged_dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1], lhs_ragged_dimensions = [0], rhs_group_dimensions = [0]>}> : (tensor<24x48xf32>, tensor<8x48x32xf32>, tensor<8xi32>) -> tensor<24x32xf32>
    %127 = "func.call"(%103) <{callee = @argsort}> : (tensor<24xi32>) -> tensor<24xi32>
    %128 = "func.call"(%126, %127) <{callee = @_take_0}> : (tensor<24x32xf32>, tensor<24xi32>) -> tensor<24x32xf32>
    %129 = "stablehlo.reshape"(%128) : (tensor<24x32xf32>) -> tensor<12x2x32xf32>
    %130 = "stablehlo.dot_general"(%129, %101) <{dot_dimension_numbers = #stablehlo.dot<lhs_batching_dimensions = [0], rhs_batching_dimensions = [0], lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1]>, precision_config = [#stablehlo<precision HIGHEST>, #stablehlo<precision HIGHEST>]}> : (tensor<12x2x32xf32>, tensor<12x2xf32>) -> tensor<12x32xf32>
    "func.return"(%130) : (tensor<12x32xf32>) -> ()
  }) : () -> ()
  "func.func"() <{function_type = (tensor<24xi32>) -> tensor<24xi32>, sym_name = "argsort", sym_visibility = "private"}> ({
  ^bb0(%arg16: tensor<24xi32>):
    %78 = "stablehlo.iota"() <{iota_dimension = 0 : i64}> : () -> tensor<24xi32>
    %79:2 = "stablehlo.sort"(%arg16, %78) <{dimension = 0 : i64, is_stable = true}> ({
    ^bb0(%arg17: tensor<i32>, %arg18: tensor<i32>, %arg19: tensor<i32>, %arg20: tensor<i32>):
      %80 = "stablehlo.compare"(%arg17, %arg18) <{compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction LT>}> : (tensor<i32>, tensor<i32>) -> tensor<i1>
      "stablehlo.return"(%80) : (tensor<i1>) -> ()
    }) : (tensor<24xi32>, tensor<24xi32>) -> (tensor<24xi32>, tensor<24xi32>)
    "func.return"(%79#1) : (tensor<24xi32>) -> ()
  }) : () -> ()
  "func.func"() <{function_type = (tensor<24xi32>, tensor<i32>) -> tensor<24xi32>, sym_name = "floor_divide", sym_visibility = "private"}> ({
  ^bb0(%arg14: tensor<24xi32>, %arg15: tensor<i32>):
    %61 = "stablehlo.convert"(%arg15) : (tensor<i32>) -> tensor<i32>
    %62 = "stablehlo.broadcast_in_dim"(%61) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24xi32>
    %63 = "stablehlo.divide"(%arg14, %62) : (tensor<24xi32>, tensor<24xi32>) -> tensor<24xi32>
    %64 = "stablehlo.sign"(%arg14) : (tensor<24xi32>) -> tensor<24xi32>
    %65 = "stablehlo.sign"(%61) : (tensor<i32>) -> tensor<i32>
    %66 = "stablehlo.broadcast_in_dim"(%65) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24xi32>
    %67 = "stablehlo.compare"(%64, %66) <{compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction NE>}> : (tensor<24xi32>, tensor<24xi32>) -> tensor<24xi1>
    %68 = "stablehlo.broadcast_in_dim"(%61) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24xi32>
    %69 = "stablehlo.remainder"(%arg14, %68) : (tensor<24xi32>, tensor<24xi32>) -> tensor<24xi32>
    %70 = "stablehlo.constant"() <{value = dense<0> : tensor<i32>}> : () -> tensor<i32>
    %71 = "stablehlo.broadcast_in_dim"(%70) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24xi32>
    %72 = "stablehlo.compare"(%69, %71) <{compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction NE>}> : (tensor<24xi32>, tensor<24xi32>) -> tensor<24xi1>
    %73 = "stablehlo.and"(%67, %72) : (tensor<24xi1>, tensor<24xi1>) -> tensor<24xi1>
    %74 = "stablehlo.constant"() <{value = dense<1> : tensor<i32>}> : () -> tensor<i32>
    %75 = "stablehlo.broadcast_in_dim"(%74) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24xi32>
    %76 = "stablehlo.subtract"(%63, %75) : (tensor<24xi32>, tensor<24xi32>) -> tensor<24xi32>
    %77 = "func.call"(%73, %76, %63) <{callee = @_where}> : (tensor<24xi1>, tensor<24xi32>, tensor<24xi32>) -> tensor<24xi32>
    "func.return"(%77) : (tensor<24xi32>) -> ()
  }) : () -> ()
  "func.func"() <{function_type = (tensor<24xi1>, tensor<24xi32>, tensor<24xi32>) -> tensor<24xi32>, sym_name = "_where", sym_visibility = "private"}> ({
  ^bb0(%arg11: tensor<24xi1>, %arg12: tensor<24xi32>, %arg13: tensor<24xi32>):
    %60 = "stablehlo.select"(%arg11, %arg12, %arg13) : (tensor<24xi1>, tensor<24xi32>, tensor<24xi32>) -> tensor<24xi32>
    "func.return"(%60) : (tensor<24xi32>) -> ()
  }) : () -> ()
  "func.func"() <{function_type = (tensor<12x32xf32>, tensor<24xi32>) -> tensor<24x32xf32>, sym_name = "_take", sym_visibility = "private"}> ({
  ^bb0(%arg7: tensor<12x32xf32>, %arg8: tensor<24xi32>):
    %36 = "stablehlo.constant"() <{value = dense<0> : tensor<i32>}> : () -> tensor<i32>
    %37 = "stablehlo.broadcast_in_dim"(%36) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24xi32>
    %38 = "stablehlo.compare"(%arg8, %37) <{compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction LT>}> : (tensor<24xi32>, tensor<24xi32>) -> tensor<24xi1>
    %39 = "stablehlo.constant"() <{value = dense<12> : tensor<i32>}> : () -> tensor<i32>
    %40 = "stablehlo.broadcast_in_dim"(%39) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24xi32>
    %41 = "stablehlo.add"(%arg8, %40) : (tensor<24xi32>, tensor<24xi32>) -> tensor<24xi32>
    %42 = "func.call"(%38, %41, %arg8) <{callee = @_where}> : (tensor<24xi1>, tensor<24xi32>, tensor<24xi32>) -> tensor<24xi32>
    %43 = "stablehlo.broadcast_in_dim"(%42) <{broadcast_dimensions = array<i64: 0>}> : (tensor<24xi32>) -> tensor<24x1xi32>
    %44 = "stablehlo.constant"() <{value = dense<11> : tensor<1xi32>}> : () -> tensor<1xi32>
    %45 = "stablehlo.constant"() <{value = dense<0> : tensor<i32>}> : () -> tensor<i32>
    %46 = "stablehlo.broadcast_in_dim"(%45) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24x1xi32>
    %47 = "stablehlo.compare"(%43, %46) <{compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction GE>}> : (tensor<24x1xi32>, tensor<24x1xi32>) -> tensor<24x1xi1>
    %48 = "stablehlo.broadcast_in_dim"(%44) <{broadcast_dimensions = array<i64: 1>}> : (tensor<1xi32>) -> tensor<1x1xi32>
    %49 = "stablehlo.broadcast_in_dim"(%48) <{broadcast_dimensions = array<i64: 0, 1>}> : (tensor<1x1xi32>) -> tensor<24x1xi32>
    %50 = "stablehlo.compare"(%43, %49) <{compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction LE>}> : (tensor<24x1xi32>, tensor<24x1xi32>) -> tensor<24x1xi1>
    %51 = "stablehlo.and"(%47, %50) : (tensor<24x1xi1>, tensor<24x1xi1>) -> tensor<24x1xi1>
    %52 = "stablehlo.constant"() <{value = dense<true> : tensor<i1>}> : () -> tensor<i1>
    %53 = "stablehlo.reduce"(%51, %52) <{dimensions = array<i64: 1>}> ({
    ^bb0(%arg9: tensor<i1>, %arg10: tensor<i1>):
      %59 = "stablehlo.and"(%arg9, %arg10) : (tensor<i1>, tensor<i1>) -> tensor<i1>
      "stablehlo.return"(%59) : (tensor<i1>) -> ()
    }) : (tensor<24x1xi1>, tensor<i1>) -> tensor<24xi1>
    %54 = "stablehlo.gather"(%arg7, %43) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, indices_are_sorted = false, slice_sizes = array<i64: 1, 32>}> : (tensor<12x32xf32>, tensor<24x1xi32>) -> tensor<24x32xf32>
    %55 = "stablehlo.broadcast_in_dim"(%53) <{broadcast_dimensions = array<i64: 0>}> : (tensor<24xi1>) -> tensor<24x32xi1>
    %56 = "stablehlo.constant"() <{value = dense<0x7FC00000> : tensor<f32>}> : () -> tensor<f32>
    %57 = "stablehlo.broadcast_in_dim"(%56) <{broadcast_dimensions = array<i64>}> : (tensor<f32>) -> tensor<24x32xf32>
    %58 = "stablehlo.select"(%55, %54, %57) : (tensor<24x32xi1>, tensor<24x32xf32>, tensor<24x32xf32>) -> tensor<24x32xf32>
    "func.return"(%58) : (tensor<24x32xf32>) -> ()
  }) : () -> ()
  "func.func"() <{function_type = (tensor<24xi32>, tensor<i32>) -> tensor<24xi32>, sym_name = "clip", sym_visibility = "private"}> ({
  ^bb0(%arg5: tensor<24xi32>, %arg6: tensor<i32>):
    %33 = "stablehlo.convert"(%arg6) : (tensor<i32>) -> tensor<i32>
    %34 = "stablehlo.broadcast_in_dim"(%33) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24xi32>
    %35 = "stablehlo.maximum"(%34, %arg5) : (tensor<24xi32>, tensor<24xi32>) -> tensor<24xi32>
    "func.return"(%35) : (tensor<24xi32>) -> ()
  }) : () -> ()
  "func.func"() <{function_type = (tensor<24x48xf32>) -> tensor<24x48xf32>, sym_name = "silu", sym_visibility = "private"}> ({
  ^bb0(%arg4: tensor<24x48xf32>):
    %24 = "stablehlo.negate"(%arg4) : (tensor<24x48xf32>) -> tensor<24x48xf32>
    %25 = "stablehlo.exponential"(%24) : (tensor<24x48xf32>) -> tensor<24x48xf32>
    %26 = "stablehlo.constant"() <{value = dense<1.000000e+00> : tensor<f32>}> : () -> tensor<f32>
    %27 = "stablehlo.broadcast_in_dim"(%26) <{broadcast_dimensions = array<i64>}> : (tensor<f32>) -> tensor<24x48xf32>
    %28 = "stablehlo.add"(%27, %25) : (tensor<24x48xf32>, tensor<24x48xf32>) -> tensor<24x48xf32>
    %29 = "stablehlo.constant"() <{value = dense<1.000000e+00> : tensor<f32>}> : () -> tensor<f32>
    %30 = "stablehlo.broadcast_in_dim"(%29) <{broadcast_dimensions = array<i64>}> : (tensor<f32>) -> tensor<24x48xf32>
    %31 = "stablehlo.divide"(%30, %28) : (tensor<24x48xf32>, tensor<24x48xf32>) -> tensor<24x48xf32>
    %32 = "stablehlo.multiply"(%arg4, %31) : (tensor<24x48xf32>, tensor<24x48xf32>) -> tensor<24x48xf32>
    "func.return"(%32) : (tensor<24x48xf32>) -> ()
  }) : () -> ()
  "func.func"() <{function_type = (tensor<24x32xf32>, tensor<24xi32>) -> tensor<24x32xf32>, sym_name = "_take_0", sym_visibility = "private"}> ({
  ^bb0(%arg0: tensor<24x32xf32>, %arg1: tensor<24xi32>):
    %0 = "stablehlo.constant"() <{value = dense<0> : tensor<i32>}> : () -> tensor<i32>
    %1 = "stablehlo.broadcast_in_dim"(%0) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24xi32>
    %2 = "stablehlo.compare"(%arg1, %1) <{compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction LT>}> : (tensor<24xi32>, tensor<24xi32>) -> tensor<24xi1>
    %3 = "stablehlo.constant"() <{value = dense<24> : tensor<i32>}> : () -> tensor<i32>
    %4 = "stablehlo.broadcast_in_dim"(%3) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24xi32>
    %5 = "stablehlo.add"(%arg1, %4) : (tensor<24xi32>, tensor<24xi32>) -> tensor<24xi32>
    %6 = "func.call"(%2, %5, %arg1) <{callee = @_where}> : (tensor<24xi1>, tensor<24xi32>, tensor<24xi32>) -> tensor<24xi32>
    %7 = "stablehlo.broadcast_in_dim"(%6) <{broadcast_dimensions = array<i64: 0>}> : (tensor<24xi32>) -> tensor<24x1xi32>
    %8 = "stablehlo.constant"() <{value = dense<23> : tensor<1xi32>}> : () -> tensor<1xi32>
    %9 = "stablehlo.constant"() <{value = dense<0> : tensor<i32>}> : () -> tensor<i32>
    %10 = "stablehlo.broadcast_in_dim"(%9) <{broadcast_dimensions = array<i64>}> : (tensor<i32>) -> tensor<24x1xi32>
    %11 = "stablehlo.compare"(%7, %10) <{compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction GE>}> : (tensor<24x1xi32>, tensor<24x1xi32>) -> tensor<24x1xi1>
    %12 = "stablehlo.broadcast_in_dim"(%8) <{broadcast_dimensions = array<i64: 1>}> : (tensor<1xi32>) -> tensor<1x1xi32>
    %13 = "stablehlo.broadcast_in_dim"(%12) <{broadcast_dimensions = array<i64: 0, 1>}> : (tensor<1x1xi32>) -> tensor<24x1xi32>
    %14 = "stablehlo.compare"(%7, %13) <{compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction LE>}> : (tensor<24x1xi32>, tensor<24x1xi32>) -> tensor<24x1xi1>
    %15 = "stablehlo.and"(%11, %14) : (tensor<24x1xi1>, tensor<24x1xi1>) -> tensor<24x1xi1>
    %16 = "stablehlo.constant"() <{value = dense<true> : tensor<i1>}> : () -> tensor<i1>
    %17 = "stablehlo.reduce"(%15, %16) <{dimensions = array<i64: 1>}> ({
    ^bb0(%arg2: tensor<i1>, %arg3: tensor<i1>):
      %23 = "stablehlo.and"(%arg2, %arg3) : (tensor<i1>, tensor<i1>) -> tensor<i1>
      "stablehlo.return"(%23) : (tensor<i1>) -> ()
    }) : (tensor<24x1xi1>, tensor<i1>) -> tensor<24xi1>
    %18 = "stablehlo.gather"(%arg0, %7) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, indices_are_sorted = false, slice_sizes = array<i64: 1, 32>}> : (tensor<24x32xf32>, tensor<24x1xi32>) -> tensor<24x32xf32>
    %19 = "stablehlo.broadcast_in_dim"(%17) <{broadcast_dimensions = array<i64: 0>}> : (tensor<24xi1>) -> tensor<24x32xi1>
    %20 = "stablehlo.constant"() <{value = dense<0x7FC00000> : tensor<f32>}> : () -> tensor<f32>
    %21 = "stablehlo.broadcast_in_dim"(%20) <{broadcast_dimensions = array<i64>}> : (tensor<f32>) -> tensor<24x32xf32>
    %22 = "stablehlo.select"(%19, %18, %21) : (tensor<24x32xi1>, tensor<24x32xf32>, tensor<24x32xf32>) -> tensor<24x32xf32>
    "func.return"(%22) : (tensor<24x32xf32>) -> ()
  }) : () -> ()
}) {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} : () -> ()

