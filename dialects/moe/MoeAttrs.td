//===- MoeAttrs.td - Weighings and activations of the moe dialect ---------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Attributes that implement WeighingAttrInterface or ActivationAttrInterface.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_ATTRS_TD
#define MOE_ATTRS_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "moe/MoeDialect.td"
include "moe/MoeInterfaces.td"

class Moe_Attr<string cppName, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<Moe_Dialect, cppName, traits> {
  let mnemonic = attrMnemonic;
}

/// A finite f64, compared by its bits. Attributes with one declare their own
/// accessors, to return it as a `double`.
class Moe_F64Parameter<string desc> : AttrParameter<"::llvm::APFloat", desc> {
  let comparator = "$_lhs.bitwiseIsEqual($_rhs)";
}

/// An enum whose errors list the keywords it accepts.
class Moe_EnumParameter<EnumInfo enum>
    : AttrParameter<enum.cppNamespace # "::" # enum.className, enum.summary>;

//===----------------------------------------------------------------------===//
// Weighings
//===----------------------------------------------------------------------===//

class Moe_Weighing<string cppName, string attrMnemonic>
    : Moe_Attr<cppName, attrMnemonic,
        [DeclareAttrInterfaceMethods<Moe_WeighingAttrInterface>]>;

def Moe_SoftmaxAttr : Moe_Weighing<"Softmax", "softmax"> {
  let summary = "softmax over the chosen values";
  let description = [{
    `w_i = exp(v_i - m) / sum_j exp(v_j - m)` with `m = max_j v_j`, over the
    values of the experts chosen for a token. Mixtral (arXiv 2401.04088), Granite
    and gpt-oss score this way, after the selection. NaN or +infinity among the
    values makes every weight of the token NaN.

    ```mlir
    #moe.softmax
    ```
  }];
}

def Moe_SigmoidAttr : Moe_Weighing<"Sigmoid", "sigmoid"> {
  let summary = "logistic function of each chosen value";
  let description = [{
    `w_i = 1 / (1 + exp(-v_i))`, as in Llama 4.

    ```mlir
    #moe.sigmoid
    ```
  }];
}

def Moe_NormalizeSum : I32EnumAttrCase<"Sum", 0, "sum">;
def Moe_NormalizeClamp : I32EnumAttrCase<"Clamp", 1, "clamp">;
def Moe_NormalizePNorm : I32EnumAttrCase<"PNorm", 2, "p_norm">;
def Moe_NormalizeKind : I32EnumAttr<"NormalizeKind",
    "denominator of a normalisation",
    [Moe_NormalizeSum, Moe_NormalizeClamp, Moe_NormalizePNorm]> {
  let cppNamespace = "::moe";
  let genSpecializedAttr = 0;
}

def Moe_NormalizeAttr : Moe_Weighing<"Normalize", "normalize"> {
  let summary = "chosen values divided by a norm of them";
  let description = [{
    Divides the chosen values of a token by a norm of them:

    | form | weights | models |
    |---|---|---|
    | `sum, eps = e` | `v / (sum v + e)` | Qwen3-MoE (e = 0), DeepSeek-V3 (1e-20) |
    | `clamp, min = m` | `v / max(sum v, m)` | Ernie 4.5 (1e-12) |
    | `p_norm, p = p` | `v / (sum |v|^p)^(1/p)` | DBRX (p = 1) |

    `eps` and `min` are at least 0, `p` is above 0. With `eps = 0` a token
    whose values sum to zero gets NaN (0 / 0).

    ```mlir
    #moe.normalize<sum, eps = 1.0e-20>
    #moe.normalize<clamp, min = 1.0e-12>
    #moe.normalize<p_norm, p = 1.0>
    ```
  }];
  let parameters = (ins
    Moe_EnumParameter<Moe_NormalizeKind>:$kind,
    Moe_F64Parameter<"eps, min or p, as the kind says">:$value);
  let genAccessors = 0;
  let extraClassDeclaration = [{
    ::moe::NormalizeKind getKind() const;
    double getValue() const;
  }];
  let builders = [
    AttrBuilder<(ins "::moe::NormalizeKind":$kind, "double":$value), [{
      return $_get($_ctxt, kind, ::llvm::APFloat(value));
    }]>
  ];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Moe_ScaleAttr : Moe_Weighing<"Scale", "scale"> {
  let summary = "each chosen value times a constant";
  let description = [{
    `w_i = factor * v_i`: the routed scaling factor of DeepSeek-V2/V3
    (arXiv 2405.04434, 2412.19437) and their relatives.

    ```mlir
    #moe.scale<2.5>
    ```
  }];
  let parameters = (ins Moe_F64Parameter<"the constant">:$factor);
  let genAccessors = 0;
  let extraClassDeclaration = "double getFactor() const;";
  let builders = [
    AttrBuilder<(ins "double":$factor), [{
      return $_get($_ctxt, ::llvm::APFloat(factor));
    }]>
  ];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

//===----------------------------------------------------------------------===//
// Activations
//===----------------------------------------------------------------------===//

class Moe_Activation<string cppName, string attrMnemonic>
    : Moe_Attr<cppName, attrMnemonic,
        [DeclareAttrInterfaceMethods<Moe_ActivationAttrInterface>]>;

/// An activation act(v) with a plain form, act(up), and a gated one,
/// act(gate) * up.
class Moe_SimpleActivation<string cppName, string attrMnemonic, string name,
                           string formula, string note = "">
    : Moe_Activation<cppName, attrMnemonic> {
  let summary = name;
  let description = "Plain: `act(up)`. Gated: `act(gate) * up`. `act(v) = "
    # formula # "`." # !if(!empty(note), "", " " # note)
    # "\n\n```mlir\n#moe." # attrMnemonic # "\n```\n";
}

def Moe_SiluAttr : Moe_SimpleActivation<"Silu", "silu", "SiLU, v times sigmoid(v)",
  "v / (1 + exp(-v))", "Gated, this is SwiGLU (arXiv 2002.05202), the expert of most models.">;
def Moe_GeluAttr : Moe_SimpleActivation<"Gelu", "gelu", "GELU with the error function",
  "0.5 v (1 + erf(v / sqrt(2)))", "Gated, this is GeGLU.">;
def Moe_GeluTanhAttr : Moe_SimpleActivation<"GeluTanh", "gelu_tanh",
  "GELU in its tanh form",
  "0.5 v (1 + tanh(sqrt(2/pi) (v + 0.044715 v^3)))">;
def Moe_QuickGeluAttr : Moe_SimpleActivation<"QuickGelu", "quick_gelu",
  "GELU in its sigmoid form", "v / (1 + exp(-1.702 v))">;
def Moe_ReluAttr : Moe_SimpleActivation<"Relu", "relu", "rectifier", "max(v, 0)",
  "The expert of Switch Transformer (arXiv 2101.03961) uses the plain form.">;
def Moe_Relu2Attr : Moe_SimpleActivation<"Relu2", "relu2", "squared rectifier",
  "max(v, 0)^2">;
def Moe_TanhAttr : Moe_SimpleActivation<"Tanh", "tanh", "hyperbolic tangent",
  "tanh(v)">;
def Moe_IdentityAttr : Moe_SimpleActivation<"Identity", "identity",
  "no activation", "v", "Gated, this is a bilinear unit.">;

def Moe_ClampedSwigluAttr : Moe_Activation<"ClampedSwiglu", "clamped_swiglu"> {
  let summary = "clamped SwiGLU, gated only";
  let description = [{
    `g = min(gate, limit)`, `u = clamp(up, -limit, limit)`,
    `h = g sigmoid(alpha g) (u + offset)`. The gate has no lower clamp.

    gpt-oss and MiniMax-M3: alpha 1.702, limit 7, offset 1, which are the
    defaults; DeepSeek-V4: alpha 1, limit 10, offset 0. `limit` is positive.

    ```mlir
    #moe.clamped_swiglu<alpha = 1.702, limit = 7.0, offset = 1.0>
    ```
  }];
  let parameters = (ins
    Moe_F64Parameter<"slope inside the sigmoid">:$alpha,
    Moe_F64Parameter<"bound of the clamps">:$limit,
    Moe_F64Parameter<"added to up">:$offset);
  let genAccessors = 0;
  let extraClassDeclaration = [{
    double getAlpha() const;
    double getLimit() const;
    double getOffset() const;
  }];
  let builders = [
    AttrBuilder<(ins CArg<"double", "1.702">:$alpha, CArg<"double", "7.0">:$limit,
                     CArg<"double", "1.0">:$offset), [{
      return $_get($_ctxt, ::llvm::APFloat(alpha), ::llvm::APFloat(limit),
                   ::llvm::APFloat(offset));
    }]>
  ];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

#endif // MOE_ATTRS_TD
